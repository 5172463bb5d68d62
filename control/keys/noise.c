/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/noise.h"

#include <sodium.h>
#include <string.h>

#include "control/keys/noise_internal.h"
#include "control/keys/secret.h"

enum { BLOCK_SIZE = 128 };

_Static_assert(sizeof(NOISE_PROTOCOL_NAME) - 1 <= NOISE_HASH_SIZE, "a longer name would have to be hashed");
_Static_assert(NOISE_KEY_SIZE == crypto_scalarmult_BYTES, "X25519");
_Static_assert(NOISE_KEY_SIZE == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "ChaChaPoly");
_Static_assert(NOISE_TAG_SIZE == crypto_aead_chacha20poly1305_ietf_ABYTES, "ChaChaPoly");
_Static_assert(NOISE_HASH_SIZE == crypto_generichash_blake2b_BYTES_MAX, "BLAKE2b");

void noise_hmac(const uint8_t *key, size_t key_size, const void *data, size_t size, uint8_t out[NOISE_HASH_SIZE])
{
	crypto_generichash_blake2b_state state;
	uint8_t pad[BLOCK_SIZE];
	uint8_t inner[NOISE_HASH_SIZE];

	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < key_size && i < sizeof(pad); i++)
		pad[i] ^= key[i];
	crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&state, pad, sizeof(pad));
	if (size > 0)
		crypto_generichash_blake2b_update(&state, data, size);
	crypto_generichash_blake2b_final(&state, inner, sizeof(inner));

	memset(pad, 0x5c, sizeof(pad));
	for (size_t i = 0; i < key_size && i < sizeof(pad); i++)
		pad[i] ^= key[i];
	crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&state, pad, sizeof(pad));
	crypto_generichash_blake2b_update(&state, inner, sizeof(inner));
	crypto_generichash_blake2b_final(&state, out, NOISE_HASH_SIZE);

	sodium_memzero(&state, sizeof(state));
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

int noise_dh(uint8_t shared[NOISE_KEY_SIZE], const uint8_t private_key[NOISE_KEY_SIZE],
	const uint8_t public_key[NOISE_KEY_SIZE])
{
	/* libsodium answers -1 for an all-zero result; the comparison keeps that promise if it ever changes its mind.
	 */
	if (crypto_scalarmult(shared, private_key, public_key) != 0 || sodium_is_zero(shared, NOISE_KEY_SIZE)) {
		sodium_memzero(shared, NOISE_KEY_SIZE);
		return -1;
	}
	return 0;
}

/* HKDF, section 4.3: outputs HASHLEN bytes count times, into out[0..count-1]. */
static void hkdf(const uint8_t chaining_key[NOISE_HASH_SIZE], const uint8_t *material, size_t size,
	uint8_t out[][NOISE_HASH_SIZE], unsigned int count)
{
	uint8_t temporary[NOISE_HASH_SIZE];
	uint8_t data[NOISE_HASH_SIZE + 1];

	noise_hmac(chaining_key, NOISE_HASH_SIZE, material, size, temporary);
	for (unsigned int i = 0; i < count; i++) {
		size_t length = 0;

		if (i > 0) {
			memcpy(data, out[i - 1], NOISE_HASH_SIZE);
			length = NOISE_HASH_SIZE;
		}
		data[length++] = (uint8_t)(i + 1);
		noise_hmac(temporary, sizeof(temporary), data, length, out[i]);
	}
	sodium_memzero(temporary, sizeof(temporary));
	sodium_memzero(data, sizeof(data));
}

static void mix_hash(struct noise_handshake *handshake, const void *data, size_t size)
{
	crypto_generichash_blake2b_state state;

	crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_SIZE);
	crypto_generichash_blake2b_update(&state, handshake->hash, NOISE_HASH_SIZE);
	if (size > 0)
		crypto_generichash_blake2b_update(&state, data, size);
	crypto_generichash_blake2b_final(&state, handshake->hash, NOISE_HASH_SIZE);
	sodium_memzero(&state, sizeof(state));
}

static void mix_key(struct noise_handshake *handshake, const uint8_t material[NOISE_KEY_SIZE])
{
	uint8_t out[2][NOISE_HASH_SIZE];

	hkdf(handshake->chaining_key, material, NOISE_KEY_SIZE, out, 2);
	memcpy(handshake->chaining_key, out[0], NOISE_HASH_SIZE);
	memcpy(handshake->cipher.key, out[1], NOISE_KEY_SIZE);
	handshake->cipher.nonce = 0;
	sodium_memzero(out, sizeof(out));
}

