/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

#include <rte_mbuf.h>

TestSuite(forward, .init = site_up, .fini = site_down, .timeout = 60);

/* Makes the site know that a host is behind a port's untagged circuit, or behind a peer. */
static void host_at_port(enum rig_port port, uint8_t host)
{
	struct frame frame = broadcast_from(host);

	arrive(port, &frame);
	(void)rig_drain(&site);
}

static void host_at_peer(uint16_t peer, uint32_t vni, uint64_t sequence, uint8_t host)
{
	struct frame frame = broadcast_from(host), sealed = sealed_by(peer, vni, sequence, &frame);

	arrive(RIG_WAN, &sealed);
	(void)rig_drain(&site);
}

/* A frame of the tenant from an access port went to every other place: the other port and both peers. */
static void expect_flooded(const struct frame *frame)
{
	expect_only(RIG_ACCESS1, frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, frame);
	expect_nothing(RIG_WAN);
	expect_nothing(RIG_ACCESS0);
}

Case(forward, floods_what_it_does_not_know_to_circuits_and_sites)
{
	struct frame unknown = frame_of(300, 9, 1), broadcast = broadcast_from(1), multicast = frame_of(300, 9, 1);

	memcpy(multicast.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
	arrive(RIG_ACCESS0, &unknown);
	expect_flooded(&unknown);
	arrive(RIG_ACCESS0, &broadcast);
	expect_flooded(&broadcast);
	arrive(RIG_ACCESS0, &multicast);
	expect_flooded(&multicast);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).copies, 6);
	cr_expect_eq(rig_counters(&site, RIG_MINISTERE).copies, 0);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(forward, sends_to_a_known_host_only)
{
	struct frame to_port = frame_of(100, 1, 2), to_peer = frame_of(101, 3, 2), to_other = frame_of(102, 4, 2);

	host_at_port(RIG_ACCESS1, 1);
	host_at_peer(RIG_PEER4, RIG_HOPITAL, 1, 3);
	host_at_peer(RIG_PEER6, RIG_HOPITAL, 1, 4);
	arrive(RIG_ACCESS0, &to_port);
	expect_only(RIG_ACCESS1, &to_port);
	expect_nothing(RIG_WAN);
	arrive(RIG_ACCESS0, &to_peer);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &to_peer);
	expect_nothing(RIG_WAN);
	arrive(RIG_ACCESS0, &to_other);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &to_other);
	expect_nothing(RIG_WAN);
	expect_nothing(RIG_ACCESS1);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(forward, delivers_from_the_wan_to_a_known_host_only)
{
	struct frame inside = frame_of(100, 1, 7), sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside);

	host_at_port(RIG_ACCESS1, 1);
	arrive(RIG_WAN, &sealed);
	expect_only(RIG_ACCESS1, &inside);
	expect_nothing(RIG_ACCESS0);
	expect_nothing(RIG_WAN);
}

Case(forward, keeps_tenants_with_equal_addresses_apart)
{
	/* Host 1: behind access1 for one tenant, behind peer 1 for the other. */
	struct frame frame = frame_of(100, 1, 2), with_tag = tagged(&frame, 10);

	host_at_port(RIG_ACCESS1, 1);
	host_at_peer(RIG_PEER4, RIG_MINISTERE, 1, 1);
	arrive(RIG_ACCESS0, &frame);
	expect_only(RIG_ACCESS1, &frame);
	expect_nothing(RIG_WAN);
	arrive(RIG_ACCESS0, &with_tag);
	expect_nothing(RIG_ACCESS1);
	(void)expect_sealed(RIG_MINISTERE, RIG_PEER4, &frame);
	expect_nothing(RIG_WAN);
}

