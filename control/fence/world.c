/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/world.h"

#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 1 << 28 }; /* far below what an entry of the table can name */

/* The state of the merge at one place of the address space. */
struct builder {
	struct world *world;
	const struct source *sources;
	size_t source_count;
	const struct rules *rules;
	size_t room;
	uint32_t *buckets; /* hash table of labels: number + 1, 0 is free; a power of two of them */
	size_t bucket_count;
	/* What holds at this place: by source the range + 1, and the rule + 1. */
	uint32_t ranges[WORLD_SOURCES_MAX];
	uint32_t rule;
};

static const struct source_fact *fact_here(const struct builder *builder, size_t number, bool is_ipv6)
{
	const struct source *source = &builder->sources[number];
	const uint32_t range = builder->ranges[number];

	return range ? &source->facts[source->ranges[is_ipv6].facts[range - 1]] : NULL;
}

/* The first source of format operators that has the AS. */
static const struct source_fact *find_operator(const struct builder *builder, uint32_t asn)
{
	const struct source_fact *found = NULL;
	size_t i;

	for (i = 0; i < builder->source_count && !found; i++)
		found = source_operator(&builder->sources[i], asn);
	return found;
}

/* Merges the facts that hold here. False if there are none. */
static bool merge(const struct builder *builder, bool is_ipv6, struct world_label *label)
{
	const struct source_fact *fact, *controller;
	bool listed = builder->rule != 0;
	size_t i;

	memset(label, 0, sizeof(*label));
	label->operator_name = "";
	label->rule = builder->rule;
	for (i = 0; i < builder->source_count; i++) {
		fact = fact_here(builder, i, is_ipv6);
		if (!fact)
			continue;
		listed = true;
		if (!label->location[0])
			memcpy(label->location, fact->location, sizeof(label->location));
		if (!label->asn && !label->operator_name[0]) {
			label->asn = fact->asn;
			label->operator_name = fact->operator_name;
		}
	}
	controller = label->asn ? find_operator(builder, label->asn) : NULL;
	if (controller)
		label->operator_name = controller->operator_name;
	for (i = 0; i < builder->source_count && !label->jurisdiction[0]; i++) {
		fact = fact_here(builder, i, is_ipv6);
		if (!fact)
			fact = source_operator(&builder->sources[i], label->asn);
		if (fact)
			memcpy(label->jurisdiction, fact->jurisdiction, sizeof(label->jurisdiction));
	}
	if (!label->jurisdiction[0] && builder->rules->location_is_jurisdiction && label->location[0]) {
		memcpy(label->jurisdiction, label->location, sizeof(label->jurisdiction));
		label->by_fallback = true;
	}
	return listed;
}

static uint32_t hash(const struct world_label *label)
{
	uint64_t value = (uint64_t)label->asn << 32 | label->rule;
	const char *byte;

	value ^= (uint64_t)(uint8_t)label->location[0] << 56 | (uint64_t)(uint8_t)label->location[1] << 48 |
		 (uint64_t)(uint8_t)label->jurisdiction[0] << 24 | (uint64_t)(uint8_t)label->jurisdiction[1] << 16 |
		 label->by_fallback;
	for (byte = label->operator_name; *byte; byte++)
		value = (value ^ (uint8_t)*byte) * UINT64_C(0x100000001b3);
	value *= UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(value >> 32);
}

static bool same(const struct world_label *a, const struct world_label *b)
{
	return a->asn == b->asn && a->rule == b->rule && a->by_fallback == b->by_fallback &&
	       !strcmp(a->location, b->location) && !strcmp(a->jurisdiction, b->jurisdiction) &&
	       (a->operator_name == b->operator_name || !strcmp(a->operator_name, b->operator_name));
}

