/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of noise.c, for noise.c and its known-answer tests only: published vectors fix the ephemeral keys and
 * look at the hash. Nothing else may include this file.
 */
#ifndef CONTROL_KEYS_NOISE_INTERNAL_H
#define CONTROL_KEYS_NOISE_INTERNAL_H

#include "control/keys/noise.h"

/* CipherState, section 5.1. */
struct noise_cipher {
	uint64_t nonce;
	uint8_t key[NOISE_KEY_SIZE];
};

enum noise_turn {
	NOISE_TURN_FIRST,  /* the first message is due */
	NOISE_TURN_SECOND, /* the second message is due */
	NOISE_TURN_DONE,
	NOISE_TURN_FAILED,
};

/* HandshakeState and SymmetricState, sections 5.2 and 5.3. */
struct noise_handshake {
	struct noise_cipher cipher;
	uint8_t chaining_key[NOISE_HASH_SIZE];
	uint8_t hash[NOISE_HASH_SIZE];
	uint8_t static_private[NOISE_KEY_SIZE];
	uint8_t static_public[NOISE_KEY_SIZE];
	uint8_t ephemeral_private[NOISE_KEY_SIZE];
	uint8_t ephemeral_public[NOISE_KEY_SIZE];
	uint8_t remote_static[NOISE_KEY_SIZE];
	uint8_t remote_ephemeral[NOISE_KEY_SIZE];
	uint8_t psk[NOISE_KEY_SIZE];
	bool initiator;
	enum noise_turn turn;
};

struct noise_transport {
	struct noise_cipher send;
	struct noise_cipher receive;
	bool failed;
};

/* Sets the ephemeral key in place of the random one. */
void noise_handshake_set_ephemeral(struct noise_handshake *handshake, const uint8_t private_key[NOISE_KEY_SIZE]);

/* HMAC (RFC 2104) with BLAKE2b-512, whose block is 128 bytes; the key is at most one block. */
void noise_hmac(const uint8_t *key, size_t key_size, const void *data, size_t size, uint8_t out[NOISE_HASH_SIZE]);

/* X25519; -1 if the result is all zeros. */
int noise_dh(uint8_t shared[NOISE_KEY_SIZE], const uint8_t private_key[NOISE_KEY_SIZE],
	const uint8_t public_key[NOISE_KEY_SIZE]);

#endif