Case(forward, sends_nothing_from_the_wan_back_to_the_wan)
{
	struct frame broadcast = broadcast_from(5), unknown = frame_of(100, 9, 5), known = frame_of(100, 6, 5);
	struct frame sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &broadcast);

	arrive(RIG_WAN, &sealed);
	expect_only(RIG_ACCESS0, &broadcast);
	expect_only(RIG_ACCESS1, &broadcast);
	expect_nothing(RIG_WAN);
	sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 2, &unknown);
	arrive(RIG_WAN, &sealed);
	expect_only(RIG_ACCESS0, &unknown);
	expect_only(RIG_ACCESS1, &unknown);
	expect_nothing(RIG_WAN);
	cr_expect_eq(rig_all_drops(&site), 0);

	/* Known behind the other peer, and behind the one it came from. */
	host_at_peer(RIG_PEER6, RIG_HOPITAL, 1, 6);
	sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 3, &known);
	arrive(RIG_WAN, &sealed);
	expect_drops(RIG_HOPITAL, PONT_DROP_forward_split_horizon, 1);
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}

Case(forward, drops_what_would_go_back_where_it_came_from)
{
	struct frame frame = frame_of(100, 1, 2);

	host_at_port(RIG_ACCESS0, 1);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_forward_same_circuit, 1);
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}

Case(forward, drops_frames_with_a_group_or_zero_source_and_learns_nothing_from_them)
{
	static const uint8_t bad[][6] = {{0x01, 0, 0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0},
		{0x33, 0x33, 0, 0, 0, 1}, {0x01, 0x80, 0xc2, 0, 0, 0}};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame frame = frame_of(100, 1, 2);

		memcpy(frame.bytes + 6, bad[i], 6);
		arrive(RIG_ACCESS0, &frame);
		expect_drops(RIG_HOPITAL, PONT_DROP_forward_bad_source_mac, i + 1);
	}
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
	cr_expect_eq(site.configuration.state->tenant[1].macs, 0);
}

Case(forward, never_bridges_link_local_addresses_of_802_1q)
{
	for (unsigned int last = 0; last < 16; last++) {
		struct frame frame = frame_of(100, 1, 2);

		memcpy(frame.bytes, (const uint8_t[]){0x01, 0x80, 0xc2, 0, 0, (uint8_t)last}, 6);
		arrive(RIG_ACCESS0, &frame);
		expect_drops(RIG_HOPITAL, PONT_DROP_forward_reserved_mac, last + 1);
	}
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
}

Case(forward, bridges_the_group_addresses_next_to_the_reserved_ones)
{
	static const uint8_t near[][6] = {{0x01, 0x80, 0xc2, 0, 0, 0x10}, {0x01, 0x80, 0xc2, 0, 1, 0},
		{0x01, 0x80, 0xc3, 0, 0, 0}, {0x03, 0x80, 0xc2, 0, 0, 0}};

	for (unsigned int i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
		struct frame frame = frame_of(100, 1, 2);

		memcpy(frame.bytes, near[i], 6);
		arrive(RIG_ACCESS0, &frame);
		expect_flooded(&frame);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(forward, drops_a_flooded_frame_that_has_nowhere_to_go)
{
	struct frame frame = frame_of(100, 1, 2);

	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_forward_no_destination, 1);
}

Case(forward, counts_copies_that_found_no_buffer)
{
	struct frame frame = broadcast_from(1);
	struct rte_mbuf *hoard[1024];
	unsigned int count = 0;

	rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	while ((hoard[count] = rte_pktmbuf_alloc(site.pool)) != NULL)
		count++;
	rig_round(&site);
	rte_pktmbuf_free_bulk(hoard, count);
	/* Three places, so two copies were wanted; the frame itself goes to the last one. */
	expect_drops(RIG_HOPITAL, PONT_DROP_forward_no_buffer, 2);
	cr_expect_eq(rig_drain(&site), 1);
}

Case(forward, notices_a_host_that_moved)
{
	struct frame frame = frame_of(100, 1, 2);

	host_at_port(RIG_ACCESS1, 1);
	host_at_peer(RIG_PEER4, RIG_HOPITAL, 1, 1);
	arrive(RIG_ACCESS0, &frame);
	expect_nothing(RIG_ACCESS1);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	host_at_port(RIG_ACCESS1, 1);
	arrive(RIG_ACCESS0, &frame);
	expect_only(RIG_ACCESS1, &frame);
	expect_nothing(RIG_WAN);
}

Case(forward, notices_a_host_that_came_back_at_once)
{
	struct frame frame = frame_of(100, 1, 2);

	/* Seen often enough in its place to be remembered there, elsewhere only once. */
	host_at_port(RIG_ACCESS1, 1);
	host_at_port(RIG_ACCESS1, 1);
	host_at_port(RIG_ACCESS1, 1);
	host_at_peer(RIG_PEER4, RIG_HOPITAL, 1, 1);
	host_at_port(RIG_ACCESS1, 1);
	arrive(RIG_ACCESS0, &frame);
	expect_only(RIG_ACCESS1, &frame);
	expect_nothing(RIG_WAN);
}

Case(forward, learns_no_more_addresses_than_the_tenant_may_have)
{
	struct frame to_first = frame_of(100, 1, 200), to_last = frame_of(100, 101, 200);

	/* The limit is 100. */
	for (unsigned int host = 1; host <= 101; host++)
		host_at_port(RIG_ACCESS1, (uint8_t)host);
	cr_expect_eq(site.configuration.state->tenant[1].macs, 100);
	arrive(RIG_ACCESS0, &to_first);
	expect_only(RIG_ACCESS1, &to_first);
	expect_nothing(RIG_WAN);
	arrive(RIG_ACCESS0, &to_last);
	expect_flooded(&to_last);
}

Case(forward, forgets_a_host_whose_circuit_was_given_to_another_tenant)
{
	struct frame frame = frame_of(100, 1, 2);

	host_at_port(RIG_ACCESS1, 1);
	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_tenant(&site, RIG_MINISTERE);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 30, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS1, 0, RIG_MINISTERE);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	frame = tagged(&frame, 30);
	expect_only(RIG_ACCESS0, &frame);
	expect_nothing(RIG_ACCESS1);
}

