/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/fence_program.h"
#include "dataplane/fence_shadow.h"

TestSuite(fence, .init = site_up, .fini = site_down, .timeout = 60);

static void set_policy(uint64_t revision, bool allowed)
{
	rig_begin(&site, false);
	rig_set_fence(&site, revision, allowed);
	rig_must_commit(&site);
}

/* The trace of a tenant's denials. */
static const struct denial *denial_of(uint32_t vni)
{
	return &site.plane.worker[0]->denial[state_tenant(site.configuration.state, vni) % DENIALS];
}

Case(fence, lets_pass_what_the_policy_allows)
{
	struct frame frame = broadcast_from(1);

	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	cr_expect_eq(rig_all_drops(&site), 0);
	cr_expect_eq(denial_of(RIG_HOPITAL)->count, 0);
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
	const struct denial *denial = denial_of(RIG_HOPITAL);

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
	cr_expect_eq(denial->peer, RIG_PEER4);
	cr_expect_arr_eq(&denial->destination, &adjacency.destination, sizeof(adjacency.destination));
}

Case(fence, notes_an_unlisted_ipv6_destination)
{
	struct frame frame = broadcast_from(1);
	struct pont_link_adjacency adjacency = rig_adjacency(RIG_PEER6, PONT_FAMILY_IPV6, 1500);
	const struct denial *denial = denial_of(RIG_HOPITAL);
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

/* The memory that stands for the fence's switches, as the control process would share it. */
static struct pont_fence_switches *share_switches(void)
{
	struct pont_link_switches message = {.size = 4096};
	struct pont_fence_switches *switches;
	int fd = memfd_create("switches", MFD_CLOEXEC);

	cr_assert_eq(ftruncate(fd, 4096), 0);
	switches = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(switches, MAP_FAILED);
	rig_begin(&site, false);
	cr_assert_eq(rig_say_with(&site, PONT_LINK_SWITCHES_SET, &message.header, sizeof(message), fd), 0);
	rig_must_commit(&site);
	return switches;
}

Case(fence, when_locked_lets_nothing_leave_without_any_message)
{
	struct pont_fence_switches *switches = share_switches();
	struct frame frame = broadcast_from(1);

	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	switches->locked = 1;
	arrive(RIG_ACCESS0, &frame);
	expect_nothing(RIG_WAN);
	expect_drops(RIG_HOPITAL, PONT_DROP_fence_locked, 2);
	cr_expect_eq(denial_of(RIG_HOPITAL)->verdict, PONT_VERDICT_DENY_LOCKED);
	/* A new policy does not unlock. */
	set_policy(2, true);
	arrive(RIG_ACCESS0, &frame);
	expect_nothing(RIG_WAN);
	switches->locked = 0;
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)munmap(switches, 4096);
}

Case(fence, refuses_switches_that_are_none)
{
	struct pont_link_switches message = {.size = 8};
	int fd = memfd_create("switches", MFD_CLOEXEC);

	rig_begin(&site, false);
	cr_expect_eq(rig_say_with(&site, PONT_LINK_SWITCHES_SET, &message.header, sizeof(message), fd), EINVAL);
	/* A file that ends before the record would fault the worker. */
	message.size = 4096;
	rig_begin(&site, false);
	fd = memfd_create("switches", MFD_CLOEXEC);
	cr_expect_eq(rig_say_with(&site, PONT_LINK_SWITCHES_SET, &message.header, sizeof(message), fd), EINVAL);
	rig_begin(&site, false);
	cr_expect_eq(rig_say_with(&site, PONT_LINK_SWITCHES_SET, &message.header, sizeof(message), -1), EINVAL);
}

static void set_shadow(uint64_t revision, uint32_t entry)
{
	struct pont_link_shadow shadow = {.policy_revision = revision};
	int fd = revision != 0 ? rig_fence_file(revision, entry, &shadow.size) : -1;

	rig_begin(&site, false);
	cr_assert_eq(rig_say_with(&site, PONT_LINK_SHADOW_SET, &shadow.header, sizeof(shadow), fd), 0, "%s",
		site.error.text);
	rig_must_commit(&site);
}

/* What the candidate's counters have of a tenant at a peer. */
static struct shadow_count shadow_of(uint32_t vni, uint16_t peer)
{
	const struct fence_shadow *shadow = site.configuration.state->shadow;
	uint32_t key = SHADOW_KEY(state_tenant(site.configuration.state, vni), peer);

	for (unsigned int i = 0; i < SHADOW_KINDS; i++)
		if (shadow->count[0][i].key == key)
			return shadow->count[0][i];
	return (struct shadow_count){0};
}

Case(fence, asks_a_candidate_and_touches_no_verdict)
{
	struct frame frame = broadcast_from(1);
	struct shadow_count count;

	set_shadow(7, 5); /* denies */
	for (unsigned int i = 0; i < 3; i++) {
		arrive(RIG_ACCESS0, &frame);
		(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
		(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
	count = shadow_of(RIG_HOPITAL, RIG_PEER4);
	cr_expect_eq(count.packets[PONT_WOULD_BLOCK], 3);
	cr_expect_gt(count.bytes[PONT_WOULD_BLOCK], 3 * frame.size);
	cr_expect_eq(count.packets[PONT_WOULD_LET_OUT], 0);
	cr_expect_eq(shadow_of(RIG_MINISTERE, RIG_PEER4).key, 0, "a tenant that sent nothing");

	/* The other way round, with a new candidate, whose counters start at zero. */
	set_policy(8, false);
	set_shadow(9, PONT_FENCE_ALLOWED | 5);
	arrive(RIG_ACCESS0, &frame);
	expect_nothing(RIG_WAN);
	count = shadow_of(RIG_HOPITAL, RIG_PEER4);
	cr_expect_eq(count.packets[PONT_WOULD_BLOCK], 0);
	cr_expect_eq(count.packets[PONT_WOULD_LET_OUT], 1);

	/* The same policy finds nothing; none asks nobody. */
	set_shadow(10, 5);
	arrive(RIG_ACCESS0, &frame);
	cr_expect_eq(shadow_of(RIG_HOPITAL, RIG_PEER4).key, 0);
	set_shadow(0, 0);
	cr_expect_null(site.configuration.state->shadow);
	arrive(RIG_ACCESS0, &frame);
	expect_nothing(RIG_WAN);
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
	cr_expect_eq(denial_of(RIG_HOPITAL)->verdict, PONT_VERDICT_DENY_NO_POLICY);

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
