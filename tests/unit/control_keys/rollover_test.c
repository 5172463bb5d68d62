/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SAs are replaced before they end. The dataplanes of the sites watch the order of things all the time: no site is told
 * to seal with what the other cannot open, none deletes what the other seals with, no key comes twice.
 */
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "control/keys/state.h"
#include "sites.h"

enum { BOTH = 3 };

#define IN  PONT_SA_IN
#define OUT PONT_SA_OUT

static struct site *const par1 = &sites[0], *const par2 = &sites[1];

TestSuite(rollover, .init = sites_open, .fini = sites_close, .timeout = 60);

/* Whether the peer has said that it seals with every SA it was offered. */
static bool all_accepted(const struct site *site)
{
	for (size_t i = 0; i < site->keys->peer_count; i++)
		for (size_t j = 0; j < site->keys->peers[i]->member_count; j++)
			if (site->keys->peers[i]->members[j]->waiting || site->keys->peers[i]->members[j]->wanted)
				return false;
	return true;
}

/* The first two sites, with one worker each and one tenant. */
static void start_two(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= BOTH;
		sites[i].hello.workers = 1;
		site_add_tenant(&sites[i], 100, NULL, BOTH);
		site_start(&sites[i]);
	}
	WAIT_FOR(sites_carry(par1, par2, 100) && all_accepted(par1) && all_accepted(par2));
}

static bool settled(void)
{
	return all_accepted(par1) && all_accepted(par2) && sites_carry(par1, par2, 100) &&
	       site_count(par1, IN, 0, 0) == 1 && site_count(par2, IN, 0, 0) == 1;
}

static uint32_t spi_of(const struct site *site, uint8_t direction)
{
	const struct site_sa *sa = site_find(site, direction, 100, site == par1 ? 2 : 1, 0);

	return sa ? sa->spi : 0;
}

Test(rollover, replaces_an_inbound_sa_that_is_due_in_the_same_session)
{
	uint32_t before, other;

	start_two();
	before = spi_of(par1, IN);
	other = spi_of(par1, OUT);
	site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_BYTES, false);
	WAIT_FOR(spi_of(par2, OUT) != before);
	/* Both are there until what was under way has come. */
	cr_expect_eq(site_count(par1, IN, 0, 0), 2);
	WAIT_FOR(settled());
	cr_expect_eq(spi_of(par1, OUT), other, "the other direction is left alone");
	cr_expect_eq(site_status(par1, par2).handshakes, 1);
	sites_assert_keys_unique();
	cr_expect_eq(site_steps(par1, KEYS_SA_OFFERED, KEYS_BY_BYTES, IN), 1);
	cr_expect_eq(site_steps(par1, KEYS_SA_SWITCHED, KEYS_BY_BYTES, IN), 1);
	cr_expect_eq(site_steps(par1, KEYS_SA_DRAINED, KEYS_BY_BYTES, IN), 1);
	cr_expect_eq(site_steps(par2, KEYS_SA_SWITCHED, KEYS_BY_PEER, OUT), 1);
	cr_expect_eq(site_steps(par2, KEYS_SA_DRAINED, KEYS_BY_PEER, OUT), 1);
}

Test(rollover, asks_the_peer_to_renew_an_outbound_sa_that_is_due)
{
	uint32_t before;

	start_two();
	before = spi_of(par1, OUT);
	site_notice(par1, OUT, 100, 2, 0, PONT_SA_BY_PACKETS, false);
	WAIT_FOR(spi_of(par1, OUT) != before);
	WAIT_FOR(settled());
	cr_expect_eq(site_status(par1, par2).handshakes, 1);
	sites_assert_keys_unique();
	cr_expect_eq(site_steps(par1, KEYS_SA_SWITCHED, KEYS_BY_PACKETS, OUT), 1);
	cr_expect_eq(site_steps(par2, KEYS_SA_OFFERED, KEYS_BY_PEER, IN), 1);
}

