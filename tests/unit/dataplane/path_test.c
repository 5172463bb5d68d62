/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole way: what a site seals, a site opens. One site plays both ends: its peer 3 is itself. */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/path.h"

enum { MIRROR = 300, PEER_SELF = 3, VLAN_IN = 30, VLAN_OUT = 31 };

/* A tenant whose only site is this one: SAs outbound have the keys of SAs inbound. */
static void mirror_up_over(uint8_t family)
{
	struct pont_link_adjacency adjacency = rig_adjacency(PEER_SELF, family, 1600);
	struct pont_link_sa_in in = rig_sa_in(MIRROR, PEER_SELF, 0);
	struct pont_link_sa_out out = rig_sa_out(MIRROR, PEER_SELF, 0);

	adjacency.destination = adjacency.source;
	memcpy(out.key, in.key, sizeof(in.key));
	memcpy(out.salt, in.salt, sizeof(in.salt));
	out.spi = in.spi;
	rig_begin(&site, false);
	rig_set_tenant(&site, MIRROR);
	rig_set_peer(&site, PEER_SELF);
	rig_must(&site, PONT_LINK_ADJACENCY_SET, adjacency);
	rig_set_member(&site, MIRROR, PEER_SELF);
	rig_must(&site, PONT_LINK_SA_IN_SET, in);
	rig_must(&site, PONT_LINK_SA_OUT_SET, out);
	rig_set_circuit(&site, RIG_ACCESS0, VLAN_IN, MIRROR);
	rig_must_commit(&site);
}

static void mirror4_up(void)
{
	site_up();
	mirror_up_over(PONT_FAMILY_IPV4);
}

static void mirror6_up(void)
{
	site_up();
	mirror_up_over(PONT_FAMILY_IPV6);
}

TestSuite(path, .init = site_up, .fini = site_down, .timeout = 100);
TestSuite(path_over_ipv4, .init = mirror4_up, .fini = site_down, .timeout = 100);
TestSuite(path_over_ipv6, .init = mirror6_up, .fini = site_down, .timeout = 100);

/* Carries what left by the WAN port back to it. */
static unsigned int reflect(void)
{
	struct frame left;
	unsigned int count = 0;

	while (rig_take(&site, RIG_WAN, &left)) {
		rig_give(&site, RIG_WAN, left.bytes, left.size);
		count++;
	}
	rig_round(&site);
	return count;
}

