/* SPDX-License-Identifier: BSD-3-Clause */
#include "sites.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "control/keys/state.h"

enum { ALL = 7 };

#define IN  PONT_SA_IN
#define OUT PONT_SA_OUT

TestSuite(sites, .init = sites_open, .fini = sites_close, .timeout = 60);

static const uint8_t psk_a[KEYS_PSK_SIZE] = {1, 2, 3}, psk_b[KEYS_PSK_SIZE] = {1, 2, 4};

static struct site *const par1 = &sites[0], *const par2 = &sites[1], *const par3 = &sites[2];

/* Only the first two sites, with one tenant. */
static void start_two(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		site_add_tenant(&sites[i], 100, NULL, ALL);
		site_start(&sites[i]);
	}
	WAIT_FOR(sites_carry(par1, par2, 100));
}

Test(sites, agree_on_the_key_and_salt_of_every_sa)
{
	static const uint32_t vnis[] = {1, 100, 101, PONT_VNI_MAX};

	par2->hello.workers = 3;
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		for (size_t j = 0; j < 4; j++)
			site_add_tenant(&sites[i], vnis[j], j % 2 ? psk_a : NULL, ALL);
		site_start(&sites[i]);
	}
	for (size_t j = 0; j < 4; j++) {
		WAIT_FOR(sites_carry(par1, par2, vnis[j]));
		cr_assert_eq(site_count(par1, OUT, vnis[j], 2), 2);
		cr_assert_eq(site_count(par1, IN, vnis[j], 2), 3);
		cr_assert_eq(site_count(par2, OUT, vnis[j], 1), 3);
		cr_assert_eq(site_count(par2, IN, vnis[j], 1), 2);
		cr_assert(keys_is_member(par1->keys, vnis[j], 2));
		cr_assert(keys_is_member(par2->keys, vnis[j], 1));
	}
	cr_assert_not(keys_is_member(par1->keys, 4711, 2));
	sites_assert_keys_unique();
	cr_assert_eq(site_status(par1, par2).tenants, 4);
	cr_assert(site_status(par1, par2).initiator);
	cr_assert_not(site_status(par2, par1).initiator);
	cr_assert_str_eq(site_status(par1, par2).remote_site, "par2");
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
	cr_assert_eq(site_status(par1, par2).failures, 0);
	cr_assert_str_empty(site_status(par2, par1).last_error);
	cr_assert_gt(site_status(par2, par1).established_ms, 0);
	cr_assert_eq(site_audits(par1, "session_up", ""), 1);
	cr_assert_eq(site_audits(par2, "session_up", ""), 1);
	cr_assert_geq(par1->members_changed, 1);
}

Test(sites, spread_inbound_sas_evenly_over_their_workers)
{
	unsigned int owned[2] = {0};

	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		for (uint32_t vni = 1; vni <= 20; vni++)
			site_add_tenant(&sites[i], vni, NULL, ALL);
		site_start(&sites[i]);
	}
	WAIT_FOR(site_count(par1, IN, 0, 0) == 40 && site_count(par1, OUT, 0, 0) == 40);
	for (const struct site_sa *sa = par1->sas; sa; sa = sa->next)
		if (sa->direction == IN)
			owned[sa->worker]++;
	cr_assert_eq(owned[0], 20);
	cr_assert_eq(owned[1], 20);
}

Test(sites, three_of_them_form_a_full_mesh)
{
	for (unsigned int i = 0; i < SITES; i++) {
		site_add_tenant(&sites[i], 100, NULL, ALL);
		site_add_tenant(&sites[i], 200, psk_a, ALL);
		site_start(&sites[i]);
	}
	for (uint32_t vni = 100; vni <= 200; vni += 100) {
		WAIT_FOR(sites_carry(par1, par2, vni));
		WAIT_FOR(sites_carry(par2, par3, vni));
		WAIT_FOR(sites_carry(par1, par3, vni));
	}
	sites_assert_keys_unique();
	for (unsigned int i = 0; i < SITES; i++) {
		cr_assert_eq(site_count(&sites[i], IN, 0, 0), 8);
		cr_assert_eq(site_count(&sites[i], OUT, 0, 0), 8);
	}
}

Test(sites, work_over_ipv6)
{
	unsigned int port = 20000 + (unsigned int)getpid() % 20000;

	for (unsigned int i = 0; i < 2; i++) {
		sites[i].endpoint = (struct endpoint){.port = (uint16_t)(port + i)};
		sites[i].endpoint.address.family = PONT_FAMILY_IPV6;
		sites[i].endpoint.address.bytes[15] = 1;
	}
	par1->reach[1] = par2->endpoint;
	par2->reach[0] = par1->endpoint;
	start_two();
	sites_assert_keys_unique();
	cr_assert_eq(site_audits(par1, "session_up", "[::1]:"), 1);
}

