/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

TestSuite(decap, .init = site_up, .fini = site_down, .timeout = 60);

static struct frame inside;
static uint64_t next_sequence = 1;

static struct frame sealed_text(const uint8_t *text, size_t size, uint8_t tos, uint16_t peer)
{
	struct wire_outer outer = rig_outer_from(peer);
	struct wire_sa sa = rig_wire_in(RIG_HOPITAL, peer, 0);
	struct frame frame = {0};

	outer.tos = tos;
	frame.size = (uint32_t)wire_seal_text(frame.bytes, &outer, &sa, next_sequence++, NULL, text, size);
	return frame;
}

static void expect_refused(const struct frame *frame, enum pont_drop reason)
{
	uint64_t before = rig_drops(&site, RIG_HOPITAL, reason), all = rig_all_drops(&site);

	arrive(RIG_WAN, frame);
	cr_expect_eq(rig_drops(&site, RIG_HOPITAL, reason), before + 1, "%s not counted, %lu others",
		pont_drop_describe(reason)->name, (unsigned long)(rig_all_drops(&site) - all));
	cr_expect_eq(rig_drain(&site), 0, "something left");
}

static void expect_delivered(const struct frame *frame)
{
	uint64_t all = rig_all_drops(&site);

	arrive(RIG_WAN, frame);
	cr_assert_eq(rig_all_drops(&site), all, "it was dropped");
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
}

enum { UDP_PORT = 2, UDP_LENGTH = 4, UDP_CHECKSUM = 6, VXLAN_FLAGS = 8, VXLAN_VNI = 12, VXLAN_LAST = 15 };

static const struct {
	const char *what;
	enum pont_drop reason; /* PONT_DROP_COUNT: none, it is delivered */
	unsigned int at;
	uint8_t change; /* bits turned over */
} changes[] = {
	{"nothing", PONT_DROP_COUNT, 0, 0},
	{"another inner source port", PONT_DROP_COUNT, 0, 0x3f},
	{"another inner destination port", PONT_DROP_decap_bad_vxlan, UDP_PORT + 1, 1},
	{"ESP's port inside", PONT_DROP_decap_bad_vxlan, UDP_PORT, 0x03},
	{"inner length one more", PONT_DROP_decap_bad_vxlan, UDP_LENGTH + 1, 1},
	{"inner length less", PONT_DROP_decap_bad_vxlan, UDP_LENGTH + 1, 0x10},
	{"inner length far more", PONT_DROP_decap_bad_vxlan, UDP_LENGTH, 0x10},
	{"no valid VNI flag", PONT_DROP_decap_bad_vxlan, VXLAN_FLAGS, 0x08},
	{"reserved flags", PONT_DROP_COUNT, VXLAN_FLAGS, 0xf7},
	{"reserved bytes", PONT_DROP_COUNT, VXLAN_FLAGS + 1, 0xff},
	{"reserved bytes", PONT_DROP_COUNT, VXLAN_FLAGS + 3, 0xff},
	{"last reserved byte", PONT_DROP_COUNT, VXLAN_LAST, 0xff},
	{"VNI with another upper byte", PONT_DROP_decap_vni_mismatch, VXLAN_VNI, 0x80},
	{"VNI with another middle byte", PONT_DROP_decap_vni_mismatch, VXLAN_VNI + 1, 0x01},
	{"VNI with another lower byte", PONT_DROP_decap_vni_mismatch, VXLAN_VNI + 2, 0x01},
	/* 100 ^ 200 */
	{"VNI of the other tenant", PONT_DROP_decap_vni_mismatch, VXLAN_VNI + 2, 100 ^ 200},
};

Case(decap, takes_a_vxlan_datagram_of_the_sa_s_own_vni_only)
{
	for (unsigned int i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		uint8_t text[200];
		struct frame frame;
		size_t size;

		inside = broadcast_from(7);
		size = wire_text(text, RIG_HOPITAL, inside.bytes, inside.size);
		text[changes[i].at] ^= changes[i].change;
		frame = sealed_text(text, size, 0, RIG_PEER4);
		cr_log_info("%s", changes[i].what);
		if (changes[i].reason == PONT_DROP_COUNT)
			expect_delivered(&frame);
		else
			expect_refused(&frame, changes[i].reason);
	}
	cr_expect_eq(rig_counters(&site, RIG_MINISTERE).wan_rx.packets, 0);
	cr_expect_eq(rig_counters(&site, RIG_MINISTERE).access_tx.packets, 0);
}

