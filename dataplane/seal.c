/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/path.h"

/*
 * Takes the next sequence number of the SA and writes everything that depends on it: ESP header, IV, nonce and AAD.
 * False once the SA has reached a hard limit (RFC 4303 section 3.3.3: the number must never cycle).
 */
static inline bool take_sequence(
	struct worker *worker, struct sa_out *sa, uint8_t *esp, const struct packet *packet, struct gcm_input *input)
{
	rte_be32_t low, high;

	if (unlikely(sa->sequence >= sa->sequence_hard || sa->bytes >= sa->bytes_hard ||
		     worker->now_tsc >= sa->expires_tsc))
		return false;
	sa->sequence++;
	sa->packets++;
	sa->bytes += packet->length;
	low = rte_cpu_to_be_32((uint32_t)sa->sequence);
	high = rte_cpu_to_be_32((uint32_t)(sa->sequence >> 32));
	memcpy(esp + 4, &low, sizeof(low));
	memcpy(esp + 8, &high, sizeof(high));
	memcpy(esp + 12, &low, sizeof(low));
	_mm_store_si128((__m128i *)input->nonce, _mm_set_epi32(0, (int)low, (int)high, (int)sa->salt));
	_mm_store_si128((__m128i *)input->aad, _mm_set_epi32(0, (int)low, (int)high, (int)sa->spi));
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

static inline uint8_t *esp_of(const struct packet *packet)
{
	return rte_pktmbuf_mtod(packet->mbuf, uint8_t *) + packet->edge->header_size - OUTER_INNER_SIZE -
	       OUTER_ESP_SIZE;
}

void stage_seal(struct worker *worker, struct lane *lane)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		struct packet *packet = &lane->packet[i];

		if (unlikely(!take_sequence(
			    worker, packet->edge->sa, esp_of(packet), packet, &worker->gcm_input[kept]))) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_seal_sa_expired);
			continue;
		}
		lane->packet[kept++] = *packet;
	}
	lane->count = kept;
	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];
		uint8_t *text = esp_of(packet) + OUTER_ESP_SIZE;
		struct gcm_context_data context;

		IMB_AES256_GCM_ENC(worker->gcm, &packet->edge->sa->key, &context, text, text, packet->length,
			worker->gcm_input[i].nonce, worker->gcm_input[i].aad, GCM_AAD_SIZE, text + packet->length,
			PONT_ESP_ICV_SIZE);
		if (unlikely(packet->edge->ip_size == sizeof(struct rte_ipv6_hdr)))
			checksum_udp6(packet->mbuf);
	}
}
