/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy as a thing of thought, without the kernel: sources, rules, and what follows from them for every address. The
 * command line and the compiled policy (policy.c) share it.
 */
#ifndef CONTROL_FENCE_MODEL_H
#define CONTROL_FENCE_MODEL_H

#include "control/error.h"
#include "control/fence/fence.h"
#include "control/fence/rules.h"
#include "control/fence/source.h"
#include "control/fence/world.h"

struct model {
	struct source *sources;
	size_t source_count;
	struct rules rules;
	struct world world;
	struct rules_verdict *verdicts;           /* of each label */
	uint64_t bundle_version;                  /* 0: from files */
	uint8_t bundle_sha256[LINES_SHA256_SIZE]; /* of the signed bytes */
};

/* 0, or -1 with the error set ("FILE:LINE: ..." for what is in a file) and nothing in the model. */
int model_compile(struct model *model, const struct fence_policy_source *source, struct error *error);
void model_free(struct model *model);

/* The same, of sources that are read already: they become the model's in any case. */
int model_merge(struct model *model, struct source *sources, size_t source_count,
	const struct fence_policy_source *rules, struct error *error);

/* Ranges of the sources, by family. */
size_t model_ranges(const struct model *model, bool is_ipv6);

/* Explains a destination; model may be NULL (then "no_policy"). out->revision is the caller's business. */
void model_explain(const struct model *model, const struct pont_address *destination, struct fence_explanation *out);

#endif