static void mix_key_and_hash(struct noise_handshake *handshake, const uint8_t material[NOISE_KEY_SIZE])
{
	uint8_t out[3][NOISE_HASH_SIZE];

	hkdf(handshake->chaining_key, material, NOISE_KEY_SIZE, out, 3);
	memcpy(handshake->chaining_key, out[0], NOISE_HASH_SIZE);
	mix_hash(handshake, out[1], NOISE_HASH_SIZE);
	memcpy(handshake->cipher.key, out[2], NOISE_KEY_SIZE);
	handshake->cipher.nonce = 0;
	sodium_memzero(out, sizeof(out));
}

/* An "e" token, with the extra MixKey() of handshakes that have a psk token (section 9.2). */
static void mix_ephemeral(struct noise_handshake *handshake, const uint8_t public_key[NOISE_KEY_SIZE])
{
	mix_hash(handshake, public_key, NOISE_KEY_SIZE);
	mix_key(handshake, public_key);
}

static int mix_dh(struct noise_handshake *handshake, const uint8_t private_key[NOISE_KEY_SIZE],
	const uint8_t public_key[NOISE_KEY_SIZE])
{
	uint8_t shared[NOISE_KEY_SIZE];

	if (noise_dh(shared, private_key, public_key) < 0)
		return -1;
	mix_key(handshake, shared);
	sodium_memzero(shared, sizeof(shared));
	return 0;
}

/* 32 zero bits and the counter, little-endian (section 12.3). The last value of the counter is never used. */
static int next_nonce(struct noise_cipher *cipher, uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
	if (cipher->nonce == UINT64_MAX)
		return -1;
	memset(nonce, 0, 4);
	for (unsigned int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(cipher->nonce >> (8 * i));
	return 0;
}

static int encrypt(
	struct noise_cipher *cipher, const uint8_t *ad, size_t ad_size, const void *plain, size_t size, uint8_t *out)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	if (next_nonce(cipher, nonce) < 0)
		return -1;
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, size, ad, ad_size, NULL, nonce, cipher->key);
	cipher->nonce++;
	return 0;
}

/* size is that of the ciphertext, tag included, and at least NOISE_TAG_SIZE. */
static int decrypt(
	struct noise_cipher *cipher, const uint8_t *ad, size_t ad_size, const uint8_t *in, size_t size, uint8_t *plain)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	if (next_nonce(cipher, nonce) < 0)
		return -1;
	if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, in, size, ad, ad_size, nonce, cipher->key) !=
		0)
		return -1;
	cipher->nonce++;
	return 0;
}

static int encrypt_and_hash(struct noise_handshake *handshake, const void *plain, size_t size, uint8_t *out)
{
	if (encrypt(&handshake->cipher, handshake->hash, NOISE_HASH_SIZE, plain, size, out) < 0)
		return -1;
	mix_hash(handshake, out, size + NOISE_TAG_SIZE);
	return 0;
}

static int decrypt_and_hash(struct noise_handshake *handshake, const uint8_t *in, size_t size, uint8_t *plain)
{
	if (decrypt(&handshake->cipher, handshake->hash, NOISE_HASH_SIZE, in, size, plain) < 0)
		return -1;
	mix_hash(handshake, in, size);
	return 0;
}

void noise_handshake_set_ephemeral(struct noise_handshake *handshake, const uint8_t private_key[NOISE_KEY_SIZE])
{
	memcpy(handshake->ephemeral_private, private_key, NOISE_KEY_SIZE);
	crypto_scalarmult_base(handshake->ephemeral_public, handshake->ephemeral_private);
}

static struct noise_handshake *start(
	bool initiator, const void *prologue, size_t prologue_size, const struct noise_static *own)
{
	struct noise_handshake *handshake = secret_alloc(sizeof(*handshake));

	if (!handshake)
		return NULL;
	memset(handshake, 0, sizeof(*handshake));
	handshake->initiator = initiator;
	memcpy(handshake->static_private, own->private_key, NOISE_KEY_SIZE);
	memcpy(handshake->static_public, own->public_key, NOISE_KEY_SIZE);
	randombytes_buf(handshake->ephemeral_private, NOISE_KEY_SIZE);
	crypto_scalarmult_base(handshake->ephemeral_public, handshake->ephemeral_private);
	memcpy(handshake->hash, NOISE_PROTOCOL_NAME, sizeof(NOISE_PROTOCOL_NAME) - 1);
	memcpy(handshake->chaining_key, handshake->hash, NOISE_HASH_SIZE);
	mix_hash(handshake, prologue, prologue_size);
	return handshake;
}

