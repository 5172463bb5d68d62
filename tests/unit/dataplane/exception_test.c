/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

static void twin_up(void)
{
	site_up_with(&(struct rig_options){.twin = true, .ring = 16});
}

TestSuite(exception, .init = twin_up, .fini = site_down, .timeout = 60);

/* A datagram for the appliance itself, or from it. */
static struct frame datagram(const struct pont_address *source, const struct pont_address *destination, uint16_t port)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct frame frame = {0};

	outer.source = *source;
	outer.destination = *destination;
	frame.size = (uint32_t)wire_udp(frame.bytes, &outer, port, "of the appliance itself", 23);
	return frame;
}

static struct frame arp(void)
{
	static const uint8_t request[28] = {
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 1, 1, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1};
	struct frame frame = frame_typed(60, 0, 1, 0x0806);

	memset(frame.bytes, 0xff, 6);
	memset(frame.bytes + 14, 0, 46);
	memcpy(frame.bytes + 14, request, sizeof(request));
	return frame;
}

static void expect_at_twin(const struct frame *frame)
{
	struct frame left;

	cr_assert(rig_take_twin(&site, &left), "nothing came to the kernel");
	cr_expect_eq(left.size, frame->size);
	cr_expect_arr_eq(left.bytes, frame->bytes, frame->size);
	cr_expect_not(rig_take_twin(&site, &left));
}

Case(exception, gives_the_kernel_what_is_not_the_overlay_s_unchanged)
{
	struct pont_address peer = rig_address(PONT_FAMILY_IPV4, RIG_PEER4), own = rig_address(PONT_FAMILY_IPV4, 0);
	struct pont_address elsewhere = rig_address(PONT_FAMILY_IPV4, 40);
	struct frame frames[] = {arp(), datagram(&peer, &own, 53), datagram(&peer, &elsewhere, 4500)};
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		arrive(RIG_WAN, &frames[i]);
		expect_at_twin(&frames[i]);
		bytes += frames[i].size;
	}
	cr_expect_eq(rig_counters(&site, 0).kernel_tx.packets, 3);
	cr_expect_eq(rig_counters(&site, 0).kernel_tx.bytes, bytes);
	cr_expect_eq(rig_counters(&site, 0).wan_rx.bytes, bytes);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(exception, gives_the_kernel_fragments_and_ike)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	uint8_t marker[32] = {0};
	struct frame ike = {0}, fragment;

	ike.size = (uint32_t)wire_udp(ike.bytes, &outer, 4500, marker, sizeof(marker));
	arrive(RIG_WAN, &ike);
	expect_at_twin(&ike);
	fragment = ike;
	fragment.bytes[14 + 6] = 0x20;
	arrive(RIG_WAN, &fragment);
	expect_at_twin(&fragment);
}

Case(exception, keeps_sealed_packets_and_malformed_ones_from_the_kernel)
{
	struct frame inside = broadcast_from(7), sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside), left;

	arrive(RIG_WAN, &sealed);
	cr_expect_not(rig_take_twin(&site, &left));
	expect_only(RIG_ACCESS0, &inside);
	(void)rig_drain(&site);
	sealed.bytes[14 + 20 + 8] ^= 0x40;
	arrive(RIG_WAN, &sealed);
	cr_expect_eq(rig_drops(&site, 0, PONT_DROP_steer_unknown_spi), 1);
	sealed.size = 30;
	arrive(RIG_WAN, &sealed);
	cr_expect_eq(rig_drops(&site, 0, PONT_DROP_steer_malformed), 1);
	cr_expect_not(rig_take_twin(&site, &left));
}

Case(exception, sends_what_the_kernel_gives_past_the_fence)
{
	struct pont_address own = rig_address(PONT_FAMILY_IPV4, 0), peer = rig_address(PONT_FAMILY_IPV4, RIG_PEER4);
	struct pont_address own6 = rig_address(PONT_FAMILY_IPV6, 0), peer6 = rig_address(PONT_FAMILY_IPV6, RIG_PEER6);
	struct frame frames[] = {datagram(&own, &peer, 4501), datagram(&own6, &peer6, 4501), arp()};

	for (unsigned int i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		rig_give_twin(&site, frames[i].bytes, frames[i].size);
		rig_round(&site);
		expect_only(RIG_WAN, &frames[i]);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(exception, stops_at_the_fence_what_the_kernel_gives_for_elsewhere)
{
	struct pont_address own = rig_address(PONT_FAMILY_IPV4, 0), outside = own;
	struct frame frame;

	memcpy(outside.bytes, (const uint8_t[]){203, 0, 113, 9}, 4);
	frame = datagram(&own, &outside, 80);
	rig_give_twin(&site, frame.bytes, frame.size);
	memcpy(outside.bytes, (const uint8_t[]){8, 8, 8, 8}, 4);
	frame = datagram(&own, &outside, 53);
	rig_give_twin(&site, frame.bytes, frame.size);
	rig_round(&site);
	expect_nothing(RIG_WAN);
	expect_drops(0, PONT_DROP_fence_denied, 2);
	cr_expect_eq(site.plane.worker[0]->denial[0].count, 2);
}

Case(exception, drops_cut_and_foreign_frames_of_the_kernel)
{
	struct frame frame = arp(), foreign = frame_of(60, 1, 2);
	unsigned int given = 0;

	for (frame.size = 0; frame.size < 42; frame.size += 7, given++) {
		rig_give_twin(&site, frame.bytes, frame.size);
		rig_round(&site);
	}
	rig_give_twin(&site, foreign.bytes, foreign.size);
	rig_round(&site);
	expect_nothing(RIG_WAN);
	expect_drops(0, PONT_DROP_fence_denied, given + 1);
}

Case(exception, counts_what_a_full_twin_does_not_take)
{
	struct frame frame = arp();

	/* The twin's queue holds 16 frames, the port's as well. */
	for (unsigned int burst = 0; burst < 2; burst++) {
		for (unsigned int i = 0; i < 10; i++)
			rig_give(&site, RIG_WAN, frame.bytes, frame.size);
		rig_round(&site);
	}
	expect_drops(0, PONT_DROP_exception_queue_full, 4);
	cr_expect_eq(rig_counters(&site, 0).kernel_tx.packets, 16);
}

static void no_policy_up(void)
{
	rig_start(&site, &(struct rig_options){.twin = true});
}

TestSuite(exception_unset, .init = no_policy_up, .fini = site_down, .timeout = 60);

Case(exception_unset, lets_only_housekeeping_leave_before_the_first_policy)
{
	struct pont_address own = rig_address(PONT_FAMILY_IPV4, 0), peer = rig_address(PONT_FAMILY_IPV4, RIG_PEER4);
	struct frame request = arp(), other = datagram(&own, &peer, 4501);

	rig_give_twin(&site, request.bytes, request.size);
	rig_give_twin(&site, other.bytes, other.size);
	rig_round(&site);
	expect_only(RIG_WAN, &request);
	expect_drops(0, PONT_DROP_fence_no_policy, 1);
}
