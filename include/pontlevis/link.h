/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link: the private contract between pontlevis-control and pontlevis-dataplane.
 *
 * Transport. A SOCK_SEQPACKET Unix socket on which the dataplane listens; one datagram is one message, at most
 * PONT_LINK_MESSAGE_MAX bytes. One connection at a time: a newer one replaces the older one. Both ends run on one
 * machine and are built from one tree, so integers are in host byte order; only pont_address bytes and MAC addresses
 * are as on the wire. Reserved fields are zero and are checked.
 *
 * Conversation. On connection the dataplane sends HELLO. Control answers nothing; if the version differs from its own
 * it closes the connection and says so. Every change is made inside a transaction
 *
 *	BEGIN(revision, flags)  upserts and deletes ...  COMMIT(revision)
 *
 * answered by one ACK(revision) once every worker uses the new snapshot, or by one ERROR(revision, ...) after which
 * the whole transaction is undone and messages up to COMMIT are skipped. Requests (*_GET) may stand outside
 * transactions only; each is answered by any number of records and an END.
 *
 * Mark and sweep. In a transaction with PONT_BEGIN_FULL every object (tenant, circuit, peer, member, adjacency, site)
 * that was not set in it is removed by COMMIT. SAs are exempt: they carry traffic while control is away, so they go
 * only by SA_*_DEL or with their tenant or peer; at their hard lifetime they stop. The fence policy is exempt too:
 * there is never a moment without one after the first.
 *
 * Loss of the connection undoes an open transaction and changes nothing else.
 */
#ifndef PONTLEVIS_LINK_H
#define PONTLEVIS_LINK_H

#include <stdint.h>

#include "pontlevis/address.h"
#include "pontlevis/counters.h"
#include "pontlevis/limits.h"

#define PONT_LINK_MAGIC       0x504f4e54u /* "PONT" */
#define PONT_LINK_VERSION     2
#define PONT_LINK_MESSAGE_MAX 4096

enum pont_link_type {
	/* dataplane to control */
	PONT_LINK_HELLO = 1,
	PONT_LINK_ACK,
	PONT_LINK_ERROR,
	PONT_LINK_TENANT_STATS, /* record, answers STATS_GET */
	PONT_LINK_WORKER_STATS, /* record, answers STATS_GET */
	PONT_LINK_PORT_STATS,   /* record, answers STATS_GET */
	PONT_LINK_SA_STATS,     /* record, answers SAS_GET */
	PONT_LINK_FDB_ENTRY,    /* record, answers FDB_GET */
	PONT_LINK_END,
	PONT_LINK_DENIED, /* unasked, at most one per second and tenant: the fence denied packets at the WAN transmit */
	PONT_LINK_SOURCE_PORT,      /* record, answers SOURCE_PORTS_GET */
	PONT_LINK_SA_NOTICES,       /* unasked: SAs that are due for replacement, or have expired */
	PONT_LINK_SHADOW_STATS,     /* record, answers SHADOW_GET */
	PONT_LINK_SNAPSHOT,         /* record, answers SNAPSHOT_GET */
	PONT_LINK_SNAPSHOT_CIRCUIT, /* record, answers SNAPSHOT_GET */
	PONT_LINK_SNAPSHOT_EDGE,    /* record, answers SNAPSHOT_GET */

	/* control to dataplane: transactions */
	PONT_LINK_BEGIN = 64,
	PONT_LINK_COMMIT,
	PONT_LINK_SITE_SET,
	PONT_LINK_FENCE_SET, /* carries one file descriptor (SCM_RIGHTS) */
	PONT_LINK_TENANT_SET,
	PONT_LINK_CIRCUIT_SET,
	PONT_LINK_PEER_SET,
	PONT_LINK_MEMBER_SET,
	PONT_LINK_ADJACENCY_SET,
	PONT_LINK_SA_IN_SET,
	PONT_LINK_SA_IN_DEL,
	PONT_LINK_SA_OUT_SET,
	PONT_LINK_SA_OUT_DEL,
	PONT_LINK_SWITCHES_SET, /* carries one file descriptor */
	PONT_LINK_SHADOW_SET,   /* carries one file descriptor, or none to end */

