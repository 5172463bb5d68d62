/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

TestSuite(encap, .init = site_up, .fini = site_down, .timeout = 60);

/* A tenant with one host at each peer: what goes there leaves once. */
enum { HOST4 = 0x44, HOST6 = 0x66 };

static void know_hosts(void)
{
	struct frame frame = broadcast_from(HOST4), sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &frame);

	arrive(RIG_WAN, &sealed);
	frame = broadcast_from(HOST6);
	sealed = sealed_by(RIG_PEER6, RIG_HOPITAL, 1, &frame);
	arrive(RIG_WAN, &sealed);
	(void)rig_drain(&site);
}

/* Sends a frame to a peer's host and opens what left. */
static struct wire_opened leave(uint16_t peer, const struct frame *frame)
{
	static struct wire_opened opened;
	struct wire_sa sa = rig_wire_out(RIG_HOPITAL, peer, 0);
	struct frame left;
	const char *wrong;

	arrive(RIG_ACCESS0, frame);
	cr_assert(rig_take(&site, RIG_WAN, &left), "%u bytes: nothing left", frame->size);
	wrong = wire_open(&opened, left.bytes, left.size, &sa, 0);
	cr_assert_null(wrong, "%u bytes: %s", frame->size, wrong);
	expect_nothing(RIG_WAN);
	return opened;
}

static void check_header(uint16_t peer, uint8_t host)
{
	struct frame frame = frame_of(100, host, 1);
	struct pont_link_adjacency adjacency =
		rig_adjacency(peer, peer == RIG_PEER4 ? PONT_FAMILY_IPV4 : PONT_FAMILY_IPV6, 1500);
	struct wire_opened opened = leave(peer, &frame);

	cr_expect_arr_eq(opened.outer.destination_mac, adjacency.destination_mac, 6);
	cr_expect_arr_eq(opened.outer.source_mac, adjacency.source_mac, 6);
	cr_expect_arr_eq(&opened.outer.source, &adjacency.source, sizeof(adjacency.source));
	cr_expect_arr_eq(&opened.outer.destination, &adjacency.destination, sizeof(adjacency.destination));
	cr_expect_eq(opened.outer.source_port, rig_sa_out(RIG_HOPITAL, peer, 0).source_port);
	cr_expect_eq(opened.ttl, 64);
	cr_expect_eq(opened.outer.tos, 0);
	cr_expect_eq(opened.vni, RIG_HOPITAL);
	cr_expect_eq(opened.size, frame.size);
	cr_expect_arr_eq(opened.frame, frame.bytes, frame.size);
}

Case(encap, puts_the_adjacency_s_header_in_front_over_ipv4)
{
	know_hosts();
	check_header(RIG_PEER4, HOST4);
}

Case(encap, puts_the_adjacency_s_header_in_front_over_ipv6_with_a_valid_udp_checksum)
{
	know_hosts();
	check_header(RIG_PEER6, HOST6);
}

