/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "control/keys/noise_internal.h"
#include "tests/vectors/vectors.h"

#define PROTOCOL "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b"

enum { LINE_SIZE = 4096, FIELD_SIZE = 512, MESSAGES = 8 };

struct field {
	uint8_t bytes[FIELD_SIZE];
	size_t size;
};

struct vector {
	struct field initiator, responder, initiator_ephemeral, responder_ephemeral, prologue, psk;
	struct field payload[MESSAGES], ciphertext[MESSAGES];
	unsigned int messages;
};

static void start_sodium(void)
{
	cr_assert(sodium_init() >= 0);
}

TestSuite(noise, .init = start_sodium);

static void hex(const char *text, struct field *field)
{
	cr_assert_eq(
		sodium_hex2bin(field->bytes, sizeof(field->bytes), text, strcspn(text, "\n"), NULL, &field->size, NULL),
		0, "not hexadecimal: %s", text);
}

static struct field hexed(const char *text)
{
	struct field field = {.size = 0};

	hex(text, &field);
	return field;
}

/* Reads the lines of one vector, up to an empty line. */
static void read_vector(FILE *file, struct vector *vector)
{
	static const struct {
		const char *name;
		size_t offset;
	} names[] = {
		{"init_static=", offsetof(struct vector, initiator)},
		{"resp_static=", offsetof(struct vector, responder)},
		{"gen_init_ephemeral=", offsetof(struct vector, initiator_ephemeral)},
		{"gen_resp_ephemeral=", offsetof(struct vector, responder_ephemeral)},
		{"prologue=", offsetof(struct vector, prologue)},
		{"preshared_key=", offsetof(struct vector, psk)},
	};
	char line[LINE_SIZE];

	memset(vector, 0, sizeof(*vector));
	while (fgets(line, sizeof(line), file) && line[0] != '\n') {
		const char *value = strchr(line, '=');

		cr_assert_not_null(value);
		value++;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (strncmp(line, names[i].name, strlen(names[i].name)) == 0)
				hex(value, (struct field *)(void *)((char *)vector + names[i].offset));
		if (strncmp(line, "msg_", 4) == 0) {
			unsigned int number = (unsigned int)(line[4] - '0');

			cr_assert_lt(number, MESSAGES);
			if (strstr(line, "_payload="))
				hex(value, &vector->payload[number]);
			else
				hex(value, &vector->ciphertext[number]);
			vector->messages = number + 1;
		}
	}
}

struct pair {
	struct noise_handshake *initiator, *responder;
	uint8_t initiator_public[NOISE_KEY_SIZE], responder_public[NOISE_KEY_SIZE];
};

/* Both ends, with keys as given; the responder gets its psk once the first message is read, as in real life. */
static struct pair make_pair(
	const uint8_t *initiator, const uint8_t *responder, const struct field *prologue, const uint8_t *psk)
{
	struct pair pair;
	struct noise_static own;

	crypto_scalarmult_base(pair.initiator_public, initiator);
	crypto_scalarmult_base(pair.responder_public, responder);
	own = (struct noise_static){initiator, pair.initiator_public};
	pair.initiator = noise_initiate(prologue->bytes, prologue->size, &own, pair.responder_public, psk);
	own = (struct noise_static){responder, pair.responder_public};
	pair.responder = noise_respond(prologue->bytes, prologue->size, &own);
	cr_assert_not_null(pair.initiator);
	cr_assert_not_null(pair.responder);
	return pair;
}

static void free_pair(struct pair *pair)
{
	noise_handshake_free(pair->initiator);
	noise_handshake_free(pair->responder);
}

static void check_handshake_message(struct noise_handshake *from, struct noise_handshake *to,
	const struct field *payload, const struct field *expected)
{
	uint8_t message[1024], opened[1024];
	size_t length;

	cr_assert_eq(noise_handshake_write(from, payload->bytes, payload->size, message, sizeof(message), &length), 0);
	cr_assert_eq(length, expected->size);
	cr_assert_arr_eq(message, expected->bytes, expected->size);
	cr_assert_eq(noise_handshake_read(to, message, length, opened, sizeof(opened), &length), 0);
	cr_assert_eq(length, payload->size);
	cr_assert_arr_eq(opened, payload->bytes, payload->size);
}

