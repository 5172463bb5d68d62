/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <rte_mbuf.h>

TestSuite(rx, .init = site_up, .fini = site_down, .timeout = 60);

/* A frame over two buffers, as a driver would scatter one that is longer than the port's buffers. */
static void arrive_scattered(enum rig_port port, const struct frame *frame)
{
	struct rte_mbuf *head = rig_buffer(&site, frame->bytes, 60);
	struct rte_mbuf *tail = rig_buffer(&site, frame->bytes + 60, frame->size - 60);

	cr_assert_eq(rte_pktmbuf_chain(head, tail), 0);
	rig_give_buffer(&site, port, head);
	rig_round(&site);
}

Case(rx, drops_frames_scattered_over_several_buffers)
{
	struct frame frame = frame_of(1000, 1, 2), sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &frame);

	arrive_scattered(RIG_ACCESS0, &frame);
	expect_drops(0, PONT_DROP_rx_oversized, 1);
	cr_expect_eq(rig_counters(&site, 0).access_rx.bytes, 1000);
	arrive_scattered(RIG_WAN, &sealed);
	expect_drops(0, PONT_DROP_rx_oversized, 2);
	cr_expect_eq(rig_counters(&site, 0).wan_rx.bytes, sealed.size);
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}

Case(rx, carries_on_with_the_rest_of_the_burst)
{
	struct frame first = frame_of(100, 1, 2), second = frame_of(101, 1, 2), third = frame_of(102, 1, 2);
	struct rte_mbuf *head = rig_buffer(&site, second.bytes, 60), *tail = rig_buffer(&site, second.bytes, 41);

	cr_assert_eq(rte_pktmbuf_chain(head, tail), 0);
	rig_give(&site, RIG_ACCESS0, first.bytes, first.size);
	rig_give_buffer(&site, RIG_ACCESS0, head);
	rig_give(&site, RIG_ACCESS0, third.bytes, third.size);
	rig_round(&site);
	expect_next(RIG_ACCESS1, &first);
	expect_only(RIG_ACCESS1, &third);
	expect_drops(0, PONT_DROP_rx_oversized, 1);
}

Case(rx, takes_more_frames_than_a_burst_in_several_rounds_and_in_order)
{
	enum { FRAMES = 200 };

	for (unsigned int i = 0; i < FRAMES; i++) {
		struct frame frame = frame_of(60 + i, 1, 2);

		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	}
	for (unsigned int round = 0; round < FRAMES / BURST_MAX + 1; round++)
		rig_round(&site);
	for (unsigned int i = 0; i < FRAMES; i++) {
		struct frame frame = frame_of(60 + i, 1, 2);

		expect_next(RIG_ACCESS1, &frame);
	}
	expect_nothing(RIG_ACCESS1);
}
