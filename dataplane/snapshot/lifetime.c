/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/snapshot/lifetime.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

enum {
	/* Control is told again after a second, then two, ... 2^TELL_DOUBLINGS. */
	TELL_DOUBLINGS = 6,
	/* Keys erased after one wait for the workers. */
	EXPIRY_BATCH = 64,
};

bool lifetimes_reserve(struct lifetimes *lifetimes, uint32_t more)
{
	uint32_t count = RTE_MAX(lifetimes->count, 1u), size = RTE_MAX(lifetimes->size, 64u);
	struct watch *grown;

	while (size - count < more)
		size *= 2;
	if (size == lifetimes->size)
		return true;
	grown = reallocarray(lifetimes->watch, size, sizeof(*grown));
	if (grown == NULL)
		return false;
	lifetimes->watch = grown;
	lifetimes->size = size;
	lifetimes->count = count;
	return true;
}

static struct sa_life *life_of(const struct watch *watch)
{
	return watch->direction == PONT_SA_IN ? &watch->in->life : &watch->out->life;
}

static struct watch *add(struct lifetimes *lifetimes, struct sa_life *life, uint32_t vni, uint8_t direction)
{
	struct watch *watch = &lifetimes->watch[lifetimes->count];

	*watch = (struct watch){.soft_tsc = life->soft_tsc,
		.hard_tsc = life->hard_tsc,
		.soft_sequence = life->soft_sequence,
		.soft_bytes = life->soft_bytes,
		.vni = vni,
		.direction = direction};
	life->watch = lifetimes->count++;
	if (lifetimes->count == 2)
		lifetimes->next_time_tsc = UINT64_MAX;
	lifetimes->next_time_tsc = RTE_MIN(lifetimes->next_time_tsc, watch->soft_tsc);
	return watch;
}

void lifetimes_add_in(struct lifetimes *lifetimes, struct sa_in *sa, uint32_t vni)
{
	add(lifetimes, &sa->life, vni, PONT_SA_IN)->in = sa;
}

void lifetimes_add_out(struct lifetimes *lifetimes, struct sa_out *sa, uint32_t vni)
{
	add(lifetimes, &sa->life, vni, PONT_SA_OUT)->out = sa;
}

void lifetimes_remove(struct lifetimes *lifetimes, struct sa_life *life)
{
	struct watch *last = &lifetimes->watch[lifetimes->count - 1];
	struct watch *hole = &lifetimes->watch[life->watch];

	if (hole != last) {
		*hole = *last;
		life_of(hole)->watch = life->watch;
	}
	memset(last, 0, sizeof(*last));
	lifetimes->count--;
	life->watch = 0;
}

void lifetimes_free(struct lifetimes *lifetimes)
{
	free(lifetimes->watch);
	*lifetimes = (struct lifetimes){0};
}

/* The counters of an SA, as they stand; its worker goes on meanwhile. */
static void usage(const struct watch *watch, uint64_t *sequence, uint64_t *bytes)
{
	if (watch->direction == PONT_SA_IN) {
		*sequence = __atomic_load_n(&watch->in->replay.top, __ATOMIC_RELAXED);
		*bytes = __atomic_load_n(&watch->in->bytes, __ATOMIC_RELAXED);
	} else {
		*sequence = __atomic_load_n(&watch->out->sequence, __ATOMIC_RELAXED);
		*bytes = __atomic_load_n(&watch->out->bytes, __ATOMIC_RELAXED);
	}
}

/* Which hard limit an SA has reached, 0: none. A worker that has met the one in bytes has stopped the SA itself. */
static enum pont_sa_cause hard_cause(const struct watch *watch, uint64_t sequence, uint64_t now)
{
	const uint64_t *place = watch->direction == PONT_SA_IN ? &watch->in->sequence_hard : &watch->out->sequence_hard;
	uint64_t sequence_hard = __atomic_load_n(place, __ATOMIC_RELAXED);

	if (sequence_hard == 0)
		return PONT_SA_BY_BYTES;
	if (sequence >= sequence_hard)
		return PONT_SA_BY_PACKETS;
	return now >= watch->hard_tsc ? PONT_SA_BY_TIME : 0;
}

static enum pont_sa_cause soft_cause(const struct watch *watch, uint64_t sequence, uint64_t bytes, uint64_t now)
{
	if (sequence >= watch->soft_sequence)
		return PONT_SA_BY_PACKETS;
	if (bytes >= watch->soft_bytes)
		return PONT_SA_BY_BYTES;
	return now >= watch->soft_tsc ? PONT_SA_BY_TIME : 0;
}