static void check_transport_message(struct noise_transport *from, struct noise_transport *to,
	const struct field *payload, const struct field *expected)
{
	uint8_t message[1024], opened[1024];

	cr_assert_eq(expected->size, payload->size + NOISE_TAG_SIZE);
	cr_assert_eq(noise_seal(from, payload->bytes, payload->size, message), 0);
	cr_assert_arr_eq(message, expected->bytes, expected->size);
	cr_assert_eq(noise_open(to, message, expected->size, opened), 0);
	cr_assert_arr_eq(opened, payload->bytes, payload->size);
}

static void check_vector(const struct vector *vector)
{
	struct pair pair =
		make_pair(vector->initiator.bytes, vector->responder.bytes, &vector->prologue, vector->psk.bytes);
	struct noise_transport *transport[2];

	cr_assert_eq(vector->psk.size, NOISE_KEY_SIZE);
	cr_assert_geq(vector->messages, 4);
	noise_handshake_set_ephemeral(pair.initiator, vector->initiator_ephemeral.bytes);
	noise_handshake_set_ephemeral(pair.responder, vector->responder_ephemeral.bytes);
	check_handshake_message(pair.initiator, pair.responder, &vector->payload[0], &vector->ciphertext[0]);
	cr_assert_arr_eq(noise_handshake_remote(pair.responder), pair.initiator_public, NOISE_KEY_SIZE);
	noise_handshake_set_psk(pair.responder, vector->psk.bytes);
	check_handshake_message(pair.responder, pair.initiator, &vector->payload[1], &vector->ciphertext[1]);
	cr_assert(noise_handshake_complete(pair.initiator));
	cr_assert(noise_handshake_complete(pair.responder));
	cr_assert_arr_eq(noise_handshake_hash(pair.initiator), noise_handshake_hash(pair.responder), NOISE_HASH_SIZE);
	cr_assert_arr_eq(noise_handshake_chaining_key(pair.initiator), noise_handshake_chaining_key(pair.responder),
		NOISE_HASH_SIZE);
	transport[0] = noise_handshake_split(pair.initiator);
	transport[1] = noise_handshake_split(pair.responder);
	for (unsigned int i = 2; i < vector->messages; i++)
		check_transport_message(
			transport[i % 2], transport[1 - i % 2], &vector->payload[i], &vector->ciphertext[i]);
	noise_transport_free(transport[0]);
	noise_transport_free(transport[1]);
	free_pair(&pair);
}

Test(noise, agrees_with_every_published_vector_of_the_protocol)
{
	unsigned int all = 0, with_prologue = 0, with_payload = 0;
	char why[256], line[LINE_SIZE];
	struct vector vector;
	FILE *file = vectors_open(VECTORS_NOISE, why);

	cr_assert_not_null(file, "%s", why);
	while (fgets(line, sizeof(line), file)) {
		if (strcmp(line, "handshake=" PROTOCOL "\n") != 0)
			continue;
		read_vector(file, &vector);
		check_vector(&vector);
		all++;
		with_prologue += vector.prologue.size > 0;
		with_payload += vector.payload[0].size > 0;
	}
	(void)fclose(file);
	cr_assert_geq(all, 4, "only %u vectors of %s in the file", all, PROTOCOL);
	cr_assert_geq(with_prologue, 1);
	cr_assert_lt(with_prologue, all);
	cr_assert_geq(with_payload, 1);
}

Test(noise, agrees_with_rfc_7748_on_x25519)
{
	char why[256], line[LINE_SIZE];
	struct field scalar = {.size = 0}, point = {.size = 0}, result;
	uint8_t shared[NOISE_KEY_SIZE];
	unsigned int count = 0;
	FILE *file = vectors_open(VECTORS_X25519, why);

	cr_assert_not_null(file, "%s", why);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "INPUT_SCALAR = ", 15) == 0) {
			hex(line + 15, &scalar);
		} else if (strncmp(line, "INPUT_U = ", 10) == 0) {
			hex(line + 10, &point);
		} else if (strncmp(line, "OUTPUT_U = ", 11) == 0) {
			hex(line + 11, &result);
			cr_assert_eq(noise_dh(shared, scalar.bytes, point.bytes), 0);
			cr_assert_arr_eq(shared, result.bytes, NOISE_KEY_SIZE);
			count++;
		}
	}
	(void)fclose(file);
	cr_assert_geq(count, 3);
}

