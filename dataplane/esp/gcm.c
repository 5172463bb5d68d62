/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/gcm.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * Known answer: test case 16 of D. McGrew, J. Viega, "The Galois/Counter Mode of Operation (GCM)" (AES-256, 96-bit IV,
 * 60 bytes of plaintext, 20 bytes of AAD).
 */
static const uint8_t kat_key[32] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30,
	0x83, 0x08, 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
static const uint8_t kat_iv[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
static const uint8_t kat_plain[60] = {0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf,
	0xf5, 0x26, 0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31, 0x8a,
	0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49, 0xa6, 0xb5, 0x25, 0xb1,
	0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
static const uint8_t kat_aad[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad,
	0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
static const uint8_t kat_cipher[60] = {0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a,
	0x84, 0x42, 0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1,
	0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38, 0xc5,
	0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62};
static const uint8_t kat_tag[16] = {
	0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b};

static int known_answer_test(IMB_MGR *manager)
{
	struct gcm_key_data key __attribute__((aligned(64)));
	struct gcm_context_data context;
	uint8_t text[sizeof(kat_plain)], tag[sizeof(kat_tag)];
	int result = 0;

	IMB_AES256_GCM_PRE(manager, kat_key, &key);
	IMB_AES256_GCM_ENC(manager, &key, &context, text, kat_plain, sizeof(text), kat_iv, kat_aad, sizeof(kat_aad),
		tag, sizeof(tag));
	if (memcmp(text, kat_cipher, sizeof(text)) != 0 || memcmp(tag, kat_tag, sizeof(tag)) != 0)
		result = -1;
	IMB_AES256_GCM_DEC(manager, &key, &context, text, kat_cipher, sizeof(text), kat_iv, kat_aad, sizeof(kat_aad),
		tag, sizeof(tag));
	if (memcmp(text, kat_plain, sizeof(text)) != 0 || memcmp(tag, kat_tag, sizeof(tag)) != 0)
		result = -1;
	return result;
}

IMB_MGR *gcm_manager_create(void)
{
	IMB_MGR *manager = alloc_mb_mgr(0);

	if (manager == NULL) {
		fprintf(stderr, "pontlevis-dataplane: out of memory for the AES-GCM manager\n");
		return NULL;
	}
	init_mb_mgr_auto(manager, NULL);
	if (imb_get_errno(manager) != 0 || !(manager->features & IMB_FEATURE_SELF_TEST) ||
		!(manager->features & IMB_FEATURE_SELF_TEST_PASS)) {
		fprintf(stderr, "pontlevis-dataplane: self-test of Intel IPsec-MB failed: %s; refusing to start\n",
			imb_get_strerror(imb_get_errno(manager)));
		gcm_manager_free(manager);
		return NULL;
	}
	if (known_answer_test(manager) != 0) {
		fprintf(stderr, "pontlevis-dataplane: AES-256-GCM known-answer test failed; refusing to start\n");
		gcm_manager_free(manager);
		return NULL;
	}
	return manager;
}

/* The library does not say which of its layouts it has chosen, but it writes no further than that. */
struct gcm_reach gcm_reach(IMB_MGR *manager)
{
	enum { ROUND_KEYS = sizeof(((struct gcm_key_data *)0)->expanded_keys), FEW_POWERS = 16 };
	struct gcm_key_data key[2] __attribute__((aligned(64)));
	const uint8_t *left = (const uint8_t *)&key[0], *right = (const uint8_t *)&key[1];
	size_t end = sizeof(key[0]);

	memset(&key[0], 0x00, sizeof(key[0]));
	memset(&key[1], 0xff, sizeof(key[1]));
	IMB_AES256_GCM_PRE(manager, kat_key, &key[0]);
	IMB_AES256_GCM_PRE(manager, kat_key, &key[1]);
	while (end > ROUND_KEYS && left[end - 1] != right[end - 1])
		end--;
	return (struct gcm_reach){
		.fixed = (uint16_t)(end - ROUND_KEYS > (size_t)FEW_POWERS * 16 ? (size_t)ROUND_KEYS : end),
		.end = (uint16_t)end};
}

void gcm_manager_free(IMB_MGR *manager)
{
	if (manager != NULL)
		free_mb_mgr(manager);
}

void gcm_describe(const IMB_MGR *manager, char *text, size_t size)
{
	static const char *const names[IMB_ARCH_NUM] = {[IMB_ARCH_NONE] = "no code path",
		[IMB_ARCH_NOAESNI] = "no AES-NI",
		[IMB_ARCH_SSE] = "SSE",
		[IMB_ARCH_AVX] = "AVX",
		[IMB_ARCH_AVX2] = "AVX2",
		[IMB_ARCH_AVX512] = "AVX512"};
	bool vaes = manager->used_arch == IMB_ARCH_AVX512 && (manager->features & IMB_FEATURE_VAES);

	(void)snprintf(text, size, "Intel IPsec-MB %s, %s%s", imb_get_version_str(),
		manager->used_arch < IMB_ARCH_NUM ? names[manager->used_arch] : "unknown code path",
		vaes ? " VAES" : "");
}
