/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/schedule.h"

#include <sodium.h>
#include <string.h>

#define ROOT_LABEL "pontlevis session root 1"
#define SA_LABEL   "pontlevis sa key"

enum { SA_VERSION = 1 };

_Static_assert(SCHEDULE_ROOT_SIZE == crypto_generichash_blake2b_KEYBYTES_MAX, "the root is a BLAKE2b key");
_Static_assert(NOISE_HASH_SIZE == crypto_generichash_blake2b_KEYBYTES_MAX, "the chaining key is a BLAKE2b key");
_Static_assert(SCHEDULE_ENCODING_MAX == sizeof(SA_LABEL) - 1 + 1 + 1 + 2 + 4 + 4 + 1 + SCHEDULE_PSK_SIZE, "encoding");

void schedule_root(const uint8_t chaining_key[NOISE_HASH_SIZE], const uint8_t handshake_hash[NOISE_HASH_SIZE],
	uint8_t root[SCHEDULE_ROOT_SIZE])
{
	uint8_t message[sizeof(ROOT_LABEL) - 1 + NOISE_HASH_SIZE];

	memcpy(message, ROOT_LABEL, sizeof(ROOT_LABEL) - 1);
	memcpy(message + sizeof(ROOT_LABEL) - 1, handshake_hash, NOISE_HASH_SIZE);
	crypto_generichash_blake2b(root, SCHEDULE_ROOT_SIZE, message, sizeof(message), chaining_key, NOISE_HASH_SIZE);
}

static uint8_t *put(uint8_t *at, uint32_t value, unsigned int size)
{
	while (size-- > 0)
		*at++ = (uint8_t)(value >> (8 * size));
	return at;
}

void schedule_derive(const uint8_t root[SCHEDULE_ROOT_SIZE], const struct schedule_sa *sa, const uint8_t *tenant_psk,
	uint8_t key[PONT_SA_KEY_SIZE], uint8_t salt[PONT_SA_SALT_SIZE])
{
	uint8_t message[SCHEDULE_ENCODING_MAX];
	uint8_t out[PONT_SA_KEY_SIZE + PONT_SA_SALT_SIZE];
	uint8_t *at = message;

	memcpy(at, SA_LABEL, sizeof(SA_LABEL) - 1);
	at += sizeof(SA_LABEL) - 1;
	at = put(at, SA_VERSION, 1);
	at = put(at, (uint32_t)sa->direction, 1);
	at = put(at, sa->worker, 2);
	at = put(at, sa->vni, 4);
	at = put(at, sa->spi, 4);
	at = put(at, tenant_psk ? 1 : 0, 1);
	if (tenant_psk) {
		memcpy(at, tenant_psk, SCHEDULE_PSK_SIZE);
		at += SCHEDULE_PSK_SIZE;
	}
	crypto_generichash_blake2b(out, sizeof(out), message, (size_t)(at - message), root, SCHEDULE_ROOT_SIZE);
	memcpy(key, out, PONT_SA_KEY_SIZE);
	memcpy(salt, out + PONT_SA_KEY_SIZE, PONT_SA_SALT_SIZE);
	sodium_memzero(out, sizeof(out));
	sodium_memzero(message, sizeof(message));
}