static int grow(struct builder *builder)
{
	struct world *world = builder->world;
	size_t room = builder->room ? builder->room * 2 : 1024, i;
	struct world_label *labels;
	uint32_t *buckets;

	if (world->label_count < builder->room)
		return 0;
	if (room > LABELS_MAX)
		return -1;
	labels = reallocarray(world->labels, room, sizeof(*labels));
	if (!labels)
		return -1;
	world->labels = labels;
	buckets = calloc(room * 2, sizeof(*buckets));
	if (!buckets)
		return -1;
	for (i = 0; i < world->label_count; i++) {
		size_t at = hash(&labels[i]) & (room * 2 - 1);

		while (buckets[at])
			at = (at + 1) & (room * 2 - 1);
		buckets[at] = (uint32_t)i + 1;
	}
	free(builder->buckets);
	builder->buckets = buckets;
	builder->bucket_count = room * 2;
	builder->room = room;
	return 0;
}

/* The label's number + 1; entered if it is new. 0: out of memory. */
static uint32_t enter(struct builder *builder, const struct world_label *label)
{
	struct world *world = builder->world;
	size_t at;

	if (grow(builder))
		return 0;
	for (at = hash(label) & (builder->bucket_count - 1); builder->buckets[at];
		at = (at + 1) & (builder->bucket_count - 1))
		if (same(&world->labels[builder->buckets[at] - 1], label))
			return builder->buckets[at];
	world->labels[world->label_count++] = *label;
	return builder->buckets[at] = (uint32_t)world->label_count;
}

/* One of the divisions that are laid over each other, and how far it is. */
struct cursor {
	const struct sequence *sequence;
	size_t next;
	uint32_t *value; /* where what holds here is written down */
};

/* Sweeps over one family: every place where any source or rule changes is a place to merge anew. */
static int build_family(struct builder *builder, bool is_ipv6)
{
	struct sequence *out = &builder->world->intervals[is_ipv6];
	struct cursor cursors[WORLD_SOURCES_MAX + 1];
	fence_address at = 0;
	size_t count = 0, i;

	sequence_init(out, is_ipv6);
	memset(builder->ranges, 0, sizeof(builder->ranges));
	builder->rule = 0;
	for (i = 0; i < builder->source_count; i++)
		if (builder->sources[i].ranges[is_ipv6].narrowest.count)
			cursors[count++] =
				(struct cursor){&builder->sources[i].ranges[is_ipv6].narrowest, 0, &builder->ranges[i]};
	if (builder->rules->prefixes[is_ipv6].count)
		cursors[count++] = (struct cursor){&builder->rules->prefixes[is_ipv6], 0, &builder->rule};
	for (;;) {
		fence_address next = fence_address_last(is_ipv6);
		bool ends = true;
		struct world_label label;
		uint32_t value;

		for (i = 0; i < count; i++) {
			struct cursor *cursor = &cursors[i];
			fence_address first;

			if (cursor->next < cursor->sequence->count &&
				sequence_first(cursor->sequence, cursor->next) == at)
				*cursor->value = cursor->sequence->values[cursor->next++];
			if (cursor->next == cursor->sequence->count)
				continue;
			first = sequence_first(cursor->sequence, cursor->next);
			if (ends || first < next)
				next = first;
			ends = false;
		}
		value = 0;
		if (merge(builder, is_ipv6, &label) && !(value = enter(builder, &label)))
			return -1;
		if (sequence_put(out, at, value))
			return -1;
		if (ends)
			return 0;
		at = next;
	}
}

int world_build(struct world *world, const struct source *sources, size_t source_count, const struct rules *rules,
	struct error *error)
{
	struct builder builder = {.world = world, .sources = sources, .source_count = source_count, .rules = rules};
	int result;

	memset(world, 0, sizeof(*world));
	result = build_family(&builder, false) || build_family(&builder, true)
			 ? error_set(error, ENOMEM, "/fence", "fence: out of memory")
			 : 0;
	free(builder.buckets);
	if (result)
		world_free(world);
	return result;
}

void world_free(struct world *world)
{
	sequence_free(&world->intervals[0]);
	sequence_free(&world->intervals[1]);
	free(world->labels);
	memset(world, 0, sizeof(*world));
}

const struct world_label *world_find(const struct world *world, bool is_ipv6, fence_address address)
{
	const struct sequence *intervals = &world->intervals[is_ipv6];
	uint32_t value = intervals->values[sequence_find(intervals, address)];

	return value ? &world->labels[value - 1] : NULL;
}
