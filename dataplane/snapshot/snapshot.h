/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the workers know of the configuration: one immutable record, replaced as a whole by COMMIT. Workers take the
 * pointer once per round and hold nothing of it beyond their next quiescent state.
 */
#ifndef DATAPLANE_SNAPSHOT_SNAPSHOT_H
#define DATAPLANE_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_common.h>

#include "dataplane/esp/sa.h"
#include "dataplane/packet.h"
#include "pontlevis/address.h"
#include "pontlevis/limits.h"

struct fence_shadow;
struct fence_table;
struct pont_fence_switches;

/* Longest header we put in front of a tenant frame, in bytes: Ethernet, IPv6, UDP, ESP, IV, UDP, VXLAN. */
enum {
	OUTER_ETHER_SIZE = 14,
	OUTER_ESP_SIZE = 8 + 8,   /* SPI, sequence number, IV */
	OUTER_INNER_SIZE = 8 + 8, /* UDP, VXLAN: the first bytes encrypted */
	OUTER_HEADER_IPV4 = OUTER_ETHER_SIZE + 20 + 8 + OUTER_ESP_SIZE + OUTER_INNER_SIZE,
	OUTER_HEADER_MAX = OUTER_ETHER_SIZE + 40 + 8 + OUTER_ESP_SIZE + OUTER_INNER_SIZE,
	OUTER_TRAILER_MAX = 3 + 2 + PONT_ESP_ICV_SIZE, /* padding, pad length and next header, ICV */
};

/* An attachment circuit. */
struct circuit {
	place_t place;   /* its number, also as a place */
	uint16_t tenant; /* index */
	uint16_t port;
	uint16_t vlan;      /* network byte order, 0: untagged */
	uint16_t frame_max; /* longest tenant frame the port takes, in bytes */
};

/* What classify needs of a circuit. */
struct attachment {
	uint16_t circuit; /* number, 0: none */
	uint16_t tenant;  /* index */
};

/*
 * A tenant at a peer, as one worker sends there: what the outer header has of its own. With thousands of tenants each
 * packet's edge comes from far away, so it is half a cache line; the rest of the header is its peer's and stays near.
 */
struct edge_out {
	struct sa_out *sa; /* NULL: nothing is sent */
	uint32_t ip_sum;   /* IPv4: one's complement sum of the header with total length and TOS zero */
	rte_be32_t spi;
	uint32_t vni_word; /* VNI as it stands in the VXLAN header: network byte order, reserved byte zero */
	rte_be16_t source_port;
	uint16_t tenant; /* index; compared with the packet's on every use */
	uint16_t peer;
	uint16_t port;       /* WAN port */
	uint16_t packet_max; /* path MTU: largest outer IP packet in bytes */
	uint8_t ip_size;     /* 20 or 40; 0: no adjacency, nothing is sent */
	uint8_t header_size; /* OUTER_ETHER_SIZE + ip_size + 8 + OUTER_ESP_SIZE + OUTER_INNER_SIZE */
};
_Static_assert(sizeof(struct edge_out) == 32, "two edges a cache line");

/* The outer header towards a peer, ready but for what an edge has of its own, lengths, checksum and sequence number. */
struct peer_out {
	uint8_t header[OUTER_HEADER_MAX + 2];
} __rte_cache_aligned;

/* Where a tenant's flooded frames go: numbers of circuits and edges. */
struct flood {
	uint32_t first; /* index into snapshot.flood_place; circuits first, edges behind them */
	uint16_t circuits;
	uint16_t edges;
};

struct snapshot {
	uint64_t revision;
	const struct fence_table *fence;            /* NULL: nothing leaves */
	const struct pont_fence_switches *switches; /* NULL: none to look at */
	const struct fence_shadow *shadow;          /* candidate policy, NULL: none */

	uint8_t vtep6[16];
	rte_be32_t vtep4;
	bool has_vtep4, has_vtep6;

	uint32_t circuit_count; /* entries of circuit[], number 0 is unused */
	uint32_t edge_count;    /* entries of edge[w][], number 0 is unused */
	bool keys_are_many;     /* more than the caches hold: worth asking for ahead */
	uint32_t tenant_count;  /* entries of flood[], index 0 is unused */
	struct circuit *circuit;
	struct attachment *attachment[PONT_PORTS_MAX]; /* [4096] by VLAN of an access port */
	struct edge_out *edge[PONT_WORKERS_MAX];
	struct peer_out *peer; /* [PONT_PEERS_MAX + 1] by number */
	struct flood *flood;
	place_t *flood_place;
};

struct state;
struct port_set;

/* Builds the workers' view of a state. NULL if memory is short. */
struct snapshot *snapshot_build(const struct state *state, const struct port_set *ports, unsigned int workers);
void snapshot_free(struct snapshot *snapshot);

/* The outbound SA of one worker on one edge. */
struct edge_sa {
	uint32_t edge;
	uint16_t worker;
};

/*
 * The view of a state that differs from the present one in these outbound SAs only: it shares with the present view
 * everything but the edges of the workers concerned. NULL if memory is short.
 */
struct snapshot *snapshot_patch(
	const struct snapshot *present, const struct state *state, const struct edge_sa *changed, size_t count);
/* Frees what a patched view does not share with its successor. */
void snapshot_free_unshared(struct snapshot *snapshot, const struct snapshot *successor);

#endif
