/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three answers to one question: the kernel's program (BPF_PROG_TEST_RUN), the dataplane's (librte_bpf, native code)
 * and those of an oracle, tests/fence_oracle.py, which knows nothing of either.
 *
 *	fence-agreement POLICY ADDRESSES VERDICTS
 *
 * POLICY: a JSON file with a fence section. ADDRESSES: binary, as `fence_oracle.py --binary` reads them. VERDICTS: what
 * it said of them, a line each. Prints one JSON object; the exit status is 0 only if all agree.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <rte_eal.h>

#include "control/fence/skeleton.h"
#include "dataplane/fence_program.h"
#include "tests/fence/policy.h"

enum { HEADERS = 14 + 40 + 8, SAMPLES = 2000, REPEAT = 1000 };

static struct egress_fence *programs;
static struct fence_table *table;
static double map_ms; /* what mapping and checking the table took */
static uint64_t compared, differences;
static uint64_t said[PONT_VERDICT_COUNT]; /* by the oracle */

struct address {
	uint8_t size; /* 4 or 16, 0: none */
	uint8_t bytes[16];
};

static void load(const struct fence_policy *policy)
{
	static char arguments[][16] = {"agreement", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m",
		"64", "--log-level=4", "-l", "0"};
	char *pointers[sizeof(arguments) / sizeof(arguments[0]) + 1] = {0};
	const int fd = fence_policy_fd(policy);
	const uint32_t zero = 0;
	uint64_t start;

	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
		pointers[i] = arguments[i];
	if (rte_eal_init((int)(sizeof(arguments) / sizeof(arguments[0])), pointers) < 0 || fence_program_load())
		die("librte_bpf does not run the program");
	programs = egress_fence__open_and_load();
	if (!programs || bpf_map_update_elem(bpf_map__fd(programs->maps.policy), &zero, &fd, BPF_ANY))
		die("the kernel does not take programs or policy: %s", strerror(errno));
	start = now_ns();
	table = fence_table_map(fd, fence_policy_size(policy));
	map_ms = (double)(now_ns() - start) / 1e6;
	if (!table)
		die("the dataplane does not take the table: %s", strerror(errno));
}

static void build_frame(uint8_t frame[FENCE_PROGRAM_READABLE], const struct address *address)
{
	memset(frame, 0, FENCE_PROGRAM_READABLE);
	if (address->size == 4) {
		frame[12] = 0x08;
		frame[14] = 0x45;
		frame[14 + 8] = 64;
		frame[14 + 9] = IPPROTO_UDP;
		memcpy(frame + 14 + 16, address->bytes, 4);
	} else {
		frame[12] = 0x86;
		frame[13] = 0xdd;
		frame[14] = 0x60;
		frame[14 + 6] = IPPROTO_UDP;
		frame[14 + 7] = 64;
		memcpy(frame + 14 + 24, address->bytes, 16);
	}
}

/* TC_ACT_UNSPEC: goes on; its duration, if asked for, in nanoseconds a run. */
static bool kernel_passes(uint8_t *frame, int repeat, uint32_t *duration)
{
	struct bpf_test_run_opts run = {.sz = sizeof(run), .data_in = frame, .data_size_in = HEADERS, .repeat = repeat};

	if (bpf_prog_test_run_opts(bpf_program__fd(programs->progs.egress_ethernet), &run))
		die("test run: %s", strerror(errno));
	if (duration)
		*duration = run.duration;
	return (int)run.retval == -1;
}

static void compare(const struct address *address, enum pont_verdict wanted)
{
	uint8_t frame[FENCE_PROGRAM_READABLE];
	enum pont_verdict worker;
	bool passes;

	build_frame(frame, address);
	worker = fence_program_run(table, frame, HEADERS);
	passes = kernel_passes(frame, 1, NULL);
	compared++;
	said[wanted]++;
	if (worker == wanted && passes == (wanted == PONT_VERDICT_ALLOW))
		return;
	if (differences++ < 10) {
		char text[INET6_ADDRSTRLEN];

		(void)fprintf(stderr, "%s: oracle %s, worker %s, kernel %s\n",
			inet_ntop(address->size == 4 ? AF_INET : AF_INET6, address->bytes, text, sizeof(text)),
			fence_verdict_name(wanted), fence_verdict_name(worker), passes ? "lets pass" : "drops");
	}
}

/* The kernel answers only whether a packet passes; why not stands in its counters. */
static void compare_counters(void)
{
	const int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc((size_t)cpus, sizeof(*values));

	for (uint32_t verdict = 0; values && verdict < PONT_VERDICT_COUNT; verdict++) {
		uint32_t index = PONT_PLACE_TC * PONT_VERDICT_COUNT + verdict;
		uint64_t sum = 0;

		if (bpf_map_lookup_elem(bpf_map__fd(programs->maps.counters), &index, values))
			die("counters: %s", strerror(errno));
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += values[cpu];
		if (sum == said[verdict])
			continue;
		(void)fprintf(stderr, "%s: the kernel counts %lu, the oracle %lu\n", fence_verdict_name(verdict), sum,
			said[verdict]);
		differences += sum > said[verdict] ? sum - said[verdict] : said[verdict] - sum;
	}
	free(values);
}

