/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b, The Noise Protocol Framework, revision 34:
 *
 *	<- s
 *	...
 *	-> e, es, s, ss
 *	<- e, ee, se, psk
 *
 * Secrets live in secret_alloc() memory and are erased by noise_handshake_free(), noise_transport_free() and by the
 * first error: a handshake or transport that has failed once answers every later call with -1.
 * sodium_init() must have been called.
 */
#ifndef CONTROL_KEYS_NOISE_H
#define CONTROL_KEYS_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_PROTOCOL_NAME "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b" /* hashed into every handshake */

enum {
	NOISE_KEY_SIZE = 32,       /* X25519 keys, pre-shared keys and cipher keys, in bytes */
	NOISE_HASH_SIZE = 64,      /* HASHLEN of BLAKE2b, also the size of the chaining key */
	NOISE_TAG_SIZE = 16,       /* Poly1305 */
	NOISE_MESSAGE_MAX = 65535, /* any Noise message, section 3 */
	/* What the two handshake messages add to their payloads: e, the encrypted s, a tag; and e, a tag. */
	NOISE_FIRST_OVERHEAD = NOISE_KEY_SIZE + NOISE_KEY_SIZE + NOISE_TAG_SIZE + NOISE_TAG_SIZE,
	NOISE_SECOND_OVERHEAD = NOISE_KEY_SIZE + NOISE_TAG_SIZE,
};

struct noise_handshake;
struct noise_transport;

/* The long-term keys of this side; private_key stays with the caller and is copied into locked memory. */
struct noise_static {
	const uint8_t *private_key; /* NOISE_KEY_SIZE */
	const uint8_t *public_key;  /* NOISE_KEY_SIZE, belongs to private_key */
};

/*
 * Starts a handshake with a fresh random ephemeral key. psk NULL: none, which in Noise terms is all zeros.
 * NULL if there is no memory. The responder does not know yet who it talks to: see noise_handshake_set_psk().
 */
struct noise_handshake *noise_initiate(const void *prologue, size_t prologue_size, const struct noise_static *own,
	const uint8_t remote[NOISE_KEY_SIZE], const uint8_t *psk);
struct noise_handshake *noise_respond(const void *prologue, size_t prologue_size, const struct noise_static *own);

/* The responder's pre-shared key with the initiator that the first message named; NULL: none. */
void noise_handshake_set_psk(struct noise_handshake *handshake, const uint8_t *psk);

/* The other side's static public key; on the responder valid (and authenticated) once the first message was read. */
const uint8_t *noise_handshake_remote(const struct noise_handshake *handshake);

/*
 * Writes this side's message with a payload into message[], of message_size bytes, and its length into *length. -1:
 * out of turn, does not fit, exceeds NOISE_MESSAGE_MAX, or a Diffie-Hellman result was all zeros.
 */
int noise_handshake_write(struct noise_handshake *handshake, const void *payload, size_t payload_size, uint8_t *message,
	size_t message_size, size_t *length);

/* Reads the other side's message and writes its payload. -1: as above, or the message is not authentic. */
int noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message, size_t message_size,
	uint8_t *payload, size_t payload_size, size_t *length);

/* Both messages have passed: the three below may be called. */
bool noise_handshake_complete(const struct noise_handshake *handshake);
const uint8_t *noise_handshake_chaining_key(const struct noise_handshake *handshake); /* NOISE_HASH_SIZE, secret */
const uint8_t *noise_handshake_hash(const struct noise_handshake *handshake); /* NOISE_HASH_SIZE, channel binding */
/* Split(): the ciphers of both directions; NULL if there is no memory or the handshake is not complete. */
struct noise_transport *noise_handshake_split(const struct noise_handshake *handshake);

void noise_handshake_free(struct noise_handshake *handshake);

/*
 * Seals a payload of at most NOISE_MESSAGE_MAX - NOISE_TAG_SIZE bytes into payload_size + NOISE_TAG_SIZE bytes at
 * message. -1 when it is too long or the nonces are used up: nothing was written, the session is over.
 */
int noise_seal(struct noise_transport *transport, const void *payload, size_t payload_size, uint8_t *message);
/* Opens a message into message_size - NOISE_TAG_SIZE bytes at payload; -1: not authentic, or nonces used up. */
int noise_open(struct noise_transport *transport, const uint8_t *message, size_t message_size, uint8_t *payload);

void noise_transport_free(struct noise_transport *transport);

#endif