Test(sites, need_the_same_session_psk_or_none)
{
	par1->psk[1] = psk_a;
	par2->psk[0] = psk_a;
	start_two();
	cr_assert_eq(site_status(par1, par2).failures, 0);
}

Test(sites, with_differing_tenant_psks_get_differing_keys)
{
	par1->peers = 2;
	par2->peers = 1;
	site_add_tenant(par1, 100, psk_a, ALL);
	site_add_tenant(par2, 100, psk_b, ALL);
	site_add_tenant(par1, 200, psk_a, ALL);
	site_add_tenant(par2, 200, psk_a, ALL);
	site_add_tenant(par1, 300, psk_a, ALL);
	site_add_tenant(par2, 300, NULL, ALL);
	site_start(par1);
	site_start(par2);
	WAIT_FOR(sites_carry(par1, par2, 200));
	WAIT_FOR(site_count(par1, OUT, 0, 2) == 6 && site_count(par2, OUT, 0, 1) == 6);
	for (uint32_t vni = 100; vni <= 300; vni += 200) {
		for (const struct site_sa *out = par1->sas; out; out = out->next) {
			for (const struct site_sa *in = par2->sas; in; in = in->next) {
				if (out->direction != OUT || in->direction != IN || in->spi != out->spi ||
					in->vni != vni)
					continue;
				cr_assert_neq(memcmp(in->key, out->key, sizeof(in->key)), 0);
				cr_assert_neq(memcmp(in->salt, out->salt, sizeof(in->salt)), 0);
			}
		}
	}
}

Test(sites, make_sas_only_for_tenants_that_both_have_and_name_the_other_for)
{
	site_add_tenant(par1, 100, NULL, ALL);
	site_add_tenant(par2, 100, NULL, ALL);
	site_add_tenant(par3, 100, NULL, ALL);
	site_add_tenant(par1, 200, NULL, ALL); /* par2 does not have it */
	site_add_tenant(par3, 200, NULL, ALL);
	site_add_tenant(par1, 300, NULL, 2); /* par3 names par1, par1 does not name par3 */
	site_add_tenant(par2, 300, NULL, ALL);
	site_add_tenant(par3, 300, NULL, 1);
	for (unsigned int i = 0; i < SITES; i++)
		site_start(&sites[i]);
	WAIT_FOR(sites_carry(par1, par2, 100));
	WAIT_FOR(sites_carry(par2, par3, 100));
	WAIT_FOR(sites_carry(par1, par3, 100));
	WAIT_FOR(sites_carry(par1, par3, 200));
	WAIT_FOR(sites_carry(par1, par2, 300));
	site_idle(100);
	cr_assert_eq(site_count(par1, IN, 200, 2) + site_count(par1, OUT, 200, 2), 0);
	cr_assert_eq(site_count(par2, IN, 200, 0) + site_count(par2, OUT, 200, 0), 0);
	cr_assert_eq(site_count(par3, IN, 300, 0) + site_count(par3, OUT, 300, 0), 0);
	cr_assert_eq(site_count(par1, IN, 300, 3) + site_count(par1, OUT, 300, 3), 0);
	cr_assert(keys_is_member(par1->keys, 100, 2));
	cr_assert_not(keys_is_member(par1->keys, 200, 2));
	cr_assert_not(keys_is_member(par1->keys, 300, 3));
	cr_assert_not(keys_is_member(par3->keys, 300, 1));
	cr_assert_not(keys_is_member(par3->keys, 300, 2));
}

Test(sites, add_a_tenant_without_touching_the_others)
{
	unsigned int before;

	start_two();
	before = site_count(par1, IN, 100, 0);
	site_add_tenant(par1, 200, NULL, ALL);
	site_reconfigure(par1);
	site_idle(100);
	cr_assert_not(keys_is_member(par1->keys, 200, 2));
	site_add_tenant(par2, 200, NULL, ALL);
	site_reconfigure(par2);
	WAIT_FOR(sites_carry(par1, par2, 200));
	cr_assert(keys_is_member(par1->keys, 200, 2));
	cr_assert_eq(site_count(par1, IN, 100, 0), before);
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
	cr_assert(sites_carry(par1, par2, 100));
	/* The same configuration once more changes nothing at all. */
	before = par1->installs;
	site_reconfigure(par1);
	site_reconfigure(par2);
	site_idle(100);
	cr_assert_eq(par1->installs, before);
}