Case(encap, carries_frames_of_every_size_and_pads_to_four_bytes)
{
	know_hosts();
	for (size_t size = 14; size <= 1500; size++) {
		struct frame to4 = frame_of(size, HOST4, 1), to6 = frame_of(size, HOST6, 1);
		struct wire_opened opened = leave(RIG_PEER4, &to4);

		cr_assert_eq(opened.size, size);
		cr_assert_arr_eq(opened.frame, to4.bytes, size);
		cr_assert_eq(opened.padding, (4 - (8 + 8 + size + 2) % 4) % 4, "no more padding than needed");
		opened = leave(RIG_PEER6, &to6);
		cr_assert_eq(opened.size, size);
		cr_assert_arr_eq(opened.frame, to6.bytes, size);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(encap, counts_outer_bytes_sent)
{
	struct frame frame = frame_of(100, HOST4, 1);
	uint64_t before;

	know_hosts();
	before = rig_counters(&site, RIG_HOPITAL).wan_tx.bytes;
	(void)leave(RIG_PEER4, &frame);
	/* Ethernet, IPv4, UDP, ESP, IV; inner UDP, VXLAN, frame, trailer padded to four; ICV. */
	cr_expect_eq(
		rig_counters(&site, RIG_HOPITAL).wan_tx.bytes - before, 14 + 20 + 8 + 8 + 8 + (8 + 8 + 100 + 4) + 16);
}

static struct frame with_traffic_class(uint16_t type, uint8_t host, uint8_t traffic_class)
{
	struct frame frame = frame_typed(100, host, 1, type);

	if (type == 0x0800) {
		frame.bytes[14] = 0x45;
		frame.bytes[15] = traffic_class;
	} else if (type == 0x86dd) {
		frame.bytes[14] = (uint8_t)(0x60 | traffic_class >> 4);
		frame.bytes[15] = (uint8_t)(traffic_class << 4);
	}
	return frame;
}

/* RFC 6040 section 4.1, normal mode: the ECN bits are copied. DSCP stays inside. */
Case(encap, copies_the_ecn_bits_of_the_tenant_s_packet_and_nothing_else)
{
	static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x88a8};

	know_hosts();
	for (unsigned int t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (unsigned int traffic_class = 0; traffic_class < 256; traffic_class++) {
			uint8_t ecn = types[t] == 0x0800 || types[t] == 0x86dd ? traffic_class & 3 : 0;
			struct frame frame = with_traffic_class(types[t], HOST4, (uint8_t)traffic_class);

			cr_assert_eq(leave(RIG_PEER4, &frame).outer.tos, ecn, "type %04x, class %02x, IPv4", types[t],
				traffic_class);
			frame = with_traffic_class(types[t], HOST6, (uint8_t)traffic_class);
			cr_assert_eq(leave(RIG_PEER6, &frame).outer.tos, ecn, "type %04x, class %02x, IPv6", types[t],
				traffic_class);
		}
	}
}

Case(encap, looks_for_no_ecn_bits_behind_the_end_of_the_frame)
{
	know_hosts();
	for (uint32_t size = 14; size <= 15; size++) {
		/* First a frame that leaves its ECN bits in the buffer. */
		for (unsigned int i = 0; i < 2000; i++) {
			struct frame marked = with_traffic_class(0x0800, HOST4, 3), empty = marked;

			(void)leave(RIG_PEER4, &marked);
			empty.size = size;
			cr_assert_eq(leave(RIG_PEER4, &empty).outer.tos, 0, "of %u bytes", size);
		}
	}
}

Case(encap, drops_what_would_exceed_the_path_mtu)
{
	enum { MTU = 1400, OVERHEAD4 = 20 + 8 + 16 + 16 + 2 + 16, OVERHEAD6 = OVERHEAD4 + 20 };
	uint64_t dropped = 0;

	rig_begin(&site, false);
	rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, MTU);
	rig_set_adjacency(&site, RIG_PEER6, PONT_FAMILY_IPV6, MTU);
	rig_must_commit(&site);
	know_hosts();
	for (size_t size = MTU - 200; size <= RIG_FRAME_MAX; size++) {
		struct frame frame = frame_of(size, HOST4, 1);
		/* Padding rounds the encrypted part up to four; the largest packet is as long as the MTU. */
		bool fits4 = (16 + size + 2 + 3) / 4 * 4 + OVERHEAD4 - 18 <= MTU;
		bool fits6 = (16 + size + 2 + 3) / 4 * 4 + OVERHEAD6 - 18 <= MTU;

		arrive(RIG_ACCESS0, &frame);
		cr_expect_eq(rig_drain(&site), fits4, "%zu bytes over IPv4", size);
		frame = frame_of(size, HOST6, 1);
		arrive(RIG_ACCESS0, &frame);
		cr_expect_eq(rig_drain(&site), fits6, "%zu bytes over IPv6", size);
		dropped += !fits4 + !fits6;
	}
	expect_drops(RIG_HOPITAL, PONT_DROP_encap_too_big, dropped);
}

Case(encap, sends_nothing_without_an_sa)
{
	struct pont_link_sa_out_del del = {
		.vni = RIG_HOPITAL, .peer = RIG_PEER4, .spi = rig_wire_out(RIG_HOPITAL, RIG_PEER4, 0).spi};
	struct frame frame = frame_of(100, HOST4, 1);

	know_hosts();
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_OUT_DEL, del);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_encap_no_sa, 1);
	expect_nothing(RIG_WAN);
}

/* The configuration again, but without adjacencies or without a site address. */
static void configure_without(bool adjacencies, bool with_site)
{
	rig_begin(&site, true);
	if (with_site)
		rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	if (adjacencies)
		rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_must_commit(&site);
}

Case(encap, sends_nothing_without_an_adjacency)
{
	struct frame frame = frame_of(100, HOST4, 1);

	configure_without(false, true);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_encap_no_adjacency, 1);
	expect_nothing(RIG_WAN);
}

Case(encap, sends_nothing_before_the_site_has_an_address)
{
	struct frame frame = frame_of(100, HOST4, 1);

	configure_without(true, false);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_encap_no_adjacency, 1);
	expect_nothing(RIG_WAN);
}

Case(encap, follows_an_adjacency_that_changes)
{
	struct frame frame = frame_of(100, HOST4, 1);
	struct pont_link_adjacency adjacency = rig_adjacency(RIG_PEER4, PONT_FAMILY_IPV6, 1500);
	struct wire_opened opened;

	know_hosts();
	adjacency.destination_mac[5] = 0x99;
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_ADJACENCY_SET, adjacency);
	rig_must_commit(&site);
	opened = leave(RIG_PEER4, &frame);
	cr_expect_eq(opened.outer.destination_mac[5], 0x99);
	cr_expect_eq(opened.outer.source.family, PONT_FAMILY_IPV6);
}

static void jumbo_up(void)
{
	site_up_with(&(struct rig_options){.frame_max = PONT_FRAME_MAX, .buffers = 128, .ring = 64});
}

TestSuite(encap_jumbo, .init = jumbo_up, .fini = site_down, .timeout = 60);

Case(encap_jumbo, carries_frames_up_to_9018_bytes)
{
	know_hosts();
	for (size_t size = PONT_FRAME_MAX - 20; size <= PONT_FRAME_MAX; size++) {
		struct frame to4 = frame_of(size, HOST4, 1), to6 = frame_of(size, HOST6, 1);
		struct wire_opened opened = leave(RIG_PEER4, &to4);

		cr_assert_eq(opened.size, size);
		cr_assert_arr_eq(opened.frame, to4.bytes, size);
		opened = leave(RIG_PEER6, &to6);
		cr_assert_arr_eq(opened.frame, to6.bytes, size);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}