	/* control to dataplane: requests */
	PONT_LINK_STATS_GET = 128,
	PONT_LINK_SAS_GET,
	PONT_LINK_FDB_GET,
	PONT_LINK_SOURCE_PORTS_GET,
	PONT_LINK_SHADOW_GET,
	PONT_LINK_SNAPSHOT_GET,
};

/* First bytes of every message. */
struct pont_link_header {
	uint32_t magic;  /* PONT_LINK_MAGIC */
	uint16_t type;   /* enum pont_link_type */
	uint16_t length; /* bytes of the whole message, this header included */
};

enum pont_port_role {
	PONT_PORT_ACCESS = 1,
	PONT_PORT_WAN = 2,
};

struct pont_link_port {
	char name[PONT_NAME_SIZE];
	uint8_t role;       /* enum pont_port_role */
	uint8_t bifurcated; /* 1: the kernel keeps the interface and the traffic that is not ours (AF_XDP, mlx5) */
	uint8_t mac[6];
	uint32_t ifindex; /* kernel interface that belongs to the port (or its kernel twin), 0 if none */
	uint32_t mtu;     /* largest IP packet in bytes */
	uint16_t queues;  /* receive queues in use */
	uint16_t reserved;
};

struct pont_link_hello {
	struct pont_link_header header;
	uint32_t version;    /* PONT_LINK_VERSION */
	uint32_t pid;        /* of the dataplane process */
	uint64_t boot_id;    /* random, new for every dataplane process: keys never outlive it */
	uint64_t revision;   /* of the last FULL transaction committed, 0 if none */
	uint16_t workers;    /* 1 to PONT_WORKERS_MAX */
	uint16_t ports;      /* entries used in port[] */
	uint8_t manual_keys; /* 1: built with the option manual_keys, for interop labs */
	uint8_t reserved[3];
	uint32_t spi_slots; /* size of the inbound SA array, a power of two, at most 1 << PONT_SPI_INDEX_BITS */
	uint32_t reserved2;
	char build[32];                             /* version of the program, text */
	char crypto[64];                            /* AES-GCM library, its version and code path, text */
	struct pont_link_port port[PONT_PORTS_MAX]; /* the index is the port number in other messages */
};

enum { PONT_BEGIN_FULL = 1 };

struct pont_link_begin {
	struct pont_link_header header;
	uint64_t revision; /* chosen by control, echoed by ACK and ERROR */
	uint32_t flags;    /* PONT_BEGIN_* */
	uint32_t reserved;
};

struct pont_link_commit {
	struct pont_link_header header;
	uint64_t revision; /* as in BEGIN */
};

struct pont_link_ack {
	struct pont_link_header header;
	uint64_t revision;
};

struct pont_link_error {
	struct pont_link_header header;
	uint64_t revision; /* of the transaction, 0 outside of one */
	uint32_t message;  /* number of the offending message in the transaction, BEGIN is 0 */
	uint16_t type;     /* enum pont_link_type of that message */
	uint16_t code;     /* errno value: EINVAL malformed, ENOENT names something unknown, EEXIST taken twice,
			      ENOSPC a limit, EPROTO out of order, ENOMEM */
	char text[PONT_LINK_MESSAGE_MAX / 8]; /* for people, NUL-terminated */
};

/* The site's own VTEP addresses; either may be PONT_FAMILY_NONE, not both. */
struct pont_link_site {
	struct pont_link_header header;
	struct pont_address vtep4;
	struct pont_address vtep6;
};

/*
 * A new fence policy. The file descriptor is the array map of fence_map.h, mapped read-only by the dataplane: kernel
 * programs and workers read the same bytes.
 */
struct pont_link_fence {
	struct pont_link_header header;
	uint64_t policy_revision; /* equals the one in the map's header page */
	uint64_t size;            /* bytes of the map, a multiple of the page size */
};

/*
 * The fence's switches (struct pont_fence_switches): the file descriptor is their memory-mappable array map. The
 * dataplane maps it read-only and looks at it for every burst, so that a lock holds there with the same store as in the
 * kernel, whether or not anybody is left to say so on this link. It keeps them until others are set.
 */
struct pont_link_switches {
	struct pont_link_header header;
	uint64_t size; /* bytes to map, at least those of the record */
};