static void note(struct watch *watch, enum pont_sa_cause cause, bool expired, uint64_t now)
{
	watch->cause = cause;
	watch->expired = expired;
	watch->tell_tsc = now;
	watch->told = 0;
}

/* No worker seals or opens with it any more once it has passed a quiescent state. */
static void stop_sa(const struct watch *watch)
{
	uint64_t *sequence_hard =
		watch->direction == PONT_SA_IN ? &watch->in->sequence_hard : &watch->out->sequence_hard;

	__atomic_store_n(sequence_hard, 0, __ATOMIC_RELAXED);
}

static void erase_keys(struct watch *const *expired, unsigned int count, struct rte_rcu_qsbr *qsbr)
{
	if (count == 0)
		return;
	workers_pass(qsbr);
	for (unsigned int i = 0; i < count; i++) {
		if (expired[i]->direction == PONT_SA_IN)
			explicit_bzero(&expired[i]->in->key, sizeof(expired[i]->in->key));
		else
			explicit_bzero(&expired[i]->out->key, sizeof(expired[i]->out->key));
	}
}

void lifetimes_check(struct lifetimes *lifetimes, struct rte_rcu_qsbr *qsbr, uint64_t now)
{
	struct watch *expired[EXPIRY_BATCH];
	uint64_t next_time = UINT64_MAX;
	unsigned int count = 0;

	if (now < lifetimes->next_time_tsc && now < lifetimes->next_scan_tsc)
		return;
	for (uint32_t i = 1; i < lifetimes->count; i++) {
		struct watch *watch = &lifetimes->watch[i];
		enum pont_sa_cause cause;
		uint64_t sequence, bytes;

		if (watch->expired)
			continue;
		usage(watch, &sequence, &bytes);
		cause = hard_cause(watch, sequence, now);
		if (cause != 0) {
			stop_sa(watch);
			note(watch, cause, true, now);
			expired[count++] = watch;
			if (count == EXPIRY_BATCH) {
				erase_keys(expired, count, qsbr);
				count = 0;
			}
			continue;
		}
		if (watch->cause == 0) {
			cause = soft_cause(watch, sequence, bytes, now);
			if (cause != 0)
				note(watch, cause, false, now);
		}
		next_time = RTE_MIN(next_time, watch->cause == 0 ? watch->soft_tsc : watch->hard_tsc);
	}
	erase_keys(expired, count, qsbr);
	lifetimes->next_time_tsc = next_time;
	lifetimes->next_scan_tsc = now + LIFETIME_SCAN_MS * rte_get_tsc_hz() / 1000;
}

bool lifetimes_expired(const struct lifetimes *lifetimes, const struct sa_life *life)
{
	return life->watch != 0 && lifetimes->watch[life->watch].expired;
}

static void describe(const struct watch *watch, struct pont_link_sa_notice *notice)
{
	bool in = watch->direction == PONT_SA_IN;

	*notice = (struct pont_link_sa_notice){.vni = watch->vni,
		.spi = rte_be_to_cpu_32(in ? watch->in->spi : watch->out->spi),
		.peer = in ? watch->in->peer : watch->out->peer,
		.worker = in ? watch->in->worker : watch->out->worker,
		.direction = watch->direction,
		.cause = watch->cause,
		.expired = watch->expired};
}

bool lifetimes_notices(
	const struct lifetimes *lifetimes, struct pont_link_sa_notices *message, uint32_t *first, uint64_t now)
{
	memset(message, 0, sizeof(*message));
	for (; *first < lifetimes->count && message->count < PONT_LINK_NOTICES_MAX; ++*first) {
		const struct watch *watch = &lifetimes->watch[*first];

		if (watch->cause != 0 && now >= watch->tell_tsc)
			describe(watch, &message->notice[message->count++]);
	}
	return message->count != 0;
}

void lifetimes_told(struct lifetimes *lifetimes, uint32_t first, uint32_t end, uint64_t now)
{
	for (uint32_t i = first; i < end; i++) {
		struct watch *watch = &lifetimes->watch[i];

		if (watch->cause == 0 || now < watch->tell_tsc)
			continue;
		watch->tell_tsc = now + (rte_get_tsc_hz() << watch->told);
		if (watch->told < TELL_DOUBLINGS)
			watch->told++;
	}
}

void lifetimes_tell_again(struct lifetimes *lifetimes)
{
	for (uint32_t i = 1; i < lifetimes->count; i++) {
		lifetimes->watch[i].tell_tsc = 0;
		lifetimes->watch[i].told = 0;
	}
}