Test(rollover, happens_once_although_both_ends_of_an_sa_say_so_again_and_again)
{
	start_two();
	for (unsigned int i = 0; i < 5; i++) {
		site_notice(par1, OUT, 100, 2, 0, PONT_SA_BY_TIME, false);
		site_notice(par2, IN, 100, 1, 0, PONT_SA_BY_TIME, false);
		site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_TIME, false);
		site_notice(par2, OUT, 100, 1, 0, PONT_SA_BY_TIME, false);
		if (i == 2)
			site_turn();
	}
	WAIT_FOR(site_steps(par1, KEYS_SA_DRAINED, KEYS_BY_TIME, IN) == 1);
	WAIT_FOR(settled());
	site_idle(200);
	cr_expect(settled());
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int offered = site_steps(&sites[i], KEYS_SA_OFFERED, KEYS_BY_TIME, IN) +
				       site_steps(&sites[i], KEYS_SA_OFFERED, KEYS_BY_PEER, IN);

		/* A second round may have begun with what was said of the first one's result. */
		cr_expect_leq(offered, 2, "%s made %u SAs", sites[i].name, offered);
		cr_expect_geq(offered, 1);
	}
	sites_assert_keys_unique();
}

Test(rollover, ignores_notices_of_sas_that_nobody_knows)
{
	struct pont_link_sa_notices notices = {.count = 3,
		.notice = {{.vni = 100, .spi = 4711, .peer = 2, .direction = IN, .cause = 1},
			{.vni = 999, .spi = 4711, .peer = 2, .direction = OUT, .cause = 1},
			{.vni = 100, .spi = 4711, .peer = 77, .direction = OUT, .cause = 1}}};
	uint32_t before;

	start_two();
	before = spi_of(par1, IN);
	keys_notices(par1->keys, &notices);
	site_idle(50);
	cr_expect_eq(spi_of(par1, IN), before);
	cr_expect_eq(site_count(par1, IN, 0, 0), 1);
}

Test(rollover, forgets_what_has_expired_and_gets_new_ones)
{
	uint32_t in, out;

	start_two();
	in = spi_of(par1, IN);
	out = spi_of(par1, OUT);
	breaking = true;
	site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_TIME, true);
	site_notice(par1, OUT, 100, 2, 0, PONT_SA_BY_BYTES, true);
	WAIT_FOR(spi_of(par1, OUT) != out && spi_of(par2, OUT) != in);
	WAIT_FOR(settled());
	cr_expect_eq(site_steps(par1, KEYS_SA_EXPIRED, KEYS_BY_TIME, IN), 1);
	cr_expect_eq(site_steps(par1, KEYS_SA_EXPIRED, KEYS_BY_BYTES, OUT), 1);
	cr_expect_eq(site_steps(par1, KEYS_SA_DRAINED, KEYS_BY_TIME, IN), 0, "an SA has one end");
}

Test(rollover, deletes_what_has_expired_though_nothing_replaces_it)
{
	struct relay *relay = relay_open(par1, par2);
	uint32_t in;

	start_two();
	par1->keys->times.dead_ms = par2->keys->times.dead_ms = 1000000;
	relay_swallow(relay, true);
	breaking = true;
	in = spi_of(par1, IN);
	site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_TIME, true);
	/* The offer of the new one is lost on the way. */
	WAIT_FOR(spi_of(par1, IN) != in && site_count(par1, IN, 0, 0) == 1);
	cr_expect_eq(spi_of(par2, OUT), in);
	relay_close(relay);
}

/* The connection breaks after this many turns of the event loop, which is to say: at each message of a rollover. */
Test(rollover, survives_a_cut_of_the_connection_at_any_moment)
{
	struct relay *relay = relay_open(par1, par2);

	start_two();
	for (unsigned int turns = 0; turns < 24; turns++) {
		uint32_t in = spi_of(par1, IN), out = spi_of(par1, OUT);

		site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_TIME, false);
		site_notice(par1, OUT, 100, 2, 0, PONT_SA_BY_TIME, false);
		for (unsigned int i = 0; i < turns; i++)
			cr_assert_geq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
		relay_cut(relay);
		WAIT_FOR(site_session(par1, par2) == KEYS_SESSION_UP && site_session(par2, par1) == KEYS_SESSION_UP);
		WAIT_FOR(settled() && spi_of(par1, IN) != in && spi_of(par1, OUT) != out);
	}
	sites_assert_keys_unique();
	relay_close(relay);
}

