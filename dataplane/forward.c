/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ether.h>

#include "dataplane/forward.h"
#include "dataplane/path.h"
#include "dataplane/table/fdb.h"

/* Offers an address to the main lcore, which alone writes the FDB. */
static void offer_lesson(struct worker *worker, uint64_t key, place_t place)
{
	struct fdb_lesson lesson = {.key = key, .place = place, .seen_s = worker->now_s};
	unsigned int slot = (unsigned int)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 56);

	/* The main lcore needs some milliseconds: until then, and for one round, once is enough. */
	if (worker->offered_round != worker->round) {
		memset(worker->offered, 0, sizeof(worker->offered));
		worker->offered_round = worker->round;
	}
	if (worker->offered[slot] == key)
		return;
	worker->offered[slot] = key;
	if (rte_ring_enqueue_elem(worker->lessons, &lesson, sizeof(lesson)) != 0)
		worker->counters.learn_lost++;
}

static inline void learn(struct worker *worker, const struct packet *packet, uint64_t key)
{
	struct fdb_entry *entry = fdb_find(&worker->plane->fdb, key, packet->hash.source);

	if (likely(entry != NULL && fdb_place(entry) == packet->from)) {
		if (unlikely(__atomic_load_n(&entry->seen_s, __ATOMIC_RELAXED) != worker->now_s))
			__atomic_store_n(&entry->seen_s, worker->now_s, __ATOMIC_RELAXED);
		return;
	}
	offer_lesson(worker, key, packet->from);
}

/* Puts a packet on the way to a place; the place's record is the workers' own view of it. */
static inline void send_to(struct worker *worker, const struct packet *packet, place_t place)
{
	const struct snapshot *snapshot = worker->snapshot;

	struct packet *out;

	if (place & PLACE_EDGE) {
		out = &worker->wan.packet[worker->wan.count++];
		out->edge = &snapshot->edge[worker->number][PLACE_NUMBER(place)];
		rte_prefetch0(out->edge);
	} else {
		out = &worker->local.packet[worker->local.count++];
		out->circuit = &snapshot->circuit[place];
		rte_prefetch0(out->circuit);
	}
	out->mbuf = packet->mbuf;
	out->tenant = packet->tenant;
}

/* Whether the number exists in this snapshot. Whether it is the tenant's is checked where its record is read next. */
static inline bool exists(const struct snapshot *snapshot, place_t place)
{
	return PLACE_NUMBER(place) < (place & PLACE_EDGE ? snapshot->edge_count : snapshot->circuit_count);
}

/* After a flood there is room again for a burst of unicast frames. */
static inline void make_room(struct worker *worker)
{
	if (unlikely(worker->wan.count > LANE_MAX - BURST_MAX || worker->local.count > LANE_MAX - BURST_MAX))
		path_forwarded(worker);
}

/*
 * Sends a frame to every circuit of the tenant but the one it came from, and to every site unless it came from one
 * (split horizon). Copies are deep, as each is sealed in place; the last target gets the frame itself.
 */
static void flood(struct worker *worker, struct packet *packet)
{
	const struct flood *targets = &worker->snapshot->flood[packet->tenant];
	const place_t *place = &worker->snapshot->flood_place[targets->first];
	uint32_t count = targets->circuits + (packet->from & PLACE_EDGE ? 0u : targets->edges);
	place_t last = PLACE_NOWHERE;

	for (uint32_t i = 0; i < count; i++) {
		if (place[i] == packet->from)
			continue;
		if (last != PLACE_NOWHERE) {
			struct packet copy = *packet;

			worker->rare[packet->tenant].copies++;
			copy.mbuf = rte_pktmbuf_copy(packet->mbuf, packet->mbuf->pool, 0, UINT32_MAX);
			if (likely(copy.mbuf != NULL))
				send_to(worker, &copy, last);
			else
				worker->rare[packet->tenant].drop[PONT_DROP_forward_no_buffer]++;
			make_room(worker);
		}
		last = place[i];
	}
	if (last == PLACE_NOWHERE)
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_forward_no_destination);
	else
		send_to(worker, packet, last);
	make_room(worker);
}

static inline bool is_reserved(const uint8_t *mac)
{
	static const uint8_t reserved[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	return memcmp(mac, reserved, sizeof(reserved)) == 0 && mac[5] < 0x10;
}

static inline void forward_one(struct worker *worker, struct packet *packet)
{
	const struct fdb *fdb = &worker->plane->fdb;
	const uint8_t *destination = rte_pktmbuf_mtod(packet->mbuf, const uint8_t *);
	const uint8_t *source = destination + RTE_ETHER_ADDR_LEN;
	struct fdb_entry *entry;
	place_t place;

	if (unlikely((source[0] & 1) || rte_is_zero_ether_addr((const struct rte_ether_addr *)source))) {
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_forward_bad_source_mac);
		return;
	}
	learn(worker, packet, fdb_key(packet->tenant, source));
	if (unlikely(destination[0] & 1)) {
		if (unlikely(is_reserved(destination)))
			worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_forward_reserved_mac);
		else
			flood(worker, packet);
		return;
	}
	entry = fdb_find(fdb, fdb_key(packet->tenant, destination), packet->hash.destination);
	place = entry != NULL ? fdb_place(entry) : PLACE_NOWHERE;
	if (unlikely(place == PLACE_NOWHERE || !exists(worker->snapshot, place)))
		flood(worker, packet);
	else if (unlikely(place == packet->from))
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_forward_same_circuit);
	else if (unlikely(place & packet->from & PLACE_EDGE))
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_forward_split_horizon);
	else
		send_to(worker, packet, place);
}

void stage_forward(struct worker *worker, struct lane *lane)
{
	for (uint16_t i = 0; i < lane->count; i++)
		forward_one(worker, &lane->packet[i]);
	lane->count = 0;
}
