/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/fence_program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_bpf.h>
#include <rte_errno.h>

#include "ebpf/egress_fence_dpdk.h"
#include "ebpf/parse.h"

struct fence_table {
	const uint8_t *bytes;
	uint64_t size;
	struct pont_fence_header header; /* a copy, so that what was checked is what is used */
};

typedef const struct fence_table *fence_pages;

static __always_inline const void *fence_page(fence_pages pages, uint32_t page)
{
	return page < pages->header.pages ? pages->bytes + (uint64_t)page * PONT_FENCE_PAGE : NULL;
}

#include "ebpf/lookup.h"

static struct rte_bpf *program;
static uint64_t (*program_run)(void *); /* its native code */

/*
 * What the program calls. The table travels through it as a number: the program can't follow it. librte_bpf's native
 * code does not keep the stack aligned to 16 bytes for its calls, as the ABI asks: a function that keeps a vector
 * register there would fault, so these align it themselves.
 */
__attribute__((force_align_arg_pointer)) static uint64_t lookup_ipv4(
	uint64_t handle, uint64_t address, uint64_t a3, uint64_t a4, uint64_t a5)
{
	const struct fence_table *table = (const struct fence_table *)(uintptr_t)handle;

	(void)a3, (void)a4, (void)a5;
	return fence_find_ipv4(table, &table->header, (uint32_t)address);
}

__attribute__((force_align_arg_pointer)) static uint64_t lookup_ipv6(
	uint64_t handle, uint64_t high, uint64_t low, uint64_t a4, uint64_t a5)
{
	const struct fence_table *table = (const struct fence_table *)(uintptr_t)handle;

	(void)a4, (void)a5;
	return fence_find_ipv6(table, &table->header, high, low);
}

#define RAW_64                                                                                                         \
	{                                                                                                              \
		.type = RTE_BPF_ARG_RAW, .size = sizeof(uint64_t)                                                      \
	}

static const struct rte_bpf_xsym functions[] = {
	{.name = "fence_lookup_ipv4",
		.type = RTE_BPF_XTYPE_FUNC,
		.func = {.val = lookup_ipv4, .nb_args = 2, .args = {RAW_64, RAW_64}, .ret = RAW_64}},
	{.name = "fence_lookup_ipv6",
		.type = RTE_BPF_XTYPE_FUNC,
		.func = {.val = lookup_ipv6, .nb_args = 3, .args = {RAW_64, RAW_64, RAW_64}, .ret = RAW_64}},
};

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