Test(rollover, survives_a_restart_of_either_control_process_in_the_middle)
{
	start_two();
	for (unsigned int turns = 0; turns < 12; turns++) {
		struct site *victim = &sites[turns % 2];

		site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_TIME, false);
		site_notice(par1, OUT, 100, 2, 0, PONT_SA_BY_TIME, false);
		for (unsigned int i = 0; i < turns; i++)
			cr_assert_geq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
		site_stop(victim);
		site_start(victim);
		site_adopt(victim);
		WAIT_FOR(site_session(par1, par2) == KEYS_SESSION_UP && site_session(par2, par1) == KEYS_SESSION_UP);
		WAIT_FOR(settled());
	}
	sites_assert_keys_unique();
}

Test(rollover, goes_on_with_the_other_peers_of_a_site_whose_dataplane_restarts)
{
	start_two();
	site_notice(par2, IN, 100, 1, 0, PONT_SA_BY_TIME, false);
	keys_dataplane(par1->keys, NULL);
	breaking = true;
	site_new_dataplane(par1);
	keys_dataplane(par1->keys, &par1->hello);
	WAIT_FOR(settled());
	sites_assert_keys_unique();
}

Test(rollover, takes_members_over_with_the_sas_of_an_earlier_process)
{
	start_two();
	site_stop(par1);
	site_start(par1);
	cr_assert_not(keys_is_member(par1->keys, 100, 2));
	site_adopt(par1);
	cr_expect(keys_is_member(par1->keys, 100, 2), "at once: flooding must not wait for a session");
	/* And the peer's word counts when it comes. */
	site_stop(par2);
	breaking = true;
	site_remove_tenant(par2, 100);
	site_start(par2);
	WAIT_FOR(!keys_is_member(par1->keys, 100, 2));
}

Test(rollover, leaves_nothing_of_a_tenant_that_is_revoked)
{
	uint32_t kept;

	for (unsigned int i = 0; i < 2; i++)
		site_add_tenant(&sites[i], 200, NULL, BOTH);
	start_two();
	WAIT_FOR(sites_carry(par1, par2, 200) && all_accepted(par1) && all_accepted(par2));
	/* With one that drains: it has to go as well. */
	site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_TIME, false);
	WAIT_FOR(site_count(par1, IN, 100, 2) == 2);
	kept = site_find(par1, IN, 200, 2, 0)->spi;
	breaking = true;
	site_remove_tenant(par1, 100);
	par1->revoking = true;
	site_reconfigure(par1);
	cr_assert_eq(keys_flush(par1->keys), 0);
	cr_expect_eq(site_count(par1, IN, 100, 0), 0, "before the event loop turns");
	cr_expect_eq(site_count(par1, OUT, 100, 0), 0);
	cr_expect_geq(site_steps(par1, KEYS_SA_REVOKED, KEYS_BY_REVOCATION, IN), 1);
	cr_expect_eq(site_steps(par1, KEYS_SA_REVOKED, KEYS_BY_REVOCATION, OUT), 1);
	WAIT_FOR(site_count(par2, IN, 100, 0) == 0 && site_count(par2, OUT, 100, 0) == 0);
	cr_expect_eq(site_find(par1, IN, 200, 2, 0)->spi, kept);
	/* Without a dataplane that is owed, and said. */
	site_remove_tenant(par1, 200);
	site_reconfigure(par1);
	keys_dataplane(par1->keys, NULL);
	cr_expect_eq(keys_flush(par1->keys), -1);
	keys_dataplane(par1->keys, &par1->hello);
	cr_expect_eq(keys_flush(par1->keys), 0);
	cr_expect_eq(site_count(par1, IN, 0, 0), 0);
}

