/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/forward.h"
#include "dataplane/path.h"

enum { ECN_NOT_ECT = 0, ECN_CE = 3 };

/* Whether the buffer holds a VXLAN datagram of consistent length with the I flag set (RFC 7348 section 5). */
static inline bool is_vxlan(const struct rte_mbuf *mbuf)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod(mbuf, const struct rte_udp_hdr *);

	return mbuf->pkt_len >= OUTER_INNER_SIZE && udp->dst_port == RTE_BE16(PONT_UDP_PORT_VXLAN) &&
	       rte_be_to_cpu_16(udp->dgram_len) == mbuf->pkt_len && (((const uint8_t *)(udp + 1))[0] & 0x08);
}

/*
 * The outer header says "congestion experienced": tells the tenant's transport, as RFC 6040 section 4.2 asks. False if
 * that transport cannot be told by a mark; then the packet is dropped, which it understands.
 */
static bool tell_congestion(struct rte_mbuf *mbuf)
{
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	struct rte_ether_hdr *ether = (void *)frame;

	if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
		mbuf->pkt_len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr)) {
		struct rte_ipv4_hdr *ip = (void *)(ether + 1);
		uint32_t sum;

		if ((ip->type_of_service & 3) == ECN_NOT_ECT)
			return false;
		/* Incremental update, RFC 1624 equation 3, on the word that holds version, length and TOS. */
		sum = (uint16_t)~ip->hdr_checksum;
		sum += (uint16_t)~RTE_BE16(ip->type_of_service);
		ip->type_of_service |= ECN_CE;
		sum += RTE_BE16(ip->type_of_service);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		ip->hdr_checksum = (uint16_t)~sum;
		return true;
	}
	if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6) &&
		mbuf->pkt_len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv6_hdr)) {
		if ((frame[15] & 0x30) == 0)
			return false;
		frame[15] |= ECN_CE << 4;
		return true;
	}
	return true;
}

void stage_decap(struct worker *worker, struct lane *lane)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		struct packet *packet = &lane->packet[i];
		struct rte_mbuf *mbuf = packet->mbuf;
		uint8_t outer_ecn = (uint8_t)mbuf->vlan_tci;
		uint32_t vni_word;

		if (unlikely(!is_vxlan(mbuf))) {
			worker_drop(worker, mbuf, packet->tenant, PONT_DROP_decap_bad_vxlan);
			continue;
		}
		/* Both reserved bytes aside: they are ignored on receipt (RFC 7348 section 5). */
		memcpy(&vni_word, rte_pktmbuf_mtod(mbuf, uint8_t *) + OUTER_INNER_SIZE - 4, sizeof(vni_word));
		if (unlikely((vni_word & RTE_BE32(0xffffff00)) != packet->sa->vni_word)) {
			worker_drop(worker, mbuf, packet->tenant, PONT_DROP_decap_vni_mismatch);
			continue;
		}
		mbuf->data_off += OUTER_INNER_SIZE;
		mbuf->data_len -= OUTER_INNER_SIZE;
		mbuf->pkt_len = mbuf->data_len;
		if (unlikely(mbuf->pkt_len < RTE_ETHER_HDR_LEN)) {
			worker_drop(worker, mbuf, packet->tenant, PONT_DROP_decap_runt);
			continue;
		}
		if (unlikely(outer_ecn == ECN_CE) && !tell_congestion(mbuf)) {
			worker_drop(worker, mbuf, packet->tenant, PONT_DROP_decap_congestion);
			continue;
		}
		forward_ahead(worker, packet, rte_pktmbuf_mtod(mbuf, const uint8_t *));
		lane_keep(lane, &kept, i);
	}
	lane->count = kept;
}
