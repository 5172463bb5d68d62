/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/path.h"

/* What steer finds out about a frame: the offset of its UDP header, or why it is not for the overlay. */
struct outer {
	uint16_t udp;
	uint16_t end;     /* of the IP packet, from the start of the frame: what lies behind is link-layer padding */
	bool exceptional; /* for the appliance's kernel, if the port has an exception path */
	enum pont_drop reason;
};

static inline bool refuse(struct outer *outer, bool exceptional, enum pont_drop reason)
{
	outer->exceptional = exceptional;
	outer->reason = reason;
	return false;
}

static inline bool parse_ipv4(
	const struct snapshot *snapshot, const uint8_t *frame, uint32_t length, struct outer *outer)
{
	const struct rte_ipv4_hdr *ip = (const void *)(frame + RTE_ETHER_HDR_LEN);
	uint32_t header = rte_ipv4_hdr_len(ip), total = rte_be_to_cpu_16(ip->total_length);

	if (unlikely(length < RTE_ETHER_HDR_LEN + sizeof(*ip) || header < sizeof(*ip) || total < header ||
		     RTE_ETHER_HDR_LEN + total > length))
		return refuse(outer, false, PONT_DROP_steer_malformed);
	if (unlikely(!snapshot->has_vtep4 || ip->dst_addr != snapshot->vtep4))
		return refuse(outer, true, PONT_DROP_steer_not_ours);
	if (unlikely(ip->next_proto_id != IPPROTO_UDP))
		return refuse(outer, true, PONT_DROP_steer_not_esp);
	if (unlikely(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return refuse(outer, true, PONT_DROP_steer_fragment);
	outer->udp = (uint16_t)(RTE_ETHER_HDR_LEN + header);
	outer->end = (uint16_t)(RTE_ETHER_HDR_LEN + total);
	return true;
}

static inline bool parse_ipv6(
	const struct snapshot *snapshot, const uint8_t *frame, uint32_t length, struct outer *outer)
{
	const struct rte_ipv6_hdr *ip = (const void *)(frame + RTE_ETHER_HDR_LEN);
	uint32_t total = sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len);

	if (unlikely(length < RTE_ETHER_HDR_LEN + sizeof(*ip) || RTE_ETHER_HDR_LEN + total > length))
		return refuse(outer, false, PONT_DROP_steer_malformed);
	if (unlikely(!snapshot->has_vtep6 || memcmp(ip->dst_addr, snapshot->vtep6, sizeof(ip->dst_addr)) != 0))
		return refuse(outer, true, PONT_DROP_steer_not_ours);
	if (unlikely(ip->proto == IPPROTO_FRAGMENT))
		return refuse(outer, true, PONT_DROP_steer_fragment);
	if (unlikely(ip->proto != IPPROTO_UDP))
		return refuse(outer, true, PONT_DROP_steer_not_esp);
	outer->udp = RTE_ETHER_HDR_LEN + sizeof(*ip);
	outer->end = (uint16_t)(RTE_ETHER_HDR_LEN + total);
	return true;
}

/* Whether the frame is ESP in UDP for this site; fills outer, with the datagram's bounds checked, or the reason. */
static bool is_esp(const struct snapshot *snapshot, const uint8_t *frame, uint32_t length, struct outer *outer)
{
	const struct rte_ether_hdr *ether = (const void *)frame;
	const struct rte_udp_hdr *udp;
	uint32_t size;

	if (unlikely(length < RTE_ETHER_HDR_LEN))
		return refuse(outer, false, PONT_DROP_steer_malformed);
	if (likely(ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))) {
		if (unlikely(!parse_ipv4(snapshot, frame, length, outer)))
			return false;
	} else if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6)) {
		if (unlikely(!parse_ipv6(snapshot, frame, length, outer)))
			return false;
	} else {
		return refuse(outer, true, PONT_DROP_steer_not_esp);
	}
	udp = (const void *)(frame + outer->udp);
	if (unlikely(outer->udp + sizeof(*udp) > outer->end))
		return refuse(outer, false, PONT_DROP_steer_malformed);
	if (unlikely(udp->dst_port != RTE_BE16(PONT_UDP_PORT_ESP)))
		return refuse(outer, true, PONT_DROP_steer_not_esp);
	size = rte_be_to_cpu_16(udp->dgram_len);
	if (unlikely(size < sizeof(*udp) || outer->udp + size > outer->end))
		return refuse(outer, false, PONT_DROP_steer_malformed);
	outer->end = (uint16_t)(outer->udp + size);
	/* A keepalive is one byte, IKE starts with four zero bytes (RFC 3948 sections 2.2 and 2.3). */
	if (unlikely(size < sizeof(*udp) + sizeof(rte_be32_t)))
		return refuse(outer, false, PONT_DROP_steer_not_esp);
	return true;
}

