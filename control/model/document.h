/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration document as a typed record: what config.schema.json describes, with the defaults filled in, the
 * references resolved and the secrets it names loaded. What stands in a record makes sense as a whole.
 */
#ifndef CONTROL_MODEL_DOCUMENT_H
#define CONTROL_MODEL_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/section.h"
#include "control/model/problems.h"
#include "pontlevis/address.h"
#include "pontlevis/limits.h"

struct pont_link_hello;
struct schema;

enum { DOCUMENT_KEY_SIZE = 32 };

struct document_peer {
	char name[PONT_NAME_SIZE];
	struct pont_address endpoint;
	uint16_t keys_port; /* TCP, host byte order */
	uint8_t public_key[DOCUMENT_KEY_SIZE];
	const char *public_text;       /* of the same key */
	uint8_t *psk;                  /* secret_alloc, NULL: none */
	char wan_port[PONT_NAME_SIZE]; /* "": port of the interface the route names */
	uint16_t number;               /* in the dataplane, see document_number_peers() */
};

struct document_circuit {
	char port[PONT_NAME_SIZE];
	uint16_t vlan; /* PONT_VLAN_UNTAGGED: untagged frames */
};

struct document_tenant {
	char name[PONT_NAME_SIZE];
	uint32_t vni;
	uint32_t mac_limit;
	uint32_t mac_ageing_s;
	struct document_circuit *circuits;
	size_t circuit_count;
	uint16_t *peers; /* indexes of document.peers, ascending */
	size_t peer_count;
	uint8_t *psk; /* secret_alloc, NULL: none */
};

/* Strings without a size of their own live in json. */
struct document {
	json_t *json; /* the document itself, never changed */
	char site[PONT_NAME_SIZE];
	struct pont_address vtep[2]; /* IPv4, IPv6; family NONE where absent */
	uint16_t keys_port;          /* TCP, host byte order */
	struct section fence;
	struct document_peer *peers;
	size_t peer_count;
	struct document_tenant *tenants;
	size_t tenant_count;
	/* Hard limits of an SA, and of a session. */
	uint64_t sa_packets, sa_bytes;
	uint32_t sa_s, session_s;
	const struct document_tenant **by_vni; /* the same, ascending by VNI */
};

/* What a document is judged against besides itself. */
struct document_surroundings {
	const uint8_t *public_key;           /* DOCUMENT_KEY_SIZE bytes: the site's own */
	const struct pont_link_hello *hello; /* of the connected dataplane, NULL: ports are not checked */
};

/*
 * Checks and reads a document (kept by reference). NULL with everything that is wrong in problems: what the schema
 * refuses; and if that is nothing, what makes no sense.
 */
struct document *document_read(const struct schema *schema, json_t *json,
	const struct document_surroundings *surroundings, struct problems *problems);
void document_free(struct document *document);

/* Whether two documents are equal, and so are the secrets in the files they name. */
bool document_equal(const struct document *a, const struct document *b);

/*
 * Gives every peer a number. A peer that `earlier` (may be NULL) has too, with the same name and identity, keeps its
 * number; a new one gets a number that is free in both, so that nothing in the dataplane is taken over by a stranger.
 * Otherwise the number noted in `numbers` (object name → number, may be NULL) is taken if it is free.
 */
int document_number_peers(
	struct document *document, const struct document *earlier, const json_t *numbers, struct error *error);
/* The object for `numbers` above; NULL if out of memory. */
json_t *document_peer_numbers(const struct document *document);

/* Index of the VTEP of the address' family: 0 or 1. */
static inline size_t document_vtep_index(const struct pont_address *address)
{
	return address->family == PONT_FAMILY_IPV6;
}

const struct document_tenant *document_tenant_by_vni(const struct document *document, uint32_t vni);
const struct document_tenant *document_tenant_by_name(const struct document *document, const char *name);
const struct document_peer *document_peer_by_number(const struct document *document, uint16_t number);
const struct document_peer *document_peer_by_name(const struct document *document, const char *name);

#endif
