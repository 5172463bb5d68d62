/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/switches.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/fence/pins.h"

/* As in ebpf/maps.h. */
enum { SLOT_CANDIDATE = 1 };

static void store(PONT_U32 *where, bool on)
{
	__atomic_store_n(where, on, __ATOMIC_SEQ_CST);
}

void fence_lock(struct fence *fence, bool locked)
{
	store(&fence_switches(fence)->locked, locked);
}

bool fence_is_locked(const struct fence *fence)
{
	return __atomic_load_n(&fence_switches(fence)->locked, __ATOMIC_SEQ_CST) != 0;
}

int fence_lock_pinned(const struct fence_options *options, bool locked, struct error *error)
{
	int fd = pins_get(options->pin_directory, "switches", error);
	struct pont_fence_switches *switches;

	if (fd < 0)
		return -1;
	switches = mmap(NULL, FENCE_SWITCHES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (switches == MAP_FAILED)
		return error_set(
			error, errno, NULL, "fence: switches in %.300s: %s", options->pin_directory, strerror(errno));
	store(&switches->locked, locked);
	(void)munmap(switches, FENCE_SWITCHES_SIZE);
	return 0;
}

int fence_switches_fd(const struct fence *fence)
{
	return fence_map(fence, "switches");
}

/* Counters of the last candidate must not be taken for those of the next. */
static int counters_clear(const struct fence *fence, struct error *error)
{
	const int totals = fence_map(fence, "shadow_totals"), differences = fence_map(fence, "shadow_differences");
	const int cpus = libbpf_num_possible_cpus();
	struct pont_fence_shadow_total *zero = calloc(cpus > 0 ? (size_t)cpus : 1, sizeof(*zero));
	struct pont_fence_shadow_key key;
	int result = 0;

	if (zero == NULL)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	for (uint32_t i = 0; i < PONT_PLACE_COUNT * PONT_WOULD_COUNT && result == 0; i++)
		if (bpf_map_update_elem(totals, &i, zero, BPF_ANY))
			result = error_set(error, errno, NULL, "fence: counters of a candidate: %s", strerror(errno));
	free(zero);
	while (result == 0 && !bpf_map_get_next_key(differences, NULL, &key))
		if (bpf_map_delete_elem(differences, &key) && errno != ENOENT)
			result = error_set(error, errno, NULL, "fence: counters of a candidate: %s", strerror(errno));
	return result;
}

int fence_shadow_start(struct fence *fence, const struct fence_policy *candidate, struct error *error)
{
	const uint32_t slot = SLOT_CANDIDATE;
	const int fd = fence_policy_fd(candidate);

	fence_shadow_stop(fence);
	if (counters_clear(fence, error))
		return -1;
	if (bpf_map_update_elem(fence_map(fence, "policy"), &slot, &fd, BPF_ANY))
		return error_set(error, errno, NULL, "fence: candidate policy revision %llu: %s",
			(unsigned long long)fence_policy_revision(candidate), strerror(errno));
	store(&fence_switches(fence)->shadow, true);
	return 0;
}

void fence_shadow_stop(struct fence *fence)
{
	const uint32_t slot = SLOT_CANDIDATE;

	store(&fence_switches(fence)->shadow, false);
	/* The kernel returns when no program can still be using it. */
	(void)bpf_map_delete_elem(fence_map(fence, "policy"), &slot);
}

static int totals_read(const struct fence *fence, struct fence_shadow_totals *totals, struct error *error)
{
	const int map = fence_map(fence, "shadow_totals"), cpus = libbpf_num_possible_cpus();
	struct pont_fence_shadow_total *values = calloc(cpus > 0 ? (size_t)cpus : 1, sizeof(*values));
	int result = 0;

	memset(totals, 0, sizeof(*totals));
	if (values == NULL)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	for (uint32_t i = 0; i < PONT_PLACE_COUNT * PONT_WOULD_COUNT && result == 0; i++) {
		struct pont_fence_shadow_total *sum = &totals->of[i / PONT_WOULD_COUNT][i % PONT_WOULD_COUNT];

		if (bpf_map_lookup_elem(map, &i, values))
			result = error_set(error, errno, NULL, "fence: reading counters: %s", strerror(errno));
		for (int cpu = 0; cpu < cpus && result == 0; cpu++) {
			sum->packets += values[cpu].packets;
			sum->bytes += values[cpu].bytes;
		}
	}
	free(values);
	return result;
}

int fence_shadow_read(const struct fence *fence, struct fence_shadow_totals *totals,
	void (*visit)(
		void *context, const struct pont_fence_shadow_key *key, const struct pont_fence_shadow_value *value),
	void *context, struct error *error)
{
	const int map = fence_map(fence, "shadow_differences");
	struct pont_fence_shadow_key key, *previous = NULL;
	struct pont_fence_shadow_value value;

	if (totals_read(fence, totals, error))
		return -1;
	while (!bpf_map_get_next_key(map, previous, &key)) {
		if (!bpf_map_lookup_elem(map, &key, &value))
			visit(context, &key, &value);
		previous = &key;
	}
	return 0;
}
