/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was revoked: tenants, peers, or a tenant at one peer. Key agreement is configured without them, so there are no
 * keys for them anywhere. A revocation stands until keys.reinstate lifts it, whatever is committed meanwhile and
 * however often control restarts: STATE/revoked.json, mode 0600, holds [{"vni": 100 or null, "peer": public key or
 * null}, ...]. A tenant is known by its VNI, a peer by its public key: under another key it is another site.
 */
#ifndef CONTROL_REVOCATION_H
#define CONTROL_REVOCATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/error.h"
#include "control/model/document.h"

struct revocation;

/* vni 0: any tenant; public_key NULL: any peer; never both. */
struct revoked {
	uint32_t vni;
	const uint8_t *public_key; /* DOCUMENT_KEY_SIZE bytes */
};

/* Reads what was revoked; a file that cannot be understood is an error, as keys must not come back by an accident. */
struct revocation *revocation_open(const char *state, struct error *error);
void revocation_close(struct revocation *revocation);

/* Whether a tenant (0: none in particular) at a peer (NULL: none in particular) is covered by any revocation. */
bool revocation_covers(const struct revocation *revocation, const struct revoked *what);

/* Both return 0 if nothing changed, 1 if something did, -1 out of memory. Nothing is written. */
int revocation_add(struct revocation *revocation, const struct revoked *what, struct error *error);
int revocation_remove(struct revocation *revocation, const struct revoked *what);
/* Makes it durable. */
int revocation_write(const struct revocation *revocation, struct error *error);

/* [{"vni", "peer"}, ...], borrowed. */
const json_t *revocation_list(const struct revocation *revocation);

/* Erases the pre-shared keys of what is revoked from a document; -1: those of what is not any more cannot be read. */
int revocation_strip(const struct revocation *revocation, struct document *document, struct error *error);

#endif