int fence_program_load(void)
{
	const struct rte_bpf_prm prm = {
		.xsym = functions,
		.nb_xsym = sizeof(functions) / sizeof(functions[0]),
		.prog_arg = {.type = RTE_BPF_ARG_PTR, .size = sizeof(struct fence_frame)},
	};
	struct rte_bpf *loaded = NULL;
	struct rte_bpf_jit jit;
	char path[64];
	int fd, result = -1;

	/* The loader wants a path. */
	fd = memfd_create("egress_fence", MFD_CLOEXEC);
	if (fd < 0 || write_all(fd, egress_fence_dpdk, sizeof(egress_fence_dpdk))) {
		(void)fprintf(stderr, "fence program: memory file: %s\n", strerror(errno));
		goto out;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	loaded = rte_bpf_elf_load(&prm, path, "fence");
	if (!loaded) {
		(void)fprintf(stderr, "fence program: refused by librte_bpf: %s\n", rte_strerror(rte_errno));
		goto out;
	}
	if (rte_bpf_get_jit(loaded, &jit) || !jit.func) {
		(void)fprintf(stderr, "fence program: librte_bpf has no JIT for this machine\n");
		goto out;
	}
	fence_program_unload();
	program = loaded;
	program_run = jit.func;
	loaded = NULL;
	result = 0;
out:
	rte_bpf_destroy(loaded);
	if (fd >= 0)
		(void)close(fd);
	return result;
}

void fence_program_unload(void)
{
	rte_bpf_destroy(program);
	program = NULL;
	program_run = NULL;
}

static uint64_t pages_of(uint64_t entries, uint64_t per_page)
{
	return (entries + per_page - 1) / per_page;
}

/* Whether the parts of the table follow each other without overlap and end within it. */
static bool layout_is_sane(const struct pont_fence_header *header, uint64_t size)
{
	uint64_t end = 1;

	if (header->magic != PONT_FENCE_MAGIC || !header->revision)
		return false;
	if ((uint64_t)header->pages * PONT_FENCE_PAGE != size)
		return false;
	if (header->v6_count < 1 || header->v6_count > UINT32_C(1) << PONT_FENCE_V6_STEPS)
		return false;
	if (header->v4_root < end)
		return false;
	end = header->v4_root + pages_of(UINT64_C(1) << 24, FENCE_ENTRIES_PER_PAGE);
	if (header->v4_groups < end)
		return false;
	end = header->v4_groups + pages_of(header->v4_group_count, 4);
	if (header->v6_starts < end)
		return false;
	end = header->v6_starts + pages_of(header->v6_count, FENCE_STARTS_PER_PAGE);
	if (header->v6_entries < end)
		return false;
	end = header->v6_entries + pages_of(header->v6_count, FENCE_ENTRIES_PER_PAGE);
	return end <= header->pages;
}

/* Whether every entry that points somewhere points to a group that is there. */
static bool ipv4_is_sane(const struct fence_table *table)
{
	const uint32_t *root = fence_page(table, table->header.v4_root);
	const uint32_t *groups = fence_page(table, table->header.v4_groups);
	uint64_t i, entries = (uint64_t)table->header.v4_group_count * 256;

	for (i = 0; i < UINT64_C(1) << 24; i++)
		if (root[i] & PONT_FENCE_GROUP && (root[i] & ~PONT_FENCE_GROUP) >= table->header.v4_group_count)
			return false;
	for (i = 0; i < entries; i++)
		if (groups[i] & PONT_FENCE_GROUP)
			return false;
	return true;
}

/* Whether the ranges begin with :: and ascend. */
static bool ipv6_is_sane(const struct fence_table *table)
{
	const uint64_t *starts = fence_page(table, table->header.v6_starts);
	const uint32_t *entries = fence_page(table, table->header.v6_entries);
	uint32_t i;

	if (starts[0] || starts[1] || entries[0] & PONT_FENCE_GROUP)
		return false;
	for (i = 1; i < table->header.v6_count; i++) {
		const uint64_t *start = starts + 2 * (uint64_t)i;

		if (start[0] < start[-2] || (start[0] == start[-2] && start[1] <= start[-1]))
			return false;
		if (entries[i] & PONT_FENCE_GROUP)
			return false;
	}
	return true;
}

struct fence_table *fence_table_map(int fd, uint64_t size)
{
	struct fence_table *table;
	struct stat status;
	void *bytes;

	if (size < PONT_FENCE_PAGE || size % PONT_FENCE_PAGE || size > SIZE_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (fstat(fd, &status))
		return NULL;
	/* The kernel refuses to map a BPF map beyond its end, but not a file. */
	if (S_ISREG(status.st_mode) && (uint64_t)status.st_size < size) {
		errno = EINVAL;
		return NULL;
	}
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		free(table);
		return NULL;
	}
	table->bytes = bytes;
	table->size = size;
	memcpy(&table->header, bytes, sizeof(table->header));
	if (!layout_is_sane(&table->header, size) || !ipv4_is_sane(table) || !ipv6_is_sane(table)) {
		fence_table_unmap(table);
		errno = EINVAL;
		return NULL;
	}
	return table;
}

void fence_table_unmap(struct fence_table *table)
{
	if (!table)
		return;
	(void)munmap((void *)(uintptr_t)table->bytes, table->size);
	free(table);
}

uint64_t fence_table_revision(const struct fence_table *table)
{
	return table->header.revision;
}

enum pont_verdict fence_program_run(const struct fence_table *table, const uint8_t *frame, uint32_t length)
{
	struct fence_frame copy;

	_Static_assert(FENCE_FRAME_BYTES - FENCE_ETHERNET_PAD <= FENCE_PROGRAM_READABLE, "promised by the caller");
	copy.table = (uintptr_t)table;
	copy.length = length;
	/* The program reads by aligned words; the pad's bytes share the first word with MAC bytes it never looks at. */
	copy.words[0] = 0;
	memcpy((uint8_t *)copy.words + FENCE_ETHERNET_PAD, frame, FENCE_FRAME_BYTES - FENCE_ETHERNET_PAD);
	return (enum pont_verdict)program_run(&copy);
}