/*
 * A candidate policy, asked beside the one in force without any effect but counters, which start at zero. The file
 * descriptor is as in FENCE_SET. Without one, and with both numbers 0, there is no candidate any more. Like the policy,
 * the candidate is exempt from mark and sweep.
 */
struct pont_link_shadow {
	struct pont_link_header header;
	uint64_t policy_revision;
	uint64_t size;
};

struct pont_link_tenant {
	struct pont_link_header header;
	uint32_t vni;          /* key */
	uint32_t mac_limit;    /* 1 to PONT_TENANT_MACS_MAX */
	uint32_t mac_ageing_s; /* PONT_MAC_AGEING_S_MIN to _MAX */
	char name[PONT_NAME_SIZE];
};

struct pont_link_circuit {
	struct pont_link_header header;
	uint16_t port; /* key: number of an access port */
	uint16_t vlan; /* key: 1 to PONT_VLAN_MAX, or PONT_VLAN_UNTAGGED */
	uint32_t vni;  /* tenant, set earlier in the transaction or before */
};

struct pont_link_peer {
	struct pont_link_header header;
	uint16_t peer; /* key: 1 to PONT_PEERS_MAX, chosen by control, stable while the peer exists */
	uint16_t reserved;
	char name[PONT_NAME_SIZE];
};

/* The tenant exists at the peer too: flooded frames of the tenant go there. */
struct pont_link_member {
	struct pont_link_header header;
	uint32_t vni;  /* key */
	uint16_t peer; /* key */
	uint16_t reserved;
};

/* Outer header towards a peer. Without one (or after the next FULL transaction without one) its packets are dropped. */
struct pont_link_adjacency {
	struct pont_link_header header;
	uint16_t peer; /* key */
	uint16_t port; /* number of a WAN port */
	uint8_t source_mac[6];
	uint8_t destination_mac[6];      /* of the next hop */
	struct pont_address source;      /* one of the site's VTEP addresses */
	struct pont_address destination; /* the peer's endpoint; same family as source */
	uint32_t path_mtu;               /* largest outer IP packet in bytes, at most the port's MTU */
};

/*
 * Security associations: ESP in UDP, AES-256-GCM, ESN (RFC 4303, 4106, 3948). The key crosses this socket once, is
 * expanded, and is erased on both sides. A key is given to one SA of one dataplane process only: SA_*_SET for an SPI
 * (inbound) or for a (tenant, peer, worker, SPI) that already exists is answered with EEXIST, because installing a key
 * a second time would start its sequence numbers again.
 */
/*
 * When an SA is to be replaced (soft) and when it stops for good (hard), in three measures, whichever comes first (RFC
 * 4301 section 4.4.2.1). Hard limits of 0 stand for PONT_SA_HARD_*, which none may exceed. A soft limit is at most the
 * hard one; 0 means the same as the hard one. Time counts from the COMMIT. No packet beyond a hard limit is sealed or
 * opened: it is dropped as seal.sa_expired or open.sa_expired, and the key is erased within 100 ms; what remains is
 * its name, until SA_*_DEL or a successor. Bytes are those of the encrypted payload, on both sites the same; inbound,
 * packets are counted by the sender's sequence number.
 */
struct pont_link_lifetime {
	uint64_t soft_packets;
	uint64_t hard_packets;
	uint64_t soft_bytes;
	uint64_t hard_bytes;
	uint32_t soft_ms;
	uint32_t hard_ms;
};

struct pont_link_sa_in {
	struct pont_link_header header;
	uint32_t spi;    /* key; the lower bits index the SA array, see limits.h */
	uint32_t vni;    /* the only VNI accepted inside */
	uint16_t peer;   /* the sender */
	uint16_t worker; /* owner: the only worker that opens its packets */
	uint8_t key[PONT_SA_KEY_SIZE];
	uint8_t salt[PONT_SA_SALT_SIZE];
	uint64_t sequence; /* highest one considered received; 0 but in interop labs (manual_keys) */
	struct pont_link_lifetime lifetime;
};

