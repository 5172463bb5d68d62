/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Expected values were computed apart from this code, with Python 3:
 *
 *	ck, h = bytes(range(64)), bytes(range(64, 128))
 *	root = hashlib.blake2b(b"pontlevis session root 1" + h, key=ck, digest_size=64).digest()
 *	encoding = (b"pontlevis sa key" + bytes([1, direction]) + worker.to_bytes(2, "big") + vni.to_bytes(4, "big") +
 *		spi.to_bytes(4, "big") + (b"\0" if psk is None else b"\1" + psk))
 *	out = hashlib.blake2b(encoding, key=root, digest_size=36).digest(); key, salt = out[:32], out[32:]
 *	psk = bytes(range(200, 232)); zeros = bytes(32)
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sodium.h>
#include <string.h>

#include "control/keys/schedule.h"

enum psk { NONE, ZEROS, PSK };

struct expectation {
	struct schedule_sa sa;
	enum psk psk;
	char key[2 * PONT_SA_KEY_SIZE + 1];
	char salt[2 * PONT_SA_SALT_SIZE + 1];
};

static void make_root(uint8_t root[SCHEDULE_ROOT_SIZE])
{
	uint8_t chaining_key[NOISE_HASH_SIZE], hash[NOISE_HASH_SIZE];

	for (unsigned int i = 0; i < NOISE_HASH_SIZE; i++) {
		chaining_key[i] = (uint8_t)i;
		hash[i] = (uint8_t)(NOISE_HASH_SIZE + i);
	}
	schedule_root(chaining_key, hash, root);
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char text[2 * 64 + 1];

	cr_assert_str_eq(sodium_bin2hex(text, sizeof(text), bytes, size), expected);
}

Test(schedule, derives_the_session_root_as_documented)
{
	uint8_t root[SCHEDULE_ROOT_SIZE];

	make_root(root);
	assert_hex(root, sizeof(root),
		"20ad1fedff289333dacb53aab549d0778c234e2687a8142784f10f9acf23619e"
		"f6d1259992a4db241340accd59859fd5bdf4c93df616d631cab895cc5fb8e7cd");
}

ParameterizedTestParameters(schedule, derives_key_and_salt_as_documented)
{
	static struct expectation expectations[] = {
		{{100, SCHEDULE_FROM_INITIATOR, 0, 0x12345678}, NONE,
			"aee2da5d49b86ddb8693349d6450185ab825c37c17db3c866df35feb05d1bb8e", "111a2df1"},
		{{100, SCHEDULE_FROM_RESPONDER, 0, 0x12345678}, NONE,
			"adf70614989f816ab5529a5eed185b7043703fd12b20180cec8fec6d39a93d1e", "7e6d5e9b"},
		{{101, SCHEDULE_FROM_INITIATOR, 0, 0x12345678}, NONE,
			"08b45b225a5178421834eed958dabd9087226ddc19ce9c4f99ea33119ef423d2", "fc463dd6"},
		{{100, SCHEDULE_FROM_INITIATOR, 1, 0x12345678}, NONE,
			"6ff0ed7733a2a81509da7a4f615115ed6902b914e05eca7a5b6a84b1781e03f7", "67f8560c"},
		{{100, SCHEDULE_FROM_INITIATOR, 0, 0x12345679}, NONE,
			"c0cf5baedfa5e466274c97c7c10dd19434c9e0eef06ac3f41a523ab2722d082e", "b5f5491c"},
		{{100, SCHEDULE_FROM_INITIATOR, 0, 0x12345678}, PSK,
			"c995dcaf3cabec82b19bf2a0240506fd25b9c4819512c7e5b5d4fa2b13f7f28d", "86678228"},
		{{100, SCHEDULE_FROM_INITIATOR, 0, 0x12345678}, ZEROS,
			"d83260eea4b7b07162d5631fcf12371e57cb5a2d8762422dd0def7f2ed814a68", "13130912"},
		{{0xffffff, SCHEDULE_FROM_RESPONDER, 15, 0xffffffff}, PSK,
			"a9d784dd873d61c69b75b64241b9fdece174fed7731ae061c8ccbcb1c3ebe8f4", "3efa3983"},
	};

	return cr_make_param_array(
		struct expectation, expectations, sizeof(expectations) / sizeof(expectations[0]), NULL);
}

ParameterizedTest(struct expectation *expected, schedule, derives_key_and_salt_as_documented)
{
	static const uint8_t zeros[SCHEDULE_PSK_SIZE];
	uint8_t root[SCHEDULE_ROOT_SIZE], key[PONT_SA_KEY_SIZE], salt[PONT_SA_SALT_SIZE], psk[SCHEDULE_PSK_SIZE];

	make_root(root);
	for (unsigned int i = 0; i < sizeof(psk); i++)
		psk[i] = (uint8_t)(200 + i);
	schedule_derive(root, &expected->sa,
		expected->psk == NONE    ? NULL
		: expected->psk == ZEROS ? zeros
					 : psk,
		key, salt);
	assert_hex(key, sizeof(key), expected->key);
	assert_hex(salt, sizeof(salt), expected->salt);
}
