/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handshake and transport against hostile bytes. The first byte chooses what they are: a whole message from a stranger,
 * or changes to a genuine one (offset and value by turns), so that every depth is reached. A changed message must be
 * refused, an unchanged one must be accepted.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/noise_internal.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAYLOAD_SIZE = 8 };

static uint8_t private_key[2][NOISE_KEY_SIZE], public_key[2][NOISE_KEY_SIZE];
static const uint8_t psk[NOISE_KEY_SIZE] = {1};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		abort();
	for (unsigned int i = 0; i < 2; i++) {
		memset(private_key[i], (int)i + 1, NOISE_KEY_SIZE);
		crypto_scalarmult_base(public_key[i], private_key[i]);
	}
	return 0;
}

static void expect(int condition)
{
	if (!condition)
		abort();
}

/* Overwrites bytes of the message: offset, value, offset, value, ... True if that changed anything. */
static int change(uint8_t *message, size_t message_size, const uint8_t *data, size_t size)
{
	uint8_t before[256];

	memcpy(before, message, message_size);
	for (size_t i = 0; i + 1 < size; i += 2)
		message[data[i] % message_size] = data[i + 1];
	/* The top bit of a u-coordinate means nothing (RFC 7748 section 5), but the hash covers it. */
	return memcmp(before, message, message_size) != 0;
}

static void answer_stranger(struct noise_handshake *handshake, const uint8_t *data, size_t size)
{
	static uint8_t payload[NOISE_MESSAGE_MAX];
	size_t length;

	expect(noise_handshake_read(handshake, data, size, payload, sizeof(payload), &length) < 0);
	expect(noise_handshake_write(handshake, NULL, 0, payload, sizeof(payload), &length) < 0);
	expect(noise_handshake_split(handshake) == NULL);
}

static void run(unsigned int depth, const uint8_t *data, size_t size)
{
	const struct noise_static initiator = {private_key[0], public_key[0]};
	const struct noise_static responder = {private_key[1], public_key[1]};
	struct noise_handshake *one = noise_initiate("fuzz", 4, &initiator, public_key[1], psk);
	struct noise_handshake *two = noise_respond("fuzz", 4, &responder);
	struct noise_transport *transport[2] = {NULL};
	uint8_t message[256], payload[256];
	size_t length, got;
	int changed;

	expect(one && two);
	if (depth == 0) {
		answer_stranger(two, data, size);
		goto out;
	}
	expect(noise_handshake_write(one, "payload1", PAYLOAD_SIZE, message, sizeof(message), &length) == 0);
	changed = depth == 1 && change(message, length, data, size);
	expect(noise_handshake_read(two, message, length, payload, sizeof(payload), &got) == (changed ? -1 : 0));
	if (changed)
		goto out;
	noise_handshake_set_psk(two, psk);
	if (depth == 2) {
		answer_stranger(one, data, size);
		goto out;
	}
	expect(noise_handshake_write(two, "payload2", PAYLOAD_SIZE, message, sizeof(message), &length) == 0);
	changed = depth == 3 && change(message, length, data, size);
	expect(noise_handshake_read(one, message, length, payload, sizeof(payload), &got) == (changed ? -1 : 0));
	if (changed)
		goto out;
	transport[0] = noise_handshake_split(one);
	transport[1] = noise_handshake_split(two);
	expect(transport[0] && transport[1]);
	expect(noise_seal(transport[0], "payload3", PAYLOAD_SIZE, message) == 0);
	changed = change(message, PAYLOAD_SIZE + NOISE_TAG_SIZE, data, size);
	expect(noise_open(transport[1], message, PAYLOAD_SIZE + NOISE_TAG_SIZE, payload) == (changed ? -1 : 0));
out:
	noise_transport_free(transport[0]);
	noise_transport_free(transport[1]);
	noise_handshake_free(one);
	noise_handshake_free(two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		run(data[0] % 5, data + 1, size - 1);
	return 0;
}