/* A tenant with so many circuits that one burst of broadcasts fills the lanes several times. */
Case(forward, floods_a_whole_burst_to_many_circuits_in_order)
{
	enum { CIRCUITS = 15, FRAMES = BURST_MAX };
	struct frame left;
	unsigned int next[CIRCUITS + 1] = {0};

	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	for (uint16_t vlan = 1; vlan <= CIRCUITS; vlan++)
		rig_set_circuit(&site, RIG_ACCESS1, vlan, RIG_HOPITAL);
	rig_must_commit(&site);
	for (unsigned int i = 0; i < FRAMES; i++) {
		struct frame frame = broadcast_from(1);

		frame.bytes[20] = (uint8_t)i;
		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	}
	rig_round(&site);
	while (rig_take(&site, RIG_ACCESS1, &left)) {
		unsigned int vlan = left.bytes[15];

		cr_assert(vlan >= 1 && vlan <= CIRCUITS);
		cr_expect_eq(left.bytes[24], next[vlan], "VLAN %u: frame %u instead of %u", vlan, left.bytes[24],
			next[vlan]);
		next[vlan]++;
	}
	for (unsigned int vlan = 1; vlan <= CIRCUITS; vlan++)
		cr_expect_eq(next[vlan], FRAMES, "VLAN %u: %u frames", vlan, next[vlan]);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).copies, FRAMES * (CIRCUITS - 1));
}

Case(forward, floods_a_frame_to_more_circuits_than_a_lane_holds)
{
	enum { CIRCUITS = 3 * LANE_MAX };
	struct frame frame = broadcast_from(1), left;
	unsigned int count[CIRCUITS + 1] = {0};

	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	for (uint16_t vlan = 1; vlan <= CIRCUITS; vlan++)
		rig_set_circuit(&site, RIG_ACCESS1, vlan, RIG_HOPITAL);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	while (rig_take(&site, RIG_ACCESS1, &left)) {
		unsigned int vlan = (unsigned int)(left.bytes[14] << 8 | left.bytes[15]);

		cr_assert(vlan >= 1 && vlan <= CIRCUITS);
		count[vlan]++;
	}
	for (unsigned int vlan = 1; vlan <= CIRCUITS; vlan++)
		cr_expect_eq(count[vlan], 1, "VLAN %u: %u frames", vlan, count[vlan]);
}
