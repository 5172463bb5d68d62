/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

TestSuite(steer, .init = site_up, .fini = site_down, .timeout = 60);

enum { ETHER = 14, UDP4 = ETHER + 20, UDP6 = ETHER + 40 };

static struct frame inside;

/* A good frame from a peer, its number counted by the caller. */
static struct frame good(uint16_t peer, uint64_t sequence)
{
	inside = broadcast_from(7);
	return sealed_by(peer, RIG_HOPITAL, sequence, &inside);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void expect_delivered(const struct frame *frame)
{
	arrive(RIG_WAN, frame);
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
	cr_expect_eq(rig_all_drops(&site), 0);
}

static void expect_refused(const struct frame *frame, enum pont_drop reason)
{
	uint64_t before = rig_drops(&site, 0, reason), all = rig_all_drops(&site);

	arrive(RIG_WAN, frame);
	cr_expect_eq(rig_drops(&site, 0, reason), before + 1, "%s not counted, %lu others",
		pont_drop_describe(reason)->name, (unsigned long)(rig_all_drops(&site) - all));
	cr_expect_eq(rig_drain(&site), 0, "something left");
}

Case(steer, takes_esp_in_udp_over_ipv4_and_ipv6)
{
	struct frame frame = good(RIG_PEER4, 1);

	expect_delivered(&frame);
	frame = good(RIG_PEER6, 1);
	expect_delivered(&frame);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.packets, 2);
}

Case(steer, ignores_what_lies_behind_the_packet)
{
	struct frame frame = good(RIG_PEER4, 1);
	uint32_t size = frame.size;

	/* Padding of the link, and counted as received. */
	memset(frame.bytes + frame.size, 0x55, 18);
	frame.size += 18;
	expect_delivered(&frame);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.bytes, size + 18);
	frame = good(RIG_PEER6, 1);
	memset(frame.bytes + frame.size, 0x55, 18);
	frame.size += 18;
	expect_delivered(&frame);
	/* Room in the IP packet behind the UDP datagram. */
	frame = good(RIG_PEER4, 2);
	memset(frame.bytes + frame.size, 0x55, 8);
	frame.size += 8;
	put16(frame.bytes + 16, frame.size - ETHER);
	expect_delivered(&frame);
}

Case(steer, takes_packets_with_ip_options)
{
	struct frame frame = good(RIG_PEER4, 1), with_options = frame;

	memmove(with_options.bytes + UDP4 + 8, frame.bytes + UDP4, frame.size - UDP4);
	memset(with_options.bytes + UDP4, 1, 8); /* no operation */
	with_options.bytes[ETHER] = 0x47;
	with_options.size += 8;
	put16(with_options.bytes + 16, with_options.size - ETHER);
	expect_delivered(&with_options);
}

Case(steer, takes_any_source_address_and_port)
{
	struct frame frame = good(RIG_PEER4, 1);

	/* A peer behind a NAT. The key says who it is. */
	memset(frame.bytes + ETHER + 12, 0x77, 4);
	memset(frame.bytes + UDP4, 0x11, 2);
	expect_delivered(&frame);
}

/* Each row changes one or two bytes of a good frame over IPv4. */
static const struct {
	const char *what;
	enum pont_drop reason;
	struct {
		unsigned int at;
		uint8_t value;
	} change[2];
} changes4[] = {
	{"header length below five words", PONT_DROP_steer_malformed, {{ETHER, 0x44}}},
	{"header length zero", PONT_DROP_steer_malformed, {{ETHER, 0x40}}},
	{"header longer than the packet", PONT_DROP_steer_malformed, {{ETHER + 2, 0}, {ETHER + 3, 19}}},
	{"total length zero", PONT_DROP_steer_malformed, {{ETHER + 2, 0}, {ETHER + 3, 0}}},
	{"total length beyond the frame", PONT_DROP_steer_malformed, {{ETHER + 2, 0x40}}},
	{"no room for UDP", PONT_DROP_steer_malformed, {{ETHER + 2, 0}, {ETHER + 3, 27}}},
	{"UDP length below its header", PONT_DROP_steer_malformed, {{UDP4 + 4, 0}, {UDP4 + 5, 7}}},
	{"UDP length zero", PONT_DROP_steer_malformed, {{UDP4 + 4, 0}, {UDP4 + 5, 0}}},
	{"UDP length beyond the packet", PONT_DROP_steer_malformed, {{UDP4 + 4, 0x7f}}},
	{"first fragment", PONT_DROP_steer_fragment, {{ETHER + 6, 0x20}}},
	{"later fragment", PONT_DROP_steer_fragment, {{ETHER + 6, 0}, {ETHER + 7, 1}}},
	{"last fragment", PONT_DROP_steer_fragment, {{ETHER + 6, 0x1f}}},
	{"another destination", PONT_DROP_steer_not_ours, {{ETHER + 19, 99}}},
	{"TCP", PONT_DROP_steer_not_esp, {{ETHER + 9, 6}}},
	{"bare ESP", PONT_DROP_steer_not_esp, {{ETHER + 9, 50}}},
	{"another UDP port", PONT_DROP_steer_not_esp, {{UDP4 + 3, 0x95}}},
	{"VXLAN's UDP port", PONT_DROP_steer_not_esp, {{UDP4 + 2, 0x12}, {UDP4 + 3, 0xb5}}},
	{"ARP", PONT_DROP_steer_not_esp, {{12, 0x08}, {13, 0x06}}},
	{"VLAN tag", PONT_DROP_steer_not_esp, {{12, 0x81}, {13, 0x00}}},
	{"keepalive", PONT_DROP_steer_not_esp, {{UDP4 + 4, 0}, {UDP4 + 5, 9}}},
	{"empty datagram", PONT_DROP_steer_not_esp, {{UDP4 + 4, 0}, {UDP4 + 5, 8}}},
	{"SPI cut short", PONT_DROP_steer_not_esp, {{UDP4 + 4, 0}, {UDP4 + 5, 11}}},
	{"another SPI of the same slot", PONT_DROP_steer_unknown_spi, {{UDP4 + 8, 0x77}}},
	{"an empty slot", PONT_DROP_steer_unknown_spi, {{UDP4 + 11, 0xff}}},
};