/*
 * The same for the header that our own peers send: IPv4 without options, not a fragment, UDP 4500 to our VTEP. Decides
 * by a few wide compares; anything unusual is left to is_esp(). At least 42 bytes can be read, as buffers are longer.
 */
static inline bool is_plain_esp(
	const struct snapshot *snapshot, const uint8_t *frame, uint32_t length, struct outer *outer)
{
	const uint8_t *udp = frame + RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr);
	uint32_t start, middle, destination, total, size;
	uint16_t port, be_total, be_size;

	memcpy(&start, frame + 12, sizeof(start));   /* Ethernet type, version and header length, TOS */
	memcpy(&middle, frame + 20, sizeof(middle)); /* flags and fragment offset, TTL, protocol */
	memcpy(&destination, frame + 30, sizeof(destination));
	memcpy(&port, udp + 2, sizeof(port));
	memcpy(&be_total, frame + 16, sizeof(be_total));
	memcpy(&be_size, udp + 4, sizeof(be_size));
	total = rte_be_to_cpu_16(be_total);
	size = rte_be_to_cpu_16(be_size);
	if (unlikely(((start ^ RTE_BE32(0x08004500)) & RTE_BE32(0xffffff00)) != 0 ||
		     ((middle ^ RTE_BE32(0x00000011)) & RTE_BE32(0x3fff00ff)) != 0 || !snapshot->has_vtep4 ||
		     destination != snapshot->vtep4 || port != RTE_BE16(PONT_UDP_PORT_ESP) ||
		     size < sizeof(struct rte_udp_hdr) + sizeof(rte_be32_t) ||
		     size + sizeof(struct rte_ipv4_hdr) > total || RTE_ETHER_HDR_LEN + total > length))
		return false;
	outer->udp = RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr);
	outer->end = (uint16_t)(outer->udp + size);
	return true;
}

/*
 * Reduces the buffer to the ESP packet; what later stages need of the rest goes along: the length received (hash.usr)
 * and the outer ECN bits (vlan_tci).
 */
static inline void trim(struct rte_mbuf *mbuf, const uint8_t *frame, const struct outer *outer)
{
	uint16_t start = outer->udp + (uint16_t)sizeof(struct rte_udp_hdr);

	mbuf->hash.usr = mbuf->pkt_len;
	mbuf->vlan_tci = frame[12] == 0x08 ? frame[15] & 3 : (frame[15] >> 4) & 3;
	mbuf->data_off += start;
	mbuf->data_len = outer->end - start;
	mbuf->pkt_len = mbuf->data_len;
}

/* First the frames, each asking for its SA; then the SAs. */
void stage_steer(struct worker *worker, struct lane *lane)
{
	const struct plane *plane = worker->plane;
	uint16_t count = 0, kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		struct rte_mbuf *mbuf = lane->packet[i].mbuf;
		uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
		struct outer outer;
		rte_be32_t spi;

		if (unlikely(!is_plain_esp(worker->snapshot, frame, mbuf->pkt_len, &outer)) &&
			!is_esp(worker->snapshot, frame, mbuf->pkt_len, &outer)) {
			if (outer.exceptional)
				exception_to_kernel(worker, mbuf, outer.reason);
			else
				worker_drop_stranger(worker, mbuf, true, outer.reason);
			continue;
		}
		memcpy(&spi, frame + outer.udp + sizeof(struct rte_udp_hdr), sizeof(spi));
		if (unlikely(spi == 0)) {
			exception_to_kernel(worker, mbuf, PONT_DROP_steer_not_esp);
			continue;
		}
		trim(mbuf, frame, &outer);
		lane->packet[count].mbuf = mbuf;
		lane->packet[count].sa = &plane->sa_in[rte_be_to_cpu_32(spi) & (plane->spi_slots - 1)];
		rte_prefetch0(lane->packet[count].sa);
		count++;
	}
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = lane->packet[i].mbuf;
		const struct sa_in *sa = lane->packet[i].sa;
		rte_be32_t spi;

		memcpy(&spi, rte_pktmbuf_mtod(mbuf, const uint8_t *), sizeof(spi));
		if (unlikely(__atomic_load_n(&sa->spi, __ATOMIC_ACQUIRE) != spi)) {
			worker_drop_unopened(worker, mbuf, PONT_DROP_steer_unknown_spi);
			continue;
		}
		if (unlikely(sa->worker != worker->number)) {
			handover_give(worker, mbuf, sa->worker);
			continue;
		}
		lane_keep(lane, &kept, i);
	}
	lane->count = kept;
}