Case(decap, drops_datagrams_too_short_for_udp_and_vxlan)
{
	static const uint8_t vxlan[16] = {0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, RIG_HOPITAL, 0};

	for (size_t length = 0; length < 16; length++) {
		uint8_t text[24] = {0};
		size_t size = length;
		uint8_t padding = 0;
		struct frame frame;

		memcpy(text, vxlan, length);
		if (length > 5)
			text[5] = (uint8_t)length;
		while ((size + 2) % 4 != 0)
			text[size++] = ++padding;
		text[size] = padding;
		text[size + 1] = 17;
		frame = sealed_text(text, size + 2, 0, RIG_PEER4);
		expect_refused(&frame, PONT_DROP_decap_bad_vxlan);
	}
}

Case(decap, drops_tenant_frames_without_a_whole_ethernet_header)
{
	uint8_t text[200];

	inside = broadcast_from(7);
	for (size_t size = 0; size < 14; size++) {
		struct frame frame = sealed_text(text, wire_text(text, RIG_HOPITAL, inside.bytes, size), 0, RIG_PEER4);

		expect_refused(&frame, PONT_DROP_decap_runt);
	}
}

/* --- RFC 6040 section 4.2, figure 4 --- */

enum { NOT_ECT, ECT1, ECT0, CE };

static void put_sum(uint8_t *ip)
{
	uint16_t sum;

	ip[10] = ip[11] = 0;
	sum = wire_checksum(ip, 20, 0);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static struct frame ip_packet(uint16_t type, uint8_t traffic_class, uint8_t salt)
{
	struct frame frame = frame_typed(100, 1, 7, type);

	if (type == 0x0800) {
		frame.bytes[14] = 0x45;
		frame.bytes[15] = traffic_class;
		frame.bytes[18] = salt; /* so that the checksum takes many values */
		put_sum(frame.bytes + 14);
	} else if (type == 0x86dd) {
		frame.bytes[14] = (uint8_t)(0x60 | traffic_class >> 4);
		frame.bytes[15] = (uint8_t)(traffic_class << 4 | 0x05);
	}
	return frame;
}

static void check_ecn(uint16_t type, uint8_t inner_class, uint8_t outer_tos, uint16_t peer, uint8_t salt)
{
	struct frame packet = ip_packet(type, inner_class, salt), sealed;
	bool ip = type != 0x0806, ce = (outer_tos & 3) == CE;
	uint8_t text[200];

	sealed = sealed_text(text, wire_text(text, RIG_HOPITAL, packet.bytes, packet.size), outer_tos, peer);
	if (ip && ce && (inner_class & 3) == NOT_ECT) {
		expect_refused(&sealed, PONT_DROP_decap_congestion);
		return;
	}
	/* Congestion becomes the inner mark; nothing else is taken from the outer header. */
	inside = ip_packet(type, ip && ce ? inner_class | CE : inner_class, salt);
	expect_delivered(&sealed);
}

Case(decap, tells_the_tenant_of_congestion_as_rfc_6040_says)
{
	static const uint16_t types[] = {0x0800, 0x86dd, 0x0806};

	for (unsigned int t = 0; t < 3; t++)
		for (unsigned int outer = 0; outer < 4; outer++)
			for (unsigned int inner = 0; inner < 256; inner++) {
				check_ecn(types[t], (uint8_t)inner, (uint8_t)(0xb8 | outer), RIG_PEER4, (uint8_t)inner);
				check_ecn(types[t], (uint8_t)inner, (uint8_t)outer, RIG_PEER6, (uint8_t)~inner);
			}
}

Case(decap, leaves_a_valid_header_checksum_whatever_it_was)
{
	/* The 16-bit corner cases of RFC 1624: every value of the identification, so every value of the sum. */
	for (unsigned int id = 0; id < 65536; id++) {
		struct frame packet = ip_packet(0x0800, ECT0, 0), sealed, left;
		uint8_t text[200];

		packet.bytes[18] = (uint8_t)(id >> 8);
		packet.bytes[19] = (uint8_t)id;
		put_sum(packet.bytes + 14);
		sealed = sealed_text(text, wire_text(text, RIG_HOPITAL, packet.bytes, packet.size), CE, RIG_PEER4);
		arrive(RIG_WAN, &sealed);
		cr_assert(rig_take(&site, RIG_ACCESS0, &left));
		cr_assert_eq(left.bytes[15], CE);
		cr_assert_eq(wire_checksum(left.bytes + 14, 20, 0), 0, "identification %u", id);
		(void)rig_drain(&site);
	}
}

Case(decap, passes_truncated_ip_headers_on_as_they_are)
{
	uint8_t text[200];

	for (unsigned int t = 0; t < 2; t++) {
		size_t whole = t == 0 ? 14 + 20 : 14 + 40;

		for (size_t size = 14; size < whole; size++) {
			struct frame sealed;

			inside = ip_packet(t == 0 ? 0x0800 : 0x86dd, ECT0, 0);
			inside.size = (uint32_t)size;
			sealed = sealed_text(text, wire_text(text, RIG_HOPITAL, inside.bytes, size), CE, RIG_PEER4);
			expect_delivered(&sealed);
		}
	}
}
