/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/fence/pins.h"
#include "control/fence/skeleton.h"
#include "pontlevis/fence_map.h"

/* The last complaint of libbpf, which it prints and does not return. */
static char complaint[256];

__attribute__((format(printf, 2, 0))) static int keep_complaint(
	enum libbpf_print_level level, const char *format, va_list arguments)
{
	size_t length;

	if (level != LIBBPF_WARN)
		return 0;
	(void)vsnprintf(complaint, sizeof(complaint), format, arguments);
	length = strcspn(complaint, "\n");
	complaint[length] = '\0';
	return 0;
}

static int fail(struct error *error, int code, const char *what)
{
	return error_set(error, code, NULL, "fence: %s: %s%s%s%s", what, strerror(code), complaint[0] ? " (" : "",
		complaint, complaint[0] ? ")" : "");
}

/* Whether a pinned map is what this build would make. */
static bool map_fits(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == (__u32)bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

/* The policy in an outer map as a new file descriptor, -1 if it has none. */
static int policy_get(int outer)
{
	__u32 zero = 0, id;

	return bpf_map_lookup_elem(outer, &zero, &id) ? -1 : bpf_map_get_fd_by_id(id);
}

/* Maps the header of the table in force; NULL (errno ENOENT: there is none). Unmapped with header_release(). */
static const struct pont_fence_header *header_get(int outer)
{
	int fd = policy_get(outer);
	void *page;

	if (fd < 0)
		return NULL;
	page = mmap(NULL, PONT_FENCE_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	(void)close(fd);
	return page != MAP_FAILED ? page : NULL;
}

static void header_release(const struct pont_fence_header *header)
{
	(void)munmap((void *)(uintptr_t)header, PONT_FENCE_PAGE);
}

/* Whether the table in force, if there is one, has the layout that this build's programs read. */
static bool policy_fits(int outer)
{
	const struct pont_fence_header *header = header_get(outer);
	bool fits;

	if (!header)
		return errno == ENOENT;
	fits = header->magic == PONT_FENCE_MAGIC;
	header_release(header);
	return fits;
}

uint64_t programs_policy_revision(const struct egress_fence *programs)
{
	const struct pont_fence_header *header = header_get(bpf_map__fd(programs->maps.policy));
	uint64_t revision;

	if (!header)
		return 0;
	revision = header->magic == PONT_FENCE_MAGIC ? header->revision : 0;
	header_release(header);
	return revision;
}

/* Takes over pinned maps. One that does not fit this build stays with the old programs until those are replaced. */
static int maps_take_over(struct egress_fence *programs, const char *pin_directory, struct error *error)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, programs->obj)
	{
		int fd, code = 0;

		if (bpf_map__is_internal(map)) /* constants of the programs, which go with them */
			continue;
		fd = pins_get(pin_directory, bpf_map__name(map), error);
		if (fd < 0 && error->code != ENOENT)
			return -1;
		if (fd < 0)
			continue;
		if (map_fits(map, fd) && (map != programs->maps.policy || policy_fits(fd)))
			code = bpf_map__reuse_fd(map, fd);
		(void)close(fd);
		if (code)
			return fail(error, -code, "taking over a pinned map");
	}
	return 0;
}

static int maps_pin(struct egress_fence *programs, const char *pin_directory, struct error *error)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, programs->obj)
	{
		if (!bpf_map__is_internal(map) && pins_set(pin_directory, bpf_map__name(map), bpf_map__fd(map), error))
			return -1;
	}
	return 0;
}

struct egress_fence *programs_load(const char *pin_directory, struct error *error)
{
	struct egress_fence *programs;
	int code;

	(void)libbpf_set_print(keep_complaint);
	complaint[0] = '\0';
	programs = egress_fence__open();
	if (!programs) {
		(void)fail(error, errno, "opening the kernel programs");
		return NULL;
	}
	if (maps_take_over(programs, pin_directory, error))
		goto undo;
	code = egress_fence__load(programs);
	if (code) {
		(void)fail(error, -code, "loading the kernel programs");
		goto undo;
	}
	if (maps_pin(programs, pin_directory, error))
		goto undo;
	return programs;
undo:
	programs_close(programs);
	return NULL;
}

void programs_close(struct egress_fence *programs)
{
	egress_fence__destroy(programs);
}

/* The pinned link if it is attached to this cgroup, else -1. */
static int link_get(const char *pin_directory, const char *name, uint64_t cgroup_id)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	struct error ignored;
	int fd = pins_get(pin_directory, name, &ignored);

	if (fd < 0)
		return -1;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == BPF_LINK_TYPE_CGROUP &&
		info.cgroup.cgroup_id == cgroup_id)
		return fd;
	(void)close(fd);
	return -1;
}

/* Replaces the program of a pinned link, or makes a new link, which replaces the pin of one to another cgroup. */
static int guard(const struct bpf_program *program, const char *pin_directory, int cgroup_fd, uint64_t cgroup_id,
	struct error *error)
{
	const char *name = bpf_program__name(program);
	int fd = link_get(pin_directory, name, cgroup_id), result;

	if (fd >= 0) {
		int code = bpf_link_update(fd, bpf_program__fd(program), NULL);

		(void)close(fd);
		if (!code)
			return 0;
	}
	fd = bpf_link_create(bpf_program__fd(program), cgroup_fd, bpf_program__expected_attach_type(program), NULL);
	if (fd < 0)
		return error_set(error, errno, NULL, "fence: attaching %s to the cgroup: %s", name, strerror(errno));
	result = pins_set(pin_directory, name, fd, error);
	(void)close(fd);
	return result;
}

int programs_guard_cgroup(const struct egress_fence *programs, const char *pin_directory, int cgroup_fd,
	uint64_t cgroup_id, struct error *error)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, programs->obj)
	{
		if (bpf_program__type(program) != BPF_PROG_TYPE_SCHED_CLS &&
			guard(program, pin_directory, cgroup_fd, cgroup_id, error))
			return -1;
	}
	return 0;
}