struct pont_link_sa_out {
	struct pont_link_header header;
	uint32_t vni;         /* key */
	uint16_t peer;        /* key */
	uint16_t worker;      /* key: the only worker that seals with it; replaces the worker's previous SA */
	uint32_t spi;         /* chosen by the receiver */
	uint16_t source_port; /* UDP, host byte order, PONT_UDP_SOURCE_PORT_MIN to _MAX; constant for the SA */
	uint16_t reserved;
	uint8_t key[PONT_SA_KEY_SIZE];
	uint8_t salt[PONT_SA_SALT_SIZE];
	uint32_t reserved2;
	uint64_t sequence; /* last one considered used; 0 but in interop labs (manual_keys) */
	struct pont_link_lifetime lifetime;
};

struct pont_link_sa_in_del {
	struct pont_link_header header;
	uint32_t spi;
	uint32_t reserved;
};

struct pont_link_sa_out_del {
	struct pont_link_header header;
	uint32_t vni;
	uint16_t peer;
	uint16_t worker;
	uint32_t spi; /* must be the SA in use; another one was replaced already and the delete does nothing */
	uint32_t reserved;
};

/* STATS_GET, SAS_GET, FDB_GET, SHADOW_GET, SNAPSHOT_GET and END. */
struct pont_link_request {
	struct pont_link_header header;
	uint64_t tag; /* chosen by control, repeated in every record and in END */
};

struct pont_link_tenant_stats {
	struct pont_link_header header;
	uint64_t tag;
	uint32_t vni;                         /* 0: packets that belong to no tenant */
	uint32_t macs;                        /* learnt now */
	struct pont_tenant_counters counters; /* sum over the workers */
};

struct pont_link_worker_stats {
	struct pont_link_header header;
	uint64_t tag;
	uint16_t worker;
	uint16_t lcore;
	uint32_t reserved;
	struct pont_worker_counters counters;
};

/* Counters of the port's driver (rte_eth_stats). */
struct pont_link_port_stats {
	struct pont_link_header header;
	uint64_t tag;
	uint16_t port;
	uint8_t link_up;
	uint8_t reserved[5];
	struct pont_traffic rx;
	struct pont_traffic tx;
	uint64_t rx_missed;
	uint64_t rx_errors;
	uint64_t tx_errors;
	uint64_t rx_no_buffer;
};

enum { PONT_SA_IN = 1, PONT_SA_OUT = 2 };

struct pont_link_sa_stats {
	struct pont_link_header header;
	uint64_t tag;
	uint32_t vni;
	uint32_t spi;
	uint16_t peer;
	uint16_t worker;
	uint8_t direction; /* PONT_SA_IN, PONT_SA_OUT */
	uint8_t expired;   /* 1: past its hard lifetime, without a key */
	uint8_t reserved[2];
	uint64_t age_ms; /* since it was installed */
	struct pont_sa_counters counters;
};

enum pont_sa_cause { PONT_SA_BY_PACKETS = 1, PONT_SA_BY_BYTES, PONT_SA_BY_TIME };

/* An SA that has reached a limit. */
struct pont_link_sa_notice {
	uint32_t vni;
	uint32_t spi;
	uint16_t peer;
	uint16_t worker;
	uint8_t direction; /* PONT_SA_IN, PONT_SA_OUT */
	uint8_t cause;     /* enum pont_sa_cause: the limit reached first */
	uint8_t expired;   /* 0: the soft one; 1: the hard one */
	uint8_t reserved;
};

/*
 * As many notices as there are at the moment fill each message, and control need not answer: an SA that is still there
 * is named again after a second, then two, four, up to a minute; and at once on a new connection, and when the hard
 * limit follows the soft one. A message that control has no room for waits for the next round; it never blocks.
 */
enum { PONT_LINK_NOTICES_MAX = 128 };
struct pont_link_sa_notices {
	struct pont_link_header header;
	uint32_t count; /* entries used, 1 to PONT_LINK_NOTICES_MAX; the others are zero */
	uint32_t reserved;
	struct pont_link_sa_notice notice[PONT_LINK_NOTICES_MAX];
};

struct pont_link_fdb_entry {
	struct pont_link_header header;
	uint64_t tag;
	uint32_t vni;
	uint8_t mac[6];
	uint16_t peer; /* behind this peer, or 0: behind the circuit below */
	uint16_t port;
	uint16_t vlan;
	uint32_t age_s; /* since a frame from it was last seen */
};

