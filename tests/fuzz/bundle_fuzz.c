/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policy bundles against hostile bytes. The first byte chooses what they are: a whole file; a whole body behind a
 * genuine header; or changes to a genuine bundle (offset in two bytes and value by turns), once as they would arrive,
 * where the signature must stop every one of them, and once behind the signature, where the parser has to stop what it
 * must.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/fence/bundle.h"
#include "control/fence/model.h"
#include "control/keys/identity.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER_SIZE = 32, OFFSET_BODY = 24, BODY_MAX = 1 << 16 };

static struct bundle genuine; /* signed */
static char key_text[BUNDLE_KEY_TEXT_SIZE], path[64];
static const char *const trusted[] = {key_text};

static void expect(int condition)
{
	if (!condition)
		abort();
}

static void write_file(const char *name, const void *bytes, size_t size)
{
	FILE *file = fopen(name, "wb");

	expect(file && fwrite(bytes, 1, size, file) == size);
	expect(fclose(file) == 0);
}

static void remove_files(void)
{
	(void)unlink(path);
}

/* A bundle of two sources and rules of every kind. */
static void make_genuine(const char *directory)
{
	static const char labels[] = "prefix,location,operator,jurisdiction,asn\n10.0.0.0/8,FR,Exemple,FR,64500\n"
				     "10.1.0.0/16,FR,\"Example, Inc.\",US,64501\n2001:db8::/32,DE,Beispiel,DE,\n";
	static const char operators[] = "asn,operator,jurisdiction\n64500,Exemple,FR\n64502,Other,US\n";
	static const char *const countries[] = {"DE", "FR"};
	char names[2][96];
	const struct fence_source_file files[] = {
		{"labels", names[0], "ours", "2026-01-01"}, {"operators", names[1], "", ""}};
	const struct fence_rule rules[] = {{.allow = true, .prefix = "10.1.2.0/24", .reason = "board"},
		{.asn = 64502, .reason = "contract ended"}, {.operator_name = "Beispiel", .reason = "none"}};
	const struct fence_policy_source source = {.files = files,
		.file_count = 2,
		.locations = countries,
		.location_count = 2,
		.jurisdictions = countries,
		.jurisdiction_count = 1,
		.rules = rules,
		.rule_count = 3};
	struct error error = {0};
	struct model model;
	char key[96];

	(void)snprintf(names[0], sizeof(names[0]), "%s-labels", directory);
	(void)snprintf(names[1], sizeof(names[1]), "%s-operators", directory);
	(void)snprintf(key, sizeof(key), "%s-key", directory);
	write_file(names[0], labels, sizeof(labels) - 1);
	write_file(names[1], operators, sizeof(operators) - 1);
	expect(identity_generate(key, &error) == 0);
	expect(bundle_public_key(key, key_text, &error) == 0);
	expect(model_compile(&model, &source, &error) == 0);
	expect(bundle_make(&genuine, &model, &source, 7, &error) == 0);
	expect(bundle_sign(&genuine, key, &error) == 0);
	model_free(&model);
	(void)unlink(names[0]);
	(void)unlink(names[1]);
	(void)unlink(key);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	expect(sodium_init() >= 0);
	(void)snprintf(path, sizeof(path), "/tmp/pont-bundle-fuzz-%d", (int)getpid());
	make_genuine(path);
	(void)atexit(remove_files);
	return 0;
}

/* Overwrites bytes: offset (two bytes), value, offset, value, ... True if that changed anything. */
static int change(uint8_t *bytes, size_t count, const uint8_t *data, size_t size)
{
	int changed = 0;

	for (size_t i = 0; i + 2 < size; i += 3) {
		const size_t offset = (data[i] | (size_t)data[i + 1] << 8) % count;

		changed |= bytes[offset] != data[i + 2];
		bytes[offset] = data[i + 2];
	}
	return changed && memcmp(bytes, genuine.bytes, count) != 0;
}

/* A file as it arrives. */
static int opens(const uint8_t *bytes, size_t size)
{
	struct error error = {0};
	struct model model;

	write_file(path, bytes, size);
	if (bundle_open(&model, path, trusted, 1, &error)) {
		expect(error.code != 0 && error.text[0] != '\0');
		return 0;
	}
	model_free(&model);
	return 1;
}

/* A body as it stands behind the signature. */
static void parse(uint8_t *bytes, size_t size)
{
	struct bundle bundle = {.bytes = bytes, .body = size, .size = size, .version = 7};
	struct error error = {0};
	struct model model;

	if (bundle_parse(&bundle, "fuzz", &model, &error)) {
		expect(error.code != 0 && error.text[0] != '\0');
		return;
	}
	model_free(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[BODY_MAX];
	const unsigned int way = size ? data[0] % 4 : 0;

	if (size < 1 || size > BODY_MAX - HEADER_SIZE || genuine.size > BODY_MAX)
		return 0;
	data++, size--;
	switch (way) {
	case 0:
		expect(!opens(data, size));
		break;
	case 1:
		memcpy(bytes, genuine.bytes, HEADER_SIZE);
		memcpy(bytes + HEADER_SIZE, data, size);
		if (size >= 2) /* the manifest's length, so that it ends where the fuzzer wants */
			bytes[12] = data[0], bytes[13] = data[1] & 7, bytes[14] = bytes[15] = 0;
		parse(bytes, HEADER_SIZE + size);
		break;
	case 2:
		memcpy(bytes, genuine.bytes, genuine.size);
		expect(opens(bytes, genuine.size));
		if (change(bytes, genuine.size, data, size))
			expect(!opens(bytes, genuine.size));
		break;
	default:
		memcpy(bytes, genuine.bytes, genuine.body);
		(void)change(bytes, genuine.body, data, size);
		parse(bytes, genuine.body);
	}
	return 0;
}
