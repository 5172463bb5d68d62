/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What key agreement remembers; shared by the files of this directory only.
 *
 *	keys ── tenants               VNI and pre-shared key, as configured
 *	     ├─ peers ── members      a tenant as stretched to that peer, with its SAs
 *	     │        └─ session      the one that is up
 *	     ├─ sessions              all connections, also those not yet up or not yet anybody's
 *	     └─ book                  SPI slots, SAs that are leaving
 *
 * All of it belongs to the thread of the event loop.
 */
#ifndef CONTROL_KEYS_STATE_H
#define CONTROL_KEYS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "control/keys/book.h"
#include "control/keys/channel.h"
#include "control/keys/keys.h"
#include "control/keys/listener.h"
#include "control/keys/message.h"
#include "control/keys/seen.h"

enum {
	/* Connections that have not authenticated yet: from addresses of no peer, and from the address of one peer. */
	KEYS_STRANGERS_MAX = 64,
	KEYS_KNOCKS_MAX = 8,
	/* Audit records about strangers and failed handshakes: this many at once, then one a second. */
	KEYS_AUDIT_BURST = 20,
	/* Lists wait while the peer has this much left to read, bytes. */
	OFFERS_BACKLOG_PAUSE = CHANNEL_BACKLOG_MAX / 4,
};

struct tenant {
	uint32_t vni;
	const uint8_t *psk; /* NULL, or in tenants.psks */
};

struct tenants {
	struct tenant *list; /* ascending by VNI */
	size_t count;
	uint8_t *psks; /* secret_alloc, NULL if no tenant has one */
};

struct member {
	uint32_t vni;
	bool remote;                   /* the peer has the tenant too and names this site for it */
	uint16_t wanted;               /* bit per worker of the peer: to be offered an SA */
	uint16_t waiting;              /* bit per worker of the peer: offered, not yet accepted */
	uint8_t why[PONT_WORKERS_MAX]; /* enum keys_reason of those wanted */
	struct book_list sas;
	struct book_list draining; /* replaced inbound ones, the newest first */
};

struct session {
	LIST_ENTRY(session) entry;
	struct keys *keys;
	struct peer *peer;      /* who it is; NULL on the answering side until the first message has named it */
	struct peer *neighbour; /* the peer configured with the remote address, NULL if none; proves nothing */
	struct channel *channel;
	bool stranger; /* counts in keys->strangers: not up, and from the address of no peer */
	bool reported; /* the audit knows already why it fails */
	bool up;
	bool superseded; /* a newer one took its place here, and will soon at the peer: what it still says is old */
	uint64_t up_ms;
	uint64_t number;      /* counts the sessions of this process */
	struct event *expiry; /* the end of its lifetime */
	bool expired;

	bool greeted;        /* the peer's hello has come */
	bool listed;         /* the peer's list of tenants is complete */
	bool used;           /* and so is its list of SAs that it seals with */
	bool told_used;      /* this site's list was sent to its end */
	size_t using_cursor; /* member to look at next for that list */
	uint32_t *list;      /* tenants of the list that is coming in, PONT_TENANTS_MAX */
	size_t list_count;
	struct message_hello hello;
	struct seen seen;
	size_t cursor;        /* member to look at next for SAs to offer */
	uint64_t pause_until; /* CLOCK_MONOTONIC ms; no offers before */
};

LIST_HEAD(session_list, session);

struct peer {
	struct keys *keys;
	uint16_t number;
	char name[PONT_NAME_SIZE];
	struct endpoint endpoint;
	uint8_t public_key[KEYS_PUBLIC_SIZE];
	uint8_t *psk;   /* secret_alloc, NULL: none */
	bool initiator; /* this site dials */

	struct member **members; /* ascending by VNI */
	size_t member_count;
	uint32_t *remote; /* VNIs the peer stretches to this site, as of the last exchange, ascending */
	size_t remote_count;

	struct session *session; /* up, NULL if none */
	struct session *attempt; /* dialled, not up yet */
	struct event *dial;
	unsigned int backoff_ms; /* 0: the next attempt is at once */

	uint64_t established_ms;
	uint64_t handshakes;
	uint64_t failures;
	char last_error[CHANNEL_TEXT_SIZE];
	char remote_site[PONT_NAME_SIZE];
};

/* Keys on their way to the dataplane: locked memory, erased after every use. */
struct keys_scratch {
	struct pont_link_sa_in in[MESSAGE_BATCH];
	struct pont_link_sa_out out[MESSAGE_BATCH];
};

/* The dataplane's HELLO, as far as it matters here. */
struct keys_dataplane_facts {
	uint64_t boot_id;
	uint32_t spi_slots;
	uint16_t workers;
};

struct keys {
	struct event_base *base;
	const struct identity *identity;
	struct keys_callbacks callbacks;
	struct keys_times times;
	struct keys_lifetimes lifetimes; /* without zeros */

	bool configured;
	bool dataplane;       /* it is there */
	bool booted;          /* facts are those of the last one */
	bool changed;         /* news about the dataplane came during such a callback: */
	bool changed_present; /* it is there, with changed_facts */
	bool members_changed;
	enum keys_reason leaving; /* why members go while a configuration is taken over */
	bool due;                 /* some SA is */
	char site_name[PONT_NAME_SIZE];
	struct pont_address vtep[2];
	struct listener *listener[2];
	struct tenants tenants;
	struct peer **peers;
	size_t peer_count;

	struct session_list sessions;
	uint64_t session_number; /* of the last one */
	uint64_t stranger_failures;
	unsigned int strangers; /* sessions with stranger set */

	/* Audit records about strangers and failed handshakes that may still be written. */
	unsigned int audit_tokens;
	uint64_t audit_refilled_ms;
	uint64_t audit_unsaid;