/* Expected values: Python 3, hmac.new(key, data, hashlib.blake2b).hexdigest(). */
Test(noise, agrees_with_python_on_hmac_blake2b)
{
	uint8_t key[128], data[64], out[NOISE_HASH_SIZE];
	struct field expected = hexed("6ff884f8ddc2a6586b3c98a4cd6ebdf14ec10204b6710073eb5865ade37a2643"
				      "b8807c1335d107ecdb9ffeaeb6828c4625ba172c66379efcd222c2de11727ab4");

	noise_hmac((const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28, out);
	cr_assert_arr_eq(out, expected.bytes, sizeof(out));

	for (unsigned int i = 0; i < 64; i++)
		key[i] = (uint8_t)i;
	expected = hexed("ea1896ab7c8319a824482f757c038b70089765501b1f8bdb78153d195915bd33"
			 "0bde7a8c0fb6dbf3de09277662ba661fde80017dc277309eedfe05bdf5b27e18");
	noise_hmac(key, 64, NULL, 0, out);
	cr_assert_arr_eq(out, expected.bytes, sizeof(out));

	/* A key of exactly one block. */
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	expected = hexed("5946785eae3e622353e77b42828cf00753911e29987524810226eb69c00123a5"
			 "00bfc153536e5cbb92b9783440b3606063cc1869d1c252627a9f5362d76f049a");
	noise_hmac(key, 128, data, 50, out);
	cr_assert_arr_eq(out, expected.bytes, sizeof(out));
}

/* Points of low order, whose product with any scalar is zero: 0, 1, one of order 8, p-1, p and p+1. */
Test(noise, refuses_a_diffie_hellman_result_of_zeros)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct field nothing = {.size = 0};
	uint8_t private_key[NOISE_KEY_SIZE], public_key[NOISE_KEY_SIZE], message[NOISE_FIRST_OVERHEAD], payload[1];
	struct noise_static own = {private_key, public_key};
	size_t length;

	randombytes_buf(private_key, sizeof(private_key));
	crypto_scalarmult_base(public_key, private_key);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct field point = hexed(points[i]);
		uint8_t shared[NOISE_KEY_SIZE];
		struct noise_handshake *handshake;

		cr_assert_eq(noise_dh(shared, private_key, point.bytes), -1, "point %zu", i);
		/* As the peer's static key on the initiator ... */
		handshake = noise_initiate(nothing.bytes, 0, &own, point.bytes, NULL);
		cr_assert_eq(noise_handshake_write(handshake, NULL, 0, message, sizeof(message), &length), -1);
		noise_handshake_free(handshake);
		/* ... and as the ephemeral key that reaches the responder. */
		memset(message, 0, sizeof(message));
		memcpy(message, point.bytes, NOISE_KEY_SIZE);
		handshake = noise_respond(nothing.bytes, 0, &own);
		cr_assert_eq(noise_handshake_read(handshake, message, sizeof(message), payload, 0, &length), -1);
		noise_handshake_free(handshake);
	}
}

struct keys_of_two {
	uint8_t initiator[NOISE_KEY_SIZE], responder[NOISE_KEY_SIZE], psk[NOISE_KEY_SIZE];
};

static struct keys_of_two random_keys(void)
{
	struct keys_of_two keys;

	randombytes_buf(&keys, sizeof(keys));
	return keys;
}

/* Runs both messages; what happens at each step goes to the results. */
static void run(struct pair *pair, const uint8_t *responder_psk, int result[4])
{
	uint8_t first[NOISE_FIRST_OVERHEAD], second[NOISE_SECOND_OVERHEAD], payload[1];
	size_t length;

	result[0] = noise_handshake_write(pair->initiator, NULL, 0, first, sizeof(first), &length);
	result[1] = noise_handshake_read(pair->responder, first, sizeof(first), payload, 0, &length);
	if (result[1] == 0)
		noise_handshake_set_psk(pair->responder, responder_psk);
	result[2] = noise_handshake_write(pair->responder, NULL, 0, second, sizeof(second), &length);
	result[3] = noise_handshake_read(pair->initiator, second, sizeof(second), payload, 0, &length);
}