struct noise_handshake *noise_initiate(const void *prologue, size_t prologue_size, const struct noise_static *own,
	const uint8_t remote[NOISE_KEY_SIZE], const uint8_t *psk)
{
	struct noise_handshake *handshake = start(true, prologue, prologue_size, own);

	if (!handshake)
		return NULL;
	memcpy(handshake->remote_static, remote, NOISE_KEY_SIZE);
	noise_handshake_set_psk(handshake, psk);
	mix_hash(handshake, handshake->remote_static, NOISE_KEY_SIZE);
	return handshake;
}

struct noise_handshake *noise_respond(const void *prologue, size_t prologue_size, const struct noise_static *own)
{
	struct noise_handshake *handshake = start(false, prologue, prologue_size, own);

	if (handshake)
		mix_hash(handshake, handshake->static_public, NOISE_KEY_SIZE);
	return handshake;
}

void noise_handshake_set_psk(struct noise_handshake *handshake, const uint8_t *psk)
{
	if (psk)
		memcpy(handshake->psk, psk, NOISE_KEY_SIZE);
	else
		sodium_memzero(handshake->psk, NOISE_KEY_SIZE);
}

const uint8_t *noise_handshake_remote(const struct noise_handshake *handshake)
{
	return handshake->remote_static;
}

static int fail(struct noise_handshake *handshake)
{
	sodium_memzero(handshake, sizeof(*handshake));
	handshake->turn = NOISE_TURN_FAILED;
	return -1;
}

/* -> e, es, s, ss */
static int write_first(struct noise_handshake *handshake, const void *payload, size_t size, uint8_t *message)
{
	memcpy(message, handshake->ephemeral_public, NOISE_KEY_SIZE);
	mix_ephemeral(handshake, handshake->ephemeral_public);
	message += NOISE_KEY_SIZE;
	if (mix_dh(handshake, handshake->ephemeral_private, handshake->remote_static) < 0)
		return -1;
	if (encrypt_and_hash(handshake, handshake->static_public, NOISE_KEY_SIZE, message) < 0)
		return -1;
	message += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
	if (mix_dh(handshake, handshake->static_private, handshake->remote_static) < 0)
		return -1;
	return encrypt_and_hash(handshake, payload, size, message);
}

static int read_first(struct noise_handshake *handshake, const uint8_t *message, size_t size, uint8_t *payload)
{
	memcpy(handshake->remote_ephemeral, message, NOISE_KEY_SIZE);
	mix_ephemeral(handshake, handshake->remote_ephemeral);
	message += NOISE_KEY_SIZE;
	if (mix_dh(handshake, handshake->static_private, handshake->remote_ephemeral) < 0)
		return -1;
	if (decrypt_and_hash(handshake, message, NOISE_KEY_SIZE + NOISE_TAG_SIZE, handshake->remote_static) < 0)
		return -1;
	message += NOISE_KEY_SIZE + NOISE_TAG_SIZE;
	if (mix_dh(handshake, handshake->static_private, handshake->remote_static) < 0)
		return -1;
	return decrypt_and_hash(handshake, message, size - NOISE_FIRST_OVERHEAD + NOISE_TAG_SIZE, payload);
}

/* <- e, ee, se, psk */
static int write_second(struct noise_handshake *handshake, const void *payload, size_t size, uint8_t *message)
{
	memcpy(message, handshake->ephemeral_public, NOISE_KEY_SIZE);
	mix_ephemeral(handshake, handshake->ephemeral_public);
	message += NOISE_KEY_SIZE;
	if (mix_dh(handshake, handshake->ephemeral_private, handshake->remote_ephemeral) < 0)
		return -1;
	if (mix_dh(handshake, handshake->ephemeral_private, handshake->remote_static) < 0)
		return -1;
	mix_key_and_hash(handshake, handshake->psk);
	return encrypt_and_hash(handshake, payload, size, message);
}

