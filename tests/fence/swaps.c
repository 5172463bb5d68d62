/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies are swapped under a worker that never stops sending, and in the kernel beside it: how long the worker's
 * longest round becomes, whether any packet was judged by no policy, or the packets of one round by two.
 *
 *	fence-swaps POLICY_A POLICY_B POLICY_DENYING SWAPS
 *
 * Policies are JSON files with a fence section. The first two let the rig's peers pass, and have different tables; the
 * third does not. The worker is the dataplane's own, in a thread with a CPU to itself if there are two. A round is
 * timed by the clock on the wall, so that interrupts which a swap causes count; one in which the kernel gave the CPU to
 * another thread is left out. Windows with a swap and quiet ones of the same length take turns: the quiet ones say what
 * the machine alone does to a round. Of the thousands of rounds in a window, the one in which the worker takes the new
 * policy up is reported by itself as well.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/fence/skeleton.h"
#include "pontlevis/fence_map.h"
#include "rig.h"
#include "tests/fence/policy.h"

enum { ALLOWING_A, ALLOWING_B, DENYING, TABLES };
enum window { NONE, QUIET, SWAP, WINDOWS };

static struct rig site;
static struct egress_fence *programs;
static struct fence_policy *policy[TABLES];
static atomic_int window;
static atomic_bool stop, kernel_may_deny;
static _Atomic uint64_t longest_ns[WINDOWS]; /* round since the window opened */
static _Atomic uint64_t first_ns;            /* the round with the new policy, 0: the CPU was lost in it */
static struct {
	uint64_t given, both, neither, mixed;
	uint64_t rounds, left_out;
	uint64_t kernel_asked, kernel_denied, kernel_denied_allowed;
} seen;

/* How many frames left by the WAN port; the one flooded to the other circuit is thrown away. */
static unsigned int take_out(void)
{
	void *mbufs[16];
	unsigned int left = rte_ring_dequeue_burst(site.out[RIG_WAN][0], mbufs, RTE_DIM(mbufs), NULL), others;

	rte_pktmbuf_free_bulk((struct rte_mbuf **)mbufs, left);
	others = rte_ring_dequeue_burst(site.out[RIG_ACCESS1][0], mbufs, RTE_DIM(mbufs), NULL);
	rte_pktmbuf_free_bulk((struct rte_mbuf **)mbufs, others);
	return left;
}

