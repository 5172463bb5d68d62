/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker that runs by itself, in a thread, while the main lcore changes its configuration. */
#include "site.h"

#include <pthread.h>
#include <time.h>

#include <rte_ring.h>

TestSuite(worker, .init = site_up, .fini = site_down, .timeout = 100);

static pthread_t thread;

static void *run(void *worker)
{
	return worker_run(worker) == 0 ? NULL : worker;
}

static void launch(enum idle_mode idle)
{
	site.plane.idle = idle;
	cr_assert_eq(pthread_create(&thread, NULL, run, site.plane.worker[0]), 0);
}

static void halt(void)
{
	void *result;

	__atomic_store_n(&site.plane.stop, true, __ATOMIC_RELAXED);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_expect_null(result);
}

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&time, NULL);
}

/* Waits until a ring is empty (or holds so many), for five seconds at most. */
static bool wait_for(struct rte_ring *ring, unsigned int count)
{
	for (unsigned int i = 0; i < 5000 && rte_ring_count(ring) != count; i++)
		sleep_ms(1);
	return rte_ring_count(ring) == count;
}

static void carry_one(void)
{
	struct frame frame = broadcast_from(1);

	rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	cr_expect(wait_for(site.out[RIG_ACCESS1][0], 1));
	cr_expect(wait_for(site.out[RIG_WAN][0], 2));
}

Case(worker, carries_frames_until_it_is_stopped)
{
	struct frame frame = broadcast_from(1);

	launch(IDLE_POLL);
	carry_one();
	halt();
	expect_only(RIG_ACCESS1, &frame);
	cr_expect_gt(site.plane.worker[0]->counters.loops, 0);
	cr_expect_geq(site.plane.worker[0]->counters.busy_loops, 1);
	cr_expect_eq(site.plane.worker[0]->counters.sleeps, 0, "never in mode poll");
}

Case(worker, sleeps_when_idle_and_wakes_for_the_next_frame)
{
	launch(IDLE_BACKOFF);
	sleep_ms(50);
	carry_one();
	halt();
	cr_expect_gt(site.plane.worker[0]->counters.sleeps, 10);
	/* Asleep most of the time: a poller makes a hundred times as many rounds. */
	cr_expect_lt(site.plane.worker[0]->counters.loops, 100000);
}

Case(worker, does_not_hold_up_a_commit_when_idle)
{
	struct timespec start, end;

	launch(IDLE_BACKOFF);
	sleep_ms(20);
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned int i = 0; i < 100; i++) {
		rig_begin(&site, false);
		rig_set_tenant(&site, 400 + i);
		rig_must_commit(&site);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	halt();
	cr_expect_lt(end.tv_sec - start.tv_sec, 10);
}

Case(worker, loses_no_frame_to_a_change_of_configuration)
{
	enum { FRAMES = 20000 };
	unsigned int given = 0, commits = 0, left = 0;
	struct frame frame = frame_of(64, 9, 1), out;

	/* One site, one circuit: each frame leaves once, by the WAN. SAs change all the time under it. */
	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_must_commit(&site);
	launch(IDLE_POLL);
	while (given < FRAMES || left < given) {
		struct pont_link_sa_out sa = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);

		for (unsigned int i = 0; i < 40 && given < FRAMES && given - left < 500; i++, given++)
			rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
		sa.spi = 0x40000000 + ++commits;
		sa.key[0] = (uint8_t)commits;
		sa.key[1] = (uint8_t)(commits >> 8);
		rig_begin(&site, commits % 2);
		if (commits % 2) {
			rig_set_site(&site);
			rig_set_peer(&site, RIG_PEER4);
			rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
			rig_set_tenant(&site, RIG_HOPITAL);
			rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
			rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
		}
		rig_must(&site, PONT_LINK_SA_OUT_SET, sa);
		rig_must_commit(&site);
		while (rig_take(&site, RIG_WAN, &out))
			left++;
		if (commits > 200000)
			break;
	}
	halt();
	cr_expect_eq(left, FRAMES, "%u of %u frames left during %u commits", left, given, commits);
	cr_expect_eq(rig_all_drops(&site), 0);
	cr_expect_gt(commits, 100);
}
