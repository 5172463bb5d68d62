/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

#include "dataplane/fence_program.h"

TestSuite(fence, .init = site_up, .fini = site_down, .timeout = 60);

static void set_policy(uint64_t revision, bool allowed)
{
	rig_begin(&site, false);
	rig_set_fence(&site, revision, allowed);
	rig_must_commit(&site);
}

Case(fence, lets_pass_what_the_policy_allows)
{
	struct frame frame = broadcast_from(1);

	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	cr_expect_eq(rig_all_drops(&site), 0);
	cr_expect_eq(site.plane.worker[0]->denial.count, 0);
}

Case(fence, stops_what_the_policy_denies_from_the_next_round_on)
{
	struct frame frame = broadcast_from(1);

	set_policy(2, false);
	arrive(RIG_ACCESS0, &frame);
	expect_nothing(RIG_WAN);
	expect_only(RIG_ACCESS1, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_fence_denied, 2);
	set_policy(3, true);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
}

Case(fence, stops_one_peer_and_lets_the_other_pass)
{
	struct frame frame = broadcast_from(1);
	struct pont_link_adjacency adjacency = rig_adjacency(RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	const struct denial *denial = &site.plane.worker[0]->denial;

	memcpy(adjacency.destination.bytes, (const uint8_t[]){203, 0, 113, 7}, 4);
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_ADJACENCY_SET, adjacency);
	rig_must_commit(&site);
	for (unsigned int i = 0; i < 3; i++)
		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	rig_round(&site);
	for (unsigned int i = 0; i < 3; i++)
		(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	expect_nothing(RIG_WAN);
	expect_drops(RIG_HOPITAL, PONT_DROP_fence_denied, 3);
	cr_expect_eq(denial->count, 3);
	cr_expect_eq(denial->verdict, PONT_VERDICT_DENY);
	cr_expect_arr_eq(&denial->destination, &adjacency.destination, sizeof(adjacency.destination));
}

Case(fence, notes_an_unlisted_ipv6_destination)
{
	struct frame frame = broadcast_from(1);
	struct pont_link_adjacency adjacency = rig_adjacency(RIG_PEER6, PONT_FAMILY_IPV6, 1500);
	const struct denial *denial = &site.plane.worker[0]->denial;
	struct pont_link_fence fence = {.policy_revision = 2};
	int fd = rig_fence_file(2, 0, &fence.size);

	rig_begin(&site, false);
	cr_assert_eq(rig_say_with(&site, PONT_LINK_FENCE_SET, &fence.header, sizeof(fence), fd), 0);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_fence_denied, 2);
	cr_expect_eq(denial->verdict, PONT_VERDICT_DENY_UNLISTED);
	cr_expect_arr_eq(&denial->destination, &adjacency.destination, sizeof(adjacency.destination));
}

Case(fence, is_asked_once_per_peer_and_round)
{
	struct frame frame = broadcast_from(1), with_tag = tagged(&frame, 10);

	for (unsigned int i = 0; i < 10; i++) {
		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
		rig_give(&site, RIG_ACCESS0, with_tag.bytes, with_tag.size);
	}
	rig_round(&site);
	cr_expect_eq(site.plane.worker[0]->counters.fence_asked, 2);
	arrive(RIG_ACCESS0, &frame);
	cr_expect_eq(site.plane.worker[0]->counters.fence_asked, 4, "the next round asks again");
}

static void start_only(void)
{
	rig_start(&site, &(struct rig_options){0});
}

TestSuite(fence_unset, .init = start_only, .fini = site_down, .timeout = 60);

Case(fence_unset, lets_nothing_leave_before_the_first_policy)
{
	struct frame frame = broadcast_from(1);

	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_set_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_fence_no_policy, 1);
	cr_expect_eq(rig_drain(&site), 0, "nothing left");
	cr_expect_eq(site.plane.worker[0]->denial.verdict, PONT_VERDICT_DENY_NO_POLICY);

	/* A policy, and traffic goes; a full transaction without one changes nothing about that. */
	set_policy(1, true);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
}