Test(sites, withdraw_a_tenant_that_one_of_them_removes)
{
	start_two();
	for (unsigned int i = 0; i < 2; i++) {
		site_add_tenant(&sites[i], 200, NULL, ALL);
		site_reconfigure(&sites[i]);
	}
	WAIT_FOR(sites_carry(par1, par2, 200));
	breaking = true;
	site_remove_tenant(par2, 100);
	site_reconfigure(par2);
	WAIT_FOR(site_count(par1, IN, 100, 0) == 0 && site_count(par1, OUT, 100, 0) == 0);
	WAIT_FOR(site_count(par2, IN, 100, 0) == 0 && site_count(par2, OUT, 100, 0) == 0);
	cr_assert_not(keys_is_member(par1->keys, 100, 2));
	cr_assert_not(keys_is_member(par2->keys, 100, 1));
	cr_assert(sites_carry(par1, par2, 200));
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
	cr_assert_eq(site_status(par1, par2).tenants, 1);
	/* And back. */
	site_add_tenant(par2, 100, NULL, ALL);
	site_reconfigure(par2);
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
	sites_assert_keys_unique();
}

Test(sites, make_new_sas_when_a_tenants_psk_changes)
{
	struct site_sa before;

	start_two();
	before = *site_find(par1, OUT, 100, 2, 0);
	breaking = true;
	par1->tenants[0].psk = psk_a;
	site_reconfigure(par1);
	WAIT_FOR(site_find(par1, OUT, 100, 2, 0) && site_find(par1, OUT, 100, 2, 0)->spi != before.spi);
	site_idle(100);
	cr_assert_not(sites_carry(par1, par2, 100));
	par2->tenants[0].psk = psk_a;
	site_reconfigure(par2);
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
	sites_assert_keys_unique();
}

Test(sites, make_new_sas_after_the_connection_was_cut_and_drain_the_old_ones)
{
	struct relay *relay = relay_open(par1, par2);
	uint32_t before;

	start_two();
	before = site_find(par1, OUT, 100, 2, 0)->spi;
	relay_cut(relay);
	WAIT_FOR(site_session(par1, par2) != KEYS_SESSION_UP);
	/* Fail static. */
	cr_assert(sites_carry(par1, par2, 100));
	cr_assert(keys_is_member(par1->keys, 100, 2));
	WAIT_FOR(site_status(par1, par2).handshakes == 2);
	WAIT_FOR(sites_carry(par1, par2, 100) && site_find(par1, OUT, 100, 2, 0)->spi != before);
	/* The receiver still opens what was sealed before, for as long as it may be under way. */
	site_idle(150);
	cr_assert_eq(site_count(par2, IN, 100, 1), 4);
	WAIT_FOR(site_count(par2, IN, 100, 1) == 2 && site_count(par1, IN, 100, 2) == 2);
	cr_assert(sites_carry(par1, par2, 100));
	cr_assert_geq(site_audits(par1, "session_down", "hung up"), 1);
	sites_assert_keys_unique();
	relay_close(relay);
}

Test(sites, notice_a_peer_that_falls_silent)
{
	struct relay *relay = relay_open(par1, par2);

	start_two();
	site_idle(700);
	cr_assert_eq(site_session(par1, par2), KEYS_SESSION_UP, "keepalives keep a session alive");
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
	relay_swallow(relay, true);
	WAIT_FOR(site_audits(par1, "session_down", "nothing was heard") == 1);
	WAIT_FOR(site_audits(par2, "session_down", "") == 1);
	cr_assert(sites_carry(par1, par2, 100));
	WAIT_FOR(strstr(site_status(par1, par2).last_error, "no answer to the handshake"));
	cr_assert_neq(site_session(par1, par2), KEYS_SESSION_UP);
	relay_swallow(relay, false);
	WAIT_FOR(site_status(par1, par2).handshakes == 2);
	relay_close(relay);
}

static void count_any_sa(void *context, const struct keys_sa_status *sa)
{
	unsigned int *count = context;

	(void)sa;
	++*count;
}