static unsigned int most_inbound;

static void note_most(void)
{
	unsigned int count = site_count(par1, IN, 100, 2);

	if (count > most_inbound)
		most_inbound = count;
}

Test(rollover, never_piles_up_sas_however_fast_it_goes)
{
	uint64_t end = site_now_ms() + 1500;
	unsigned int rounds = 0;

	start_two();
	most_inbound = 0;
	while (site_now_ms() < end) {
		site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_PACKETS, false);
		site_turn();
		note_most();
		rounds++;
	}
	cr_expect_geq(rounds, 7);
	cr_expect_leq(most_inbound, 7, "%u at once", most_inbound);
	cr_expect_geq(site_steps(par1, KEYS_SA_DRAINED, KEYS_BY_PACKETS, IN), 1);
	WAIT_FOR(settled());
	sites_assert_keys_unique();
}

/* What is under way still comes: the next one rather waits. */
Test(rollover, leaves_the_replaced_their_time_however_fast_it_goes)
{
	uint64_t end = site_now_ms() + 1500;

	start_two();
	par1->keys->times.drain_ms = 5000;
	par1->keys->times.drain_min_ms = 800;
	par1->least_drain_ms = UINT64_MAX;
	while (site_now_ms() < end || par1->least_drain_ms == UINT64_MAX) {
		site_notice(par1, IN, 100, 2, 0, PONT_SA_BY_PACKETS, false);
		site_turn();
		cr_assert_lt(site_now_ms(), end + 8000, "nothing has drained");
	}
	/* Counted from a little later than by the book. */
	cr_expect_geq(par1->least_drain_ms, 700, "%llu ms", (unsigned long long)par1->least_drain_ms);
}

Test(rollover, replaces_everything_on_request)
{
	uint32_t in, out;

	start_two();
	for (unsigned int i = 0; i < 2; i++) {
		site_add_tenant(&sites[i], 200, NULL, BOTH);
		site_reconfigure(&sites[i]);
	}
	WAIT_FOR(sites_carry(par1, par2, 200) && all_accepted(par1) && all_accepted(par2));
	in = spi_of(par1, IN);
	out = spi_of(par1, OUT);
	keys_renew(par1->keys, 200, 0);
	WAIT_FOR(site_steps(par1, KEYS_SA_DRAINED, KEYS_BY_REQUEST, OUT) == 1);
	WAIT_FOR(site_steps(par1, KEYS_SA_DRAINED, KEYS_BY_REQUEST, IN) == 1);
	cr_expect_eq(spi_of(par1, IN), in, "another tenant's");
	keys_renew(par1->keys, 0, 2);
	WAIT_FOR(spi_of(par1, IN) != in && spi_of(par1, OUT) != out);
	cr_expect_eq(site_status(par1, par2).handshakes, 1);
}

Test(rollover, gives_every_sa_its_lifetime_with_jitter)
{
	uint64_t first = 0;
	bool differs = false;

	par1->lifetimes =
		(struct keys_lifetimes){.sa_packets = 1000000, .sa_bytes = 2000000, .sa_s = 100, .session_s = 60};
	start_two();
	for (unsigned int i = 0; i < 20; i++) {
		uint32_t before = spi_of(par1, IN);
		const struct site_sa *sa;

		sa = site_find(par1, i % 2 ? IN : OUT, 100, 2, 0);
		cr_expect_eq(sa->lifetime.hard_packets, 1000000);
		cr_expect_eq(sa->lifetime.hard_bytes, 2000000);
		cr_expect_eq(sa->lifetime.hard_ms, 100000);
		cr_expect(sa->lifetime.soft_packets >= 750000 && sa->lifetime.soft_packets <= 800000);
		cr_expect(sa->lifetime.soft_bytes >= 1500000 && sa->lifetime.soft_bytes <= 1600000);
		cr_expect(sa->lifetime.soft_ms >= 75000 && sa->lifetime.soft_ms <= 80000);
		differs = differs || (first != 0 && first != sa->lifetime.soft_packets);
		first = sa->lifetime.soft_packets;
		keys_renew(par1->keys, 0, 0);
		WAIT_FOR(spi_of(par1, IN) != before && settled());
	}
	cr_expect(differs);
	/* The other site has its own idea. */
	cr_expect_eq(site_find(par2, OUT, 100, 1, 0)->lifetime.hard_bytes, PONT_SA_HARD_BYTES);
}

