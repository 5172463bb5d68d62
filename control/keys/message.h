/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages inside the channel, one JSON object each, in one Noise transport message:
 *
 *	{"type":"hello","version":2,"site":"par1","boot_id":"0123456789abcdef","workers":2,"lifetime":3600}
 *		first message of either side; boot_id and workers are those of its dataplane; the session ends after
 *		the smaller lifetime of both, in seconds
 *	{"type":"tenants","vnis":[100,200],"more":false}
 *		VNIs this site stretches to the other; all messages up to the one with "more":false are one list, which
 *		replaces the list before
 *	{"type":"using","sas":[{"vni":100,"worker":0,"spi":4294705152}],"more":false}
 *		follows the first list of tenants: all SAs this site seals with towards the other at the moment, from
 *		earlier sessions. What the other has made for it beyond those will never be used
 *	{"type":"withdraw","vnis":[100]}
 *		these VNIs are no longer stretched to the other: all SAs for them go at once
 *	{"type":"offers","offers":[{"vni":100,"worker":0,"spi":4294705152,"port":50000}]}
 *		the sender of the message is ready to open what the other's worker seals with this SPI; the UDP source
 *		port is the one it wishes to see
 *	{"type":"accepted","spis":[4294705152]}
 *		the other now seals with these
 *	{"type":"renew","sas":[{"vni":100,"worker":0,"spi":4294705152}]}
 *		these SAs that this site seals with should be replaced, as they near the end of their lives here
 *
 * Decoding is strict: an unknown or missing field, a value out of range, a list of more than MESSAGE_BATCH, anything
 * behind the object is an error, and an error ends the session.
 */
#ifndef CONTROL_KEYS_MESSAGE_H
#define CONTROL_KEYS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/keys/noise.h"
#include "pontlevis/limits.h"

enum {
	MESSAGE_VERSION = 2,
	MESSAGE_BATCH = 500, /* entries of a list; 500 offers are about 30 kB */
	MESSAGE_SIZE_MAX = NOISE_MESSAGE_MAX - NOISE_TAG_SIZE,
	MESSAGE_ERROR_SIZE = 128,
};

enum message_type {
	MESSAGE_HELLO,
	MESSAGE_TENANTS,
	MESSAGE_WITHDRAW,
	MESSAGE_OFFERS,
	MESSAGE_ACCEPTED,
	MESSAGE_USING,
	MESSAGE_RENEW,
};

struct message_hello {
	uint32_t version; /* of any other than MESSAGE_VERSION nothing else was read */
	uint16_t workers; /* 1 to PONT_WORKERS_MAX */
	uint64_t boot_id;
	uint32_t lifetime_s; /* PONT_SESSION_S_MIN to _MAX */
	char site[PONT_NAME_SIZE];
};

struct message_offer {
	uint32_t vni;
	uint32_t spi;         /* > 255 */
	uint16_t worker;      /* of the site that will seal, below PONT_WORKERS_MAX */
	uint16_t source_port; /* PONT_UDP_SOURCE_PORT_MIN to _MAX */
};

/* An SA by its name, as its sender calls it. */
struct message_sa {
	uint32_t vni;
	uint32_t spi;    /* > 255 */
	uint16_t worker; /* of the site that seals, below PONT_WORKERS_MAX */
};

struct message {
	enum message_type type;
	bool more;    /* TENANTS, USING */
	size_t count; /* entries used below */
	union {
		struct message_hello hello;
		uint32_t vnis[MESSAGE_BATCH]; /* TENANTS, WITHDRAW */
		struct message_offer offers[MESSAGE_BATCH];
		uint32_t spis[MESSAGE_BATCH];         /* ACCEPTED */
		struct message_sa sas[MESSAGE_BATCH]; /* USING, RENEW */
	};
};

/* JSON text of a message, to be freed by the caller, and its length without NUL; NULL without memory. */
char *message_encode(const struct message *message, size_t *length);

/* Reads a message from untrusted bytes; -1 with a text that says what is wrong with them. */
int message_decode(const void *data, size_t size, struct message *message, char why[MESSAGE_ERROR_SIZE]);

/* Site names as in the configuration's schema: harmless in logs. */
bool message_site_valid(const char *name);

#endif
