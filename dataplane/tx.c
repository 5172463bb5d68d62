/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>

#include "dataplane/path.h"

static inline struct pont_traffic *counter_of(struct worker *worker, const struct port *port, uint16_t tenant)
{
	struct tenant_traffic *traffic = &worker->traffic[tenant];

	return port->role == PONT_PORT_WAN ? &traffic->wan_tx : &traffic->access_tx;
}

/* What the port does not take is taken out of the books of the sent again, and dropped. */
static void refused(struct worker *worker, const struct port *port, struct rte_mbuf *mbuf)
{
	uint16_t tenant = mbuf->vlan_tci_outer;
	struct pont_traffic *sent = counter_of(worker, port, tenant);

	sent->packets--;
	sent->bytes -= mbuf->pkt_len;
	worker_drop(worker, mbuf, tenant, PONT_DROP_tx_queue_full);
}

static void send_port(struct worker *worker, unsigned int number)
{
	const struct port *port = &worker->plane->ports.port[number];
	struct tx_buffer *buffer = &worker->tx[number];
	uint16_t sent = rte_eth_tx_burst(port->ethdev, (uint16_t)worker->number, buffer->mbuf, buffer->count);

	for (uint16_t i = sent; unlikely(i < buffer->count); i++)
		refused(worker, port, buffer->mbuf[i]);
	buffer->count = 0;
}

/* Counts at once, as the driver owns the buffer once it is sent; the buffer notes whose books it is in. */
static inline void enqueue(struct worker *worker, unsigned int number, struct rte_mbuf *mbuf, uint16_t tenant,
	struct pont_traffic *counter)
{
	struct tx_buffer *buffer = &worker->tx[number];

	counter->packets++;
	counter->bytes += mbuf->pkt_len;
	mbuf->vlan_tci_outer = tenant;
	buffer->mbuf[buffer->count] = mbuf;
	if (unlikely(++buffer->count == TX_BURST))
		send_port(worker, number);
}

void tx_wan(struct worker *worker, unsigned int port, struct rte_mbuf *mbuf, uint16_t tenant)
{
	enqueue(worker, port, mbuf, tenant, &worker->traffic[tenant].wan_tx);
}

void stage_tx_wan(struct worker *worker, struct lane *lane)
{
	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];

		enqueue(worker, packet->edge->port, packet->mbuf, packet->tenant,
			&worker->traffic[packet->tenant].wan_tx);
	}
}

/* Puts a circuit's 802.1Q tag on, priority 0; false if the buffer has no room before the frame. */
static bool put_tag_on(struct rte_mbuf *mbuf, uint16_t vlan)
{
	uint8_t *old = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, RTE_VLAN_HLEN);
	rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), vlan};

	if (unlikely(frame == NULL))
		return false;
	memmove(frame, old, 2 * sizeof(struct rte_ether_addr));
	memcpy(frame + 2 * sizeof(struct rte_ether_addr), tag, sizeof(tag));
	return true;
}

void stage_tx_access(struct worker *worker, struct lane *lane)
{
	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];
		const struct circuit *circuit = packet->circuit;

		/* A circuit of another tenant: its number has changed hands since the address was learnt. */
		if (unlikely(circuit->tenant != packet->tenant)) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_forward_no_destination);
			continue;
		}
		if (unlikely(packet->mbuf->pkt_len > circuit->frame_max) ||
			(circuit->vlan != 0 && unlikely(!put_tag_on(packet->mbuf, circuit->vlan)))) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_tx_too_big);
			continue;
		}
		enqueue(worker, circuit->port, packet->mbuf, packet->tenant,
			&worker->traffic[packet->tenant].access_tx);
	}
}

void tx_flush(struct worker *worker)
{
	for (unsigned int port = 0; port < worker->plane->ports.count; port++)
		if (worker->tx[port].count != 0)
			send_port(worker, port);
}