Test(rollover, replaces_sas_that_would_outlive_a_new_limit)
{
	uint32_t in, out;

	start_two();
	in = spi_of(par1, IN);
	out = spi_of(par1, OUT);
	par1->lifetimes.sa_s = 100;
	site_reconfigure(par1);
	WAIT_FOR(spi_of(par1, IN) != in && spi_of(par1, OUT) != out);
	cr_expect_eq(site_find(par1, IN, 100, 2, 0)->lifetime.hard_ms, 100000);
	WAIT_FOR(settled());
	/* Upwards there is no hurry. */
	in = spi_of(par1, IN);
	par1->lifetimes.sa_s = 0;
	site_reconfigure(par1);
	site_idle(100);
	cr_expect_eq(spi_of(par1, IN), in);
}

static int try_lifetimes(const struct keys_lifetimes *lifetimes)
{
	struct error error;

	par1->lifetimes = *lifetimes;
	return site_configure(par1, &error);
}

Test(rollover, lets_nobody_raise_a_limit)
{
	start_two();
	cr_expect_eq(try_lifetimes(&(struct keys_lifetimes){.sa_packets = PONT_SA_HARD_PACKETS + 1}), -1);
	cr_expect_eq(try_lifetimes(&(struct keys_lifetimes){.sa_bytes = PONT_SA_HARD_BYTES + 1}), -1);
	cr_expect_eq(try_lifetimes(&(struct keys_lifetimes){.sa_s = PONT_SA_HARD_S + 1}), -1);
	cr_expect_eq(try_lifetimes(&(struct keys_lifetimes){.session_s = PONT_SESSION_S_MAX + 1}), -1);
	cr_expect_eq(try_lifetimes(&(struct keys_lifetimes){.session_s = PONT_SESSION_S_MAX}), 0);
}

/* Either site may have the shorter one. */
Test(rollover, ends_a_session_with_its_lifetime_if_no_fresh_one_comes)
{
	struct relay *relay = relay_open(par1, par2);

	par2->lifetimes.session_s = 1;
	start_two();
	WAIT_FOR(site_status(par1, par2).handshakes >= 2);
	cr_assert_eq(site_steps(par1, KEYS_SESSION_ENDED, KEYS_BY_TIME, 0), 0);
	/* In the middle of a handshake the line would be cut for one of them only. */
	WAIT_FOR(sites_share_session(par1, par2) && sites_carry(par1, par2, 100));
	/* Nobody answers any more, but the old session is kept alive by nothing either. */
	par1->keys->times.dead_ms = par2->keys->times.dead_ms = 1000000;
	relay_swallow(relay, true);
	WAIT_FOR(site_steps(par1, KEYS_SESSION_ENDED, KEYS_BY_TIME, 0) == 1);
	WAIT_FOR(site_steps(par2, KEYS_SESSION_ENDED, KEYS_BY_TIME, 0) == 1);
	cr_expect(sites_carry(par1, par2, 100), "SAs have lives of their own");
	relay_swallow(relay, false);
	WAIT_FOR(site_session(par1, par2) == KEYS_SESSION_UP);
	relay_close(relay);
}

static unsigned int connections_of(const struct site *site)
{
	const struct session *session;
	unsigned int count = 0;

	LIST_FOREACH (session, &site->keys->sessions, entry)
		count++;
	return count;
}

