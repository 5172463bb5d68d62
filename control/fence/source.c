/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/source.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	enum source_format format;
	const char *name;
} formats[] = {
	{SOURCE_LABELS, "labels"},
	{SOURCE_OPERATORS, "operators"},
	{SOURCE_COUNTRY, "country"},
	{SOURCE_ASN, "asn"},
	{SOURCE_DELEGATED, "delegated"},
};

const char *source_format_name(enum source_format format)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].format == format)
			return formats[i].name;
	return "";
}

enum source_format source_format_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i].name, name))
			return formats[i].format;
	return 0;
}

/* Ranges on their way: as they come, not packed yet. */
struct loose {
	struct source_range *ranges;
	size_t count, room;
};

struct source_builder {
	struct source *source;
	struct loose loose[2];
	size_t fact_room;
	uint32_t *buckets; /* hash table of facts: index + 1, 0 is free; a power of two of them */
	size_t bucket_count;
};

struct source_builder *source_builder_new(struct source *source)
{
	struct source_builder *builder = calloc(1, sizeof(*builder));

	if (builder)
		builder->source = source;
	return builder;
}

void source_builder_free(struct source_builder *builder)
{
	if (!builder)
		return;
	free(builder->loose[0].ranges);
	free(builder->loose[1].ranges);
	free(builder->buckets);
	free(builder);
}

/* Makes room for one more element. */
static int grow(void **array, size_t *room, size_t count, size_t size)
{
	size_t wanted = *room ? *room * 2 : 256;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*array, wanted, size);
	if (!grown)
		return -1;
	*array = grown;
	*room = wanted;
	return 0;
}

static uint32_t fact_hash(const char *location, const char *jurisdiction, uint32_t asn, const char *operator_name)
{
	const char *const parts[] = {location, jurisdiction, operator_name};
	uint32_t hash = 2166136261u ^ asn; /* FNV-1a */
	size_t i;
	const char *byte;

	for (i = 0; i < 3; i++) {
		for (byte = parts[i]; *byte; byte++)
			hash = (hash ^ (uint8_t)*byte) * 16777619u;
		hash = (hash ^ 0xff) * 16777619u;
	}
	return hash ^ hash >> 15;
}

/* Doubles the hash table when it is half full. */
static int buckets_grow(struct source_builder *builder)
{
	const struct source *source = builder->source;
	size_t count = builder->bucket_count ? builder->bucket_count * 2 : 1024;
	uint32_t *buckets;
	size_t i;

	if (source->fact_count * 2 < builder->bucket_count)
		return 0;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return -1;
	for (i = 0; i < source->fact_count; i++) {
		const struct source_fact *fact = &source->facts[i];
		size_t at = fact_hash(fact->location, fact->jurisdiction, fact->asn, fact->operator_name) & (count - 1);

		while (buckets[at])
			at = (at + 1) & (count - 1);
		buckets[at] = (uint32_t)i + 1;
	}
	free(builder->buckets);
	builder->buckets = buckets;
	builder->bucket_count = count;
	return 0;
}

int source_builder_fact(struct source_builder *builder, const char *location, const char *jurisdiction, uint32_t asn,
	const char *operator_name, uint32_t *number)
{
	struct source *source = builder->source;
	struct source_fact *fact;
	size_t at;

	if (source->fact_count == SOURCE_FACTS_MAX || buckets_grow(builder))
		return -1;
	at = fact_hash(location, jurisdiction, asn, operator_name) & (builder->bucket_count - 1);
	for (; builder->buckets[at]; at = (at + 1) & (builder->bucket_count - 1)) {
		fact = &source->facts[builder->buckets[at] - 1];
		if (fact->asn == asn && !strcmp(fact->location, location) &&
			!strcmp(fact->jurisdiction, jurisdiction) && !strcmp(fact->operator_name, operator_name)) {
			*number = builder->buckets[at] - 1;
			return 0;
		}
	}
	if (grow((void **)&source->facts, &builder->fact_room, source->fact_count, sizeof(*fact)))
		return -1;
	fact = &source->facts[source->fact_count];
	memset(fact, 0, sizeof(*fact));
	(void)snprintf(fact->location, sizeof(fact->location), "%s", location);
	(void)snprintf(fact->jurisdiction, sizeof(fact->jurisdiction), "%s", jurisdiction);
	fact->asn = asn;
	fact->operator_name = strdup(operator_name);
	if (!fact->operator_name)
		return -1;
	*number = (uint32_t)source->fact_count++;
	builder->buckets[at] = *number + 1;
	return 0;
}

