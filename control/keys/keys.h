/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Key agreement with the other sites: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b over TCP, and inside that channel the
 * tenant membership and the SA offers. It produces SAs and hands them to the dataplane through a callback; nothing
 * outside keys/ ever sees a session key.
 *
 * The site whose public key is smaller (memcmp) dials; the other answers. Keys never outlive a dataplane process: when
 * the dataplane comes back with another boot id, every session is made anew.
 */
#ifndef CONTROL_KEYS_KEYS_H
#define CONTROL_KEYS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/address.h"
#include "pontlevis/link.h"

struct event_base;
struct identity;
struct keys;

enum { KEYS_PUBLIC_SIZE = 32, KEYS_PSK_SIZE = 32 };

struct keys_peer_config {
	uint16_t peer; /* number, as in link.h */
	const char *name;
	struct pont_address endpoint;
	uint16_t port; /* TCP, host byte order */
	uint8_t public_key[KEYS_PUBLIC_SIZE];
	const uint8_t *psk; /* KEYS_PSK_SIZE bytes, NULL: none (then zeros, as Noise asks) */
};

struct keys_tenant_config {
	uint32_t vni;
	const uint8_t *psk;    /* KEYS_PSK_SIZE bytes, NULL: none */
	const uint16_t *peers; /* numbers of the sites it is stretched to */
	size_t peer_count;
};

/* Hard limits of what this site seals and opens; 0 stands for the greatest allowed, PONT_SA_HARD_* and _SESSION_S_MAX.
 */
struct keys_lifetimes {
	uint64_t sa_packets;
	uint64_t sa_bytes;
	uint32_t sa_s;
	uint32_t session_s;
};

/* Everything is copied; psk bytes go to locked memory. */
struct keys_config {
	const char *site_name;
	struct pont_address vtep[2]; /* listen addresses, family NONE where absent */
	uint16_t port;               /* TCP port listened on */
	const struct keys_peer_config *peers;
	size_t peer_count;
	const struct keys_tenant_config *tenants;
	size_t tenant_count;
	struct keys_lifetimes lifetimes;
	bool revoking; /* what this configuration takes away was revoked: the reason in events */
};

/*
 * Installs and removes SAs in the dataplane in one transaction; returns once the dataplane has acknowledged (0) or
 * refused (-1, error set). The caller of the callback erases the arrays afterwards. Any array may be empty.
 */
struct keys_sa_changes {
	const struct pont_link_sa_in *in;
	size_t in_count;
	const struct pont_link_sa_out *out;
	size_t out_count;
	const struct pont_link_sa_in_del *in_del;
	size_t in_del_count;
	const struct pont_link_sa_out_del *out_del;
	size_t out_del_count;
};

/* What happens to SAs and sessions, in the order of their lives. */
enum keys_step {
	KEYS_SA_OFFERED,  /* inbound: installed here and offered to the peer */
	KEYS_SA_SWITCHED, /* outbound: installed, traffic uses it; inbound: the peer says so */
	KEYS_SA_DRAINED,  /* replaced, had time for packets under way, erased (outbound: erased at once) */
	KEYS_SA_EXPIRED,  /* reached its hard lifetime without a successor: it carries nothing any more */
	KEYS_SA_REVOKED,  /* taken out at once: revoked, or its tenant or peer is no longer configured at both sites */
	KEYS_SESSION_STARTED,
	KEYS_SESSION_ENDED,
};

/* Why. Of a step that follows from another one, the reason is that of the first. */
enum keys_reason {
	KEYS_BY_SESSION,       /* a fresh handshake brings fresh SAs */
	KEYS_BY_PACKETS,       /* soft or hard limit */
	KEYS_BY_BYTES,         /* soft or hard limit */
	KEYS_BY_TIME,          /* soft or hard limit; a session: its lifetime */
	KEYS_BY_PEER,          /* the other site asked for it, or went away */
	KEYS_BY_CONFIGURATION, /* tenant, peer or lifetimes were configured */
	KEYS_BY_REVOCATION,    /* keys.revoke */
	KEYS_BY_REQUEST,       /* keys.renew */
	KEYS_BY_FAILURE,       /* connection, dataplane or protocol */
};

struct keys_event {
	enum keys_step step;
	enum keys_reason reason;
	const char *peer; /* name */
	const char *text; /* sessions: for people; else NULL */
	/* Identity of the SA; zero for sessions. */
	uint8_t direction; /* PONT_SA_IN, PONT_SA_OUT */
	uint16_t worker;   /* of this site: owner (in), sealer (out) */
	uint32_t vni;
	uint32_t spi;
};

/* "offered", "switched", ... and "session", "packets", ... */
const char *keys_step_name(enum keys_step step);
const char *keys_reason_name(enum keys_reason reason);

