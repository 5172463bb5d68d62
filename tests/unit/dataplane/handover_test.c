/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <rte_ring.h>

static void two_workers_up(void)
{
	site_up_with(&(struct rig_options){.workers = 2, .buffers = 8192, .ring = 8192});
}

TestSuite(handover, .init = two_workers_up, .fini = site_down, .timeout = 60);

static struct frame inside;

/* A frame under the SA of a worker. */
static struct frame sealed_for(uint16_t worker, uint64_t sequence)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct wire_sa sa = rig_wire_in(RIG_HOPITAL, RIG_PEER4, worker);
	struct frame out = {0};

	inside = broadcast_from(7);
	out.size = (uint32_t)wire_seal(out.bytes, &outer, &sa, sequence, RIG_HOPITAL, inside.bytes, inside.size);
	return out;
}

static struct pont_worker_counters *counters(unsigned int worker)
{
	return &site.plane.worker[worker]->counters;
}

Case(handover, carries_a_packet_on_the_wrong_worker_to_the_owner_of_its_sa)
{
	struct frame frame = sealed_for(1, 1);

	rig_give_to(&site, RIG_WAN, 0, frame.bytes, frame.size);
	(void)worker_round(site.plane.worker[0]);
	cr_expect_eq(rte_ring_count(site.out[RIG_ACCESS0][0]), 0, "not processed in place");
	(void)worker_round(site.plane.worker[1]);
	cr_expect_eq(rte_ring_count(site.out[RIG_ACCESS0][0]), 0);
	cr_expect_eq(rte_ring_count(site.out[RIG_ACCESS0][1]), 1, "sent by the owner");
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
	cr_expect_eq(counters(0)->handover_out, 1);
	cr_expect_eq(counters(0)->handover_in, 0);
	cr_expect_eq(counters(1)->handover_in, 1);
	cr_expect_eq(counters(1)->handover_out, 0);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.packets, 1);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.bytes, frame.size);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(handover, works_in_both_directions_and_leaves_the_right_worker_alone)
{
	struct frame to0 = sealed_for(0, 1), to1 = sealed_for(1, 1);

	rig_give_to(&site, RIG_WAN, 0, to0.bytes, to0.size);
	rig_give_to(&site, RIG_WAN, 1, to1.bytes, to1.size);
	rig_round(&site);
	cr_expect_eq(counters(0)->handover_out + counters(1)->handover_out, 0);
	to0 = sealed_for(0, 2);
	rig_give_to(&site, RIG_WAN, 1, to0.bytes, to0.size);
	rig_round(&site);
	rig_round(&site);
	cr_expect_eq(counters(0)->handover_in, 1);
	cr_expect_eq(rig_drain(&site), 6);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(handover, keeps_one_replay_window_whatever_worker_receives)
{
	struct frame frame = sealed_for(1, 1);

	rig_give_to(&site, RIG_WAN, 0, frame.bytes, frame.size);
	rig_give_to(&site, RIG_WAN, 1, frame.bytes, frame.size);
	rig_round(&site);
	expect_drops(RIG_HOPITAL, PONT_DROP_open_replay_duplicate, 1);
	cr_expect_eq(rig_drain(&site), 2);
}

Case(handover, drops_a_packet_whose_sa_went_while_it_was_under_way)
{
	struct frame frame = sealed_for(1, 1);
	struct pont_link_sa_in_del del = {.spi = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 1).spi};

	rig_give_to(&site, RIG_WAN, 0, frame.bytes, frame.size);
	(void)worker_round(site.plane.worker[0]);
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_must_commit(&site);
	(void)worker_round(site.plane.worker[1]);
	expect_drops(0, PONT_DROP_steer_unknown_spi, 1);
	cr_expect_eq(rig_counters(&site, 0).wan_rx.bytes, frame.size, "%lu",
		(unsigned long)rig_counters(&site, 0).wan_rx.bytes);
}

Case(handover, drops_a_packet_whose_sa_changed_owner_while_it_was_under_way)
{
	struct frame frame = sealed_for(1, 1);
	struct pont_link_sa_in sa = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 1);
	struct pont_link_sa_in_del del = {.spi = sa.spi};

	rig_give_to(&site, RIG_WAN, 0, frame.bytes, frame.size);
	(void)worker_round(site.plane.worker[0]);
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_must_commit(&site);
	sa.worker = 0;
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_SET, sa);
	rig_must_commit(&site);
	(void)worker_round(site.plane.worker[1]);
	expect_drops(0, PONT_DROP_steer_unknown_spi, 1);
	rig_give_to(&site, RIG_WAN, 0, frame.bytes, frame.size);
	(void)worker_round(site.plane.worker[0]);
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
}

Case(handover, drops_what_the_owner_s_ring_does_not_take)
{
	unsigned int room = rte_ring_get_capacity(site.plane.worker[1]->inbox), given = room + 100;
	struct frame frame = sealed_for(1, 1);

	for (unsigned int i = 0; i < given; i++)
		rig_give_to(&site, RIG_WAN, 0, frame.bytes, frame.size);
	while (worker_round(site.plane.worker[0]) != 0)
		;
	expect_drops(0, PONT_DROP_handover_ring_full, 100);
	cr_expect_eq(rig_counters(&site, 0).wan_rx.bytes, 100 * frame.size, "outer bytes, not %lu",
		(unsigned long)rig_counters(&site, 0).wan_rx.bytes);
	while (worker_round(site.plane.worker[1]) != 0)
		(void)rig_drain(&site);
	/* All the same packet: the owner's window takes the first. */
	cr_expect_eq(rig_drops(&site, RIG_HOPITAL, PONT_DROP_open_replay_duplicate), room - 1);
}