/* To a CPU of its own, so that what others do there does not count; with one CPU the quiet windows have to say it. */
static void to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* How often the calling thread has lost its CPU to another. */
static long times_preempted(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/* A broadcast goes to both peers: two frames if the policy lets out, none if not; one would be two policies at once. */
static void *work(void *argument)
{
	struct worker *worker = argument;
	uint8_t frame[64];

	to_cpu(1);
	RIG_CHECK(rte_thread_register() == 0, "thread");
	wire_frame(frame, sizeof(frame), 0, 1, 0x88b5);
	memset(frame, 0xff, 6);
	(void)rte_rcu_qsbr_thread_register(site.plane.qsbr, 0);
	rte_rcu_qsbr_thread_online(site.plane.qsbr, 0);
	while (!atomic_load(&stop)) {
		const struct snapshot *before = worker->snapshot;
		uint64_t start, spent;
		unsigned int sent;
		long preempted;
		int now;

		rig_give(&site, RIG_ACCESS0, frame, sizeof(frame));
		now = atomic_load(&window);
		preempted = times_preempted();
		start = now_ns();
		(void)worker_round(worker);
		rte_rcu_qsbr_quiescent(site.plane.qsbr, 0);
		spent = now_ns() - start;
		preempted = times_preempted() - preempted;
		seen.rounds++;
		seen.left_out += preempted != 0;
		if (!preempted && now == atomic_load(&window) && spent > atomic_load(&longest_ns[now]))
			atomic_store(&longest_ns[now], spent);
		if (worker->snapshot != before)
			atomic_store(&first_ns, preempted ? 0 : spent);
		sent = take_out();
		seen.given++;
		seen.both += sent == 2;
		seen.neither += sent == 0;
		seen.mixed += sent != 0 && sent != 2;
	}
	rte_rcu_qsbr_thread_offline(site.plane.qsbr, 0);
	(void)rte_rcu_qsbr_thread_unregister(site.plane.qsbr, 0);
	rte_thread_unregister();
	return NULL;
}

/* The kernel's program, asked about a peer again and again. */
static void *ask_kernel(void *argument)
{
	static uint8_t frame[14 + 28] = {[12] = 0x08, [14] = 0x45, [14 + 8] = 64, [14 + 9] = 17};
	struct bpf_test_run_opts run = {
		.sz = sizeof(run), .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1};
	struct pont_address peer = rig_address(PONT_FAMILY_IPV4, RIG_PEER4);

	(void)argument;
	to_cpu(0);
	memcpy(frame + 14 + 16, peer.bytes, 4);
	while (!atomic_load(&stop)) {
		bool may = atomic_load(&kernel_may_deny);

		if (bpf_prog_test_run_opts(bpf_program__fd(programs->progs.egress_ethernet), &run))
			die("test run: %s", strerror(errno));
		seen.kernel_asked++;
		if ((int)run.retval == -1)
			continue;
		seen.kernel_denied++;
		seen.kernel_denied_allowed += !may && !atomic_load(&kernel_may_deny);
	}
	return NULL;
}

/* One swap at all places, in the order of a commit; returns how long it took in nanoseconds. */
static uint64_t swap(unsigned int which)
{
	struct pont_link_fence message = {
		.policy_revision = fence_policy_revision(policy[which]), .size = fence_policy_size(policy[which])};
	const int fd = fence_policy_fd(policy[which]);
	const uint32_t zero = 0;
	uint64_t start = now_ns();

	atomic_store(&longest_ns[SWAP], 0);
	atomic_store(&window, SWAP);
	rig_begin(&site, false);
	RIG_CHECK(rig_say_with(&site, PONT_LINK_FENCE_SET, &message.header, sizeof(message), dup(fd)) == 0, "%s",
		site.error.text);
	rig_must_commit(&site);
	atomic_store(&window, NONE);
	if (bpf_map_update_elem(bpf_map__fd(programs->maps.policy), &zero, &fd, BPF_ANY))
		die("publishing in the kernel: %s", strerror(errno));
	return now_ns() - start;
}

static uint64_t drops_of(enum pont_drop reason)
{
	uint64_t sum = 0;

	for (uint32_t t = 0; t <= PONT_TENANTS_MAX; t++)
		sum += site.plane.worker[0]->rare[t].drop[reason];
	return sum;
}

/* The kernel's count of packets that no policy judged. */
static uint64_t kernel_without_policy(void)
{
	const int cpus = libbpf_num_possible_cpus();
	const uint32_t index = PONT_PLACE_TC * PONT_VERDICT_COUNT + PONT_VERDICT_DENY_NO_POLICY;
	uint64_t *values = calloc((size_t)cpus, sizeof(*values)), sum = 0;

	if (!values || bpf_map_lookup_elem(bpf_map__fd(programs->maps.counters), &index, values))
		die("counters: %s", strerror(errno));
	for (int cpu = 0; cpu < cpus; cpu++)
		sum += values[cpu];
	free(values);
	return sum;
}

static int by_value(const void *a, const void *b)
{
	const double *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

int main(int argc, char **argv)
{
	unsigned int swaps = argc == 5 ? (unsigned int)strtoul(argv[4], NULL, 10) : 0, half = swaps / 2;
	double *pause_us = calloc(swaps + 1, sizeof(*pause_us)), *quiet_us = calloc(swaps + 1, sizeof(*quiet_us)),
	       *first_us = calloc(swaps + 1, sizeof(*first_us)), ms;
	uint64_t longest_swap = 0, lost, before;
	pthread_t worker, kernel;

	if (half == 0 || !pause_us || !quiet_us || !first_us)
		die("usage: fence-swaps POLICY_A POLICY_B POLICY_DENYING SWAPS");
	for (unsigned int i = 0; i < TABLES; i++)
		policy[i] = policy_load(argv[1 + i], 2 + i, &ms);
	programs = egress_fence__open_and_load();
	if (!programs)
		die("the kernel refuses the programs: %s", strerror(errno));
	rig_start(&site, &(struct rig_options){0});
	rig_configure(&site);
	(void)swap(ALLOWING_B);
	RIG_CHECK(pthread_create(&worker, NULL, work, site.plane.worker[0]) == 0, "thread");
	RIG_CHECK(pthread_create(&kernel, NULL, ask_kernel, NULL) == 0, "thread");

	/* From one policy that lets out to another: nothing may be lost. */
	for (unsigned int i = 0; i < half; i++) {
		uint64_t took = swap(i & 1 ? ALLOWING_B : ALLOWING_A);

		if (took > longest_swap)
			longest_swap = took;
		pause_us[i] = (double)atomic_load(&longest_ns[SWAP]) / 1e3;
		first_us[i] = (double)atomic_load(&first_ns) / 1e3;
		atomic_store(&longest_ns[QUIET], 0);
		atomic_store(&window, QUIET);
		(void)usleep((useconds_t)(took / 1000));
		atomic_store(&window, NONE);
		quiet_us[i] = (double)atomic_load(&longest_ns[QUIET]) / 1e3;
		if ((i + 1) % 100 == 0)
			(void)fprintf(stderr, "%u swaps\n", i + 1);
	}
	lost = drops_of(PONT_DROP_fence_denied) + drops_of(PONT_DROP_fence_no_policy);
	/* From letting out to denying and back: every round is all or nothing. */
	before = seen.given;
	atomic_store(&kernel_may_deny, true);
	for (unsigned int i = half; i < swaps; i++)
		(void)swap((i - half) & 1 ? ALLOWING_A : DENYING);
	atomic_store(&stop, true);
	(void)pthread_join(worker, NULL);
	(void)pthread_join(kernel, NULL);
	qsort(pause_us, half, sizeof(*pause_us), by_value);
	qsort(quiet_us, half, sizeof(*quiet_us), by_value);
	qsort(first_us, half, sizeof(*first_us), by_value);
	printf("{\"swaps\": %u, \"swap_pause_us_max\": %.1f, \"swap_pause_us_median\": %.1f, \"quiet_pause_us_max\": "
	       "%.1f, \"quiet_pause_us_median\": %.1f, \"first_round_us_max\": %.1f, \"first_round_us_median\": %.1f, "
	       "\"rounds\": %lu, \"rounds_left_out\": %lu, \"swap_ms_max\": "
	       "%.1f, \"worker_packets\": %lu, "
	       "\"worker_packets_flipping\": %lu, \"worker_let_out\": %lu, \"worker_denied\": %lu, \"worker_mixed\": "
	       "%lu, \"worker_no_policy\": %lu, \"worker_lost_allowed\": %lu, \"kernel_packets\": %lu, "
	       "\"kernel_denied\": %lu, \"kernel_no_policy\": %lu, \"kernel_lost_allowed\": %lu}\n",
		swaps, pause_us[half - 1], pause_us[half / 2], quiet_us[half - 1], quiet_us[half / 2],
		first_us[half - 1], first_us[half / 2], seen.rounds, seen.left_out, (double)longest_swap / 1e6,
		seen.given, seen.given - before, seen.both, seen.neither, seen.mixed,
		drops_of(PONT_DROP_fence_no_policy), lost, seen.kernel_asked, seen.kernel_denied,
		kernel_without_policy(), seen.kernel_denied_allowed);
	rig_stop(&site);
	egress_fence__destroy(programs);
	for (unsigned int i = 0; i < TABLES; i++)
		fence_policy_free(policy[i]);
	free(pause_us);
	free(quiet_us);
	free(first_us);
	return 0;
}
