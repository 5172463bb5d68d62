/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <rte_mbuf.h>

TestSuite(classify, .init = site_up, .fini = site_down, .timeout = 60);

static struct pont_traffic received(uint32_t vni)
{
	return rig_counters(&site, vni).access_rx;
}

Case(classify, gives_untagged_and_tagged_frames_of_one_port_to_different_tenants)
{
	struct frame frame = frame_of(100, 1, 2), with_tag = tagged(&frame, 10), behind = tagged(&frame, 20);

	arrive(RIG_ACCESS0, &frame);
	cr_expect_eq(received(RIG_HOPITAL).packets, 1);
	cr_expect_eq(received(RIG_MINISTERE).packets, 0);
	expect_only(RIG_ACCESS1, &frame);
	(void)rig_drain(&site);

	arrive(RIG_ACCESS0, &with_tag);
	cr_expect_eq(received(RIG_HOPITAL).packets, 1);
	cr_expect_eq(received(RIG_MINISTERE).packets, 1);
	expect_only(RIG_ACCESS1, &behind);
}

Case(classify, takes_the_tag_off_before_the_frame_is_sealed)
{
	struct frame frame = frame_of(200, 1, 2), with_tag = tagged(&frame, 10), behind = tagged(&frame, 20);

	arrive(RIG_ACCESS0, &with_tag);
	expect_only(RIG_ACCESS1, &behind);
	(void)expect_sealed(RIG_MINISTERE, RIG_PEER4, &frame);
	(void)expect_sealed(RIG_MINISTERE, RIG_PEER6, &frame);
	expect_nothing(RIG_WAN);
}

Case(classify, ignores_the_priority_bits_and_takes_vlan_0_for_untagged)
{
	struct frame frame = frame_of(100, 1, 2), priority = tagged(&frame, 7 << 13);
	struct frame high = tagged(&frame, 5 << 13 | 1 << 12 | 10), behind = tagged(&frame, 20);

	arrive(RIG_ACCESS0, &priority);
	expect_only(RIG_ACCESS1, &frame);
	arrive(RIG_ACCESS0, &high);
	expect_only(RIG_ACCESS1, &behind);
}

Case(classify, takes_off_one_tag_only)
{
	struct frame frame = frame_of(100, 1, 2), inner = tagged(&frame, 77), outer = tagged(&inner, 10);
	struct frame behind = tagged(&inner, 20);

	arrive(RIG_ACCESS0, &outer);
	expect_only(RIG_ACCESS1, &behind);
	(void)expect_sealed(RIG_MINISTERE, RIG_PEER4, &inner);
}

Case(classify, reads_the_tag_that_a_driver_took_off)
{
	struct frame frame = frame_of(100, 1, 2), behind = tagged(&frame, 20);
	struct rte_mbuf *mbuf = rig_buffer(&site, frame.bytes, frame.size);

	mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	mbuf->vlan_tci = 3 << 13 | 10;
	rig_give_buffer(&site, RIG_ACCESS0, mbuf);
	rig_round(&site);
	expect_only(RIG_ACCESS1, &behind);
}

Case(classify, counts_bytes_as_on_the_port)
{
	struct frame frame = frame_of(100, 1, 2), with_tag = tagged(&frame, 10);

	arrive(RIG_ACCESS0, &frame);
	cr_expect_eq(received(RIG_HOPITAL).bytes, 100);
	arrive(RIG_ACCESS0, &with_tag);
	cr_expect_eq(received(RIG_MINISTERE).bytes, 104, "%lu", (unsigned long)received(RIG_MINISTERE).bytes);
	cr_expect_eq(rig_counters(&site, RIG_MINISTERE).access_tx.bytes, 104);
}

Case(classify, drops_vlans_without_circuit)
{
	static const uint16_t unknown[] = {1, 9, 11, 20, 4094, 4095, 0xffff};
	struct frame frame = frame_of(100, 1, 2);

	for (unsigned int i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct frame with_tag = tagged(&frame, unknown[i]);

		arrive(RIG_ACCESS0, &with_tag);
		expect_drops(0, PONT_DROP_classify_unknown_vlan, i + 1);
	}
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}

Case(classify, drops_untagged_frames_where_no_circuit_takes_them)
{
	struct frame frame = frame_of(100, 1, 2), with_tag = tagged(&frame, 10);

	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_tenant(&site, RIG_MINISTERE);
	rig_set_circuit(&site, RIG_ACCESS0, 10, RIG_MINISTERE);
	rig_set_circuit(&site, RIG_ACCESS1, 0, RIG_MINISTERE);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(0, PONT_DROP_classify_unknown_vlan, 1);
	arrive(RIG_ACCESS0, &with_tag);
	expect_only(RIG_ACCESS1, &frame);
}

Case(classify, drops_frames_without_a_whole_ethernet_header)
{
	struct frame frame = frame_of(100, 1, 2);

	for (frame.size = 0; frame.size < 14; frame.size++) {
		arrive(RIG_ACCESS0, &frame);
		expect_drops(0, PONT_DROP_classify_runt, frame.size + 1);
	}
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}

Case(classify, drops_frames_whose_tag_is_cut_short)
{
	struct frame frame = frame_of(100, 1, 2), with_tag = tagged(&frame, 10);

	for (with_tag.size = 14; with_tag.size < 18; with_tag.size++) {
		arrive(RIG_ACCESS0, &with_tag);
		expect_drops(0, PONT_DROP_classify_runt, with_tag.size - 13);
	}
	/* A header behind the tag, and nothing behind that, is a frame. */
	arrive(RIG_ACCESS0, &with_tag);
	cr_expect_eq(received(RIG_MINISTERE).packets, 1);
}

static void start_only(void)
{
	rig_start(&site, &(struct rig_options){0});
}

TestSuite(classify_unconfigured, .init = start_only, .fini = site_down, .timeout = 60);

Case(classify_unconfigured, drops_everything)
{
	struct frame frame = frame_of(100, 1, 2), with_tag = tagged(&frame, 10);

	arrive(RIG_ACCESS0, &frame);
	arrive(RIG_ACCESS0, &with_tag);
	expect_drops(0, PONT_DROP_classify_unknown_vlan, 2);
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}
