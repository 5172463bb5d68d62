/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

TestSuite(tx, .init = site_up, .fini = site_down, .timeout = 60);

Case(tx, puts_the_circuit_s_tag_on)
{
	struct frame inside = broadcast_from(7), sealed = sealed_by(RIG_PEER4, RIG_MINISTERE, 1, &inside);
	struct frame on0 = tagged(&inside, 10), on1 = tagged(&inside, 20);

	arrive(RIG_WAN, &sealed);
	expect_only(RIG_ACCESS0, &on0);
	expect_only(RIG_ACCESS1, &on1);
	cr_expect_eq(rig_counters(&site, RIG_MINISTERE).access_tx.packets, 2);
	cr_expect_eq(rig_counters(&site, RIG_MINISTERE).access_tx.bytes, 2 * 68);
}

Case(tx, drops_tenant_frames_longer_than_the_access_port_takes)
{
	uint64_t sequence = 1, too_long = 0;

	for (size_t size = RIG_FRAME_MAX - 3; size <= RIG_FRAME_MAX + 3; size++) {
		struct frame inside = frame_of(size, 1, 7);
		struct frame sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, sequence, &inside);
		struct frame for_tagged = sealed_by(RIG_PEER4, RIG_MINISTERE, sequence, &inside);
		bool fits = size <= RIG_FRAME_MAX;

		sequence++;
		arrive(RIG_WAN, &sealed);
		cr_expect_eq(rig_drain(&site), fits ? 2 : 0, "%zu bytes, untagged", size);
		/* The tag comes on top: it is not of the tenant's frame. */
		arrive(RIG_WAN, &for_tagged);
		cr_expect_eq(rig_drain(&site), fits ? 2 : 0, "%zu bytes, tagged", size);
		too_long += fits ? 0 : 2;
	}
	cr_expect_eq(rig_drops(&site, RIG_HOPITAL, PONT_DROP_tx_too_big), too_long);
	cr_expect_eq(rig_drops(&site, RIG_MINISTERE, PONT_DROP_tx_too_big), too_long);
	cr_expect_eq(rig_all_drops(&site), 2 * too_long);
}

static void small_queues_up(void)
{
	site_up_with(&(struct rig_options){.ring = 16});
}

TestSuite(tx_queue, .init = small_queues_up, .fini = site_down, .timeout = 60);

Case(tx_queue, drops_what_a_full_port_does_not_take_and_keeps_the_order_of_the_rest)
{
	struct pont_tenant_counters counters;

	for (unsigned int burst = 0; burst < 2; burst++) {
		for (unsigned int i = 0; i < 12; i++) {
			struct frame frame = broadcast_from(1);

			frame.bytes[20] = (uint8_t)(burst * 12 + i);
			rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
		}
		rig_round(&site);
	}
	for (unsigned int i = 0; i < 16; i++) {
		struct frame frame = broadcast_from(1);

		frame.bytes[20] = (uint8_t)i;
		expect_next(RIG_ACCESS1, &frame);
	}
	expect_nothing(RIG_ACCESS1);
	/* 24 frames to one access port that takes 16, and 48 to a WAN port that takes 16. */
	expect_drops(RIG_HOPITAL, PONT_DROP_tx_queue_full, 8 + 32);
	counters = rig_counters(&site, RIG_HOPITAL);
	cr_expect_eq(counters.access_tx.packets, 16);
	cr_expect_eq(counters.access_tx.bytes, 16 * 64);
	cr_expect_eq(counters.wan_tx.packets, 16);
}