Test(noise, without_a_psk_is_the_same_as_with_one_of_zeros)
{
	static const uint8_t zeros[NOISE_KEY_SIZE];
	struct keys_of_two keys = random_keys();
	const struct field prologue = {.size = 0};
	struct pair pair = make_pair(keys.initiator, keys.responder, &prologue, NULL);
	int result[4];

	run(&pair, zeros, result);
	cr_assert_eq(result[3], 0);
	cr_assert(noise_handshake_complete(pair.initiator));
	free_pair(&pair);
}

Test(noise, with_differing_psks_fails_at_the_second_message)
{
	struct keys_of_two keys = random_keys();
	const struct field prologue = {.size = 0};
	struct pair pair = make_pair(keys.initiator, keys.responder, &prologue, keys.psk);
	int result[4];

	run(&pair, NULL, result);
	cr_assert_eq(result[0], 0);
	cr_assert_eq(result[1], 0);
	cr_assert_eq(result[2], 0);
	cr_assert_eq(result[3], -1);
	cr_assert_not(noise_handshake_complete(pair.initiator));
	cr_assert_null(noise_handshake_split(pair.initiator));
	free_pair(&pair);
}

Test(noise, with_differing_prologues_fails_at_the_first_message)
{
	struct keys_of_two keys = random_keys();
	struct field prologue = hexed("01"), other = hexed("02");
	struct pair one = make_pair(keys.initiator, keys.responder, &prologue, NULL);
	struct pair two = make_pair(keys.initiator, keys.responder, &other, NULL);
	struct pair mixed = {.initiator = one.initiator, .responder = two.responder};
	int result[4];

	run(&mixed, NULL, result);
	cr_assert_eq(result[0], 0);
	cr_assert_eq(result[1], -1);
	free_pair(&one);
	free_pair(&two);
}

Test(noise, addressed_to_another_key_fails_at_the_first_message)
{
	struct keys_of_two keys = random_keys(), others = random_keys();
	const struct field prologue = {.size = 0};
	struct pair one = make_pair(keys.initiator, keys.responder, &prologue, NULL);
	struct pair two = make_pair(keys.initiator, others.responder, &prologue, NULL);
	struct pair mixed = {.initiator = one.initiator, .responder = two.responder};
	int result[4];

	run(&mixed, NULL, result);
	cr_assert_eq(result[1], -1);
	free_pair(&one);
	free_pair(&two);
}

Test(noise, notices_every_single_flipped_bit_of_both_messages)
{
	struct keys_of_two keys = random_keys();
	const struct field prologue = {.size = 0};

	for (size_t bit = 0; bit < (size_t)8 * (NOISE_FIRST_OVERHEAD + NOISE_SECOND_OVERHEAD); bit += 3) {
		struct pair pair = make_pair(keys.initiator, keys.responder, &prologue, keys.psk);
		uint8_t first[NOISE_FIRST_OVERHEAD], second[NOISE_SECOND_OVERHEAD], payload[1];
		size_t byte = bit / 8, length;
		uint8_t flip = (uint8_t)(1u << bit % 8);
		int result;

		cr_assert_eq(noise_handshake_write(pair.initiator, NULL, 0, first, sizeof(first), &length), 0);
		if (byte < sizeof(first))
			first[byte] ^= flip;
		result = noise_handshake_read(pair.responder, first, sizeof(first), payload, 0, &length);
		if (byte < sizeof(first)) {
			cr_assert_eq(result, -1, "bit %zu", bit);
			free_pair(&pair);
			continue;
		}
		cr_assert_eq(result, 0);
		noise_handshake_set_psk(pair.responder, keys.psk);
		cr_assert_eq(noise_handshake_write(pair.responder, NULL, 0, second, sizeof(second), &length), 0);
		second[byte - sizeof(first)] ^= flip;
		result = noise_handshake_read(pair.initiator, second, sizeof(second), payload, 0, &length);
		cr_assert_eq(result, -1, "bit %zu", bit);
		free_pair(&pair);
	}
}

