/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On the wire (RFC 4303, 4106, 3948, 7348):
 *
 *	Ethernet | IPv4/IPv6 | UDP 4500 | ESP (SPI, sequence) | IV 8 | { UDP 4789 | VXLAN | tenant frame | padding,
 *	pad length, next header 17 } | ICV 16
 */
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/path.h"

/* ECN bits of the tenant's packet, to be copied to the outer header (RFC 6040 section 4.1, normal mode). */
static inline uint8_t inner_ecn(const uint8_t *frame, uint32_t size)
{
	uint16_t type;

	/* What lies behind a shorter frame is another packet's. */
	if (unlikely(size < 16))
		return 0;
	memcpy(&type, frame + 12, sizeof(type));
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return frame[15] & 3;
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		return (frame[15] >> 4) & 3;
	return 0;
}

static inline void write_ip(uint8_t *header, const struct edge_out *edge, uint16_t udp_size, uint8_t ecn)
{
	if (likely(edge->ip_size == sizeof(struct rte_ipv4_hdr))) {
		struct rte_ipv4_hdr *ip = (void *)header;
		uint32_t sum;

		ip->type_of_service = ecn;
		ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + udp_size));
		sum = edge->ip_sum + ip->total_length + rte_cpu_to_be_16(ecn);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		ip->hdr_checksum = (uint16_t)~sum;
	} else {
		struct rte_ipv6_hdr *ip = (void *)header;

		ip->vtc_flow = RTE_BE32(UINT32_C(6) << 28) | rte_cpu_to_be_32((uint32_t)ecn << 20);
		ip->payload_len = rte_cpu_to_be_16(udp_size);
	}
}

/* Bytes that AES-GCM takes for a frame: inner UDP and VXLAN, the frame, padding to four bytes, the trailer's two. */
static inline uint32_t encrypted_size(uint32_t frame)
{
	return (OUTER_INNER_SIZE + frame + 2 + 3) & ~3u;
}

/*
 * Padding 1, 2, 3, pad length and next header as they stand behind a frame, by the number of padding bytes. Eight bytes
 * are written at once; those too many lie where the ICV will be.
 */
#define TRAILER(padding, bytes)                                                                                        \
	((uint64_t)(bytes) | (uint64_t)(padding) << (8 * (padding)) | (uint64_t)IPPROTO_UDP << (8 * (padding) + 8))
static const uint64_t trailer_bytes[4] = {TRAILER(0, 0), TRAILER(1, 0x01), TRAILER(2, 0x0201), TRAILER(3, 0x030201)};

/* Lays the header before and the trailer behind one frame; false: no room in the buffer, which ports are sized for. */
static inline bool encapsulate(const struct snapshot *snapshot, struct packet *packet, uint32_t encrypted)
{
	const struct edge_out *edge = packet->edge;
	const struct peer_out *peer = &snapshot->peer[edge->peer];
	struct rte_mbuf *mbuf = packet->mbuf;
	uint32_t size = mbuf->pkt_len, header_size = edge->header_size;
	uint32_t behind = encrypted - OUTER_INNER_SIZE - size + PONT_ESP_ICV_SIZE;
	uint16_t udp_size = (uint16_t)(sizeof(struct rte_udp_hdr) + OUTER_ESP_SIZE + encrypted + PONT_ESP_ICV_SIZE);
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *), *header = frame - header_size;
	uint8_t ecn = inner_ecn(frame, size);
	struct rte_udp_hdr *udp;

	if (unlikely(mbuf->data_off < header_size || mbuf->data_off + size + behind > mbuf->buf_len))
		return false;
	memcpy(frame + size, &trailer_bytes[encrypted - OUTER_INNER_SIZE - size - 2], sizeof(trailer_bytes[0]));
	if (likely(edge->ip_size == sizeof(struct rte_ipv4_hdr)))
		memcpy(header, peer->header, OUTER_HEADER_IPV4);
	else
		memcpy(header, peer->header, OUTER_HEADER_MAX);
	write_ip(header + OUTER_ETHER_SIZE, edge, udp_size, ecn);
	udp = (void *)(frame - OUTER_INNER_SIZE - OUTER_ESP_SIZE - sizeof(*udp));
	udp->src_port = edge->source_port;
	udp->dgram_len = rte_cpu_to_be_16(udp_size);
	memcpy(udp + 1, &edge->spi, sizeof(edge->spi));
	udp = (void *)(frame - OUTER_INNER_SIZE);
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(OUTER_INNER_SIZE + size));
	memcpy(frame - sizeof(edge->vni_word), &edge->vni_word, sizeof(edge->vni_word));

	mbuf->data_off -= (uint16_t)header_size;
	mbuf->pkt_len = size + header_size + behind;
	mbuf->data_len = (uint16_t)mbuf->pkt_len;
	packet->length = (uint16_t)encrypted;
	return true;
}

void stage_encap(struct worker *worker, struct lane *lane)
{
	uint16_t kept = 0, ahead = worker->snapshot->keys_are_many ? SA_KEYS_AHEAD : 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		struct packet *packet = &lane->packet[i];
		const struct edge_out *edge = packet->edge;
		uint32_t encrypted = encrypted_size(packet->mbuf->pkt_len);
		uint32_t outer =
			edge->ip_size + sizeof(struct rte_udp_hdr) + OUTER_ESP_SIZE + encrypted + PONT_ESP_ICV_SIZE;

		/* An edge of another tenant: its number has changed hands since the address was learnt. */
		if (unlikely(edge->sa == NULL || edge->tenant != packet->tenant)) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_encap_no_sa);
			continue;
		}
		if (unlikely(edge->ip_size == 0)) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_encap_no_adjacency);
			continue;
		}
		if (unlikely(outer > edge->packet_max) || unlikely(!encapsulate(worker->snapshot, packet, encrypted))) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_encap_too_big);
			continue;
		}
		rte_prefetch0(edge->sa);
		/* seal starts with these at once. */
		if (kept < ahead)
			sa_prefetch_key(&edge->sa->key, packet->length, worker->gcm_reach);
		lane_keep(lane, &kept, i);
	}
	lane->count = kept;
}