static void check_every_size(void)
{
	for (size_t size = 14; size <= 1500; size++) {
		struct frame frame = frame_of(size, 0xff, 1), with_tag;

		memset(frame.bytes, 0xff, 6);
		with_tag = tagged(&frame, VLAN_IN);
		arrive(RIG_ACCESS0, &with_tag);
		cr_assert_eq(reflect(), 1);
		expect_only(RIG_ACCESS0, &with_tag);
		expect_nothing(RIG_ACCESS1);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(path_over_ipv4, delivers_what_was_sealed_unchanged_at_every_size)
{
	check_every_size();
}

Case(path_over_ipv6, delivers_what_was_sealed_unchanged_at_every_size)
{
	check_every_size();
}

static void check_bursts(void)
{
	unsigned int seed = 3;
	uint64_t sent = 0, delivered = 0;

	for (unsigned int round = 0; round < 100; round++) {
		unsigned int count = 1 + (unsigned int)rand_r(&seed) % BURST_MAX;
		size_t sizes[BURST_MAX];

		for (unsigned int i = 0; i < count; i++) {
			struct frame frame, with_tag;

			sizes[i] = 60 + (size_t)rand_r(&seed) % 1440;
			frame = frame_of(sizes[i], 0xff, 1);
			frame.bytes[0] |= 1; /* a group: flooded */
			with_tag = tagged(&frame, VLAN_IN);
			rig_give(&site, RIG_ACCESS0, with_tag.bytes, with_tag.size);
		}
		rig_round(&site);
		cr_assert_eq(reflect(), count);
		for (unsigned int i = 0; i < count; i++) {
			struct frame frame = frame_of(sizes[i], 0xff, 1);

			frame.bytes[0] |= 1;
			frame = tagged(&frame, VLAN_IN);
			expect_next(RIG_ACCESS0, &frame);
			delivered++;
		}
		sent += count;
	}
	cr_expect_eq(sent, delivered);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(path_over_ipv4, delivers_bursts_of_any_length_in_order)
{
	check_bursts();
}

Case(path_over_ipv6, delivers_bursts_of_any_length_in_order)
{
	check_bursts();
}

Case(path_over_ipv4, drops_a_replay_of_its_own_packet)
{
	struct frame frame = broadcast_from(1), with_tag = tagged(&frame, VLAN_IN), left;

	arrive(RIG_ACCESS0, &with_tag);
	cr_assert(rig_take(&site, RIG_WAN, &left));
	arrive(RIG_WAN, &left);
	expect_only(RIG_ACCESS0, &with_tag);
	arrive(RIG_WAN, &left);
	expect_nothing(RIG_ACCESS0);
	expect_drops(MIRROR, PONT_DROP_open_replay_duplicate, 1);
}

Case(path, lets_two_tenants_with_equal_hosts_never_see_each_other_s_frames)
{
	unsigned int seed = 11;

	/*
	 * The same hosts, the same frames but for one byte that names the tenant, from every side at random: whatever
	 * comes out of a port must carry the byte of the tenant whose circuit or key it came out with.
	 */
	for (unsigned int step = 0; step < 5000; step++) {
		bool ministere = rand_r(&seed) % 2;
		uint32_t vni = ministere ? RIG_MINISTERE : RIG_HOPITAL;
		struct frame frame = frame_of(64, (uint8_t)(rand_r(&seed) % 8), (uint8_t)(8 + rand_r(&seed) % 8)), left;
		static struct wire_opened opened;

		if (rand_r(&seed) % 8 == 0)
			memset(frame.bytes, 0xff, 6);
		else if (rand_r(&seed) % 2)
			frame.bytes[5] += 8;
		frame.bytes[30] = (uint8_t)vni;
		switch (rand_r(&seed) % 4) {
		case 0:
			frame = ministere ? tagged(&frame, 10) : frame;
			arrive(RIG_ACCESS0, &frame);
			break;
		case 1:
			frame = ministere ? tagged(&frame, 20) : frame;
			arrive(RIG_ACCESS1, &frame);
			break;
		case 2:
			frame = sealed_by(RIG_PEER4, vni, step + 1, &frame);
			arrive(RIG_WAN, &frame);
			break;
		default:
			frame = sealed_by(RIG_PEER6, vni, step + 1, &frame);
			arrive(RIG_WAN, &frame);
			break;
		}
		for (enum rig_port port = RIG_ACCESS0; port <= RIG_ACCESS1; port++) {
			while (rig_take(&site, port, &left)) {
				bool with_tag = left.bytes[12] == 0x81 && left.bytes[13] == 0x00;

				cr_assert_eq(with_tag, ministere, "step %u", step);
				cr_assert_eq(left.bytes[30 + 4 * with_tag], (uint8_t)vni, "step %u", step);
				if (with_tag)
					cr_assert_eq(left.bytes[15], port == RIG_ACCESS0 ? 10 : 20);
			}
		}
		while (rig_take(&site, RIG_WAN, &left)) {
			uint16_t peer = left.bytes[12] == 0x08 ? RIG_PEER4 : RIG_PEER6;
			struct wire_sa sa = rig_wire_out(vni, peer, 0);
			const char *wrong = wire_open(&opened, left.bytes, left.size, &sa, 0);

			cr_assert_null(wrong, "step %u: %s", step, wrong);
			cr_assert_eq(opened.vni, vni);
			cr_assert_eq(opened.frame[30], (uint8_t)vni);
		}
		cr_assert(rig_books_balance(&site), "step %u", step);
		cr_assert_eq(rig_lost_buffers(&site), 0, "step %u", step);
	}
	cr_expect_gt(rig_counters(&site, RIG_HOPITAL).access_tx.packets, 1000);
	cr_expect_gt(rig_counters(&site, RIG_MINISTERE).wan_tx.packets, 1000);
}

Case(path, prints_an_order_in_which_nothing_reaches_the_wan_unsealed)
{
	char *text = NULL, *line, *rest = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	unsigned int ways = 0;

	path_print(file);
	(void)fclose(file);
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		const char *wan = strstr(line, "tx (WAN)"), *seal = strstr(line, "seal"),
			   *fence = strstr(line, "fence");

		ways++;
		if (wan == NULL)
			continue;
		cr_expect_not_null(seal, "%s", line);
		cr_expect_not_null(fence, "%s", line);
		cr_expect(seal < fence && fence < wan, "%s", line);
	}
	cr_expect_geq(ways, 4);
	free(text);
}

Case(path, describes_every_reason_to_drop)
{
	for (unsigned int drop = 0; drop < PONT_DROP_COUNT; drop++) {
		const struct pont_drop_description *description = pont_drop_describe(drop);
		size_t stage = strlen(description->stage);

		cr_expect_eq(strncmp(description->name, description->stage, stage), 0);
		cr_expect_eq(description->name[stage], '.');
		cr_expect_gt(strlen(description->text), 10);
	}
	cr_expect_null(pont_drop_describe(PONT_DROP_COUNT));
}