Test(noise, refuses_messages_out_of_turn_and_of_wrong_size)
{
	struct keys_of_two keys = random_keys();
	const struct field prologue = {.size = 0};
	uint8_t message[NOISE_FIRST_OVERHEAD + 1] = {0}, payload[1];
	size_t length;
	struct pair pair = make_pair(keys.initiator, keys.responder, &prologue, NULL);

	/* The responder can't write first, and after one error nothing works any more. */
	cr_assert_eq(noise_handshake_write(pair.responder, NULL, 0, message, sizeof(message), &length), -1);
	cr_assert_eq(noise_handshake_write(pair.initiator, NULL, 0, message, sizeof(message), &length), 0);
	cr_assert_eq(noise_handshake_read(pair.responder, message, length, payload, 0, &length), -1);
	/* Written once only. */
	cr_assert_eq(noise_handshake_write(pair.initiator, NULL, 0, message, sizeof(message), &length), -1);
	free_pair(&pair);

	pair = make_pair(keys.initiator, keys.responder, &prologue, NULL);
	/* No room for the message; no room for its payload; too short. */
	cr_assert_eq(noise_handshake_write(pair.initiator, NULL, 0, message, NOISE_FIRST_OVERHEAD - 1, &length), -1);
	cr_assert_eq(noise_handshake_read(pair.responder, message, NOISE_FIRST_OVERHEAD + 1, payload, 0, &length), -1);
	free_pair(&pair);
	pair = make_pair(keys.initiator, keys.responder, &prologue, NULL);
	cr_assert_eq(noise_handshake_read(pair.responder, message, NOISE_FIRST_OVERHEAD - 1, payload, 0, &length), -1);
	free_pair(&pair);
}

static void establish(struct noise_transport *transport[2])
{
	struct keys_of_two keys = random_keys();
	const struct field prologue = {.size = 0};
	struct pair pair = make_pair(keys.initiator, keys.responder, &prologue, keys.psk);
	int result[4];

	run(&pair, keys.psk, result);
	cr_assert_eq(result[3], 0);
	transport[0] = noise_handshake_split(pair.initiator);
	transport[1] = noise_handshake_split(pair.responder);
	free_pair(&pair);
}

Test(noise, stops_when_the_nonces_are_used_up)
{
	struct noise_transport *transport[2];
	uint8_t message[NOISE_TAG_SIZE + 4], payload[4];

	establish(transport);
	transport[0]->send.nonce = transport[1]->receive.nonce = UINT64_MAX - 1;
	cr_assert_eq(noise_seal(transport[0], "last", 4, message), 0);
	cr_assert_eq(noise_open(transport[1], message, sizeof(message), payload), 0);
	cr_assert_arr_eq(payload, "last", 4);
	cr_assert_eq(noise_seal(transport[0], "more", 4, message), -1);
	cr_assert_eq(noise_open(transport[1], message, sizeof(message), payload), -1);
	noise_transport_free(transport[0]);
	noise_transport_free(transport[1]);
}

Test(noise, opens_transport_messages_once_in_order_and_up_to_the_limit)
{
	static uint8_t payload[NOISE_MESSAGE_MAX], message[NOISE_MESSAGE_MAX + NOISE_TAG_SIZE];
	struct noise_transport *transport[2];
	uint8_t first[NOISE_TAG_SIZE], second[NOISE_TAG_SIZE];

	establish(transport);
	cr_assert_eq(noise_seal(transport[0], payload, NOISE_MESSAGE_MAX - NOISE_TAG_SIZE, message), 0);
	cr_assert_eq(noise_open(transport[1], message, NOISE_MESSAGE_MAX, payload), 0);
	cr_assert_eq(noise_seal(transport[0], payload, NOISE_MESSAGE_MAX - NOISE_TAG_SIZE + 1, message), -1);
	noise_transport_free(transport[0]);
	noise_transport_free(transport[1]);

	/* Not a second time. */
	establish(transport);
	cr_assert_eq(noise_seal(transport[0], NULL, 0, first), 0);
	cr_assert_eq(noise_open(transport[1], first, sizeof(first), payload), 0);
	cr_assert_eq(noise_open(transport[1], first, sizeof(first), payload), -1);
	noise_transport_free(transport[0]);
	noise_transport_free(transport[1]);

	/* Not the second before the first, nor reflected to who sent it. */
	establish(transport);
	cr_assert_eq(noise_seal(transport[0], NULL, 0, first), 0);
	cr_assert_eq(noise_seal(transport[0], NULL, 0, second), 0);
	cr_assert_eq(noise_open(transport[1], second, sizeof(second), payload), -1);
	cr_assert_eq(noise_open(transport[0], first, sizeof(first), payload), -1);
	noise_transport_free(transport[0]);
	noise_transport_free(transport[1]);
}
