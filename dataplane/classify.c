/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ether.h>

#include "dataplane/forward.h"
#include "dataplane/path.h"

/*
 * VLAN of a frame, 0 if untagged or only priority-tagged (IEEE 802.1Q: VID 0 means "no VLAN"). The tag is taken off:
 * what travels in VXLAN is untagged (RFC 7348 section 6.1), and each circuit puts its own tag on.
 */
static uint16_t take_tag_off(struct rte_mbuf *mbuf)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, struct rte_ether_hdr *);
	uint16_t vlan;

	/* Some drivers have taken it off already. */
	if (unlikely(mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
		return mbuf->vlan_tci & 0xfff;
	if (likely(ether->ether_type != RTE_BE16(RTE_ETHER_TYPE_VLAN)))
		return PONT_VLAN_UNTAGGED;
	if (unlikely(mbuf->pkt_len < RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN))
		return PONT_VLAN_MAX + 1;
	vlan = rte_be_to_cpu_16(((const struct rte_vlan_hdr *)(ether + 1))->vlan_tci) & 0xfff;
	memmove(rte_pktmbuf_adj(mbuf, RTE_VLAN_HLEN), ether, 2 * RTE_ETHER_ADDR_LEN);
	return vlan;
}

void stage_classify(struct worker *worker, struct lane *lane)
{
	const uint16_t *circuit_of_vlan =
		worker->snapshot->circuit_of_vlan[worker->in_port - worker->plane->ports.port];
	uint16_t kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		struct rte_mbuf *mbuf = lane->packet[i].mbuf;
		const struct circuit *circuit;
		struct tenant_traffic *traffic;
		uint16_t vlan;

		if (unlikely(mbuf->pkt_len < RTE_ETHER_HDR_LEN)) {
			worker_drop_stranger(worker, mbuf, false, PONT_DROP_classify_runt);
			continue;
		}
		vlan = take_tag_off(mbuf);
		if (unlikely(circuit_of_vlan == NULL || vlan > PONT_VLAN_MAX || circuit_of_vlan[vlan] == 0)) {
			worker_drop_stranger(worker, mbuf, false, PONT_DROP_classify_unknown_vlan);
			continue;
		}
		circuit = &worker->snapshot->circuit[circuit_of_vlan[vlan]];
		traffic = &worker->traffic[circuit->tenant];
		traffic->access_rx.packets++;
		traffic->access_rx.bytes += mbuf->pkt_len;
		lane->packet[kept].mbuf = mbuf;
		lane->packet[kept].from = circuit->place;
		lane->packet[kept].tenant = circuit->tenant;
		forward_ahead(worker, &lane->packet[kept++]);
	}
	lane->count = kept;
}
