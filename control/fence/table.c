/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/table.h"

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pontlevis/fence_map.h"

#define ROOT_ENTRIES (1u << 24)
#define GROUP_SIZE   256u
#define RANGES_MAX   (1u << PONT_FENCE_V6_STEPS)
/* Group numbers carry one flag bit; far below it, 16 GiB of groups are surely a mistake. */
#define GROUPS_MAX (1u << 24)

/* A table under construction. */
struct builder {
	uint32_t *root; /* ROOT_ENTRIES */

	uint32_t *groups; /* GROUP_SIZE entries each, every content once */
	uint32_t group_count, group_room;
	uint32_t *buckets; /* hash table of groups: number + 1, 0 is free */
	uint32_t bucket_count;

	uint32_t open[GROUP_SIZE]; /* group of the /24 being painted */
	uint32_t open_slot;        /* its index in root */
	bool is_open;

	uint64_t *starts; /* two halves each */
	uint32_t *entries;
	uint32_t range_count;
};

static uint64_t group_hash(const uint32_t *group)
{
	uint64_t hash = 0x9e3779b97f4a7c15u;
	uint32_t i;

	for (i = 0; i < GROUP_SIZE; i++) {
		hash = (hash ^ group[i]) * 0xff51afd7ed558ccdu;
		hash ^= hash >> 32;
	}
	return hash;
}

/* Room for one more group, in the array and in the hash table. */
static int groups_grow(struct builder *builder)
{
	uint32_t i, room, buckets_wanted;
	uint32_t *groups, *buckets;

	if (builder->group_count < builder->group_room)
		return 0;
	room = builder->group_room ? builder->group_room * 2 : 1024;
	if (room > GROUPS_MAX)
		return -1;
	groups = reallocarray(builder->groups, room, GROUP_SIZE * sizeof(*groups));
	if (!groups)
		return -1;
	builder->groups = groups;
	buckets_wanted = room * 2;
	buckets = calloc(buckets_wanted, sizeof(*buckets));
	if (!buckets)
		return -1;
	for (i = 0; i < builder->group_count; i++) {
		uint32_t at = (uint32_t)group_hash(groups + (size_t)i * GROUP_SIZE) & (buckets_wanted - 1);

		while (buckets[at])
			at = (at + 1) & (buckets_wanted - 1);
		buckets[at] = i + 1;
	}
	free(builder->buckets);
	builder->buckets = buckets;
	builder->bucket_count = buckets_wanted;
	builder->group_room = room;
	return 0;
}

/* Enters the open group into the root: as a plain entry if it is all one, else as a group, an equal one if there is. */
static int group_close(struct builder *builder)
{
	uint32_t at, i;

	if (!builder->is_open)
		return 0;
	builder->is_open = false;
	for (i = 1; i < GROUP_SIZE && builder->open[i] == builder->open[0]; i++)
		;
	if (i == GROUP_SIZE) {
		builder->root[builder->open_slot] = builder->open[0];
		return 0;
	}
	if (groups_grow(builder))
		return -1;
	at = (uint32_t)group_hash(builder->open) & (builder->bucket_count - 1);
	for (; builder->buckets[at]; at = (at + 1) & (builder->bucket_count - 1)) {
		i = builder->buckets[at] - 1;
		if (!memcmp(builder->groups + (size_t)i * GROUP_SIZE, builder->open, sizeof(builder->open))) {
			builder->root[builder->open_slot] = PONT_FENCE_GROUP | i;
			return 0;
		}
	}
	i = builder->group_count++;
	memcpy(builder->groups + (size_t)i * GROUP_SIZE, builder->open, sizeof(builder->open));
	builder->buckets[at] = i + 1;
	builder->root[builder->open_slot] = PONT_FENCE_GROUP | i;
	return 0;
}

/* Paints one interval: whole entries of the root, and the groups at its ends. */
static int paint(struct builder *builder, uint64_t first, uint64_t last, uint32_t entry)
{
	while (first <= last) {
		const uint32_t slot = (uint32_t)(first >> 8);
		uint64_t stop = first | (GROUP_SIZE - 1);

		if (!builder->is_open && first % GROUP_SIZE == 0 && stop <= last) {
			builder->root[slot] = entry;
		} else {
			if (stop > last)
				stop = last;
			builder->is_open = true;
			builder->open_slot = slot;
			for (uint64_t address = first; address <= stop; address++)
				builder->open[address % GROUP_SIZE] = entry;
			/* Intervals follow each other without a gap: a group is complete when its last entry is. */
			if (stop % GROUP_SIZE == GROUP_SIZE - 1 && group_close(builder))
				return -1;
		}
		first = stop + 1;
	}
	return 0;
}