Case(steer, refuses_what_is_not_esp_in_udp_for_this_site_over_ipv4)
{
	for (unsigned int i = 0; i < sizeof(changes4) / sizeof(changes4[0]); i++) {
		struct frame frame = good(RIG_PEER4, 1);

		for (unsigned int c = 0; c < 2 && changes4[i].change[c].at != 0; c++)
			frame.bytes[changes4[i].change[c].at] = changes4[i].change[c].value;
		cr_log_info("%s", changes4[i].what);
		expect_refused(&frame, changes4[i].reason);
	}
	/* None of them has touched the window. */
	(void)good(RIG_PEER4, 1);
}

static const struct {
	const char *what;
	enum pont_drop reason;
	struct {
		unsigned int at;
		uint8_t value;
	} change[2];
} changes6[] = {
	{"payload length beyond the frame", PONT_DROP_steer_malformed, {{ETHER + 4, 0x40}}},
	{"no room for UDP", PONT_DROP_steer_malformed, {{ETHER + 4, 0}, {ETHER + 5, 7}}},
	{"payload length zero", PONT_DROP_steer_malformed, {{ETHER + 4, 0}, {ETHER + 5, 0}}},
	{"UDP length below its header", PONT_DROP_steer_malformed, {{UDP6 + 4, 0}, {UDP6 + 5, 7}}},
	{"UDP length beyond the packet", PONT_DROP_steer_malformed, {{UDP6 + 4, 0x7f}}},
	{"fragment header", PONT_DROP_steer_fragment, {{ETHER + 6, 44}}},
	{"another destination", PONT_DROP_steer_not_ours, {{ETHER + 39, 99}}},
	{"hop-by-hop options", PONT_DROP_steer_not_esp, {{ETHER + 6, 0}}},
	{"ICMPv6", PONT_DROP_steer_not_esp, {{ETHER + 6, 58}}},
	{"another UDP port", PONT_DROP_steer_not_esp, {{UDP6 + 3, 0x95}}},
	{"keepalive", PONT_DROP_steer_not_esp, {{UDP6 + 4, 0}, {UDP6 + 5, 9}}},
	{"another SPI", PONT_DROP_steer_unknown_spi, {{UDP6 + 8, 0x77}}},
};

Case(steer, refuses_what_is_not_esp_in_udp_for_this_site_over_ipv6)
{
	for (unsigned int i = 0; i < sizeof(changes6) / sizeof(changes6[0]); i++) {
		struct frame frame = good(RIG_PEER6, 1);

		for (unsigned int c = 0; c < 2 && changes6[i].change[c].at != 0; c++)
			frame.bytes[changes6[i].change[c].at] = changes6[i].change[c].value;
		cr_log_info("%s", changes6[i].what);
		expect_refused(&frame, changes6[i].reason);
	}
}

Case(steer, refuses_ike)
{
	/* RFC 3948 section 2.3: four zero bytes where an SPI would be. */
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	uint8_t message[64] = {0, 0, 0, 0, 1, 2, 3};
	struct frame frame;

	frame.size = (uint32_t)wire_udp(frame.bytes, &outer, 4500, message, sizeof(message));
	expect_refused(&frame, PONT_DROP_steer_not_esp);
	frame.size = (uint32_t)wire_udp(frame.bytes, &outer, 4500, message, 4);
	expect_refused(&frame, PONT_DROP_steer_not_esp);
}

static void cut_everywhere(uint16_t peer)
{
	struct frame frame = good(peer, 1);
	uint32_t whole = frame.size;
	uint64_t drops = rig_drops(&site, 0, PONT_DROP_steer_malformed);

	for (frame.size = 0; frame.size < whole; frame.size++) {
		arrive(RIG_WAN, &frame);
		cr_assert_eq(rig_drops(&site, 0, PONT_DROP_steer_malformed), ++drops, "cut to %u of %u bytes",
			frame.size, whole);
		cr_assert_eq(rig_drain(&site), 0);
	}
}

Case(steer, refuses_a_packet_cut_at_any_byte)
{
	struct frame frame;

	cut_everywhere(RIG_PEER4);
	cut_everywhere(RIG_PEER6);
	frame = good(RIG_PEER4, 1);
	arrive(RIG_WAN, &frame);
	cr_expect_eq(rig_drain(&site), 2, "the whole one is delivered");
}

Case(steer, counts_what_it_refuses_as_received_bytes_of_nobody)
{
	struct frame frame = good(RIG_PEER4, 1);

	frame.bytes[UDP4 + 8] = 0x77;
	arrive(RIG_WAN, &frame);
	cr_expect_eq(rig_counters(&site, 0).wan_rx.packets, 1);
	cr_expect_eq(rig_counters(&site, 0).wan_rx.bytes, frame.size);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.packets, 0);
}

Case(steer, takes_nothing_when_the_site_has_no_address)
{
	struct frame over4 = good(RIG_PEER4, 1), over6 = good(RIG_PEER6, 1);

	rig_begin(&site, true);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_peer(&site, RIG_PEER6);
	rig_must_commit(&site);
	expect_refused(&over4, PONT_DROP_steer_not_ours);
	expect_refused(&over6, PONT_DROP_steer_not_ours);
}