Test(sites, start_anew_with_everybody_after_a_dataplane_restart)
{
	struct site_sa before[2];
	unsigned int listed = 0;

	start_two();
	before[0] = *site_find(par1, OUT, 100, 2, 0);
	before[1] = *site_find(par2, OUT, 100, 1, 0);
	keys_dataplane(par2->keys, NULL);
	cr_assert_eq(site_session(par2, par1), KEYS_SESSION_DOWN);
	site_idle(100);
	cr_assert_neq(site_session(par1, par2), KEYS_SESSION_UP);
	site_new_dataplane(par2);
	keys_dataplane(par2->keys, &par2->hello);
	keys_sas(par2->keys, count_any_sa, &listed);
	cr_assert_eq(listed, 0, "SAs of the old dataplane are listed");
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_assert_neq(site_find(par1, OUT, 100, 2, 0)->spi, before[0].spi);
	cr_assert_neq(memcmp(site_find(par1, OUT, 100, 2, 0)->key, before[0].key, sizeof(before[0].key)), 0);
	cr_assert_neq(memcmp(site_find(par2, OUT, 100, 1, 0)->key, before[1].key, sizeof(before[1].key)), 0);
	cr_assert_eq(site_count(par2, IN, 0, 0), 2);
	WAIT_FOR(site_count(par1, IN, 0, 0) == 2);

	/* Without a loss in between, as when control is slow to notice; here at the site that dials. */
	site_new_dataplane(par1);
	par1->hello.workers = 1;
	keys_dataplane(par1->keys, &par1->hello);
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_assert_eq(site_status(par1, par2).handshakes, 3);
	/* Worker 1 of par1 is no more, so its SA is not kept for long either. */
	WAIT_FOR(site_count(par2, IN, 100, 1) == 1);
	sites_assert_keys_unique();
}

/* The one that dials needs no second attempt: its first one is answered when there is something to agree on. */
Test(sites, answer_who_has_knocked_while_their_dataplane_was_away)
{
	struct site *answering, *dialling;
	struct keys_peer_status before, after;

	start_two();
	answering = keys_peer(par1->keys, 2)->initiator ? par2 : par1;
	dialling = answering == par1 ? par2 : par1;
	dialling->keys->times.handshake_ms = 20000;
	keys_dataplane(answering->keys, NULL);
	WAIT_FOR(site_session(dialling, answering) == KEYS_SESSION_HANDSHAKE);
	site_idle(200);
	cr_assert_eq(site_session(dialling, answering), KEYS_SESSION_HANDSHAKE);
	before = site_status(dialling, answering);
	site_new_dataplane(answering);
	keys_dataplane(answering->keys, &answering->hello);
	WAIT_FOR(sites_carry(par1, par2, 100));
	after = site_status(dialling, answering);
	cr_expect_eq(after.handshakes, before.handshakes + 1);
	cr_expect_eq(after.failures, before.failures);
	/* Those who have given up meanwhile are not taken for knocks. */
	dialling->keys->times.handshake_ms = 300;
	keys_dataplane(answering->keys, NULL);
	WAIT_FOR(site_status(dialling, answering).failures >= before.failures + 3);
	dialling->keys->times.handshake_ms = 20000;
	site_new_dataplane(answering);
	keys_dataplane(answering->keys, &answering->hello);
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_expect_eq(site_audits(answering, "handshake_failed", ""), 0);
}

Test(sites, keep_their_sas_while_the_link_to_the_dataplane_is_lost)
{
	start_two();
	keys_dataplane(par1->keys, NULL);
	site_idle(50);
	cr_assert(sites_carry(par1, par2, 100));
	/* A tenant that goes meanwhile is deleted when the dataplane is back. */
	breaking = true;
	site_add_tenant(par1, 200, NULL, ALL);
	site_remove_tenant(par1, 100);
	site_reconfigure(par1);
	cr_assert_eq(site_count(par1, IN, 100, 2), 2);
	keys_dataplane(par1->keys, &par1->hello);
	WAIT_FOR(site_count(par1, IN, 100, 2) == 0 && site_count(par1, OUT, 100, 2) == 0);
	WAIT_FOR(site_session(par1, par2) == KEYS_SESSION_UP);
	WAIT_FOR(site_count(par2, IN, 100, 1) == 0 && site_count(par2, OUT, 100, 1) == 0);
}

Test(sites, take_over_the_sas_of_an_earlier_control_process)
{
	uint32_t before, before_back;

	start_two();
	for (unsigned int i = 0; i < 2; i++) {
		site_add_tenant(&sites[i], 200, NULL, ALL);
		site_reconfigure(&sites[i]);
	}
	WAIT_FOR(sites_carry(par1, par2, 200));
	before = site_find(par1, OUT, 100, 2, 0)->spi;
	before_back = site_find(par2, OUT, 100, 1, 0)->spi;
	site_stop(par1);
	site_remove_tenant(par1, 200);
	breaking = true;
	site_start(par1);
	site_adopt(par1);
	site_adopt(par1);
	cr_assert(sites_carry(par1, par2, 100));
	WAIT_FOR(site_find(par1, OUT, 100, 2, 0)->spi != before && site_find(par2, OUT, 100, 1, 0)->spi != before_back);
	cr_assert(sites_carry(par1, par2, 100));
	WAIT_FOR(site_count(par1, IN, 0, 0) == 2 && site_count(par1, OUT, 0, 0) == 2);
	WAIT_FOR(site_count(par2, IN, 0, 0) == 2 && site_count(par2, OUT, 0, 0) == 2);
	cr_assert(sites_carry(par1, par2, 100));
	sites_assert_keys_unique();
}

