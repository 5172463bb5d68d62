/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/path.h"

static inline uint8_t *esp_of(const struct packet *packet)
{
	return rte_pktmbuf_mtod(packet->mbuf, uint8_t *) + packet->edge->header_size - OUTER_INNER_SIZE -
	       OUTER_ESP_SIZE;
}

/*
 * Takes the next sequence number of the SA and writes everything that depends on it: ESP header, IV, nonce and AAD.
 * False once the SA has reached its hard limit in packets (RFC 4303 section 3.3.3: the number must never cycle) or
 * bytes, which stops it for good by setting the limit in packets to zero; so does the main lcore when its time is over.
 */
static inline bool take_sequence(const struct packet *packet, struct gcm_input *input)
{
	struct sa_out *sa = packet->edge->sa;
	uint8_t *esp = esp_of(packet);
	uint64_t sequence = sa->sequence + 1, bytes = sa->bytes + packet->length, swapped;

	if (unlikely(sequence > __atomic_load_n(&sa->sequence_hard, __ATOMIC_RELAXED)))
		return false;
	if (unlikely(bytes > sa->bytes_hard)) {
		__atomic_store_n(&sa->sequence_hard, 0, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_store_n(&sa->sequence, sequence, __ATOMIC_RELAXED);
	__atomic_store_n(&sa->bytes, bytes, __ATOMIC_RELAXED);
	swapped = rte_cpu_to_be_64(sequence);
	memcpy(esp + 4, (const uint8_t *)&swapped + 4, 4);
	memcpy(esp + 8, &swapped, sizeof(swapped));
	_mm_store_si128((__m128i *)input->nonce,
		_mm_insert_epi32(_mm_slli_si128(_mm_cvtsi64_si128((long long)swapped), 4), (int)sa->salt, 0));
	_mm_store_si128((__m128i *)input->aad,
		_mm_insert_epi32(_mm_slli_si128(_mm_cvtsi64_si128((long long)swapped), 4), (int)sa->spi, 0));
	return true;
}

/*
 * IPv6 has no datagrams without a checksum but for tunnels configured so (RFC 6935); we do not rely on the other end
 * being one. IPv4 goes without (RFC 3948 section 2.1).
 */
static inline void checksum_udp6(struct rte_mbuf *mbuf)
{
	uint8_t *ip = rte_pktmbuf_mtod(mbuf, uint8_t *) + OUTER_ETHER_SIZE;
	struct rte_udp_hdr *udp = (void *)(ip + sizeof(struct rte_ipv6_hdr));

	udp->dgram_cksum = 0;
	udp->dgram_cksum = rte_ipv6_udptcp_cksum((const struct rte_ipv6_hdr *)ip, udp);
}

static inline void encrypt(struct worker *worker, const struct packet *packet, const struct gcm_input *input)
{
	uint8_t *text = esp_of(packet) + OUTER_ESP_SIZE;
	struct gcm_context_data context;

#ifdef PONT_NONCE_CENSUS
	census_note(&packet->edge->sa->census, input->nonce);
#endif
	IMB_AES256_GCM_ENC(worker->gcm, &packet->edge->sa->key, &context, text, text, packet->length, input->nonce,
		input->aad, GCM_AAD_SIZE, text + packet->length, PONT_ESP_ICV_SIZE);
	if (unlikely(packet->edge->ip_size == sizeof(struct rte_ipv6_hdr)))
		checksum_udp6(packet->mbuf);
}

/*
 * One packet is prepared while the one before it is encrypted: the processor fills the gaps of AES-GCM's long chains
 * with it, and nonce and AAD are in memory when they are loaded. The first keys were asked for by encap.
 */
void stage_seal(struct worker *worker, struct lane *lane)
{
	uint16_t kept = 0, sealed = 0;
	uint16_t ahead = worker->snapshot->keys_are_many ? SA_KEYS_AHEAD : 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];

		if (ahead != 0 && i + ahead < lane->count)
			sa_prefetch_key(&packet[ahead].edge->sa->key, packet[ahead].length, worker->gcm_reach);
		if (unlikely(!take_sequence(packet, &worker->gcm_input[kept]))) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_seal_sa_expired);
			continue;
		}
		lane_keep(lane, &kept, i);
		if (kept - sealed > 1) {
			encrypt(worker, &lane->packet[sealed], &worker->gcm_input[sealed]);
			sealed++;
		}
	}
	for (; sealed < kept; sealed++)
		encrypt(worker, &lane->packet[sealed], &worker->gcm_input[sealed]);
	lane->count = kept;
}