int source_builder_range(struct source_builder *builder, bool is_ipv6, const struct source_range *range)
{
	struct loose *loose = &builder->loose[is_ipv6];

	if (loose->count == SOURCE_RANGES_MAX ||
		grow((void **)&loose->ranges, &loose->room, loose->count, sizeof(*range)))
		return -1;
	loose->ranges[loose->count++] = *range;
	return 0;
}

/* By address; wider ones first, so that each comes after those that contain it. */
static int compare_ranges(const void *left, const void *right)
{
	const struct source_range *a = left, *b = right;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->last != b->last)
		return a->last > b->last ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

/* Files of this kind are sorted as a rule, and then this takes linear time. */
static void sort_ranges(struct loose *loose)
{
	size_t i;

	for (i = 1; i < loose->count; i++) {
		if (compare_ranges(&loose->ranges[i - 1], &loose->ranges[i]) > 0) {
			qsort(loose->ranges, loose->count, sizeof(*loose->ranges), compare_ranges);
			return;
		}
	}
}

/* The first line that repeats a range. */
static const struct source_range *find_repeated(const struct loose *loose, uint32_t *earlier_line)
{
	const struct source_range *found = NULL;
	size_t i;

	for (i = 1; i < loose->count; i++) {
		const struct source_range *a = &loose->ranges[i - 1], *b = &loose->ranges[i];

		if (a->first != b->first || a->last != b->last || (found && found->line < b->line))
			continue;
		found = b;
		*earlier_line = a->line;
	}
	return found;
}

/* The ranges that contain the place where the sweep is, the narrowest on top: a binary heap of indexes. */
struct sweep {
	const struct source_range *ranges;
	uint32_t *heap;
	size_t count, room;
	struct sequence *out;
};

static bool is_narrower(const struct sweep *sweep, uint32_t a, uint32_t b)
{
	const struct source_range *left = &sweep->ranges[a], *right = &sweep->ranges[b];
	const fence_address left_width = left->last - left->first, right_width = right->last - right->first;

	return left_width < right_width || (left_width == right_width && left->first > right->first);
}

