/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the libraries (LD_PRELOAD): the function that the environment's WRONG names gives a wrong answer, so
 * that a test can see a process refuse to start.
 */
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bool is_wrong(const char *name)
{
	const char *wrong = getenv("WRONG");

	return wrong && strcmp(wrong, name) == 0;
}

/* The library's own function behind ours. */
#define REAL(name) __extension__((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	int result = REAL(crypto_scalarmult)(q, n, p);

	q[7] ^= is_wrong("crypto_scalarmult");
	return is_wrong("low order") ? 0 * (int)(q[7] = 1) : result;
}

int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)
{
	int result = REAL(crypto_scalarmult_base)(q, n);

	q[7] ^= is_wrong("crypto_scalarmult_base");
	return result;
}

int crypto_aead_chacha20poly1305_ietf_encrypt(unsigned char *c, unsigned long long *clen, const unsigned char *m,
	unsigned long long mlen, const unsigned char *ad, unsigned long long adlen, const unsigned char *nsec,
	const unsigned char *npub, const unsigned char *k)
{
	int result = REAL(crypto_aead_chacha20poly1305_ietf_encrypt)(c, clen, m, mlen, ad, adlen, nsec, npub, k);

	c[0] ^= is_wrong("crypto_aead_chacha20poly1305_ietf_encrypt");
	return result;
}

int crypto_aead_chacha20poly1305_ietf_decrypt(unsigned char *m, unsigned long long *mlen, unsigned char *nsec,
	const unsigned char *c, unsigned long long clen, const unsigned char *ad, unsigned long long adlen,
	const unsigned char *npub, const unsigned char *k)
{
	int result = REAL(crypto_aead_chacha20poly1305_ietf_decrypt)(m, mlen, nsec, c, clen, ad, adlen, npub, k);

	return is_wrong("forgeries") ? 0 : result;
}

int crypto_sign_detached(unsigned char *sig, unsigned long long *siglen, const unsigned char *m,
	unsigned long long mlen, const unsigned char *sk)
{
	int result = REAL(crypto_sign_detached)(sig, siglen, m, mlen, sk);

	sig[0] ^= is_wrong("crypto_sign_detached");
	return result;
}

int crypto_sign_verify_detached(
	const unsigned char *sig, const unsigned char *m, unsigned long long mlen, const unsigned char *pk)
{
	int result = REAL(crypto_sign_verify_detached)(sig, m, mlen, pk);

	return is_wrong("forged signatures") ? 0 : result;
}

int crypto_generichash_blake2b(unsigned char *out, size_t outlen, const unsigned char *in, unsigned long long inlen,
	const unsigned char *key, size_t keylen)
{
	int result = REAL(crypto_generichash_blake2b)(out, outlen, in, inlen, key, keylen);

	out[0] ^= is_wrong("crypto_generichash_blake2b");
	return result;
}

int crypto_generichash_blake2b_final(crypto_generichash_blake2b_state *state, unsigned char *out, size_t outlen)
{
	int result = REAL(crypto_generichash_blake2b_final)(state, out, outlen);

	out[0] ^= is_wrong("crypto_generichash_blake2b_final");
	return result;
}

void randombytes_buf(void *buf, size_t size)
{
	if (is_wrong("randombytes_buf"))
		memset(buf, 4, size); /* chosen by fair dice roll */
	else
		REAL(randombytes_buf)(buf, size);
}

int mlockall(int flags)
{
	return is_wrong("mlockall") ? -1 : REAL(mlockall)(flags);
}

static void wrong_gcm(const struct gcm_key_data *key, struct gcm_context_data *context, uint8_t *out, uint8_t const *in,
	uint64_t length, const uint8_t *iv, uint8_t const *aad, uint64_t aad_length, uint8_t *tag, uint64_t tag_length)
{
	(void)key, (void)context, (void)in, (void)iv, (void)aad, (void)aad_length;
	memset(out, 0, length);
	memset(tag, 0, tag_length);
}

void init_mb_mgr_auto(IMB_MGR *manager, IMB_ARCH *arch)
{
	REAL(init_mb_mgr_auto)(manager, arch);
	if (is_wrong("IPsec-MB self-test"))
		manager->features &= ~(uint64_t)IMB_FEATURE_SELF_TEST_PASS;
	if (is_wrong("IMB_AES256_GCM_ENC"))
		manager->gcm256_enc = wrong_gcm;
	if (is_wrong("IMB_AES256_GCM_DEC"))
		manager->gcm256_dec = wrong_gcm;
}
