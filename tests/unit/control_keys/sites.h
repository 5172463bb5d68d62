/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several sites in one process, on loopback addresses and one event loop. Each has a "dataplane" that keeps the rules
 * of the link contract and notes every SA with its key, so that tests can compare what the two ends of an SA got.
 */
#ifndef TESTS_UNIT_CONTROL_KEYS_SITES_H
#define TESTS_UNIT_CONTROL_KEYS_SITES_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/keys/endpoint.h"
#include "control/keys/identity.h"
#include "control/keys/keys.h"

enum { SITES = 3, SITE_TENANTS = 2000, SITE_AUDITS = 512, SITE_STEPS = 4096 };

/* One SA that the dataplane was given. */
struct site_sa {
	struct site_sa *next;
	uint8_t direction;
	bool active;
	uint64_t replaced_ms; /* outbound: when another one took over */
	uint16_t peer;
	uint16_t worker;
	uint16_t source_port;
	uint32_t vni;
	uint32_t spi;
	uint8_t key[PONT_SA_KEY_SIZE];
	uint8_t salt[PONT_SA_SALT_SIZE];
	struct pont_link_lifetime lifetime;
};

struct site_tenant {
	uint32_t vni;
	const uint8_t *psk;
	unsigned int sites; /* bit per site it is stretched to; the own one is left out */
};

struct site {
	char name[8];
	unsigned int index; /* other sites know it as peer number index + 1 */
	unsigned int peers; /* bit per other site that it is configured with */
	struct identity identity;
	struct endpoint endpoint;

	/* What it is configured with. */
	struct endpoint reach[SITES];             /* endpoint of each other site */
	uint8_t expect[SITES][IDENTITY_KEY_SIZE]; /* public key of each other site */
	const uint8_t *psk[SITES];
	struct site_tenant tenants[SITE_TENANTS];
	size_t tenant_count;

	struct keys_lifetimes lifetimes; /* zeros: the usual ones */
	bool revoking;

	struct keys *keys;
	struct pont_link_hello hello;

	/* What happened. */
	struct site_sa *sas; /* newest first */
	unsigned int installs;
	uint64_t least_drain_ms; /* shortest time that an inbound SA was left after its sender had taken another one */
	unsigned int members_changed;
	unsigned int audit_count;
	struct {
		char event[32];
		char peer[PONT_NAME_SIZE];
		char text[256];
	} audits[SITE_AUDITS];

	unsigned int step_count;
	struct keys_event steps[SITE_STEPS]; /* without texts */

	/* What the dataplane does wrong: asked before everything else; nonzero is an errno to answer with. */
	unsigned int refusals; /* for the use of: */
	int (*refuse)(struct site *site, const struct keys_sa_changes *changes);
	/* What it answers when asked for source ports; context is the site. */
	void (*source_ports)(void *context, uint16_t peer, uint16_t *ports);
};

extern struct event_base *base;
extern struct site sites[SITES];
/* Inbound SAs may be deleted while the other side seals with them: tenants or peers are being removed. */
extern bool breaking;

/*
 * Test suite functions. The public keys of the sites ascend, so that site 0 dials both others and site 1 dials site 2.
 * Every site knows every other; nobody has tenants, a dataplane or keys running yet.
 */
void sites_open(void);
void sites_close(void);

void site_add_tenant(struct site *site, uint32_t vni, const uint8_t *psk, unsigned int sites_mask);
void site_remove_tenant(struct site *site, uint32_t vni);
/* Starts key agreement, configures it and gives it its dataplane. */
void site_start(struct site *site);
int site_configure(struct site *site, struct error *error);
/* site_configure() that must work. */
void site_reconfigure(struct site *site);
/* Control process: ends and forgets; the dataplane keeps its SAs. */
void site_stop(struct site *site);
/* Another dataplane process: its SAs are gone. Not told to keys yet. */
void site_new_dataplane(struct site *site);

/* Runs the event loop until the condition holds; fails the test after a few seconds. */
#define WAIT_FOR(condition)                                                                                            \
	do {                                                                                                           \
		uint64_t wait_end = site_now_ms() + 8000;                                                              \
		while (!(condition)) {                                                                                 \
			cr_assert_lt(site_now_ms(), wait_end, "waited in vain for: %s", #condition);                   \
			site_turn();                                                                                   \
		}                                                                                                      \
	} while (0)
/* Runs the event loop for some time. */
void site_idle(unsigned int ms);
void site_turn(void);
uint64_t site_now_ms(void);

/* SAs in use, of one direction, or of all VNIs (0), or of all peers (0). */
unsigned int site_count(const struct site *site, uint8_t direction, uint32_t vni, uint16_t peer);
const struct site_sa *site_find(
	const struct site *site, uint8_t direction, uint32_t vni, uint16_t peer, uint16_t worker);
enum keys_session_state site_session(const struct site *site, const struct site *peer);
/* Whether both are in the same session, with hellos exchanged, and no handshake is under way. */
bool sites_share_session(const struct site *a, const struct site *b);
struct keys_peer_status site_status(const struct site *site, const struct site *peer);
/* Whether both have SAs for every worker of the other for the VNI, and both ends hold the same key. */
bool sites_carry(const struct site *a, const struct site *b, uint32_t vni);
/* Number of steps of this kind, for this reason, of SAs of one direction. */
unsigned int site_steps(const struct site *site, enum keys_step step, enum keys_reason reason, uint8_t direction);
/* The dataplane says that the SA in use has reached a limit. */
void site_notice(struct site *site, uint8_t direction, uint32_t vni, uint16_t peer, uint16_t worker, uint8_t cause,
	bool expired);
/* Tells key agreement of all SAs of the dataplane, as after a restart. */
void site_adopt(struct site *site);
/* Number of audit records of an event whose text contains the word. */
unsigned int site_audits(const struct site *site, const char *event, const char *word);
/* Every key the dataplanes were ever given for sealing is another one. */
void sites_assert_keys_unique(void);

/* --- A relay that sits between two sites, sees all and does as it likes --- */

struct relay;
/* Site `from` reaches site `to` through it from now on. */
struct relay *relay_open(struct site *from, const struct site *to);
/* Cuts the connections that pass it now. */
void relay_cut(struct relay *relay);
/* Swallows everything from now on, without closing. */
void relay_swallow(struct relay *relay, bool swallow);
/* Flips a bit in the next bytes from the dialling side. */
void relay_corrupt(struct relay *relay);
/* The first bytes that the dialling side sent on the last connection. */
size_t relay_recorded(const struct relay *relay, uint8_t *bytes, size_t size);
unsigned int relay_connections(const struct relay *relay);
void relay_close(struct relay *relay);

#endif
