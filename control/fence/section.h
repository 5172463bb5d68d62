/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy as it is written: the `fence` section of the configuration, which is also what `pontlevis fence compile`
 * reads and the manifest of a bundle holds.
 */
#ifndef CONTROL_FENCE_SECTION_H
#define CONTROL_FENCE_SECTION_H

#include <jansson.h>

#include "control/error.h"
#include "control/fence/fence.h"

/* Strings live in the JSON. */
struct section {
	struct fence_policy_source source;
	struct fence_source_file *files;
	struct fence_rule *rules;
	const char **locations, **jurisdictions, **denied_operators, **trusted;
};

/*
 * Reads a section that the published schema allows, and says what a schema cannot; a section that it does not allow is
 * refused too, in fewer words. 0, or -1 with the error set (pointer below /fence) and nothing in the section.
 */
int section_read(struct section *section, const json_t *fence, struct error *error);
void section_free(struct section *section);

/* The rules of a policy (everything but where its sources are) in the one form that a manifest has. NULL: no memory. */
json_t *section_rules(const struct fence_policy_source *source);

#endif