Test(rollover, keeps_no_connection_of_a_session_that_was_replaced)
{
	par1->lifetimes.session_s = 1;
	start_two();
	WAIT_FOR(site_status(par1, par2).handshakes >= 4);
	WAIT_FOR(sites_share_session(par1, par2) && connections_of(par1) == 1 && connections_of(par2) == 1);
	cr_expect_geq(site_steps(par1, KEYS_SESSION_ENDED, KEYS_BY_SESSION, 0), 3);
}

/* --- What a peer may say of SAs: nothing of those of another peer or tenant, nothing twice --- */

static struct session *session_of_par1(void)
{
	return keys_peer(par1->keys, 2)->session;
}

/* The inbound SA of par1, as if it had just been made and were another peer's or tenant's. */
static struct book_sa *strange_sa(uint16_t peer, uint32_t vni)
{
	struct book_sa *sa = book_find_in(&par1->keys->book, spi_of(par1, IN));

	cr_assert_not_null(sa);
	sa->accepted = false;
	sa->session = 0;
	sa->peer = peer;
	sa->vni = vni;
	return sa;
}

Test(rollover, takes_no_acceptance_of_an_sa_of_another_peer)
{
	char why[CHANNEL_TEXT_SIZE];
	struct message message = {.type = MESSAGE_ACCEPTED, .count = 1};
	struct book_sa *sa;

	start_two();
	sa = strange_sa(3, 100);
	message.spis[0] = sa->spi;
	cr_expect_eq(offers_receive(session_of_par1(), &message, why), 0);
	cr_expect_not(sa->accepted);
	sa->peer = 2;
	cr_expect_eq(offers_receive(session_of_par1(), &message, why), 0);
	cr_expect(sa->accepted);
}

static void assert_not_in_use(uint16_t peer, uint32_t vni)
{
	char why[CHANNEL_TEXT_SIZE];
	struct message message = {.type = MESSAGE_USING, .count = 1};
	struct book_sa *sa = strange_sa(peer, vni);

	message.sas[0] = (struct message_sa){.vni = 100, .spi = sa->spi, .worker = 0};
	session_of_par1()->used = false;
	cr_expect_eq(rollover_receive_using(session_of_par1(), &message, why), 0);
	cr_expect_not(sa->accepted);
	cr_expect(sa->gone, "what is not in use goes");
}

Test(rollover, takes_no_sa_of_another_peer_for_used)
{
	start_two();
	assert_not_in_use(3, 100);
}

Test(rollover, takes_no_sa_of_another_tenant_for_used)
{
	start_two();
	assert_not_in_use(2, 200);
}

Test(rollover, hears_only_once_what_is_used)
{
	char why[CHANNEL_TEXT_SIZE];
	struct message message = {.type = MESSAGE_USING};

	start_two();
	cr_expect_eq(rollover_receive_using(session_of_par1(), &message, why), -1);
	cr_expect_str_eq(why, "a second list of SAs in use");
}

Test(rollover, offers_nothing_for_a_question_that_its_offer_has_crossed)
{
	struct message message = {.type = MESSAGE_RENEW, .count = 1};
	struct member *member;
	struct book_sa *sa;

	start_two();
	member = peer_member(keys_peer(par1->keys, 2), 100);
	sa = book_find_in(&par1->keys->book, spi_of(par1, IN));
	message.sas[0] = (struct message_sa){.vni = 100, .spi = sa->spi, .worker = 0};
	offers_drain(par1->keys, member, sa, KEYS_BY_TIME);
	cr_expect_eq(rollover_receive_renew(session_of_par1(), &message), 0);
	cr_expect_eq(member->wanted, 0);
}

/* What was under way when the new session came was about a state that is no more. */
Test(rollover, does_not_listen_to_a_session_that_was_replaced)
{
	uint32_t out;

	start_two();
	out = spi_of(par1, OUT);
	keys_peer(par1->keys, 2)->session->superseded = true;
	keys_renew(par2->keys, 100, 0);
	WAIT_FOR(site_steps(par2, KEYS_SA_OFFERED, KEYS_BY_REQUEST, IN) == 1);
	site_idle(200);
	cr_expect_eq(spi_of(par1, OUT), out);
}