Case(handover, two_workers_seal_with_sas_of_their_own)
{
	struct wire_sa sa[2] = {rig_wire_out(RIG_HOPITAL, RIG_PEER4, 0), rig_wire_out(RIG_HOPITAL, RIG_PEER4, 1)};

	inside = broadcast_from(1);
	for (unsigned int worker = 0; worker < 2; worker++) {
		for (uint64_t n = 1; n <= 3; n++) {
			static struct wire_opened opened;
			struct frame left;

			rig_give_to(&site, RIG_ACCESS0, worker, inside.bytes, inside.size);
			rig_round(&site);
			cr_assert(rig_take(&site, RIG_WAN, &left));
			cr_expect_null(wire_open(&opened, left.bytes, left.size, &sa[worker], 0));
			cr_expect_eq(opened.sequence, n);
			(void)rig_drain(&site);
		}
	}
}

/*
 * Both workers in threads of their own, as much traffic as they take. Tenant hopital's packets all arrive on the wrong
 * worker, tenant ministere's on the right one, while the main lcore does its own work: it enters what the workers
 * learn, and commits. Each SA's packets carry numbers, which come out complete and in order.
 */
enum { LOAD_SAS = 4, LOAD_PACKETS = 3000, LOAD_UNDER_WAY = 1000, LOAD_ROUNDS_MAX = 50000000 };

static struct load {
	uint32_t vni;
	uint16_t owner, queue; /* worker of the SA, and where its packets arrive */
	enum rig_port leaves;  /* where its frames are read; the other port has copies */
	uint32_t given, taken;
} load[LOAD_SAS] = {
	{RIG_HOPITAL, 0, 1, RIG_ACCESS0, 0, 0},
	{RIG_HOPITAL, 1, 0, RIG_ACCESS0, 0, 0},
	{RIG_MINISTERE, 0, 0, RIG_ACCESS1, 0, 0},
	{RIG_MINISTERE, 1, 1, RIG_ACCESS1, 0, 0},
};

static void *run_worker(void *worker)
{
	return worker_run(worker) == 0 ? NULL : worker;
}

/* The frame inside says which SA it is of, and its number there, behind the addresses and the type. */
static void give_numbered(unsigned int number)
{
	struct load *of = &load[number];
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct wire_sa sa = rig_wire_in(of->vni, RIG_PEER4, of->owner);
	uint32_t words[2] = {number, of->given++};
	uint8_t bytes[256];
	size_t size;

	inside = broadcast_from((uint8_t)(10 + number));
	memcpy(inside.bytes + 14, words, sizeof(words));
	size = wire_seal(bytes, &outer, &sa, of->given, of->vni, inside.bytes, inside.size);
	rig_give_to(&site, RIG_WAN, of->queue, bytes, size);
}

/* Reads what has left by a port: number by number of each SA. Returns the frames found. */
static unsigned int take_numbered(enum rig_port port)
{
	static struct frame frame;
	unsigned int found = 0;

	while (rig_take(&site, port, &frame)) {
		size_t at = frame.bytes[12] == 0x81 ? 18 : 14;
		uint32_t words[2];

		memcpy(words, frame.bytes + at, sizeof(words));
		cr_assert_lt(words[0], LOAD_SAS);
		if (load[words[0]].leaves != port)
			continue;
		cr_assert_eq(words[1], load[words[0]].taken, "SA %u: packet %u where %u was due", words[0], words[1],
			load[words[0]].taken);
		load[words[0]].taken++;
		found++;
	}
	return found;
}

static void commit_something(unsigned int number)
{
	rig_begin(&site, false);
	rig_set_tenant(&site, 400 + number % 8);
	rig_must_commit(&site);
}

Case(handover, loses_and_overtakes_nothing_under_load)
{
	unsigned int given = 0, taken = 0, rounds = 0;
	pthread_t thread[2];

	site.plane.idle = IDLE_BACKOFF;
	for (unsigned int w = 0; w < 2; w++)
		cr_assert_eq(pthread_create(&thread[w], NULL, run_worker, site.plane.worker[w]), 0);
	while (taken < LOAD_SAS * LOAD_PACKETS && rounds++ < LOAD_ROUNDS_MAX) {
		unsigned int found;

		for (; given < LOAD_SAS * LOAD_PACKETS && given - taken < LOAD_UNDER_WAY; given++)
			give_numbered(given % LOAD_SAS);
		configuration_learn(&site.configuration);
		found = take_numbered(RIG_ACCESS0) + take_numbered(RIG_ACCESS1);
		taken += found;
		if (found == 0)
			(void)sched_yield();
		else if (rounds % 16 == 0)
			commit_something(rounds / 16);
	}
	__atomic_store_n(&site.plane.stop, true, __ATOMIC_RELAXED);
	for (unsigned int w = 0; w < 2; w++)
		cr_assert_eq(pthread_join(thread[w], NULL), 0);
	(void)rig_drain(&site);
	for (unsigned int i = 0; i < LOAD_SAS; i++)
		cr_expect_eq(
			load[i].taken, LOAD_PACKETS, "SA %u: %u packets of %d arrived", i, load[i].taken, LOAD_PACKETS);
	for (unsigned int w = 0; w < 2; w++) {
		cr_expect_eq(counters(w)->handover_in, LOAD_PACKETS);
		cr_expect_eq(counters(w)->handover_out, LOAD_PACKETS);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}