static bool read_address(FILE *file, struct address *address)
{
	int family = getc(file);

	if (family == EOF)
		return false;
	*address = (struct address){.size = family == 4 ? 4 : 16};
	if ((family != 4 && family != 6) || fread(address->bytes, address->size, 1, file) != 1)
		die("addresses: not as fence_oracle.py reads them");
	return true;
}

static enum pont_verdict read_verdict(FILE *file)
{
	char line[32];

	if (!fgets(line, sizeof(line), file))
		die("verdicts: fewer than addresses");
	if (!strcmp(line, "allow\n"))
		return PONT_VERDICT_ALLOW;
	if (!strcmp(line, "deny\n"))
		return PONT_VERDICT_DENY;
	if (!strcmp(line, "unlisted\n"))
		return PONT_VERDICT_DENY_UNLISTED;
	die("verdicts: %s", line);
}

/* Nanoseconds a verdict costs, by place: of addresses all over the table, each asked about often. */
static void time_lookups(const struct address *samples, unsigned int count, double *kernel_ns, double *worker_ns)
{
	uint64_t kernel = 0, worker = 0;

	for (unsigned int i = 0; i < count; i++) {
		uint8_t frame[FENCE_PROGRAM_READABLE];
		uint32_t duration;
		uint64_t start;

		build_frame(frame, &samples[i]);
		(void)kernel_passes(frame, REPEAT, &duration);
		kernel += duration;
		start = now_ns();
		for (unsigned int n = 0; n < REPEAT; n++)
			(void)fence_program_run(table, frame, HEADERS);
		worker += now_ns() - start;
	}
	*kernel_ns = count ? (double)kernel / count : 0;
	*worker_ns = count ? (double)worker / count / REPEAT : 0;
}

int main(int argc, char **argv)
{
	static struct address samples[SAMPLES];
	struct fence_policy *policy;
	struct rusage usage;
	struct address address;
	double compile_ms, kernel_ns, worker_ns;
	uint64_t start;
	FILE *addresses, *verdicts;

	if (argc != 4)
		die("usage: fence-agreement POLICY ADDRESSES VERDICTS");
	policy = policy_load(argv[1], 1, &compile_ms);
	(void)getrusage(RUSAGE_SELF, &usage); /* before EAL takes its own */
	addresses = fopen(argv[2], "rb");
	verdicts = fopen(argv[3], "r");
	if (!addresses || !verdicts)
		die("%s, %s: %s", argv[2], argv[3], strerror(errno));
	load(policy);
	while (read_address(addresses, &address)) {
		samples[compared % SAMPLES] = address; /* those that remain are random ones */
		compare(&address, read_verdict(verdicts));
		if (compared % 2000000 == 0)
			(void)fprintf(stderr, "%lu verdicts, %lu differ\n", compared, differences);
	}
	if (getc(verdicts) != EOF)
		die("verdicts: more than addresses");
	compare_counters();
	time_lookups(samples, compared < SAMPLES ? (unsigned int)compared : SAMPLES, &kernel_ns, &worker_ns);
	printf("{\"prefixes_v4\": %zu, \"prefixes_v6\": %zu, \"compile_ms\": %.0f, \"compile_mib_max\": %.0f, "
	       "\"table_mib\": %.1f, \"verdicts_compared\": %lu, \"verdict_differences\": %lu, \"allowed\": %lu, "
	       "\"denied\": %lu, \"unlisted\": %lu, \"kernel_verdict_ns\": %.0f, \"worker_verdict_ns\": %.0f, ",
		fence_policy_prefixes(policy, PONT_FAMILY_IPV4), fence_policy_prefixes(policy, PONT_FAMILY_IPV6),
		compile_ms, (double)usage.ru_maxrss / 1024, (double)fence_policy_size(policy) / 1048576.0, compared,
		differences, said[PONT_VERDICT_ALLOW], said[PONT_VERDICT_DENY], said[PONT_VERDICT_DENY_UNLISTED],
		kernel_ns, worker_ns);
	(void)fclose(addresses);
	(void)fclose(verdicts);
	egress_fence__destroy(programs);
	start = now_ns();
	fence_table_unmap(table);
	printf("\"table_map_ms\": %.1f, \"table_unmap_ms\": %.1f, ", map_ms, (double)(now_ns() - start) / 1e6);
	start = now_ns();
	fence_policy_free(policy);
	printf("\"policy_free_ms\": %.1f}\n", (double)(now_ns() - start) / 1e6);
	return differences != 0;
}
