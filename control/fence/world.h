/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that the sources say, merged: the address space of both families in intervals with one label each. Each attribute
 * of an address comes from the first source, in the order of the policy, that knows it:
 *
 *	location	a source with ranges
 *	operator	a source with ranges that names an AS or an operator; the name is that of the first source of
 *			format operators that has the AS, else the one that stands beside the range
 *	jurisdiction	a source with ranges that states it, or one of format operators that has the AS; else the
 *			policy's fallback: nothing, or the location
 */
#ifndef CONTROL_FENCE_WORLD_H
#define CONTROL_FENCE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/rules.h"
#include "control/fence/sequence.h"
#include "control/fence/source.h"

enum { WORLD_SOURCES_MAX = 64 };

struct world_label {
	char location[3]; /* "" if unknown, here and below */
	char jurisdiction[3];
	bool by_fallback;          /* the jurisdiction is the location, for want of better */
	uint32_t asn;              /* 0 if unknown */
	uint32_t rule;             /* number of the policy's rule by prefix that holds here + 1, 0 if there is none */
	const char *operator_name; /* of a source, or "" */
};

struct world {
	struct sequence intervals[2]; /* IPv4, IPv6; values: number of the label + 1, 0: in no source and no rule */
	struct world_label *labels;   /* each once */
	size_t label_count;
};

/* Merges. The world refers to the sources' strings. 0, or -1 with the error set and an empty world. */
int world_build(struct world *world, const struct source *sources, size_t source_count, const struct rules *rules,
	struct error *error);
void world_free(struct world *world);

/* The label of an address, NULL if it is in no source and no rule. */
const struct world_label *world_find(const struct world *world, bool is_ipv6, fence_address address);

#endif
