/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet on its way through the stages, and the lane in which a burst of them moves. One record is half a cache
 * line: the burst's bookkeeping stays in the first-level cache while the packets themselves are prefetched.
 */
#ifndef DATAPLANE_PACKET_H
#define DATAPLANE_PACKET_H

#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

struct circuit;
struct edge_out;
struct sa_in;

/*
 * Where a frame comes from or goes to: an attachment circuit (its number) or an edge (a tenant at a peer; its number
 * with the top bit set). 0 is nowhere. The FDB maps MAC addresses to these.
 */
typedef uint32_t place_t;
#define PLACE_NOWHERE       0u
#define PLACE_EDGE          0x80000000u
#define PLACE_NUMBER(place) ((place) & ~PLACE_EDGE)

struct packet {
	struct rte_mbuf *mbuf;
	union {
		const struct circuit *circuit; /* classify: where from; forward → tx: where to */
		const struct edge_out *edge;   /* forward → encap → seal → fence → tx */
		struct sa_in *sa;              /* steer → open → decap → forward */
	};
	union {
		struct {
			uint32_t destination, source; /* FDB hashes, for forward */
		} hash;
		uint64_t sequence; /* open: 64-bit sequence number */
	};
	place_t from;    /* for learning and split horizon */
	uint16_t tenant; /* index, 0: none */
	uint16_t length; /* classify: bytes received; encap → seal, open: bytes handed to AES-GCM */
};
_Static_assert(sizeof(struct packet) == 32, "two packets a cache line");

/* Packets of one burst. Flooding may make more than came in, so a lane is longer than a receive burst. */
enum { BURST_MAX = 64, LANE_MAX = 256 };

struct lane {
	uint16_t count;
	struct packet packet[LANE_MAX];
};

/*
 * Moves a survivor to the front of its lane. Without drops it stands there already, and nothing is copied: a wide copy
 * right after narrow stores to the record would wait for them (store forwarding fails).
 */
static inline void lane_keep(struct lane *lane, uint16_t *kept, uint16_t from)
{
	if (unlikely(*kept != from))
		lane->packet[*kept] = lane->packet[from];
	(*kept)++;
}

#endif
