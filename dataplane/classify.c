/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ether.h>

#include "dataplane/forward.h"
#include "dataplane/path.h"

/*
 * VLAN of a frame, 0 if untagged or only priority-tagged (IEEE 802.1Q: VID 0 means "no VLAN"); *tagged says whether
 * the tag stands in the frame: some drivers have taken it off already.
 */
static inline uint16_t vlan_of(const struct rte_mbuf *mbuf, const uint8_t *frame, bool *tagged)
{
	uint16_t type, tci;

	memcpy(&type, frame + 12, sizeof(type));
	memcpy(&tci, frame + 14, sizeof(tci));
	*tagged = type == RTE_BE16(RTE_ETHER_TYPE_VLAN);
	if (unlikely(mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) {
		*tagged = false;
		return mbuf->vlan_tci & 0xfff;
	}
	return *tagged ? rte_be_to_cpu_16(tci) & 0xfff : PONT_VLAN_UNTAGGED;
}

/* What travels in VXLAN is untagged (RFC 7348 section 6.1), and each circuit puts its own tag on. */
static inline void take_tag_off(struct rte_mbuf *mbuf, uint8_t *frame)
{
	memmove(frame + RTE_VLAN_HLEN, frame, 2 * sizeof(struct rte_ether_addr));
	mbuf->data_off += RTE_VLAN_HLEN;
	mbuf->data_len -= RTE_VLAN_HLEN;
	mbuf->pkt_len = mbuf->data_len;
}

/* A tenant's counters are asked for when the tenant is known, and have arrived when so many more packets have passed.
 */
enum { COUNT_BEHIND = 8 };

static inline void count(struct worker *worker, const struct packet *packet)
{
	struct pont_traffic *received = &worker->traffic[packet->tenant].access_rx;

	received->packets++;
	received->bytes += packet->length;
}

void stage_classify(struct worker *worker, struct lane *lane)
{
	const struct attachment *attachments =
		worker->snapshot->attachment[worker->in_port - worker->plane->ports.port];
	uint16_t kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		struct rte_mbuf *mbuf = lane->packet[i].mbuf;
		uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
		struct packet *packet = &lane->packet[kept];
		struct attachment attachment;
		bool tagged;
		uint16_t vlan = vlan_of(mbuf, frame, &tagged);

		if (unlikely(mbuf->pkt_len < RTE_ETHER_HDR_LEN + (tagged ? RTE_VLAN_HLEN : 0u))) {
			worker_drop_stranger(worker, mbuf, false, PONT_DROP_classify_runt);
			continue;
		}
		attachment = attachments[vlan];
		if (unlikely(attachment.circuit == 0)) {
			worker_drop_stranger(worker, mbuf, false, PONT_DROP_classify_unknown_vlan);
			continue;
		}
		packet->mbuf = mbuf;
		packet->from = attachment.circuit;
		packet->tenant = attachment.tenant;
		packet->length = (uint16_t)mbuf->pkt_len; /* as on the port, with the tag */
		rte_prefetch0(&worker->traffic[attachment.tenant]);
		/* Before the addresses are moved: to read them back at once would wait for the move. */
		forward_ahead(worker, packet, frame);
		if (tagged)
			take_tag_off(mbuf, frame);
		if (kept >= COUNT_BEHIND)
			count(worker, &lane->packet[kept - COUNT_BEHIND]);
		kept++;
	}
	for (uint16_t i = kept > COUNT_BEHIND ? kept - COUNT_BEHIND : 0; i < kept; i++)
		count(worker, &lane->packet[i]);
	lane->count = kept;
}
