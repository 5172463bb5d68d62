/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration as the link describes it, and transactions on it. BEGIN copies the state, messages change the
 * copy, COMMIT builds a snapshot from it, hands that to the workers and waits until all of them use it; only then is
 * what the old one held released. Any error throws the copy away. Main lcore only.
 */
#ifndef DATAPLANE_SNAPSHOT_STATE_H
#define DATAPLANE_SNAPSHOT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#include "dataplane/esp/sa.h"
#include "dataplane/packet.h"
#include "dataplane/port/port.h"
#include "pontlevis/link.h"

struct fence_shadow;
struct fence_table;
struct pont_fence_switches;

struct tenant {
	uint32_t vni; /* 0: free */
	uint32_t mac_limit;
	uint32_t mac_ageing_s;
	uint32_t macs; /* learnt now */
	bool marked;
	char name[PONT_NAME_SIZE];
};

struct circuit_config {
	uint16_t port;
	uint16_t vlan;
	uint16_t tenant; /* index, 0: free */
	bool marked;
};

struct peer {
	bool used, marked;
	char name[PONT_NAME_SIZE];
	bool has_adjacency, adjacency_marked;
	struct pont_link_adjacency adjacency;
};

/* A tenant at a peer. Exists while it is a member or has an SA. */
struct edge {
	uint16_t tenant; /* index, 0: free */
	uint16_t peer;
	bool member, marked;
	uint32_t next;    /* next edge of the same tenant, 0: none */
	uint32_t inbound; /* SAs whose frames come from it */
	struct sa_out *sa[PONT_WORKERS_MAX];
};

/* vni → tenant index, sorted by vni. */
struct vni_index {
	uint32_t vni;
	uint16_t tenant;
};

struct state {
	uint64_t revision;
	struct pont_link_site site;
	bool has_site, site_marked;
	const struct fence_table *fence;
	const struct pont_fence_switches *switches; /* NULL: none yet */
	size_t switches_size;                       /* bytes mapped */
	const struct fence_shadow *shadow;          /* NULL: no candidate */

	uint32_t tenant_count; /* used entries of vni[] */
	struct tenant tenant[PONT_TENANTS_MAX + 1];
	struct vni_index vni[PONT_TENANTS_MAX];
	uint32_t first_edge[PONT_TENANTS_MAX + 1];

	struct peer peer[PONT_PEERS_MAX + 1];

	uint32_t circuit_size; /* entries allocated; number 0 is unused */
	struct circuit_config *circuit;
	uint16_t circuit_of[PONT_PORTS_MAX][PONT_VLAN_MAX + 2];

	uint32_t edge_size;
	struct edge *edge;
};

struct state *state_create(void);
struct state *state_copy(const struct state *state);
/* Frees the record itself; SAs and what of the fence it points to belong to the transaction's end. */
void state_free(struct state *state);

uint16_t state_tenant(const struct state *state, uint32_t vni);                 /* index, 0: none */
uint32_t state_edge(const struct state *state, uint16_t tenant, uint16_t peer); /* number, 0: none */

/* Errors of the functions below: errno value > 0 with a sentence in text; 0 is success. */
struct state_error {
	int code;
	char text[256];
};

/* Reserved fields are checked, so that they can mean something one day. message: its name. */
int state_check_reserved(uint64_t reserved, const char *message, struct state_error *error);

/* What a message may refer to, beside the state. */
struct state_limits {
	const struct port_set *ports;
	unsigned int workers;
	uint32_t spi_slots;
};

int state_set_site(struct state *state, const struct pont_link_site *message, struct state_error *error);
int state_set_tenant(struct state *state, const struct pont_link_tenant *message, struct state_error *error);
int state_set_circuit(struct state *state, const struct state_limits *limits, const struct pont_link_circuit *message,
	struct state_error *error);
int state_set_peer(struct state *state, const struct pont_link_peer *message, struct state_error *error);
int state_set_member(struct state *state, const struct pont_link_member *message, struct state_error *error);
int state_set_adjacency(struct state *state, const struct state_limits *limits,
	const struct pont_link_adjacency *message, struct state_error *error);
/* The edge of a (vni, peer) for an SA, made if it is not there yet; 0 with the error set if it cannot be. */
uint32_t state_need_edge(struct state *state, uint32_t vni, uint16_t peer, struct state_error *error);

/* Removes every mark (BEGIN FULL), and everything unmarked (COMMIT of it). */
void state_unmark(struct state *state);
void state_sweep(struct state *state);
/* Whether an edge is no member and has no SA. */
bool state_edge_is_empty(const struct edge *edge);
/* Frees the numbers of edges that carry nothing any more. */
void state_drop_empty_edges(struct state *state);

#endif