struct keys_callbacks {
	void *context;
	int (*install)(void *context, const struct keys_sa_changes *changes, struct error *error);
	/*
	 * UDP source ports that the peer should use towards each local worker (PONT_WORKERS_MAX elements), 0 where any
	 * will do. May be NULL: then any will do everywhere.
	 */
	void (*source_ports)(void *context, uint16_t peer, uint16_t *ports);
	/*
	 * The set of (tenant, peer) pairs common to both sites changed: MEMBER_SET follows it. Ask
	 * keys_is_member() for the new state.
	 */
	void (*members_changed)(void *context);
	/*
	 * Something for the audit log: "session_up", "session_down", "handshake_failed", "peer_unknown",
	 * "sas_installed", "sas_refused", "sas_delete_failed", "spi_exhausted", "dataplane_unusable". peer is the name
	 * of an authenticated or dialled peer, else NULL. The two about failures are limited in rate.
	 */
	void (*audit)(void *context, const char *event, const char *peer, const char *text);
	/* One step of one SA or session; thousands at a time when all SAs roll. May be NULL. Must not call keys_*(). */
	void (*event)(void *context, const struct keys_event *event);
};

/* identity stays with the caller and must outlive keys. Nothing listens or dials before keys_configure(). */
struct keys *keys_start(struct event_base *base, const struct identity *identity,
	const struct keys_callbacks *callbacks, struct error *error);

/*
 * Takes over a new configuration: all or nothing (-1 with the error set if a listener can't be opened). Sessions with
 * peers whose identity, endpoint, psk and local tenants are unchanged go on undisturbed; membership changes are told
 * to the peer inside the session, and SAs are offered or withdrawn accordingly.
 */
int keys_configure(struct keys *keys, const struct keys_config *config, struct error *error);

/* The dataplane is there (workers, SPI slots, boot id from its HELLO) or gone (NULL). */
void keys_dataplane(struct keys *keys, const struct pont_link_hello *hello);

bool keys_has_dataplane(const struct keys *keys);

/*
 * An SA found in the dataplane (the answer to SAS_GET), to be called for each of them after keys_dataplane() when
 * control was restarted and the dataplane was not: it goes on carrying traffic, its SPI is not given away again, and
 * it is deleted once replaced, or at once if its tenant is no longer stretched to that peer. An outbound one says that
 * both sites have had the tenant, and so they have until the peer says otherwise. SAs that are known already are
 * ignored.
 */
void keys_adopt(struct keys *keys, const struct pont_link_sa_stats *record);

/*
 * SAs have reached a limit, as the dataplane says: they are replaced, and what has expired is forgotten. May be called
 * in the midst of the callbacks: it only takes notes.
 */
void keys_notices(struct keys *keys, const struct pont_link_sa_notices *notices);

/* Replaces all SAs of a tenant (vni 0: of all) with a peer (0: with all), as if they were due. */
void keys_renew(struct keys *keys, uint32_t vni, uint16_t peer);

/* Deletes from the dataplane, before it returns, whatever has no more use. -1: not all of it could be deleted. */
int keys_flush(struct keys *keys);

/* Whether both sites have the tenant and name each other for it, as of the last exchange. */
bool keys_is_member(const struct keys *keys, uint32_t vni, uint16_t peer);

enum keys_session_state { KEYS_SESSION_DOWN, KEYS_SESSION_CONNECTING, KEYS_SESSION_HANDSHAKE, KEYS_SESSION_UP };

struct keys_peer_status {
	uint16_t peer;
	enum keys_session_state state;
	bool initiator;          /* this site dials */
	uint64_t established_ms; /* CLOCK_MONOTONIC time of the last handshake, 0 if none */
	uint64_t handshakes;     /* completed */
	uint64_t failures;       /* connections or handshakes that failed */
	char last_error[160];    /* empty if none */
	char remote_site[PONT_NAME_SIZE];
	size_t tenants; /* common to both */
};
/* Returns false if there is no such peer. */
bool keys_peer_status(const struct keys *keys, uint16_t peer, struct keys_peer_status *out);

/* Connections that failed before it was known which peer they were from, other than from a peer's address. */
uint64_t keys_stranger_failures(const struct keys *keys);

/* An SA without its key. */
struct keys_sa_status {
	uint32_t vni;
	uint32_t spi;
	uint16_t peer;
	uint16_t worker;       /* of this site: owner (in), sealer (out) */
	uint8_t direction;     /* PONT_SA_IN, PONT_SA_OUT */
	bool draining;         /* replaced, waits for PONT_SA_DRAIN_S */
	uint16_t source_port;  /* outbound: UDP source port, host byte order */
	uint64_t installed_ms; /* CLOCK_MONOTONIC */
};
void keys_sas(const struct keys *keys, void (*visit)(void *context, const struct keys_sa_status *sa), void *context);

/* Closes everything and erases every secret. */
void keys_stop(struct keys *keys);

#endif
