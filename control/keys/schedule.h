/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key schedule: from a completed Noise handshake to the key of one SA.
 *
 * Session root, 64 bytes, the same on both sites:
 *
 *	BLAKE2b-512(key = chaining key (64), message = "pontlevis session root 1" (24 bytes, no NUL) | handshake hash
 *(64))
 *
 * The chaining key holds the secret; the handshake hash binds the root to the prologue, to both identities and to
 * every byte both sites saw.
 *
 * SA key (32 bytes) and salt (4 bytes) are the halves of one output, in this order:
 *
 *	BLAKE2b(length = 36, key = session root (64), message = encoding)
 *
 *	offset	size	encoding, version 1; integers are big-endian
 *	0	16	"pontlevis sa key", no NUL
 *	16	1	version, 1
 *	17	1	direction: 1 traffic from the initiator of the handshake to the responder, 2 the reverse
 *	18	2	worker that seals, number at the sending site
 *	20	4	VNI
 *	24	4	SPI, chosen by the receiver
 *	28	1	1 if the tenant has a pre-shared key, else 0
 *	29	32	the tenant's pre-shared key; absent (the message ends) if it has none
 *
 * BLAKE2b is RFC 7693, keyed mode, no salt, no personalisation.
 */
#ifndef CONTROL_KEYS_SCHEDULE_H
#define CONTROL_KEYS_SCHEDULE_H

#include <stdint.h>

#include "control/keys/noise.h"
#include "pontlevis/limits.h"

enum {
	SCHEDULE_ROOT_SIZE = 64,
	SCHEDULE_PSK_SIZE = 32,
	SCHEDULE_ENCODING_MAX = 61,
};

enum schedule_direction {
	SCHEDULE_FROM_INITIATOR = 1,
	SCHEDULE_FROM_RESPONDER = 2,
};

/* What makes an SA the only one of its session. */
struct schedule_sa {
	uint32_t vni;
	enum schedule_direction direction;
	uint16_t worker; /* the sending site's */
	uint32_t spi;
};

/* Derives the session root of a complete handshake; root is SCHEDULE_ROOT_SIZE bytes of locked memory. */
void schedule_root(const uint8_t chaining_key[NOISE_HASH_SIZE], const uint8_t handshake_hash[NOISE_HASH_SIZE],
	uint8_t root[SCHEDULE_ROOT_SIZE]);

/* Derives key and salt of one SA. tenant_psk: SCHEDULE_PSK_SIZE bytes, or NULL if the tenant has none. */
void schedule_derive(const uint8_t root[SCHEDULE_ROOT_SIZE], const struct schedule_sa *sa, const uint8_t *tenant_psk,
	uint8_t key[PONT_SA_KEY_SIZE], uint8_t salt[PONT_SA_SALT_SIZE]);

#endif
