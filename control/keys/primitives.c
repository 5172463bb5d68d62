/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/primitives.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "control/keys/noise_internal.h"
#include "control/keys/schedule.h"

enum { TEXT_MAX = 160, SHORT_OUTPUT = PONT_SA_KEY_SIZE + PONT_SA_SALT_SIZE };

/* Bytes written in hexadecimal; returns how many. */
static size_t bytes(const char *hex, uint8_t out[TEXT_MAX])
{
	size_t size = 0;

	(void)sodium_hex2bin(out, TEXT_MAX, hex, strlen(hex), NULL, &size, NULL);
	return size;
}

static int compare(const uint8_t *found, size_t size, const char *expected)
{
	uint8_t right[TEXT_MAX];

	return bytes(expected, right) == size && memcmp(found, right, size) == 0 ? 0 : -1;
}

/* 0, 1, 2, ... */
static void count_up(uint8_t *out, size_t size, unsigned int first)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(first + i);
}

/* RFC 7748 section 5.2, and the all-zero result that section 6.1 wants refused. */
static int check_x25519(void)
{
	static const uint8_t nine[NOISE_KEY_SIZE] = {9}, low_order[NOISE_KEY_SIZE] = {1};
	uint8_t scalar[TEXT_MAX], point[TEXT_MAX], result[NOISE_KEY_SIZE];

	(void)bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", scalar);
	(void)bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", point);
	if (noise_dh(result, scalar, point) != 0 ||
		compare(result, sizeof(result), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552") !=
			0)
		return -1;
	if (crypto_scalarmult_base(result, nine) != 0 ||
		compare(result, sizeof(result), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079") !=
			0)
		return -1;
	return noise_dh(result, scalar, low_order) == 0 ? -1 : 0;
}

/* RFC 8439 section 2.8.2; a tag with a flipped bit is refused. */
static int check_chacha20_poly1305(void)
{
	static const char text[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
		"future, sunscreen would be it.";
	static const char sealed[] = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca967128"
				     "2fafb69da92728b1a71de0a9e"
				     "060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b483"
				     "1d7bc3ff4def08e4b7a9de576"
				     "d26586cec64b61161ae10b594f09e26a7e902ecbd0600691";
	enum { SIZE = sizeof(text) - 1 };
	uint8_t key[NOISE_KEY_SIZE], nonce[TEXT_MAX], ad[TEXT_MAX], out[SIZE + NOISE_TAG_SIZE], plain[SIZE];
	size_t ad_size = bytes("50515253c0c1c2c3c4c5c6c7", ad);

	(void)bytes("070000004041424344454647", nonce);
	count_up(key, sizeof(key), 0x80);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		out, NULL, (const uint8_t *)text, SIZE, ad, ad_size, NULL, nonce, key);
	if (compare(out, sizeof(out), sealed) != 0)
		return -1;
	if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, out, sizeof(out), ad, ad_size, nonce, key) !=
			0 ||
		memcmp(plain, text, SIZE) != 0)
		return -1;
	out[sizeof(out) - 1] ^= 1;
	return crypto_aead_chacha20poly1305_ietf_decrypt(
		       plain, NULL, NULL, out, sizeof(out), ad, ad_size, nonce, key) == 0
		       ? -1
		       : 0;
}

/* RFC 7693 appendix A. */
static int check_blake2b(void)
{
	crypto_generichash_blake2b_state state;
	uint8_t hash[NOISE_HASH_SIZE];

	crypto_generichash_blake2b_init(&state, NULL, 0, sizeof(hash));
	crypto_generichash_blake2b_update(&state, (const uint8_t *)"ab", 2);
	crypto_generichash_blake2b_update(&state, (const uint8_t *)"c", 1);
	crypto_generichash_blake2b_final(&state, hash, sizeof(hash));
	return compare(hash, sizeof(hash),
		"ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38a"
		"a8dbf1925"
		"ab92386edd4009923");
}

/* HMAC (RFC 2104) with BLAKE2b-512, computed with another implementation. */
static int check_hmac(void)
{
	uint8_t key[NOISE_HASH_SIZE], mac[NOISE_HASH_SIZE];

	count_up(key, sizeof(key), 0);
	noise_hmac(key, sizeof(key), "pontlevis", 9, mac);
	return compare(mac, sizeof(mac),
		"757331b4ab03ecbe8f7592d6b22e271c65875e1b9bd849e755e68c4329b680fdb32c68fc848b5851dca883b87e40b873e5cc07"
		"17c29218"
		"8227f17aa7be14ff56");
}

