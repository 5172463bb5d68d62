/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A site in one process, for tests: a plane whose ports are rings in memory, configured by link messages, driven round
 * by round by hand. Two access ports and one WAN port:
 *
 *	access0 ─┐                 ┌─ peer 1 over IPv4
 *	         ├─ workers ─ wan0 ┤
 *	access1 ─┘                 └─ peer 2 over IPv6
 *
 * Whatever a test has to set up and cannot, ends the process with a message: the case under test never ran.
 */
#ifndef TEST_DATAPLANE_RIG_H
#define TEST_DATAPLANE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/link/server.h"
#include "dataplane/snapshot/transaction.h"
#include "dataplane/worker.h"
#include "wire.h"

#define RIG_CHECK(condition, ...)                                                                                      \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			rig_die(__FILE__, __LINE__, __VA_ARGS__);                                                      \
	} while (0)
__attribute__((noreturn, format(printf, 3, 4))) void rig_die(const char *file, int line, const char *format, ...);

enum rig_port { RIG_ACCESS0, RIG_ACCESS1, RIG_WAN, RIG_PORTS };
enum { RIG_WORKERS = 2, RIG_SPI_SLOTS = 256, RIG_MACS = 1024, RIG_FRAME_MAX = 1518 };

/* Both tenants of rig_configure() exist at both peers, and at both access ports. */
enum {
	RIG_HOPITAL = 100,   /* VNI; untagged on both access ports */
	RIG_MINISTERE = 200, /* VNI; VLAN 10 on access0, VLAN 20 on access1 */
	RIG_PEER4 = 1,
	RIG_PEER6 = 2,
};

struct rig_options {
	unsigned int workers; /* 0: one */
	bool twin;            /* the WAN port has a kernel twin */
	uint32_t buffers;     /* 0: 1024 */
	uint32_t ring;        /* frames that a port's queue holds, a power of two; 0: 1024 */
	uint32_t frame_max;   /* 0: RIG_FRAME_MAX */
};

struct rig {
	struct plane plane;
	struct configuration configuration;
	struct rte_mempool *pool;
	struct rte_ring *in[RIG_PORTS][RIG_WORKERS]; /* towards the plane */
	struct rte_ring *out[RIG_PORTS][RIG_WORKERS];
	struct rte_ring *twin_in, *twin_out;
	uint32_t buffers;
	uint64_t revision;
	struct state_error error; /* of the last rig_say() or rig_commit() that failed */
	bool committed;
};

struct frame {
	uint32_t size;
	uint8_t bytes[10000];
};

/* Brings EAL up in this process, once. */
void rig_eal(void);
/* An unconfigured site. */
void rig_start(struct rig *rig, const struct rig_options *options);
/* Takes it down. The caller has checked what it wants to check. */
void rig_stop(struct rig *rig);

/* --- the link, as transactions --- */

void rig_begin(struct rig *rig, bool full);
/* Sends one message of the open transaction; 0 or the error's code. The header is filled in. */
#define rig_say(rig, type, message) rig_say_with(rig, type, &(message).header, sizeof(message), -1)
int rig_say_with(struct rig *rig, enum pont_link_type type, struct pont_link_header *message, size_t size, int fd);
int rig_commit(struct rig *rig);
/* The same, where success is taken for granted. */
#define rig_must(rig, type, message)                                                                                   \
	RIG_CHECK(rig_say(rig, type, message) == 0, "message %d: %s", (int)(type), (rig)->error.text)
void rig_must_commit(struct rig *rig);

/* The two tenants, circuits, peers, adjacencies, SAs and a fence that lets both peers pass. */
void rig_configure(struct rig *rig);
/* Parts of it, inside a transaction. */
void rig_set_site(struct rig *rig);
void rig_set_tenant(struct rig *rig, uint32_t vni);
void rig_set_circuit(struct rig *rig, uint16_t port, uint16_t vlan, uint32_t vni);
void rig_set_peer(struct rig *rig, uint16_t peer);
void rig_set_member(struct rig *rig, uint32_t vni, uint16_t peer);
/* A peer over IPv4 or IPv6, at rig_address(family, peer). */
void rig_set_adjacency(struct rig *rig, uint16_t peer, uint8_t family, uint32_t path_mtu);
void rig_set_sa_in(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker);
void rig_set_sa_out(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker);
void rig_set_fence(struct rig *rig, uint64_t revision, bool allowed);

/* The messages and keys that the functions above send. */
struct pont_link_tenant rig_tenant(uint32_t vni);
struct pont_link_adjacency rig_adjacency(uint16_t peer, uint8_t family, uint32_t path_mtu);
struct pont_link_sa_in rig_sa_in(uint32_t vni, uint16_t peer, uint16_t worker);
struct pont_link_sa_out rig_sa_out(uint32_t vni, uint16_t peer, uint16_t worker);
struct wire_sa rig_wire_in(uint32_t vni, uint16_t peer, uint16_t worker);
struct wire_sa rig_wire_out(uint32_t vni, uint16_t peer, uint16_t worker);
/* Of the site itself (0) or a peer. */
struct pont_address rig_address(uint8_t family, uint16_t peer);
/* The outer header under which a peer's packets arrive. */
struct wire_outer rig_outer_from(uint16_t peer);
/* The SA in force that a worker seals with; NULL: none. */
struct sa_out *rig_live_sa_out(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker);
struct sa_in *rig_live_sa_in(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker);
/* The time of an SA in use is over, and the main lcore finds that out. */
void rig_expire(struct rig *rig, const struct sa_life *life);

/*
 * A file (memfd) with a fence table: entry for every destination, IPv4 and IPv6, but 203.0.113.0/24, whose entry has
 * label 9 and is never allowed, and the group of 192.0.2.0/24, which goes through a group of its own.
 */
int rig_fence_file(uint64_t revision, uint32_t entry, uint64_t *size);

/* --- traffic --- */

void rig_give(struct rig *rig, enum rig_port port, const void *bytes, size_t size);
void rig_give_to(struct rig *rig, enum rig_port port, unsigned int queue, const void *bytes, size_t size);
/* A buffer with these bytes, for tests that do more with it; and its way into a port's queue. */
struct rte_mbuf *rig_buffer(struct rig *rig, const void *bytes, size_t size);
void rig_give_buffer(struct rig *rig, enum rig_port port, struct rte_mbuf *mbuf);
void rig_give_twin(struct rig *rig, const void *bytes, size_t size);
/* The next frame that left by the port; false: none. */
bool rig_take(struct rig *rig, enum rig_port port, struct frame *frame);
bool rig_take_twin(struct rig *rig, struct frame *frame);
/* One round of every worker, and the main lcore's learning. */
void rig_round(struct rig *rig);
/* Throws away what waits at all ports; returns how many frames that were. */
unsigned int rig_drain(struct rig *rig);

/* --- books --- */

struct pont_tenant_counters rig_counters(struct rig *rig, uint32_t vni);
uint64_t rig_drops(struct rig *rig, uint32_t vni, enum pont_drop reason);
/* Of all tenants and reasons. */
uint64_t rig_all_drops(struct rig *rig);
/* Whether received + copies = sent + dropped, for every tenant; says on stderr which one not. */
bool rig_books_balance(struct rig *rig);
/* Buffers that are neither in the pool nor waiting at a port. */
unsigned int rig_lost_buffers(struct rig *rig);

#endif
