/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

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