Test(sites, find_free_spis_although_they_do_not_know_which_are_taken)
{
	/* Half of the slots are taken by SAs of an earlier process that nobody told this one about. */
	par1->hello.spi_slots = 64;
	start_two();
	for (unsigned int i = 0; i < 2; i++) {
		for (uint32_t vni = 1; vni <= 15; vni++)
			site_add_tenant(&sites[i], vni, NULL, ALL);
		site_reconfigure(&sites[i]);
	}
	WAIT_FOR(site_count(par1, IN, 0, 0) == 32);
	site_stop(par1);
	site_start(par1);
	for (uint32_t vni = 1; vni <= 15; vni++)
		WAIT_FOR(sites_carry(par1, par2, vni));
	WAIT_FOR(site_count(par1, IN, 0, 0) >= 60);
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
}

Test(sites, go_on_offering_when_spis_become_free)
{
	par1->hello.spi_slots = 4;
	start_two();
	for (unsigned int i = 0; i < 2; i++) {
		site_add_tenant(&sites[i], 200, NULL, ALL);
		site_add_tenant(&sites[i], 300, NULL, ALL);
		site_reconfigure(&sites[i]);
	}
	WAIT_FOR(site_audits(par1, "spi_exhausted", "4") > 0);
	cr_assert_eq(site_count(par1, IN, 0, 0), 4);
	cr_assert(sites_carry(par1, par2, 100));
	breaking = true;
	site_remove_tenant(par1, 100);
	site_reconfigure(par1);
	WAIT_FOR(sites_carry(par1, par2, 200) && sites_carry(par1, par2, 300));
	cr_assert_eq(site_audits(par1, "session_down", ""), 0);
}

static int refuse_out_of_one_tenant(struct site *site, const struct keys_sa_changes *changes)
{
	for (size_t i = 0; i < changes->out_count; i++) {
		if (changes->out[i].vni == 100 && site->refusals > 0) {
			site->refusals--;
			return ENOENT;
		}
	}
	return 0;
}

Test(sites, survive_a_dataplane_that_refuses_outbound_sas)
{
	par2->refuse = refuse_out_of_one_tenant;
	par2->refusals = 7;
	site_add_tenant(par1, 200, NULL, ALL);
	site_add_tenant(par2, 200, NULL, ALL);
	start_two();
	WAIT_FOR(sites_carry(par1, par2, 200));
	cr_assert_geq(site_audits(par2, "sas_refused", "outbound"), 1);
	cr_assert_eq(par2->refusals, 0);
	sites_assert_keys_unique();
}

static int refuse_in_of_one_tenant(struct site *site, const struct keys_sa_changes *changes)
{
	for (size_t i = 0; i < changes->in_count; i++) {
		if (changes->in[i].vni == 100 && site->refusals > 0) {
			site->refusals--;
			return ENOENT;
		}
	}
	return 0;
}

Test(sites, offer_again_what_the_dataplane_refused_inbound)
{
	par2->refuse = refuse_in_of_one_tenant;
	par2->refusals = 7;
	site_add_tenant(par1, 200, NULL, ALL);
	site_add_tenant(par2, 200, NULL, ALL);
	start_two();
	cr_assert(sites_carry(par1, par2, 200));
	cr_assert_geq(site_audits(par2, "sas_refused", "inbound"), 1);
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
}

/* The link finds out in the middle of an install that the dataplane is gone, and says so at once. */
static int lose_dataplane(struct site *site, const struct keys_sa_changes *changes)
{
	if (site->refusals == 0 || changes->in_count + changes->out_count == 0)
		return 0;
	site->refusals--;
	keys_dataplane(site->keys, NULL);
	if (site->refusals % 2)
		keys_dataplane(site->keys, &site->hello);
	return ENOTCONN;
}

Test(sites, survive_the_loss_of_the_dataplane_in_the_middle_of_an_install)
{
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		sites[i].refuse = lose_dataplane;
		sites[i].refusals = 5;
		site_add_tenant(&sites[i], 100, NULL, ALL);
		site_start(&sites[i]);
	}
	for (unsigned int i = 0; i < 400 && (par1->refusals > 0 || par2->refusals > 0); i++) {
		site_turn();
		keys_dataplane(par1->keys, &par1->hello);
		keys_dataplane(par2->keys, &par2->hello);
	}
	cr_assert_eq(par1->refusals + par2->refusals, 0);
	WAIT_FOR(sites_carry(par1, par2, 100));
}

