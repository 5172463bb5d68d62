/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/sa.h"

#include <string.h>

#include <rte_cycles.h>

/* Time is looked at every few milliseconds: an SA ends this much early, so that it is never late. */
enum { TIME_MARGIN_MS = 10 };

static uint64_t or_limit(uint64_t value, uint64_t limit)
{
	return value != 0 ? value : limit;
}

static const uint64_t hard_ms_max = UINT64_C(1000) * PONT_SA_HARD_S;

bool sa_lifetime_valid(const struct pont_link_lifetime *lifetime)
{
	uint64_t packets = or_limit(lifetime->hard_packets, PONT_SA_HARD_PACKETS);
	uint64_t bytes = or_limit(lifetime->hard_bytes, PONT_SA_HARD_BYTES);
	uint64_t ms = or_limit(lifetime->hard_ms, hard_ms_max);

	return packets <= PONT_SA_HARD_PACKETS && lifetime->soft_packets <= packets && bytes <= PONT_SA_HARD_BYTES &&
	       lifetime->soft_bytes <= bytes && ms <= hard_ms_max && lifetime->soft_ms <= ms;
}

/* The sum, without ever reaching the end of all numbers. */
static uint64_t beyond(uint64_t sequence, uint64_t packets)
{
	return sequence >= UINT64_MAX - packets ? UINT64_MAX - 1 : sequence + packets;
}

static uint64_t hard_sequence(const struct pont_link_lifetime *lifetime, uint64_t sequence)
{
	return beyond(sequence, or_limit(lifetime->hard_packets, PONT_SA_HARD_PACKETS));
}

static uint64_t hard_bytes(const struct pont_link_lifetime *lifetime)
{
	return or_limit(lifetime->hard_bytes, PONT_SA_HARD_BYTES);
}

static void life_init(struct sa_life *life, const struct pont_link_lifetime *lifetime, uint64_t sequence)
{
	uint64_t per_ms = rte_get_tsc_hz() / 1000;
	uint64_t hard_ms = or_limit(lifetime->hard_ms, hard_ms_max);
	uint64_t soft_ms = or_limit(lifetime->soft_ms, hard_ms);

	*life = (struct sa_life){.installed_tsc = rte_get_tsc_cycles(),
		.soft_sequence = lifetime->soft_packets != 0 ? beyond(sequence, lifetime->soft_packets)
							     : hard_sequence(lifetime, sequence),
		.soft_bytes = or_limit(lifetime->soft_bytes, hard_bytes(lifetime)),
		.sequence_first = sequence};
	hard_ms -= RTE_MIN(hard_ms, (uint64_t)TIME_MARGIN_MS);
	life->hard_tsc = life->installed_tsc + hard_ms * per_ms;
	life->soft_tsc = life->installed_tsc + RTE_MIN(soft_ms, hard_ms) * per_ms;
}

void sa_out_init(struct sa_out *sa, const struct pont_link_sa_out *message, uint16_t tenant, IMB_MGR *manager)
{
	memset(sa, 0, sizeof(*sa));
	sa->sequence = message->sequence;
	sa->sequence_hard = hard_sequence(&message->lifetime, message->sequence);
	sa->bytes_hard = hard_bytes(&message->lifetime);
	life_init(&sa->life, &message->lifetime, message->sequence);
	sa->spi = rte_cpu_to_be_32(message->spi);
	memcpy(&sa->salt, message->salt, sizeof(sa->salt));
	sa->source_port = message->source_port;
	sa->peer = message->peer;
	sa->worker = message->worker;
	sa->tenant = tenant;
	IMB_AES256_GCM_PRE(manager, message->key, &sa->key);
#ifdef PONT_NONCE_CENSUS
	census_begin(&sa->census, message->key, manager);
#endif
}

void sa_in_init(
	struct sa_in *sa, const struct pont_link_sa_in *message, uint16_t tenant, place_t from, IMB_MGR *manager)
{
	memset(sa, 0, sizeof(*sa));
	memcpy(&sa->salt, message->salt, sizeof(sa->salt));
	sa->from = from;
	sa->vni_word = rte_cpu_to_be_32(message->vni << 8);
	sa->tenant = tenant;
	sa->worker = message->worker;
	sa->peer = message->peer;
	sa->sequence_hard = hard_sequence(&message->lifetime, message->sequence);
	sa->bytes_hard = hard_bytes(&message->lifetime);
	life_init(&sa->life, &message->lifetime, message->sequence);
	if (message->sequence != 0)
		(void)replay_accept(&sa->replay, message->sequence);
	IMB_AES256_GCM_PRE(manager, message->key, &sa->key);
}

void sa_out_erase(struct sa_out *sa)
{
	explicit_bzero(sa, sizeof(*sa));
}

void sa_in_erase(struct sa_in *sa)
{
	explicit_bzero(sa, sizeof(*sa));
}