static int build_ipv4(struct builder *builder, const struct sequence *intervals, const uint32_t *entries)
{
	size_t i;

	for (i = 0; i < intervals->count; i++)
		if (paint(builder, (uint64_t)sequence_first(intervals, i), (uint64_t)sequence_last(intervals, i),
			    entries[intervals->values[i]]))
			return -1;
	return 0;
}

static int build_ipv6(struct builder *builder, const struct sequence *intervals, const uint32_t *entries)
{
	size_t i;

	if (intervals->count > RANGES_MAX)
		return -1;
	builder->starts = calloc(intervals->count, 2 * sizeof(*builder->starts));
	builder->entries = calloc(intervals->count, sizeof(*builder->entries));
	if (!builder->starts || !builder->entries)
		return -1;
	for (i = 0; i < intervals->count; i++) {
		const fence_address first = sequence_first(intervals, i);

		builder->starts[2 * i] = (uint64_t)(first >> 64);
		builder->starts[2 * i + 1] = (uint64_t)first;
		builder->entries[i] = entries[intervals->values[i]];
	}
	builder->range_count = (uint32_t)intervals->count;
	return 0;
}

static uint32_t pages_of(uint64_t bytes)
{
	return (uint32_t)((bytes + PONT_FENCE_PAGE - 1) / PONT_FENCE_PAGE);
}

/* Lays the parts out and copies them into a new map. */
static int table_write(
	const struct builder *builder, uint64_t revision, int *map_fd, uint64_t *size, struct error *error)
{
	const struct bpf_map_create_opts options = {
		.sz = sizeof(options), .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP};
	const uint64_t root_bytes = (uint64_t)ROOT_ENTRIES * sizeof(uint32_t);
	const uint64_t group_bytes = (uint64_t)builder->group_count * GROUP_SIZE * sizeof(uint32_t);
	const uint64_t start_bytes = (uint64_t)builder->range_count * 2 * sizeof(uint64_t);
	const uint64_t entry_bytes = (uint64_t)builder->range_count * sizeof(uint32_t);
	struct pont_fence_header header = {.magic = PONT_FENCE_MAGIC, .revision = revision};
	uint8_t *bytes;
	int fd;

	header.v4_root = 1;
	header.v4_groups = header.v4_root + pages_of(root_bytes);
	header.v6_starts = header.v4_groups + pages_of(group_bytes);
	header.v6_entries = header.v6_starts + pages_of(start_bytes);
	header.pages = header.v6_entries + pages_of(entry_bytes);
	header.v4_group_count = builder->group_count;
	header.v6_count = builder->range_count;
	*size = (uint64_t)header.pages * PONT_FENCE_PAGE;
	fd = bpf_map_create(
		BPF_MAP_TYPE_ARRAY, "fence_table", sizeof(uint32_t), PONT_FENCE_PAGE, header.pages, &options);
	if (fd < 0)
		return error_set(
			error, errno, NULL, "fence: map of %u pages for the policy: %s", header.pages, strerror(errno));
	bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		(void)error_set(error, errno, NULL, "fence: mapping the policy's table: %s", strerror(errno));
		goto close_map;
	}
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + (uint64_t)header.v4_root * PONT_FENCE_PAGE, builder->root, root_bytes);
	if (group_bytes)
		memcpy(bytes + (uint64_t)header.v4_groups * PONT_FENCE_PAGE, builder->groups, group_bytes);
	memcpy(bytes + (uint64_t)header.v6_starts * PONT_FENCE_PAGE, builder->starts, start_bytes);
	memcpy(bytes + (uint64_t)header.v6_entries * PONT_FENCE_PAGE, builder->entries, entry_bytes);
	(void)munmap(bytes, *size);
	/* From now on no process can change it, not even this one. */
	if (bpf_map_freeze(fd)) {
		(void)error_set(error, errno, NULL, "fence: freezing the policy's table: %s", strerror(errno));
		goto close_map;
	}
	*map_fd = fd;
	return 0;
close_map:
	(void)close(fd);
	return -1;
}

int table_build(const struct sequence intervals[2], const uint32_t *entries, uint64_t revision, int *fd, uint64_t *size,
	struct error *error)
{
	struct builder builder = {0};
	int result = -1;

	builder.root = calloc(ROOT_ENTRIES, sizeof(*builder.root));
	if (!builder.root || build_ipv4(&builder, &intervals[0], entries) ||
		build_ipv6(&builder, &intervals[1], entries)) {
		(void)error_set(error, ENOMEM, "/fence",
			"fence: not enough memory for the policy's table, or more than %u IPv6 ranges", RANGES_MAX);
		goto out;
	}
	result = table_write(&builder, revision, fd, size, error);
out:
	free(builder.root);
	free(builder.groups);
	free(builder.buckets);
	free(builder.starts);
	free(builder.entries);
	return result;
}