/*
 * Which UDP source port a peer should use so that this site's NIC (RSS) lands its packets on the worker that will own
 * the SA: one record for each worker, none if the peer has no adjacency yet.
 */
struct pont_link_source_ports_get {
	struct pont_link_header header;
	uint64_t tag;
	uint16_t peer;
	uint16_t reserved[3];
};

struct pont_link_source_port {
	struct pont_link_header header;
	uint64_t tag;
	uint16_t worker;
	uint16_t source_port; /* host byte order, PONT_UDP_SOURCE_PORT_MIN to _MAX; 0: any will do */
	uint32_t reserved;
};

/*
 * What the workers run, read from their snapshot and not from what it was made of, so that it can be compared with what
 * was asked for. First one record of the whole, then one for each entry of the tables.
 */
struct pont_link_snapshot {
	struct pont_link_header header;
	uint64_t tag;
	uint64_t policy_revision; /* of the fence at the WAN transmit, 0: none */
	struct pont_address vtep4;
	struct pont_address vtep6;
};

/* Frames of a port and VLAN belong to a tenant. */
struct pont_link_snapshot_circuit {
	struct pont_link_header header;
	uint64_t tag;
	uint32_t vni;
	uint16_t port;
	uint16_t vlan;   /* PONT_VLAN_UNTAGGED: untagged frames */
	uint8_t flooded; /* 1: flooded frames of the tenant go there */
	uint8_t reserved[7];
};

/* A worker's way to a tenant at a peer. */
struct pont_link_snapshot_edge {
	struct pont_link_header header;
	uint64_t tag;
	uint32_t vni;
	uint16_t peer;
	uint16_t worker;
	uint16_t port;     /* WAN port; meaningless without an adjacency */
	uint8_t adjacency; /* 1: the outer header is known */
	uint8_t flooded;   /* 1: the tenant is a member: flooded frames go there */
	uint8_t sa;        /* 1: there is an SA to send with */
	uint8_t reserved[3];
};

/*
 * Packets of one tenant that the fence denied since the last such message, all of them. Destination, peer and reason
 * are of the last one; family NONE and 0 if another tenant's denials have covered its trace.
 */
struct pont_link_denied {
	struct pont_link_header header;
	uint64_t policy_revision;
	uint64_t packets;
	uint32_t vni;  /* 0: traffic of the appliance itself, from the kernel twin */
	uint16_t peer; /* 0: none */
	uint16_t reserved;
	struct pont_address destination;
	uint32_t reason; /* enum pont_verdict of fence_map.h */
};

/* Packets of one tenant to one peer of which the candidate thinks otherwise; several records may have the same key. */
struct pont_link_shadow_stats {
	struct pont_link_header header;
	uint64_t tag;
	uint64_t policy_revision; /* of the candidate */
	uint32_t vni;             /* 0: more pairs of tenant and peer than are told apart */
	uint16_t peer;
	uint8_t difference; /* enum pont_fence_difference of fence_map.h */
	uint8_t reserved;
	uint64_t packets;
	uint64_t bytes; /* of outer frames */
};

_Static_assert(sizeof(struct pont_link_header) == 8, "header of the link contract");
_Static_assert(sizeof(struct pont_link_hello) <= PONT_LINK_MESSAGE_MAX, "HELLO fits a message");
_Static_assert(sizeof(struct pont_link_error) <= PONT_LINK_MESSAGE_MAX, "ERROR fits a message");
_Static_assert(sizeof(struct pont_link_tenant_stats) <= PONT_LINK_MESSAGE_MAX, "TENANT_STATS fits a message");
_Static_assert(sizeof(struct pont_link_adjacency) == 68, "no padding in ADJACENCY");
_Static_assert(sizeof(struct pont_link_sa_in) == 104, "no padding in SA_IN");
_Static_assert(sizeof(struct pont_link_sa_out) == 112, "no padding in SA_OUT");
_Static_assert(sizeof(struct pont_link_sa_notice) == 16, "no padding in a notice");
_Static_assert(sizeof(struct pont_link_sa_notices) <= PONT_LINK_MESSAGE_MAX, "SA_NOTICES fits a message");

#endif