	struct keys_dataplane_facts facts;
	unsigned int next_owner; /* worker that gets the next inbound SA */
	unsigned int asking;     /* callbacks on the stack that talk with the dataplane */
	struct keys_dataplane_facts changed_facts;

	struct book book;
	struct book_list unclaimed; /* SAs of an earlier process that no member has taken over yet */
	struct keys_scratch *scratch;
	struct message *message; /* the one being decoded or built */

	struct event *work;   /* offers, deletes and news, from the event loop */
	uint64_t work_due_ms; /* when, if it is pending; CLOCK_MONOTONIC */
};

/* keys.c */
struct keys *keys_start_with(struct event_base *base, const struct identity *identity,
	const struct keys_callbacks *callbacks, const struct keys_times *times, struct error *error);
__attribute__((format(printf, 4, 5))) void keys_audit(
	struct keys *keys, const char *event, const struct peer *peer, const char *format, ...);
/* The event callback. */
void keys_tell_session(
	struct keys *keys, enum keys_step step, enum keys_reason reason, const struct peer *peer, const char *text);
void keys_tell_sa(struct keys *keys, enum keys_step step, enum keys_reason reason, const struct book_sa *sa);
/* Runs the work event within delay_ms. */
void keys_work_soon(struct keys *keys, unsigned int delay_ms);
/* The install callback; ENOTCONN while there is no dataplane. */
int keys_install(struct keys *keys, const struct keys_sa_changes *changes, struct error *error);
/* The source_ports callback: PONT_WORKERS_MAX elements, 0 where any will do. */
void keys_source_ports(struct keys *keys, uint16_t peer, uint16_t *ports);
/* Whether sessions make sense now. */
bool keys_running(const struct keys *keys);
/*
 * Without a dataplane there is nothing to agree on, and nobody is answered; but who connects meanwhile is not sent
 * away, or would come back only after a back-off that has grown in vain.
 */
void keys_doors(struct keys *keys);
struct peer *keys_peer(const struct keys *keys, uint16_t number);
const struct tenant *keys_tenant(const struct keys *keys, uint32_t vni);
/* Tells the dataplane of all deletes that are due, and when the next is. */
void keys_delete_due(struct keys *keys);

/* configure.c */
void tenants_free(struct tenants *tenants);
void keys_claim(struct keys *keys);

/* peer.c */
struct peer *peer_new(struct keys *keys, const struct keys_peer_config *config);
/* Closes its sessions; its SAs have been retired. */
void peer_free(struct peer *peer);
/* Takes over name, endpoint and psk; true if the sessions have to be made anew. memory for the psk: *psk, taken. */
bool peer_update(struct peer *peer, const struct keys_peer_config *config, uint8_t **psk);
struct member *peer_member(const struct peer *peer, uint32_t vni);
bool peer_remote_has(const struct peer *peer, uint32_t vni);
size_t peer_common(const struct peer *peer);
/*
 * Dials when this site is the one to do so: after the back-off (or now), or when the present session is to be replaced
 * by a fresh one. An attempt that is due already stays so.
 */
void peer_dial(struct peer *peer);
void peer_dial_now(struct peer *peer);
/* No more dialling until the next peer_dial(). */
void peer_rest(struct peer *peer);
/* Counts a failure; the other lengthens the wait before the next attempt to dial. */
void peer_failed(struct peer *peer, const char *why);
void peer_back_off(struct peer *peer);
/* Closes every session with the peer. */
void peer_hang_up(struct peer *peer, const char *why);

/* session.c */
int session_dial(struct peer *peer, struct error *error);
void session_accept(void *context, int fd, const struct endpoint *remote);
void session_set_stranger(struct session *session, bool stranger);
/* The peer's hello is there: the lifetime of both is known. Also when it was configured anew. */
void session_lifetime(struct session *session);
/* The smaller lifetime of both sites, as far as that is known. */
unsigned int session_lifetime_ms(const struct session *session);
/* Ends a session: audit, closed, freed. failed: counts as a failure. */
void session_end(struct session *session, const char *why, bool failed);

/* offers.c */
/* First words of a session. */
void offers_greet(struct session *session);
/* A message has come; -1 with a text if the session has to end. */
int offers_receive(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE]);
/* Offers the next batch of SAs; true if there is more to do at once. */
bool offers_pump(struct session *session);
/* Tells the peer which tenants it shares (all of them), or which ones no longer. */
void offers_send_tenants(struct session *session);
void offers_send_withdraw(struct session *session, const uint32_t *vnis, size_t count);
/* Sends a message; -1: the channel is given up. */
int offers_send(struct session *session, const struct message *message);
/* The tenant is no longer common: its SAs leave. */
void offers_drop_member(struct peer *peer, struct member *member, enum keys_reason reason);
/* A common member needs SAs from every worker of the peer, or from one. */
void offers_want(struct session *session, struct member *member, enum keys_reason reason);
void offers_want_one(struct session *session, struct member *member, uint16_t sender, enum keys_reason reason);
/* The peer does not seal with an inbound SA any more: it is kept for what is under way. */
void offers_drain(struct keys *keys, struct member *member, struct book_sa *sa, enum keys_reason reason);

/* rollover.c */
/* Sends what there is to send of the list of SAs that this site seals with. */
void rollover_tell_using(struct session *session);
int rollover_receive_using(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE]);
int rollover_receive_renew(struct session *session, const struct message *message);
/* Looks after SAs that are due. */
void rollover_work(struct keys *keys);
/* Every SA of a tenant (0: all) with a peer (0: all) is due. */
void rollover_all(struct keys *keys, uint32_t vni, uint16_t peer, enum keys_reason reason);

#endif