static void ask_for_ports(void *context, uint16_t peer, uint16_t *ports)
{
	(void)context;
	ports[0] = (uint16_t)(50000 + peer);
	/* Nonsense, which the peer would not accept. */
	ports[1] = 1;
}

Test(sites, seal_with_the_source_port_that_the_receiver_asks_for)
{
	par1->source_ports = ask_for_ports;
	start_two();
	for (const struct site_sa *out = par2->sas; out; out = out->next) {
		for (const struct site_sa *in = par1->sas; in && out->direction == OUT; in = in->next) {
			if (in->direction != IN || in->spi != out->spi)
				continue;
			if (in->worker == 0)
				cr_assert_eq(out->source_port, 50002);
			else
				cr_assert_geq(out->source_port, PONT_UDP_SOURCE_PORT_MIN);
		}
	}
}

static void lose_dataplane_when_asked(void *context, uint16_t peer, uint16_t *ports)
{
	struct site *site = context;

	(void)peer;
	(void)ports;
	if (site->refusals == 0)
		return;
	site->refusals--;
	keys_dataplane(site->keys, NULL);
}

Test(sites, survive_the_loss_of_the_dataplane_when_they_ask_for_source_ports)
{
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		sites[i].source_ports = lose_dataplane_when_asked;
		sites[i].refusals = 3;
		site_add_tenant(&sites[i], 100, NULL, ALL);
		site_start(&sites[i]);
	}
	for (unsigned int i = 0; i < 400 && (par1->refusals > 0 || par2->refusals > 0); i++) {
		site_turn();
		keys_dataplane(par1->keys, &par1->hello);
		keys_dataplane(par2->keys, &par2->hello);
	}
	cr_assert_eq(par1->refusals + par2->refusals, 0);
	keys_dataplane(par1->keys, &par1->hello);
	keys_dataplane(par2->keys, &par2->hello);
	WAIT_FOR(sites_carry(par1, par2, 100));
}

Test(sites, replace_a_session_before_it_is_too_old_without_losing_it)
{
	par1->peers = 2;
	par2->peers = 1;
	site_add_tenant(par1, 100, NULL, ALL);
	site_add_tenant(par2, 100, NULL, ALL);
	site_start(par2);
	site_start(par1);
	par1->keys->lifetimes.session_s = 1;
	WAIT_FOR(sites_carry(par1, par2, 100));
	while (site_status(par1, par2).handshakes < 4) {
		site_turn();
		cr_assert_eq(site_session(par1, par2), KEYS_SESSION_UP);
		cr_assert_eq(site_session(par2, par1), KEYS_SESSION_UP);
	}
	par1->keys->lifetimes.session_s = PONT_SESSION_S_MAX;
	cr_assert_eq(site_status(par1, par2).failures, 0);
	cr_assert_eq(site_status(par2, par1).failures, 0);
	WAIT_FOR(site_count(par1, IN, 0, 0) == 2 && site_count(par2, IN, 0, 0) == 2);
	cr_assert(sites_carry(par1, par2, 100));
	sites_assert_keys_unique();
	cr_assert_eq(site_audits(par1, "session_down", ""), site_audits(par1, "session_down", "replaced"));
	WAIT_FOR(site_audits(par2, "session_down", "replaced") >= 3);
}

Test(sites, agree_on_thousands_of_sas_in_batches)
{
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		for (uint32_t vni = 1; vni <= 1300; vni++)
			site_add_tenant(&sites[i], vni * 7, NULL, ALL);
		site_start(&sites[i]);
	}
	WAIT_FOR(site_count(par1, OUT, 0, 0) == 2600 && site_count(par2, OUT, 0, 0) == 2600);
	for (uint32_t vni = 1; vni <= 1300; vni += 100)
		cr_assert(sites_carry(par1, par2, vni * 7));
	cr_assert_eq(site_status(par1, par2).tenants, 1300);
	cr_assert_lt(par1->installs, 20);
	breaking = true;
	par1->tenant_count = 100;
	site_reconfigure(par1);
	WAIT_FOR(site_count(par1, OUT, 0, 0) == 200 && site_count(par1, IN, 0, 0) == 200);
	WAIT_FOR(site_count(par2, OUT, 0, 0) == 200 && site_count(par2, IN, 0, 0) == 200);
	cr_assert_eq(site_status(par2, par1).tenants, 100);
}

