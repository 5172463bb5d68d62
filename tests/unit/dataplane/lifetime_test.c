/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/snapshot/lifetime.h"
#include "site.h"

static struct pont_link_sa_notices message;

static void set_up(void)
{
	site_up();
}

static void tear_down(void)
{
	site_down();
}

TestSuite(lifetime, .init = set_up, .fini = tear_down, .timeout = 60);

/* All that is to be told at this moment, as one message; counts as told. */
static uint32_t tell_at(uint64_t now)
{
	struct lifetimes *lifetimes = &site.configuration.lifetimes;
	uint32_t next = 1;

	if (!lifetimes_notices(lifetimes, &message, &next, now))
		return 0;
	lifetimes_told(lifetimes, 1, next, now);
	return message.count;
}

static uint32_t tell(void)
{
	return tell_at(rte_get_tsc_cycles());
}

static void look(void)
{
	site.configuration.lifetimes.next_scan_tsc = 0;
	configuration_watch(&site.configuration);
}

static bool is_zero(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size != 0 && at[size - 1] == 0)
		size--;
	return size == 0;
}

static void expect_notice(uint8_t direction, uint32_t spi, uint8_t cause, bool expired)
{
	cr_assert_eq(message.count, 1);
	cr_expect_eq(message.notice[0].vni, RIG_HOPITAL);
	cr_expect_eq(message.notice[0].peer, RIG_PEER4);
	cr_expect_eq(message.notice[0].worker, 0);
	cr_expect_eq(message.notice[0].direction, direction);
	cr_expect_eq(message.notice[0].spi, spi);
	cr_expect_eq(message.notice[0].cause, cause);
	cr_expect_eq(message.notice[0].expired, expired);
}

Case(lifetime, says_nothing_of_young_sas)
{
	look();
	cr_expect_eq(tell(), 0);
}

Case(lifetime, tells_of_an_outbound_sa_at_its_soft_limit_of_packets)
{
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct watch *watch = &site.configuration.lifetimes.watch[sa->life.watch];
	struct frame frame = broadcast_from(1);

	watch->soft_sequence = 2;
	arrive(RIG_ACCESS0, &frame);
	look();
	cr_expect_eq(tell(), 0);
	arrive(RIG_ACCESS0, &frame);
	look();
	cr_assert_eq(tell(), 1);
	expect_notice(PONT_SA_OUT, rte_be_to_cpu_32(sa->spi), PONT_SA_BY_PACKETS, false);
	/* Due, not dead. */
	arrive(RIG_ACCESS0, &frame);
	cr_expect_eq(sa->sequence, 3);
	cr_expect_not(is_zero(&sa->key, sizeof(sa->key)));
}

Case(lifetime, tells_of_an_inbound_sa_at_its_soft_limit_of_bytes)
{
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);

	site.configuration.lifetimes.watch[sa->life.watch].soft_bytes = 1000;
	sa->bytes = 999;
	look();
	cr_expect_eq(tell(), 0);
	sa->bytes = 1000;
	look();
	cr_assert_eq(tell(), 1);
	expect_notice(PONT_SA_IN, rte_be_to_cpu_32(sa->spi), PONT_SA_BY_BYTES, false);
}

Case(lifetime, tells_of_time_without_waiting_for_the_next_look_at_counters)
{
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct lifetimes *lifetimes = &site.configuration.lifetimes;

	look();
	lifetimes->watch[sa->life.watch].soft_tsc = 1;
	lifetimes->next_time_tsc = 1;
	lifetimes->next_scan_tsc = UINT64_MAX;
	configuration_watch(&site.configuration);
	cr_assert_eq(tell(), 1);
	expect_notice(PONT_SA_IN, rte_be_to_cpu_32(sa->spi), PONT_SA_BY_TIME, false);
}

Case(lifetime, erases_the_key_at_the_hard_limit_of_time)
{
	struct sa_out *out = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct sa_in *in = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);

	rig_expire(&site, &out->life);
	cr_assert_eq(tell(), 1);
	expect_notice(PONT_SA_OUT, rte_be_to_cpu_32(out->spi), PONT_SA_BY_TIME, true);
	cr_expect(is_zero(&out->key, sizeof(out->key)));
	cr_expect_eq(out->sequence_hard, 0);
	cr_expect_not(is_zero(&in->key, sizeof(in->key)));
	rig_expire(&site, &in->life);
	cr_assert_eq(tell(), 1);
	expect_notice(PONT_SA_IN, rte_be_to_cpu_32(in->spi), PONT_SA_BY_TIME, true);
	cr_expect(is_zero(&in->key, sizeof(in->key)));
	cr_expect_eq(in->sequence_hard, 0);
}

Case(lifetime, erases_the_key_when_the_packets_or_bytes_are_used_up)
{
	struct sa_out *out = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct sa_out *other = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER6, 0);
	struct frame frame = broadcast_from(1);

	out->sequence_hard = 1;
	other->bytes_hard = 10;
	arrive(RIG_ACCESS0, &frame);
	look();
	cr_expect(is_zero(&out->key, sizeof(out->key)));
	cr_expect(is_zero(&other->key, sizeof(other->key)));
	cr_assert_eq(tell(), 2);
	for (uint32_t i = 0; i < 2; i++) {
		cr_expect(message.notice[i].expired);
		cr_expect_eq(message.notice[i].cause,
			message.notice[i].peer == RIG_PEER4 ? PONT_SA_BY_PACKETS : PONT_SA_BY_BYTES);
	}
}

