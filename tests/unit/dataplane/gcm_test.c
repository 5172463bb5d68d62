/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-256-GCM of IPsec-MB, called as the path calls it, against the vectors of NIST's CAVP (as Debian packages them)
 * and against libsodium.
 */
#include "dataplane/esp/gcm.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS "/usr/lib/python3/dist-packages/cryptography_vectors/ciphers/AES/GCM/"

enum { TEXT_MAX = 10000 };

static IMB_MGR *manager;

static void set_up(void)
{
	manager = gcm_manager_create();
	cr_assert_not_null(manager);
}

static void tear_down(void)
{
	gcm_manager_free(manager);
}

TestSuite(gcm, .init = set_up, .fini = tear_down, .timeout = 120);

struct bytes {
	size_t size;
	uint8_t at[512];
};

/* One case of a response file. */
struct vector {
	unsigned int iv_bits, tag_bits, count;
	struct bytes key, iv, aad, plain, cipher, tag;
	bool fails;
};

static void read_hex(struct bytes *bytes, const char *text)
{
	bytes->size = 0;
	for (; text[0] > ' ' && text[1] > ' '; text += 2) {
		char digits[3] = {text[0], text[1], '\0'};

		cr_assert_lt(bytes->size, sizeof(bytes->at));
		bytes->at[bytes->size++] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

static void check_encryption(const struct vector *vector)
{
	struct gcm_key_data key __attribute__((aligned(64)));
	struct gcm_context_data context;
	uint8_t text[512], tag[16];

	memcpy(text, vector->plain.at, vector->plain.size);
	IMB_AES256_GCM_PRE(manager, vector->key.at, &key);
	IMB_AES256_GCM_ENC(manager, &key, &context, text, text, vector->plain.size, vector->iv.at, vector->aad.at,
		vector->aad.size, tag, sizeof(tag));
	cr_assert_arr_eq(text, vector->cipher.at, vector->cipher.size, "cipher text of case %u", vector->count);
	cr_assert_arr_eq(tag, vector->tag.at, sizeof(tag), "tag of case %u", vector->count);
}

static void check_decryption(const struct vector *vector)
{
	struct gcm_key_data key __attribute__((aligned(64)));
	struct gcm_context_data context;
	uint8_t text[512], tag[16];
	bool equal;

	memcpy(text, vector->cipher.at, vector->cipher.size);
	IMB_AES256_GCM_PRE(manager, vector->key.at, &key);
	IMB_AES256_GCM_DEC(manager, &key, &context, text, text, vector->cipher.size, vector->iv.at, vector->aad.at,
		vector->aad.size, tag, sizeof(tag));
	equal = memcmp(tag, vector->tag.at, sizeof(tag)) == 0;
	cr_assert_neq(
		equal, vector->fails, "tag of case %u should %s", vector->count, vector->fails ? "differ" : "be equal");
	if (!vector->fails)
		cr_assert_arr_eq(text, vector->plain.at, vector->plain.size, "plain text of case %u", vector->count);
}

/* Runs the cases with 96-bit IV and 128-bit tag; returns how many, and how many of them must fail. */
static unsigned int run_file(const char *path, void (*check)(const struct vector *), unsigned int *failing)
{
	FILE *file = fopen(path, "re");
	struct vector vector = {0};
	unsigned int cases = 0;
	char line[2048];
	bool open = false;

	cr_assert_not_null(file, "%s is not there: install the Debian package python3-cryptography-vectors", path);
	*failing = 0;
	for (bool more = true; more;) {
		more = fgets(line, sizeof(line), file) != NULL;
		/* A case ends with an empty line or the file. */
		if (!more || line[0] == '\r' || line[0] == '\n') {
			if (open && vector.iv_bits == 96 && vector.tag_bits == 128) {
				check(&vector);
				cases++;
				*failing += vector.fails;
			}
			open = false;
			continue;
		}
		if (sscanf(line, "[IVlen = %u]", &vector.iv_bits) == 1 ||
			sscanf(line, "[Taglen = %u]", &vector.tag_bits) == 1)
			continue;
		if (sscanf(line, "Count = %u", &vector.count) == 1) {
			open = true;
			vector.fails = false;
		} else if (strncmp(line, "Key = ", 6) == 0) {
			read_hex(&vector.key, line + 6);
		} else if (strncmp(line, "IV = ", 5) == 0) {
			read_hex(&vector.iv, line + 5);
		} else if (strncmp(line, "AAD = ", 6) == 0) {
			read_hex(&vector.aad, line + 6);
		} else if (strncmp(line, "PT = ", 5) == 0) {
			read_hex(&vector.plain, line + 5);
		} else if (strncmp(line, "CT = ", 5) == 0) {
			read_hex(&vector.cipher, line + 5);
		} else if (strncmp(line, "Tag = ", 6) == 0) {
			read_hex(&vector.tag, line + 6);
		} else if (strncmp(line, "FAIL", 4) == 0) {
			vector.fails = true;
		}
	}
	(void)fclose(file);
	return cases;
}

Test(gcm, encrypts_the_vectors_of_nist)
{
	unsigned int failing, cases = run_file(VECTORS "gcmEncryptExtIV256.rsp", check_encryption, &failing);

	/* 5 sizes of plain text times 5 of AAD, 15 each. */
	cr_expect_eq(cases, 375, "%u cases", cases);
	cr_expect_eq(failing, 0);
}

Test(gcm, decrypts_the_vectors_of_nist_and_finds_every_forged_one)
{
	unsigned int failing, cases = run_file(VECTORS "gcmDecrypt256.rsp", check_decryption, &failing);

	cr_expect_eq(cases, 375, "%u cases", cases);
	cr_expect_gt(failing, 100, "%u cases must fail", failing);
}

Test(gcm, agrees_with_libsodium_for_every_size_in_place)
{
	static uint8_t plain[TEXT_MAX], text[TEXT_MAX], expected[TEXT_MAX + 16];
	struct gcm_key_data key __attribute__((aligned(64)));
	uint8_t raw[32], tag[16];
	struct gcm_input input;
	struct gcm_context_data context;
	unsigned long long size_out;

	cr_assert_geq(sodium_init(), 0);
	cr_assert(crypto_aead_aes256gcm_is_available(), "libsodium needs AES-NI for its AES-256-GCM");
	randombytes_buf(plain, sizeof(plain));
	for (size_t size = 0; size < TEXT_MAX; size += size < 2200 ? 1 : 97) {
		randombytes_buf(raw, sizeof(raw));
		randombytes_buf(&input, sizeof(input));
		(void)crypto_aead_aes256gcm_encrypt(
			expected, &size_out, plain, size, input.aad, GCM_AAD_SIZE, NULL, input.nonce, raw);
		memcpy(text, plain, size);
		IMB_AES256_GCM_PRE(manager, raw, &key);
		IMB_AES256_GCM_ENC(manager, &key, &context, text, text, size, input.nonce, input.aad, GCM_AAD_SIZE, tag,
			sizeof(tag));
		cr_assert_arr_eq(text, expected, size, "cipher text of %zu bytes", size);
		cr_assert_arr_eq(tag, expected + size, sizeof(tag), "tag over %zu bytes", size);
		IMB_AES256_GCM_DEC(manager, &key, &context, text, text, size, input.nonce, input.aad, GCM_AAD_SIZE, tag,
			sizeof(tag));
		cr_assert_arr_eq(text, plain, size, "plain text of %zu bytes", size);
		cr_assert_arr_eq(tag, expected + size, sizeof(tag), "tag over %zu bytes, decrypting", size);
	}
}

Test(gcm, manager_passed_the_self_test_of_the_library)
{
	cr_expect(manager->features & IMB_FEATURE_SELF_TEST);
	cr_expect(manager->features & IMB_FEATURE_SELF_TEST_PASS);
}

Test(gcm, description_names_library_version_and_code_path)
{
	char text[64], expected[64];

	gcm_describe(manager, text, sizeof(text));
	(void)snprintf(expected, sizeof(expected), "Intel IPsec-MB %s, ", imb_get_version_str());
	cr_expect_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
	cr_expect_gt(strlen(text), strlen(expected));
	cr_expect_lt(strlen(text), sizeof(text) - 1, "not cut");
}

/* What lies behind an expanded key's end may be anything: the path neither asks for it ahead nor needs it. */
Test(gcm, reads_a_key_as_far_as_its_reach_says)
{
	struct gcm_key_data key __attribute__((aligned(64))), spoilt __attribute__((aligned(64)));
	struct gcm_reach reach = gcm_reach(manager);
	static const uint8_t secret[32] = {7}, nonce[16], aad[16];
	struct gcm_context_data context;
	static uint8_t text[2][TEXT_MAX];
	uint8_t tag[2][16];

	cr_assert_geq(reach.fixed, sizeof(key.expanded_keys));
	cr_assert_geq(reach.end, reach.fixed);
	cr_assert_gt(reach.end, sizeof(key.expanded_keys));
	cr_assert_leq(reach.end, sizeof(key));
	IMB_AES256_GCM_PRE(manager, secret, &key);
	spoilt = key;
	memset((uint8_t *)&spoilt + reach.end, 0xa5, sizeof(spoilt) - reach.end);
	for (size_t size = 20; size < TEXT_MAX; size = size * 3 / 2) {
		memset(text, 0x33, sizeof(text));
		IMB_AES256_GCM_ENC(manager, &key, &context, text[0], text[0], size, nonce, aad, 12, tag[0], 16);
		IMB_AES256_GCM_ENC(manager, &spoilt, &context, text[1], text[1], size, nonce, aad, 12, tag[1], 16);
		cr_expect_arr_eq(text[0], text[1], size, "%zu bytes", size);
		cr_expect_arr_eq(tag[0], tag[1], 16, "%zu bytes", size);
	}
}