Test(sites, remove_a_peer_with_its_sas)
{
	start_two();
	breaking = true;
	par1->peers = 0;
	site_reconfigure(par1);
	WAIT_FOR(site_count(par1, IN, 0, 0) == 0 && site_count(par1, OUT, 0, 0) == 0);
	cr_assert_not(keys_is_member(par1->keys, 100, 2));
	cr_assert_eq(site_audits(par1, "session_down", "not configured"), 1);
	WAIT_FOR(site_session(par2, par1) == KEYS_SESSION_DOWN);
	/* The other side keeps what it has. */
	cr_assert_eq(site_count(par2, OUT, 100, 1), 2);
	par1->peers = 2;
	site_reconfigure(par1);
	WAIT_FOR(sites_carry(par1, par2, 100));
}

Test(sites, connect_whichever_starts_first_and_again_after_a_long_absence)
{
	par1->peers = 2;
	par2->peers = 1;
	site_add_tenant(par1, 100, NULL, ALL);
	site_add_tenant(par2, 100, NULL, ALL);
	site_start(par1);
	WAIT_FOR(site_status(par1, par2).failures >= 3);
	cr_assert_not_null(strstr(site_status(par1, par2).last_error, "cannot connect: Connection refused"));
	/* The reason is told once, not at every attempt. */
	cr_assert_eq(site_audits(par1, "handshake_failed", "refused"), 1);
	site_start(par2);
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_assert_str_empty(site_status(par1, par2).last_error);
}

static void count_sa(void *context, const struct keys_sa_status *sa)
{
	unsigned int *counts = context;

	cr_assert_eq(sa->vni, 100);
	cr_assert_eq(sa->peer, 2);
	cr_assert_lt(sa->worker, 2);
	cr_assert_gt(sa->installed_ms, 0);
	cr_assert_eq(sa->source_port >= PONT_UDP_SOURCE_PORT_MIN, sa->direction == OUT);
	counts[sa->draining ? 2 : sa->direction == OUT]++;
}

Test(sites, list_their_sas)
{
	struct relay *relay = relay_open(par1, par2);
	unsigned int counts[3] = {0};

	start_two();
	keys_sas(par1->keys, count_sa, counts);
	cr_assert_eq(counts[0], 2);
	cr_assert_eq(counts[1], 2);
	cr_assert_eq(counts[2], 0);
	relay_cut(relay);
	WAIT_FOR(site_count(par1, IN, 0, 0) == 4);
	WAIT_FOR((memset(counts, 0, sizeof(counts)), keys_sas(par1->keys, count_sa, counts), counts[2] == 2));
	cr_assert_eq(counts[0], 2);
	cr_assert_eq(counts[1], 2);
	relay_close(relay);
}

/* --- What keys_configure() refuses --- */

Test(sites, refuse_an_address_that_is_not_theirs_and_stay_as_they_were)
{
	struct endpoint before;
	struct error error;

	start_two();
	before = par2->endpoint;
	/* TEST-NET-1 (RFC 5737). */
	par2->endpoint.address = (struct pont_address){.family = PONT_FAMILY_IPV4, .bytes = {192, 0, 2, 77}};
	site_add_tenant(par2, 200, NULL, ALL);
	cr_assert_eq(site_configure(par2, &error), -1);
	cr_assert_eq(error.code, EADDRNOTAVAIL);
	cr_assert_not_null(strstr(error.text, "192.0.2.77:4501"), "%s", error.text);
	par2->endpoint = before;
	site_idle(50);
	cr_assert_eq(site_session(par1, par2), KEYS_SESSION_UP);
	cr_assert(sites_carry(par1, par2, 100));
	cr_assert_not(keys_is_member(par2->keys, 200, 1));
	site_remove_tenant(par2, 200);
	site_reconfigure(par2);
	/* And a port that somebody else has. */
	par1->endpoint.address = par2->endpoint.address;
	cr_assert_eq(site_configure(par1, &error), -1);
	cr_assert_eq(error.code, EADDRINUSE);
	cr_assert_eq(site_status(par1, par2).handshakes, 1);
}

Test(sites, undo_the_first_of_two_addresses_if_the_second_is_not_theirs)
{
	struct keys_config config = {.site_name = "par1", .port = PONT_TCP_PORT_KEYS};
	const struct keys_callbacks none = {0};
	struct error error;

	par3->endpoint.address.bytes[3] = 77;
	config.vtep[0] = par3->endpoint.address;
	/* 2001:db8::1, for documentation (RFC 3849). */
	config.vtep[1] = (struct pont_address){.family = PONT_FAMILY_IPV6, .bytes = {0x20, 1, 0x0d, 0xb8, [15] = 1}};
	par1->keys = keys_start(base, &par1->identity, &none, &error);
	cr_assert_eq(keys_configure(par1->keys, &config, &error), -1);
	cr_assert_not_null(strstr(error.text, "[2001:db8::1]:4501"), "%s", error.text);
	/* It can be listened on by another. */
	site_start(par3);
}

