/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/ebpf/places.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <rte_eal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/fence/skeleton.h"
#include "dataplane/fence_program.h"

static struct egress_fence *programs;
static struct fence_table *table;

void places_open(void)
{
	static char arguments[][16] = {"test", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "64",
		"--log-level=4", "-l", "0"};
	char *pointers[sizeof(arguments) / sizeof(arguments[0]) + 1] = {0};
	size_t i;

	for (i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
		pointers[i] = arguments[i];
	cr_assert_geq(rte_eal_init((int)i, pointers), 0, "EAL does not start");
	cr_assert_eq(fence_program_load(), 0, "librte_bpf refuses the program");
	programs = egress_fence__open_and_load();
	cr_assert_not_null(programs, "the kernel refuses the programs: %s", strerror(errno));
}

void places_close(void)
{
	egress_fence__destroy(programs);
	fence_table_unmap(table);
	fence_program_unload();
	(void)rte_eal_cleanup();
}

int places_map(const char *name)
{
	return bpf_object__find_map_fd_by_name(programs->obj, name);
}

void places_publish(const struct fence_policy *policy)
{
	const int fd = fence_policy_fd(policy);
	const uint32_t zero = 0;

	cr_assert_eq(bpf_map_update_elem(places_map("policy"), &zero, &fd, BPF_ANY), 0);
	fence_table_unmap(table);
	table = fence_table_map(fd, fence_policy_size(policy));
	cr_assert_not_null(table, "the dataplane refuses the table: %s", strerror(errno));
	cr_assert_eq(fence_table_revision(table), fence_policy_revision(policy));
}

static void read_counters(uint32_t place, uint64_t counters[PONT_VERDICT_COUNT])
{
	const int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc((size_t)cpus, sizeof(*values));
	uint32_t verdict, index;
	int cpu;

	for (verdict = 0; verdict < PONT_VERDICT_COUNT; verdict++) {
		index = place * PONT_VERDICT_COUNT + verdict;
		cr_assert_eq(bpf_map_lookup_elem(places_map("counters"), &index, values), 0);
		counters[verdict] = 0;
		for (cpu = 0; cpu < cpus; cpu++)
			counters[verdict] += values[cpu];
	}
	free(values);
}

/* Runs a program once; the verdict is the one that was counted, and must agree with what the program answered. */
static enum pont_verdict run(
	const struct bpf_program *program, uint32_t place, const uint8_t *data, uint32_t size, int pass, int drop)
{
	struct bpf_test_run_opts options = {.sz = sizeof(options), .data_in = data, .data_size_in = size, .repeat = 1};
	uint64_t before[PONT_VERDICT_COUNT], after[PONT_VERDICT_COUNT];
	unsigned int verdict, counted = PONT_VERDICT_COUNT, total = 0;

	read_counters(place, before);
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options)) {
		cr_assert(errno == EINVAL && size < 14 + 40, "test run of %u bytes: %s", size, strerror(errno));
		return PONT_VERDICT_COUNT;
	}
	read_counters(place, after);
	for (verdict = 0; verdict < PONT_VERDICT_COUNT; verdict++) {
		total += (unsigned int)(after[verdict] - before[verdict]);
		if (after[verdict] != before[verdict])
			counted = verdict;
	}
	cr_assert_eq(total, 1, "a packet is counted once, not %u times", total);
	cr_assert_eq((int)options.retval, counted < PONT_VERDICT_DENY ? pass : drop, "verdict %u, but answer %d",
		counted, (int)options.retval);
	return (enum pont_verdict)counted;
}

enum pont_verdict kernel_ethernet(const uint8_t *frame, uint32_t length)
{
	return run(programs->progs.egress_ethernet, PONT_PLACE_TC, frame, length, -1, 2);
}

enum pont_verdict kernel_ip(const uint8_t *packet, uint32_t length)
{
	return run(programs->progs.egress_ip, PONT_PLACE_TC, packet, length, -1, 2);
}

enum pont_verdict kernel_closed(const uint8_t *frame, uint32_t length)
{
	return run(programs->progs.egress_closed, PONT_PLACE_TC, frame, length, -1, 2);
}

enum pont_verdict kernel_cgroup(const uint8_t *frame, uint32_t length)
{
	return run(programs->progs.cgroup_egress, PONT_PLACE_CGROUP, frame, length, 1, 0);
}

enum pont_verdict dpdk_ethernet(const uint8_t *frame, uint32_t length)
{
	return fence_program_run(table, frame, length);
}

struct fence_policy *policy_of(const char *lines, uint64_t revision)
{
	static const char *const countries[] = {"FR", "DE"}, *const denied[] = {"Denied"};
	struct fence_policy_source source = {
		.locations = countries,
		.location_count = 2,
		.jurisdictions = countries,
		.jurisdiction_count = 2,
		.denied_operators = denied,
		.denied_operator_count = 1,
	};
	char path[] = "/tmp/pont-fence-XXXXXX";
	struct fence_policy *policy;
	struct error error = {0};
	FILE *file = fdopen(mkstemp(path), "w");

	cr_assert_not_null(file);
	cr_assert_geq(fprintf(file, "prefix,location,operator,jurisdiction\n%s", lines), 0);
	cr_assert_eq(fclose(file), 0);
	source.dataset = path;
	policy = fence_policy_compile(&source, revision, &error);
	(void)unlink(path);
	cr_assert_not_null(policy, "%s", error.text);
	return policy;
}
