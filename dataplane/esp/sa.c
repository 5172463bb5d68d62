/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/sa.h"

#include <string.h>

#include <rte_cycles.h>

void sa_out_init(struct sa_out *sa, const struct pont_link_sa_out *message, uint16_t tenant, IMB_MGR *manager)
{
	uint64_t now = rte_get_tsc_cycles();

	memset(sa, 0, sizeof(*sa));
	sa->sequence = sa->sequence_first = message->sequence;
	sa->sequence_hard = message->sequence > UINT64_MAX - PONT_SA_HARD_PACKETS
				    ? UINT64_MAX - 1
				    : message->sequence + PONT_SA_HARD_PACKETS;
	sa->bytes_hard = PONT_SA_HARD_BYTES;
	sa->installed_tsc = now;
	sa->expires_tsc = now + PONT_SA_HARD_S * rte_get_tsc_hz();
	sa->spi = rte_cpu_to_be_32(message->spi);
	memcpy(&sa->salt, message->salt, sizeof(sa->salt));
	sa->source_port = message->source_port;
	sa->peer = message->peer;
	sa->worker = message->worker;
	sa->tenant = tenant;
	IMB_AES256_GCM_PRE(manager, message->key, &sa->key);
}

void sa_in_init(
	struct sa_in *sa, const struct pont_link_sa_in *message, uint16_t tenant, place_t from, IMB_MGR *manager)
{
	uint64_t now = rte_get_tsc_cycles();

	memset(sa, 0, sizeof(*sa));
	memcpy(&sa->salt, message->salt, sizeof(sa->salt));
	sa->from = from;
	sa->vni_word = rte_cpu_to_be_32(message->vni << 8);
	sa->tenant = tenant;
	sa->worker = message->worker;
	sa->peer = message->peer;
	sa->installed_tsc = now;
	sa->expires_tsc = now + PONT_SA_HARD_S * rte_get_tsc_hz();
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