static void *expire_aside(void *life)
{
	rig_expire(&site, life);
	return NULL;
}

/* A worker that has taken the SA for a burst may be sealing with its key. */
Case(lifetime, erases_no_key_before_every_worker_has_passed)
{
	struct sa_out *out = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct rte_rcu_qsbr *qsbr = site.configuration.plane->qsbr;
	pthread_t watcher;

	cr_assert_eq(rte_rcu_qsbr_thread_register(qsbr, 0), 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	cr_assert_eq(pthread_create(&watcher, NULL, expire_aside, &out->life), 0);
	while (__atomic_load_n(&out->sequence_hard, __ATOMIC_RELAXED) != 0)
		rte_pause();
	/* Long enough for whoever does not wait. */
	rte_delay_us_sleep(50000);
	cr_expect_not(is_zero(&out->key, sizeof(out->key)));
	rte_rcu_qsbr_quiescent(qsbr, 0);
	cr_assert_eq(pthread_join(watcher, NULL), 0);
	cr_expect(is_zero(&out->key, sizeof(out->key)));
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	cr_assert_eq(rte_rcu_qsbr_thread_unregister(qsbr, 0), 0);
}

Case(lifetime, repeats_itself_ever_more_rarely)
{
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	uint64_t now, second = rte_get_tsc_hz();

	site.configuration.lifetimes.watch[sa->life.watch].soft_bytes = 0;
	look();
	now = rte_get_tsc_cycles();
	cr_expect_eq(tell_at(now), 1);
	for (unsigned int wait = 1; wait <= 256; wait *= 2) {
		unsigned int bounded = RTE_MIN(wait, 64u);

		cr_expect_eq(tell_at(now + bounded * second - 1), 0);
		now += bounded * second;
		cr_expect_eq(tell_at(now), 1, "after %u s", bounded);
	}
	/* Whoever is new hears of it at once, and the hard limit is news again. */
	lifetimes_tell_again(&site.configuration.lifetimes);
	cr_expect_eq(tell(), 1);
	rig_expire(&site, &sa->life);
	cr_expect_eq(tell(), 1);
}

Case(lifetime, forgets_an_sa_that_was_replaced)
{
	struct pont_link_sa_out successor = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	uint32_t count = site.configuration.lifetimes.count;

	site.configuration.lifetimes.watch[sa->life.watch].soft_bytes = 0;
	look();
	successor.spi += RIG_SPI_SLOTS;
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_OUT_SET, successor);
	cr_expect_eq(tell(), 1, "not before the COMMIT");
	rig_must_commit(&site);
	look();
	lifetimes_tell_again(&site.configuration.lifetimes);
	cr_expect_eq(tell(), 0);
	cr_expect_eq(site.configuration.lifetimes.count, count);
	for (uint32_t i = 1; i < count; i++) {
		const struct watch *watch = &site.configuration.lifetimes.watch[i];

		cr_expect_eq(watch->direction == PONT_SA_IN ? watch->in->life.watch : watch->out->life.watch, i);
	}
}

Case(lifetime, erases_the_keys_of_many_that_expire_at_once)
{
	struct lifetimes *lifetimes = &site.configuration.lifetimes;
	static struct sa_in sas[300];

	cr_assert(lifetimes_reserve(lifetimes, 300));
	for (uint32_t i = 0; i < 300; i++) {
		memset(&sas[i].key, 0xa5, sizeof(sas[i].key));
		sas[i].sequence_hard = 1;
		lifetimes_add_in(lifetimes, &sas[i], RIG_HOPITAL);
	}
	look();
	for (uint32_t i = 0; i < 300; i++)
		cr_expect(is_zero(&sas[i].key, sizeof(sas[i].key)), "key %u is still there", i);
}

Case(lifetime, fills_one_message_after_the_other)
{
	struct lifetimes *lifetimes = &site.configuration.lifetimes;
	static struct sa_in sas[300];
	uint32_t first = 1, next = 1, told = 0, messages = 0;
	uint64_t now = rte_get_tsc_cycles();

	cr_assert(lifetimes_reserve(lifetimes, 300));
	for (uint32_t i = 0; i < 300; i++) {
		sas[i].life.hard_tsc = UINT64_MAX;
		sas[i].sequence_hard = 1;
		lifetimes_add_in(lifetimes, &sas[i], RIG_HOPITAL);
	}
	look();
	while (lifetimes_notices(lifetimes, &message, &next, now + rte_get_tsc_hz())) {
		cr_assert_leq(message.count, PONT_LINK_NOTICES_MAX);
		told += message.count;
		messages++;
		/* The last one does not get through: it is not told, and comes again. */
		if (told < 300)
			lifetimes_told(lifetimes, first, next, now + rte_get_tsc_hz());
		first = next;
	}
	cr_expect_eq(told, 300);
	cr_expect_eq(messages, 3);
	next = 1;
	cr_assert(lifetimes_notices(lifetimes, &message, &next, now + rte_get_tsc_hz()));
	cr_expect_eq(message.count, 300 - 2 * PONT_LINK_NOTICES_MAX);
	for (uint32_t i = 0; i < 300; i++)
		lifetimes_remove(lifetimes, &sas[i].life);
}