static int read_second(struct noise_handshake *handshake, const uint8_t *message, size_t size, uint8_t *payload)
{
	memcpy(handshake->remote_ephemeral, message, NOISE_KEY_SIZE);
	mix_ephemeral(handshake, handshake->remote_ephemeral);
	message += NOISE_KEY_SIZE;
	if (mix_dh(handshake, handshake->ephemeral_private, handshake->remote_ephemeral) < 0)
		return -1;
	if (mix_dh(handshake, handshake->static_private, handshake->remote_ephemeral) < 0)
		return -1;
	mix_key_and_hash(handshake, handshake->psk);
	return decrypt_and_hash(handshake, message, size - NOISE_KEY_SIZE, payload);
}

int noise_handshake_write(struct noise_handshake *handshake, const void *payload, size_t payload_size, uint8_t *message,
	size_t message_size, size_t *length)
{
	enum noise_turn turn = handshake->initiator ? NOISE_TURN_FIRST : NOISE_TURN_SECOND;
	size_t overhead = handshake->initiator ? NOISE_FIRST_OVERHEAD : NOISE_SECOND_OVERHEAD;
	int result;

	if (handshake->turn != turn || payload_size > NOISE_MESSAGE_MAX - overhead ||
		message_size < payload_size + overhead)
		return fail(handshake);
	if (handshake->initiator)
		result = write_first(handshake, payload, payload_size, message);
	else
		result = write_second(handshake, payload, payload_size, message);
	if (result < 0)
		return fail(handshake);
	handshake->turn++;
	*length = payload_size + overhead;
	return 0;
}

int noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message, size_t message_size,
	uint8_t *payload, size_t payload_size, size_t *length)
{
	enum noise_turn turn = handshake->initiator ? NOISE_TURN_SECOND : NOISE_TURN_FIRST;
	size_t overhead = handshake->initiator ? NOISE_SECOND_OVERHEAD : NOISE_FIRST_OVERHEAD;
	int result;

	if (handshake->turn != turn || message_size > NOISE_MESSAGE_MAX || message_size < overhead ||
		payload_size < message_size - overhead)
		return fail(handshake);
	if (handshake->initiator)
		result = read_second(handshake, message, message_size, payload);
	else
		result = read_first(handshake, message, message_size, payload);
	if (result < 0)
		return fail(handshake);
	handshake->turn++;
	*length = message_size - overhead;
	return 0;
}

bool noise_handshake_complete(const struct noise_handshake *handshake)
{
	return handshake->turn == NOISE_TURN_DONE;
}

const uint8_t *noise_handshake_chaining_key(const struct noise_handshake *handshake)
{
	return handshake->chaining_key;
}

const uint8_t *noise_handshake_hash(const struct noise_handshake *handshake)
{
	return handshake->hash;
}

struct noise_transport *noise_handshake_split(const struct noise_handshake *handshake)
{
	struct noise_transport *transport;
	uint8_t out[2][NOISE_HASH_SIZE];

	if (!noise_handshake_complete(handshake))
		return NULL;
	transport = secret_alloc(sizeof(*transport));
	if (!transport)
		return NULL;
	memset(transport, 0, sizeof(*transport));
	hkdf(handshake->chaining_key, NULL, 0, out, 2);
	/* The first key is the initiator's to send with. */
	memcpy(transport->send.key, out[handshake->initiator ? 0 : 1], NOISE_KEY_SIZE);
	memcpy(transport->receive.key, out[handshake->initiator ? 1 : 0], NOISE_KEY_SIZE);
	sodium_memzero(out, sizeof(out));
	return transport;
}

void noise_handshake_free(struct noise_handshake *handshake)
{
	secret_free(handshake);
}

static int transport_fail(struct noise_transport *transport)
{
	sodium_memzero(transport, sizeof(*transport));
	transport->failed = true;
	return -1;
}

int noise_seal(struct noise_transport *transport, const void *payload, size_t payload_size, uint8_t *message)
{
	if (transport->failed || payload_size > NOISE_MESSAGE_MAX - NOISE_TAG_SIZE ||
		encrypt(&transport->send, NULL, 0, payload, payload_size, message) < 0)
		return transport_fail(transport);
	return 0;
}

int noise_open(struct noise_transport *transport, const uint8_t *message, size_t message_size, uint8_t *payload)
{
	if (transport->failed || message_size < NOISE_TAG_SIZE || message_size > NOISE_MESSAGE_MAX ||
		decrypt(&transport->receive, NULL, 0, message, message_size, payload) < 0)
		return transport_fail(transport);
	return 0;
}

void noise_transport_free(struct noise_transport *transport)
{
	secret_free(transport);
}