static int sweep_push(struct sweep *sweep, uint32_t range)
{
	size_t at = sweep->count;

	if (grow((void **)&sweep->heap, &sweep->room, sweep->count, sizeof(*sweep->heap)))
		return -1;
	sweep->count++;
	while (at && is_narrower(sweep, range, sweep->heap[(at - 1) / 2])) {
		sweep->heap[at] = sweep->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	sweep->heap[at] = range;
	return 0;
}

static void sweep_pop(struct sweep *sweep)
{
	const uint32_t moved = sweep->heap[--sweep->count];
	size_t at = 0;

	for (;;) {
		size_t below = 2 * at + 1;

		if (below + 1 < sweep->count && is_narrower(sweep, sweep->heap[below + 1], sweep->heap[below]))
			below++;
		if (below >= sweep->count || !is_narrower(sweep, sweep->heap[below], moved))
			break;
		sweep->heap[at] = sweep->heap[below];
		at = below;
	}
	sweep->heap[at] = moved;
}

/* Lets the ranges end that end before `until`. */
static int sweep_advance(struct sweep *sweep, fence_address until)
{
	while (sweep->count && sweep->ranges[sweep->heap[0]].last < until) {
		const fence_address end = sweep->ranges[sweep->heap[0]].last;

		/* Those beneath it may have ended before it did. */
		while (sweep->count && sweep->ranges[sweep->heap[0]].last <= end)
			sweep_pop(sweep);
		if (sequence_put(sweep->out, end + 1, sweep->count ? sweep->heap[0] + 1 : 0))
			return -1;
	}
	return 0;
}

static int find_narrowest(const struct loose *loose, bool is_ipv6, struct sequence *out)
{
	struct sweep sweep = {.ranges = loose->ranges, .out = out};
	int result = -1;
	size_t i;

	sequence_init(out, is_ipv6);
	if (sequence_put(out, 0, 0))
		goto out;
	for (i = 0; i < loose->count; i++) {
		if (sweep_advance(&sweep, loose->ranges[i].first) || sweep_push(&sweep, (uint32_t)i) ||
			sequence_put(out, loose->ranges[i].first, sweep.heap[0] + 1))
			goto out;
	}
	result = sweep_advance(&sweep, fence_address_last(is_ipv6));
out:
	free(sweep.heap);
	return result;
}

static int pack(struct source_ranges *ranges, const struct loose *loose)
{
	const size_t count = loose->count;
	size_t i;

	if (!count)
		return 0;
	ranges->bounds = calloc(count, ranges->is_ipv6 ? 4 * sizeof(uint64_t) : 2 * sizeof(uint32_t));
	ranges->facts = calloc(count, sizeof(*ranges->facts));
	ranges->lines = calloc(count, sizeof(*ranges->lines));
	if (!ranges->bounds || !ranges->facts || !ranges->lines)
		return -1;
	for (i = 0; i < count; i++) {
		const struct source_range *range = &loose->ranges[i];

		if (ranges->is_ipv6) {
			uint64_t *halves = (uint64_t *)ranges->bounds + 4 * i;

			halves[0] = (uint64_t)(range->first >> 64);
			halves[1] = (uint64_t)range->first;
			halves[2] = (uint64_t)(range->last >> 64);
			halves[3] = (uint64_t)range->last;
		} else {
			uint32_t *ends = (uint32_t *)ranges->bounds + 2 * i;

			ends[0] = (uint32_t)range->first;
			ends[1] = (uint32_t)range->last;
		}
		ranges->facts[i] = range->fact;
		ranges->lines[i] = range->line;
	}
	ranges->count = count;
	return 0;
}

struct source_range source_range(const struct source_ranges *ranges, size_t i)
{
	struct source_range range = {.fact = ranges->facts[i], .line = ranges->lines[i]};

	if (ranges->is_ipv6) {
		const uint64_t *halves = (const uint64_t *)ranges->bounds + 4 * i;

		range.first = fence_address_of(halves[0], halves[1]);
		range.last = fence_address_of(halves[2], halves[3]);
	} else {
		const uint32_t *ends = (const uint32_t *)ranges->bounds + 2 * i;

		range.first = ends[0];
		range.last = ends[1];
	}
	return range;
}

int source_builder_settle(struct source_builder *builder)
{
	uint32_t nothing = 0;
	int family;

	for (family = 0; family < 2; family++) {
		struct loose *loose = &builder->loose[family];
		size_t i, kept = 0;

		sort_ranges(loose);
		for (i = 0; loose->ranges && i < loose->count; i++) {
			struct source_range *last = kept ? &loose->ranges[kept - 1] : NULL, *range = &loose->ranges[i];

			if (!last || last->first != range->first || last->last != range->last) {
				loose->ranges[kept++] = *range;
				continue;
			}
			if (last->fact == range->fact)
				continue;
			if (source_builder_fact(builder, "", "", 0, "", &nothing))
				return -1;
			builder->source->contradictions += last->fact != nothing;
			last->fact = nothing;
		}
		loose->count = kept;
	}
	return 0;
}

int source_builder_finish(struct source_builder *builder, struct source_range *repeated, uint32_t *earlier_line)
{
	const struct source_range *found = NULL;
	int family;

	for (family = 0; family < 2; family++) {
		const struct source_range *one;
		uint32_t line;

		sort_ranges(&builder->loose[family]);
		one = find_repeated(&builder->loose[family], &line);
		if (one && (!found || one->line < found->line)) {
			found = one;
			*earlier_line = line;
		}
	}
	if (found) {
		*repeated = *found;
		errno = EEXIST;
		return -1;
	}
	for (family = 0; family < 2; family++) {
		struct source_ranges *ranges = &builder->source->ranges[family];

		ranges->is_ipv6 = family;
		if (find_narrowest(&builder->loose[family], family, &ranges->narrowest) ||
			pack(ranges, &builder->loose[family])) {
			errno = ENOMEM;
			return -1;
		}
		free(builder->loose[family].ranges);
		builder->loose[family] = (struct loose){0};
	}
	return 0;
}

const struct source_fact *source_find(
	const struct source *source, bool is_ipv6, fence_address address, struct source_range *range)
{
	const struct source_ranges *ranges = &source->ranges[is_ipv6];
	uint32_t found;

	if (!ranges->narrowest.count)
		return NULL;
	found = ranges->narrowest.values[sequence_find(&ranges->narrowest, address)];
	if (!found)
		return NULL;
	if (range)
		*range = source_range(ranges, found - 1);
	return &source->facts[ranges->facts[found - 1]];
}

static int compare_operators(const void *key, const void *element)
{
	const uint32_t asn = *(const uint32_t *)key;
	const struct source_fact *fact = element;

	return asn < fact->asn ? -1 : asn > fact->asn;
}

const struct source_fact *source_operator(const struct source *source, uint32_t asn)
{
	if (source->format != SOURCE_OPERATORS || !asn || !source->fact_count)
		return NULL;
	return bsearch(&asn, source->facts, source->fact_count, sizeof(*source->facts), compare_operators);
}

void source_free(struct source *source)
{
	size_t i;

	for (i = 0; i < source->fact_count; i++)
		free(source->facts[i].operator_name);
	free(source->facts);
	for (i = 0; i < 2; i++) {
		free(source->ranges[i].bounds);
		free(source->ranges[i].facts);
		free(source->ranges[i].lines);
		sequence_free(&source->ranges[i].narrowest);
	}
	free(source->name);
	free(source->origin);
	free(source->date);
	memset(source, 0, sizeof(*source));
}