/* The reference implementation's vector of three bytes under a key, and its shorter sibling. */
static int check_keyed_blake2b(void)
{
	uint8_t key[SCHEDULE_ROOT_SIZE], message[3], hash[NOISE_HASH_SIZE];

	count_up(key, sizeof(key), 0);
	count_up(message, sizeof(message), 0);
	crypto_generichash_blake2b(hash, sizeof(hash), message, sizeof(message), key, sizeof(key));
	if (compare(hash, sizeof(hash),
		    "33d0825dddf7ada99b0e7e307104ad07ca9cfd9692214f1561356315e784f3e5a17e364ae9dbb14cb2036df932b77f4b29"
		    "276136"
		    "5fb328de7afdc6d8998f5fc1") != 0)
		return -1;
	crypto_generichash_blake2b(hash, SHORT_OUTPUT, message, sizeof(message), key, sizeof(key));
	return compare(hash, SHORT_OUTPUT, "e5d27d14dba3e0cc6345c50cd7eecd2d20b1b67e300ee94cb3b385af42a6c853fbb8e11e");
}

/* FIPS 180-4, the example of NIST for one block. */
static int check_sha256(void)
{
	uint8_t hash[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(hash, (const uint8_t *)"abc", 3);
	return compare(hash, sizeof(hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 8032 section 7.1, test 1; and a signature that is not right. */
static int check_ed25519(void)
{
	uint8_t seed[TEXT_MAX], public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
	uint8_t signature[crypto_sign_BYTES], nothing[1] = {0};

	(void)bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seed);
	(void)crypto_sign_seed_keypair(public_key, secret_key, seed);
	(void)crypto_sign_detached(signature, NULL, nothing, 0, secret_key);
	if (compare(public_key, sizeof(public_key),
		    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a") != 0 ||
		compare(signature, sizeof(signature),
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
			"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b") != 0 ||
		crypto_sign_verify_detached(signature, nothing, 0, public_key) != 0)
		return -1;
	signature[0] ^= 1;
	return crypto_sign_verify_detached(signature, nothing, 0, public_key) != 0 ? 0 : -1;
}

/* No known answer; but a source that is stuck is seen. */
static int check_random(void)
{
	uint8_t one[NOISE_KEY_SIZE] = {0}, other[NOISE_KEY_SIZE] = {0};
	bool stuck;

	randombytes_buf(one, sizeof(one));
	randombytes_buf(other, sizeof(other));
	stuck = memcmp(one, other, sizeof(one)) == 0;
	sodium_memzero(one, sizeof(one));
	sodium_memzero(other, sizeof(other));
	return stuck ? -1 : 0;
}

const struct primitive primitives[] = {
	{"X25519", "RFC 7748", "key agreement between sites (Noise DH); identities", "crypto_scalarmult",
		8 * crypto_scalarmult_SCALARBYTES, 8 * crypto_scalarmult_BYTES, check_x25519},
	{"ChaCha20-Poly1305", "RFC 8439", "handshake and messages between sites (Noise cipher)",
		"crypto_aead_chacha20poly1305_ietf", 8 * crypto_aead_chacha20poly1305_ietf_KEYBYTES,
		8 * crypto_aead_chacha20poly1305_ietf_ABYTES, check_chacha20_poly1305},
	{"BLAKE2b", "RFC 7693", "handshake hash (Noise hash)", "crypto_generichash_blake2b_", 0, 8 * NOISE_HASH_SIZE,
		check_blake2b},
	{"HMAC-BLAKE2b", "RFC 2104", "handshake keys (Noise HKDF)", "crypto_generichash_blake2b_", 8 * NOISE_HASH_SIZE,
		8 * NOISE_HASH_SIZE, check_hmac},
	{"keyed BLAKE2b", "RFC 7693", "session root, keys and salts of SAs", "crypto_generichash_blake2b",
		8 * SCHEDULE_ROOT_SIZE, 8 * SHORT_OUTPUT, check_keyed_blake2b},
	{"SHA-256", "FIPS 180-4", "digests of configurations, of the state on disk and of policy sources",
		"crypto_hash_sha256", 0, 8 * crypto_hash_sha256_BYTES, check_sha256},
	{"Ed25519", "RFC 8032", "signatures of policy bundles", "crypto_sign", 8 * crypto_sign_SEEDBYTES,
		8 * crypto_sign_BYTES, check_ed25519},
	{"random numbers", "getrandom(2)", "identities, ephemeral and pre-shared keys, SPIs", "randombytes", 0, 0,
		check_random},
	{0},
};

const struct primitive *primitives_check(void)
{
	for (const struct primitive *primitive = primitives; primitive->name; primitive++)
		if (primitive->check() != 0)
			return primitive;
	return NULL;
}
