/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>

#include "dataplane/path.h"

static void send_port(struct worker *worker, unsigned int number)
{
	const struct port *port = &worker->plane->ports.port[number];
	struct tx_buffer *buffer = &worker->tx[number];
	uint64_t bytes[TX_BURST];
	uint16_t sent;

	/* Buffers are the driver's as soon as it takes them: lengths are read before. */
	for (uint16_t i = 0; i < buffer->count; i++)
		bytes[i] = buffer->mbuf[i]->pkt_len;
	sent = rte_eth_tx_burst(port->ethdev, (uint16_t)worker->number, buffer->mbuf, buffer->count);
	for (uint16_t i = 0; i < sent; i++) {
		struct tenant_traffic *traffic = &worker->traffic[buffer->tenant[i]];
		struct pont_traffic *counter = port->role == PONT_PORT_WAN ? &traffic->wan_tx : &traffic->access_tx;

		counter->packets++;
		counter->bytes += bytes[i];
	}
	for (uint16_t i = sent; i < buffer->count; i++)
		worker_drop(worker, buffer->mbuf[i], buffer->tenant[i], PONT_DROP_tx_queue_full);
	buffer->count = 0;
}

static inline void enqueue(struct worker *worker, unsigned int port, struct rte_mbuf *mbuf, uint16_t tenant)
{
	struct tx_buffer *buffer = &worker->tx[port];

	buffer->mbuf[buffer->count] = mbuf;
	buffer->tenant[buffer->count] = tenant;
	if (++buffer->count == TX_BURST)
		send_port(worker, port);
}

void tx_wan(struct worker *worker, unsigned int port, struct rte_mbuf *mbuf, uint16_t tenant)
{
	enqueue(worker, port, mbuf, tenant);
}

void stage_tx_wan(struct worker *worker, struct lane *lane)
{
	for (uint16_t i = 0; i < lane->count; i++)
		enqueue(worker, lane->packet[i].edge->port, lane->packet[i].mbuf, lane->packet[i].tenant);
}

/* Puts a circuit's 802.1Q tag on, priority 0; false if the buffer has no room before the frame. */
static bool put_tag_on(struct rte_mbuf *mbuf, uint16_t vlan)
{
	uint8_t *old = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, RTE_VLAN_HLEN);
	rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), vlan};

	if (unlikely(frame == NULL))
		return false;
	memmove(frame, old, 2 * RTE_ETHER_ADDR_LEN);
	memcpy(frame + 2 * RTE_ETHER_ADDR_LEN, tag, sizeof(tag));
	return true;
}

void stage_tx_access(struct worker *worker, struct lane *lane)
{
	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];
		const struct circuit *circuit = packet->circuit;

		if (unlikely(packet->mbuf->pkt_len > circuit->frame_max) ||
			(circuit->vlan != 0 && unlikely(!put_tag_on(packet->mbuf, circuit->vlan)))) {
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_tx_too_big);
			continue;
		}
		enqueue(worker, circuit->port, packet->mbuf, packet->tenant);
	}
}

void tx_flush(struct worker *worker)
{
	for (unsigned int port = 0; port < worker->plane->ports.count; port++)
		if (worker->tx[port].count != 0)
			send_port(worker, port);
}