Test(sites, wait_longer_from_attempt_to_attempt_up_to_a_limit)
{
	static const unsigned int backoff_ms[] = {40, 80, 160, 300, 300};
	const struct peer *peer;

	par1->peers = 2;
	site_start(par1);
	peer = par1->keys->peers[0];
	for (unsigned int i = 0; i < sizeof(backoff_ms) / sizeof(backoff_ms[0]); i++) {
		WAIT_FOR(peer->failures > i);
		cr_assert_eq(peer->failures, i + 1);
		cr_assert_eq(peer->backoff_ms, backoff_ms[i]);
	}
}

Test(sites, move_to_another_address)
{
	start_two();
	par2->endpoint.address.bytes[3] = 55;
	par1->reach[1] = par2->endpoint;
	site_reconfigure(par2);
	cr_assert_eq(site_session(par1, par2), KEYS_SESSION_UP);
	site_reconfigure(par1);
	WAIT_FOR(site_status(par1, par2).handshakes == 2);
	WAIT_FOR(site_audits(par1, "session_up", ".55:4501") == 1);
}

Test(sites, refuse_nonsense)
{
	const uint16_t both[] = {2, 3};
	const struct keys_callbacks none = {0};
	struct keys_peer_config peers[2] = {{.peer = 2, .name = "a", .port = 1}, {.peer = 3, .name = "b", .port = 1}};
	struct keys_tenant_config tenants[2] = {{.vni = 100, .peers = both, .peer_count = 2}, {.vni = 200}};
	struct keys_config good = {.site_name = "par1",
		.vtep = {par1->endpoint.address},
		.port = 4501,
		.peers = peers,
		.peer_count = 2,
		.tenants = tenants,
		.tenant_count = 2};
	struct keys_config bad;
	struct error error;

	peers[0].endpoint = par2->endpoint.address;
	peers[1].endpoint = par3->endpoint.address;
	memcpy(peers[0].public_key, par2->identity.public_key, KEYS_PUBLIC_SIZE);
	memcpy(peers[1].public_key, par3->identity.public_key, KEYS_PUBLIC_SIZE);
	par1->keys = keys_start(base, &par1->identity, &none, &error);
	cr_assert_eq(keys_configure(par1->keys, &good, &error), 0, "%s", error.text);

#define REFUSES(word)                                                                                                  \
	do {                                                                                                           \
		memset(&error, 0, sizeof(error));                                                                      \
		cr_assert_eq(keys_configure(par1->keys, &bad, &error), -1);                                            \
		cr_assert_eq(error.code, EINVAL);                                                                      \
		cr_assert_not_null(strstr(error.text, word), "\"%s\" does not say %s", error.text, word);              \
		bad = good;                                                                                            \
	} while (0)

	bad = good;
	bad.site_name = "Par 1";
	REFUSES("name");
	bad.vtep[0].family = PONT_FAMILY_NONE;
	REFUSES("at least one address");
	bad.vtep[1] = bad.vtep[0];
	REFUSES("at most one of a family");
	bad.port = 0;
	REFUSES("0");
	peers[1].peer = 2;
	REFUSES("peer number 2 is used twice");
	peers[1].peer = 256;
	REFUSES("out of range");
	peers[1].peer = 3;
	memcpy(peers[1].public_key, par2->identity.public_key, KEYS_PUBLIC_SIZE);
	REFUSES("same public key");
	memcpy(peers[1].public_key, par1->identity.public_key, KEYS_PUBLIC_SIZE);
	REFUSES("own");
	memset(peers[1].public_key, 0, KEYS_PUBLIC_SIZE);
	REFUSES("zeros");
	memcpy(peers[1].public_key, par3->identity.public_key, KEYS_PUBLIC_SIZE);
	peers[1].endpoint.family = PONT_FAMILY_IPV6;
	REFUSES("no IPv6 VTEP");
	peers[1].endpoint.family = PONT_FAMILY_IPV4;
	tenants[1].vni = 100;
	REFUSES("VNI 100 is used twice");
	tenants[1].vni = 0x1000000;
	REFUSES("out of range");
	tenants[1].vni = 200;
	cr_assert_eq(keys_configure(par1->keys, &good, &error), 0, "%s", error.text);
	cr_assert_not(keys_peer_status(par1->keys, 9, &(struct keys_peer_status){0}));
	cr_assert_eq(site_status(par1, par2).state, KEYS_SESSION_DOWN);
	/* An unusable dataplane is none. */
	par1->hello.spi_slots = 3;
	keys_dataplane(par1->keys, &par1->hello);
	site_idle(50);
	cr_assert_eq(site_status(par1, par2).failures, 0);
}
