/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/bundle.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/fence/fence.h"
#include "control/fence/model.h"
#include "control/fence/section.h"
#include "control/keys/identity.h"

static const char magic[8] = {'P', 'O', 'N', 'T', 'F', 'N', 'C', 'E'};

enum { FORMAT = 1, HEADER_SIZE = 32, OFFSET_MANIFEST = 12, OFFSET_VERSION = 16, OFFSET_BODY = 24 };

_Static_assert(BUNDLE_KEY_SIZE == crypto_sign_PUBLICKEYBYTES && BUNDLE_SIGNATURE_SIZE == crypto_sign_BYTES, "Ed25519");
_Static_assert(IDENTITY_KEY_SIZE == crypto_sign_SEEDBYTES, "a key file holds the seed of a signing key");
_Static_assert((int)BUNDLE_KEY_TEXT_SIZE == (int)IDENTITY_TEXT_SIZE, "base64 of 32 bytes");

/* --- bytes --- */

static void put_number(uint8_t *at, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const uint8_t *at, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = bytes; i > 0; i--)
		value = value << 8 | at[i - 1];
	return value;
}

/* A body being written. */
struct writer {
	uint8_t *bytes;
	size_t size, room;
	bool failed; /* out of memory, or larger than a bundle may be */
};

static uint8_t *extend(struct writer *writer, size_t more)
{
	size_t room = writer->room ? writer->room : 65536;
	uint8_t *grown;

	while (room - writer->size < more)
		room *= 2;
	if (room > BUNDLE_FILE_MAX)
		writer->failed = true;
	if (writer->failed)
		return NULL;
	if (room != writer->room) {
		grown = realloc(writer->bytes, room);
		if (!grown) {
			writer->failed = true;
			return NULL;
		}
		writer->bytes = grown;
		writer->room = room;
	}
	writer->size += more;
	return writer->bytes + writer->size - more;
}

static void write_number(struct writer *writer, uint64_t value, unsigned int bytes)
{
	uint8_t *at = extend(writer, bytes);

	if (at)
		put_number(at, value, bytes);
}

static void write_bytes(struct writer *writer, const void *bytes, size_t size)
{
	uint8_t *at = extend(writer, size);

	if (at && size)
		memcpy(at, bytes, size);
}

static void write_address(struct writer *writer, fence_address address, bool is_ipv6)
{
	uint8_t *at = extend(writer, is_ipv6 ? 16 : 4);

	if (!at)
		return;
	if (!is_ipv6)
		put_number(at, (uint64_t)address, 4);
	for (int i = is_ipv6 ? 15 : -1; i >= 0; i--, address >>= 8)
		at[i] = (uint8_t)address;
}

/* A body being read. Beyond its end all is zero, and `short` is set. */
struct reader {
	const uint8_t *at, *end;
	bool is_short;
};

static const uint8_t *take(struct reader *reader, size_t size)
{
	if ((size_t)(reader->end - reader->at) < size) {
		reader->is_short = true;
		return NULL;
	}
	reader->at += size;
	return reader->at - size;
}

static uint64_t read_number(struct reader *reader, unsigned int bytes)
{
	const uint8_t *at = take(reader, bytes);

	return at ? get_number(at, bytes) : 0;
}

static fence_address read_address(struct reader *reader, bool is_ipv6)
{
	const uint8_t *at = is_ipv6 ? take(reader, 16) : NULL;
	fence_address address = 0;

	if (!is_ipv6)
		return read_number(reader, 4);
	for (int i = 0; at && i < 16; i++)
		address = address << 8 | at[i];
	return address;
}

/* --- making --- */

static json_t *source_json(const struct source *source)
{
	char hexadecimal[2 * LINES_SHA256_SIZE + 1];

	(void)sodium_bin2hex(hexadecimal, sizeof(hexadecimal), source->sha256, sizeof(source->sha256));
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "format", source_format_name(source->format), "name",
		source->name, "origin", source->origin, "date", source->date, "sha256", hexadecimal);
}

/* The manifest's text; free() it. NULL if out of memory, or if a name is not UTF-8. */
static char *manifest_text(const struct source *sources, size_t source_count, const struct fence_policy_source *rules)
{
	json_t *list = json_array(), *manifest;
	char *text;

	for (size_t i = 0; i < source_count; i++)
		(void)json_array_append_new(list, source_json(&sources[i]));
	if (json_array_size(list) != source_count) {
		json_decref(list);
		return NULL;
	}
	manifest = json_pack("{s:o, s:o}", "policy", section_rules(rules), "sources", list);
	text = manifest ? json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(manifest);
	return text;
}

static void write_source(struct writer *writer, const struct source *source)
{
	write_number(writer, source->fact_count, 4);
	for (int family = 0; family < 2; family++)
		write_number(writer, source->ranges[family].count, 4);
	for (size_t i = 0; i < source->fact_count; i++) {
		const struct source_fact *fact = &source->facts[i];
		const size_t length = strlen(fact->operator_name);

		write_bytes(writer, fact->location, 2);
		write_bytes(writer, fact->jurisdiction, 2);
		write_number(writer, fact->asn, 4);
		write_number(writer, fact->line, 4);
		write_number(writer, length, 2);
		write_bytes(writer, fact->operator_name, length);
	}
	for (int family = 0; family < 2; family++) {
		for (size_t i = 0; i < source->ranges[family].count; i++) {
			const struct source_range range = source_range(&source->ranges[family], i);

			write_address(writer, range.first, family);
			write_address(writer, range.last, family);
			write_number(writer, range.fact, 4);
			write_number(writer, range.line, 4);
		}
	}
}

int bundle_make(struct bundle *bundle, const struct model *model, const struct fence_policy_source *source,
	uint64_t version, struct error *error)
{
	char *manifest = manifest_text(model->sources, model->source_count, source);
	struct writer writer = {0};

	memset(bundle, 0, sizeof(*bundle));
	if (!version || version > INT64_MAX) {
		free(manifest);
		return error_set(error, ERANGE, NULL, "the version of a bundle is 1 to %lld", (long long)INT64_MAX);
	}
	if (!manifest)
		return error_set(error, ENOMEM, NULL, "out of memory, or the name of a file is not UTF-8");
	write_bytes(&writer, magic, sizeof(magic));
	write_number(&writer, FORMAT, 4);
	write_number(&writer, strlen(manifest), 4);
	write_number(&writer, version, 8);
	write_number(&writer, 0, 8);
	write_bytes(&writer, manifest, strlen(manifest));
	free(manifest);
	for (size_t i = 0; i < model->source_count; i++)
		write_source(&writer, &model->sources[i]);
	if (writer.failed) {
		free(writer.bytes);
		return error_set(error, ENOMEM, NULL, "out of memory, or the bundle is larger than 1 GiB");
	}
	put_number(writer.bytes + OFFSET_BODY, writer.size, 8);
	bundle->bytes = writer.bytes;
	bundle->body = bundle->size = writer.size;
	bundle->version = version;
	(void)crypto_hash_sha256(bundle->sha256, bundle->bytes, bundle->body);
	return 0;
}

/* --- files --- */

static int fail(struct error *error, int code, const char *pointer, const char *path, const char *text)
{
	(void)error_set(error, code, pointer, "%.300s: %s", path, text);
	return -1;
}

static int slurp(struct bundle *bundle, int fd, const char *path, const char *pointer, struct error *error)
{
	struct stat status;
	size_t have = 0;

	if (fstat(fd, &status))
		return fail(error, errno, pointer, path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(error, EINVAL, pointer, path, "not a regular file");
	if (status.st_size > BUNDLE_FILE_MAX)
		return fail(error, EFBIG, pointer, path, "larger than 1 GiB");
	bundle->size = (size_t)status.st_size;
	bundle->bytes = malloc(bundle->size + 1);
	if (!bundle->bytes)
		return fail(error, ENOMEM, pointer, path, "out of memory");
	while (have < bundle->size) {
		ssize_t got = read(fd, bundle->bytes + have, bundle->size - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail(error, got ? errno : EIO, pointer, path,
				got ? strerror(errno) : "became shorter while it was read");
		have += (size_t)got;
	}
	return 0;
}

/* Header, and whether the size is that of a body, or of a body and a signature. */
static int frame(struct bundle *bundle, const char *path, const char *pointer, struct error *error)
{
	uint64_t body;

	if (bundle->size < HEADER_SIZE || memcmp(bundle->bytes, magic, sizeof(magic)) != 0)
		return fail(error, EINVAL, pointer, path, "is not a policy bundle");
	if (get_number(bundle->bytes + sizeof(magic), 4) != FORMAT)
		return fail(error, EINVAL, pointer, path, "is a policy bundle of a format that is not known here");
	body = get_number(bundle->bytes + OFFSET_BODY, 8);
	bundle->version = get_number(bundle->bytes + OFFSET_VERSION, 8);
	if (body < HEADER_SIZE || (body != bundle->size && body + BUNDLE_TRAILER_SIZE != bundle->size))
		return fail(error, EINVAL, pointer, path, "is cut short, or more was added to it");
	if (!bundle->version || bundle->version > INT64_MAX)
		return fail(error, EINVAL, pointer, path, "has no valid version");
	bundle->body = body;
	(void)crypto_hash_sha256(bundle->sha256, bundle->bytes, bundle->body);
	return 0;
}

int bundle_load(struct bundle *bundle, const char *path, const char *pointer, struct error *error)
{
	int fd, result = -1;

	memset(bundle, 0, sizeof(*bundle));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(error, errno, pointer, path, strerror(errno));
	if (slurp(bundle, fd, path, pointer, error) == 0)
		result = frame(bundle, path, pointer, error);
	(void)close(fd);
	if (result)
		bundle_free(bundle);
	return result;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		bytes += written;
		size -= (size_t)written;
	}
	return fsync(fd);
}

int bundle_save(const struct bundle *bundle, const char *path, struct error *error)
{
	char temporary[PATH_MAX];
	int length = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	int fd, result;

	if (length < 0 || (size_t)length >= sizeof(temporary))
		return fail(error, ENAMETOOLONG, NULL, path, "the path is too long");
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fail(error, errno, NULL, path, strerror(errno));
	result = write_all(fd, bundle->bytes, bundle->size) || fchmod(fd, 0644) || rename(temporary, path)
			 ? fail(error, errno, NULL, path, strerror(errno))
			 : 0;
	(void)close(fd);
	if (result)
		(void)unlink(temporary);
	return result;
}

void bundle_free(struct bundle *bundle)
{
	free(bundle->bytes);
	memset(bundle, 0, sizeof(*bundle));
}

/* --- parsing --- */

/* A bundle being parsed. */
struct parser {
	const char *name;
	struct error *error;
	struct reader reader;
	struct source *sources;
	size_t source_count;
};

static int refuse(const struct parser *parser, const char *text)
{
	return fail(parser->error, EINVAL, "/fence/bundle", parser->name, text);
}

static const char broken[] = "is not in the form that `pontlevis fence compile` gives it";

/* Two capital letters, or two NULs for what is not known. */
static bool read_country(struct reader *reader, char text[3])
{
	const uint8_t *at = take(reader, 2);

	text[0] = text[1] = text[2] = '\0';
	if (!at || (!at[0] && !at[1]))
		return true;
	memcpy(text, at, 2);
	return lines_is_country(text);
}

static int read_facts(struct parser *parser, struct source *source, struct source_builder *builder, uint32_t count)
{
	struct reader *reader = &parser->reader;
	uint32_t asn_before = 0;

	for (uint32_t i = 0; i < count && !reader->is_short; i++) {
		char location[3], jurisdiction[3], name[LINES_OPERATOR_MAX + 1];
		const bool good = read_country(reader, location) && read_country(reader, jurisdiction);
		const uint32_t asn = (uint32_t)read_number(reader, 4), line = (uint32_t)read_number(reader, 4);
		const size_t length = read_number(reader, 2);
		const uint8_t *bytes = length < sizeof(name) ? take(reader, length) : NULL;
		const bool is_operator = source->format == SOURCE_OPERATORS;
		uint32_t number;

		if (reader->is_short)
			break;
		if (!good || !bytes || memchr(bytes, '\0', length) || (is_operator ? asn <= asn_before : line != 0))
			return refuse(parser, broken);
		memcpy(name, bytes, length);
		name[length] = '\0';
		if (!lines_is_operator(name))
			return refuse(parser, broken);
		if (source_builder_fact(builder, location, jurisdiction, asn, name, &number))
			return fail(parser->error, ENOMEM, "/fence/bundle", parser->name, "out of memory");
		if (number != i)
			return refuse(parser, broken);
		source->facts[number].line = line;
		asn_before = asn;
	}
	return 0;
}

static int read_ranges(struct parser *parser, const struct source *source, struct source_builder *builder, bool is_ipv6,
	uint32_t count)
{
	struct reader *reader = &parser->reader;
	struct source_range before = {0};

	for (uint32_t i = 0; i < count && !reader->is_short; i++) {
		struct source_range range;

		range.first = read_address(reader, is_ipv6);
		range.last = read_address(reader, is_ipv6);
		range.fact = (uint32_t)read_number(reader, 4);
		range.line = (uint32_t)read_number(reader, 4);
		if (reader->is_short)
			break;
		if (range.last < range.first || range.fact >= source->fact_count || !range.line ||
			(i && (range.first < before.first ||
				      (range.first == before.first && range.last >= before.last))))
			return refuse(parser, broken);
		if (source_builder_range(builder, is_ipv6, &range))
			return fail(parser->error, ENOMEM, "/fence/bundle", parser->name, "out of memory");
		before = range;
	}
	return 0;
}

static int read_source(struct parser *parser, struct source *source)
{
	struct source_builder *builder = source_builder_new(source);
	struct reader *reader = &parser->reader;
	const uint32_t facts = (uint32_t)read_number(reader, 4);
	uint32_t ranges[2], line;
	struct source_range repeated;
	int result = -1;

	ranges[0] = (uint32_t)read_number(reader, 4);
	ranges[1] = (uint32_t)read_number(reader, 4);
	if (!builder || read_facts(parser, source, builder, facts) ||
		read_ranges(parser, source, builder, false, ranges[0]) ||
		read_ranges(parser, source, builder, true, ranges[1]))
		goto out;
	if (reader->is_short)
		result = refuse(parser, "is cut short");
	else if (source_builder_finish(builder, &repeated, &line))
		result = refuse(parser, errno == EEXIST ? broken : "out of memory");
	else
		result = 0;
out:
	source_builder_free(builder);
	return result;
}

/* What the manifest says of a source. */
static int describe_source(struct parser *parser, const json_t *json, struct source *source)
{
	const char *format, *name, *origin, *date, *sha256;
	size_t size;

	if (json_unpack((json_t *)(uintptr_t)json, "{s:s, s:s, s:s, s:s, s:s !}", "format", &format, "name", &name,
		    "origin", &origin, "date", &date, "sha256", &sha256))
		return refuse(parser, broken);
	source->format = source_format_of(format);
	source->name = strdup(name);
	source->origin = strdup(origin);
	source->date = strdup(date);
	if (!source->name || !source->origin || !source->date)
		return refuse(parser, "out of memory");
	if (!source->format ||
		sodium_hex2bin(source->sha256, sizeof(source->sha256), sha256, strlen(sha256), NULL, &size, NULL) ||
		size != sizeof(source->sha256))
		return refuse(parser, broken);
	return 0;
}

static int read_sources(struct parser *parser, const json_t *list)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > WORLD_SOURCES_MAX)
		return refuse(parser, broken);
	parser->sources = calloc(json_array_size(list) + 1, sizeof(*parser->sources));
	if (!parser->sources)
		return refuse(parser, "out of memory");
	json_array_foreach (list, i, one) {
		parser->source_count++;
		if (describe_source(parser, one, &parser->sources[i]) || read_source(parser, &parser->sources[i]))
			return -1;
	}
	return parser->reader.at == parser->reader.end ? 0 : refuse(parser, broken);
}

/* Whether the manifest is written as it would be written of what was read from it. */
static int check_canonical(
	const struct parser *parser, const struct section *section, const char *manifest, size_t length)
{
	char *text = manifest_text(parser->sources, parser->source_count, &section->source);
	const bool same = text && strlen(text) == length && !memcmp(text, manifest, length);

	free(text);
	return same ? 0 : refuse(parser, broken);
}

static void drop_sources(struct parser *parser)
{
	for (size_t i = 0; i < parser->source_count; i++)
		source_free(&parser->sources[i]);
	free(parser->sources);
}

static int parse_with(
	struct parser *parser, const json_t *manifest, const char *text, size_t length, struct model *model)
{
	struct section section;
	struct error why;
	int result;

	if (section_read(&section, json_object_get(manifest, "policy"), &why))
		return refuse(parser, broken);
	result = read_sources(parser, json_object_get(manifest, "sources"));
	if (!result)
		result = check_canonical(parser, &section, text, length);
	if (result) {
		drop_sources(parser);
	} else if (model_merge(model, parser->sources, parser->source_count, &section.source, &why)) {
		result = error_set(parser->error, why.code, "/fence/bundle", "%.200s: %.200s", parser->name, why.text);
	}
	section_free(&section);
	return result;
}

int bundle_parse(const struct bundle *bundle, const char *name, struct model *model, struct error *error)
{
	struct parser parser = {.name = name,
		.error = error,
		.reader = {.at = bundle->bytes + HEADER_SIZE, .end = bundle->bytes + bundle->body}};
	const size_t length = get_number(bundle->bytes + OFFSET_MANIFEST, 4);
	const char *text = (const char *)take(&parser.reader, length);
	json_t *manifest;
	int result;

	memset(model, 0, sizeof(*model));
	if (!text)
		return refuse(&parser, "is cut short");
	manifest = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	result = manifest ? parse_with(&parser, manifest, text, length, model) : refuse(&parser, broken);
	json_decref(manifest);
	if (!result) {
		model->bundle_version = bundle->version;
		memcpy(model->bundle_sha256, bundle->sha256, sizeof(model->bundle_sha256));
	}
	return result;
}

/* --- signatures --- */

static int keypair(const char *path, uint8_t public_key[BUNDLE_KEY_SIZE], uint8_t **secret, struct error *error)
{
	uint8_t *seed = identity_psk_load(path, error);

	if (!seed)
		return -1;
	*secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (*secret)
		(void)crypto_sign_seed_keypair(public_key, *secret, seed);
	sodium_free(seed);
	return *secret ? 0 : error_set(error, ENOMEM, NULL, "%.300s: no locked memory for the key", path);
}

int bundle_public_key(const char *key_path, char text[BUNDLE_KEY_TEXT_SIZE], struct error *error)
{
	uint8_t public_key[BUNDLE_KEY_SIZE], *secret;

	if (keypair(key_path, public_key, &secret, error))
		return -1;
	sodium_free(secret);
	identity_public_text(public_key, text);
	return 0;
}

int bundle_sign(struct bundle *bundle, const char *key_path, struct error *error)
{
	uint8_t *grown, *secret, public_key[BUNDLE_KEY_SIZE];

	if (keypair(key_path, public_key, &secret, error))
		return -1;
	grown = realloc(bundle->bytes, bundle->body + BUNDLE_TRAILER_SIZE);
	if (!grown) {
		sodium_free(secret);
		return error_set(error, ENOMEM, NULL, "out of memory");
	}
	bundle->bytes = grown;
	bundle->size = bundle->body + BUNDLE_TRAILER_SIZE;
	memcpy(grown + bundle->body, public_key, BUNDLE_KEY_SIZE);
	(void)crypto_sign_detached(grown + bundle->body + BUNDLE_KEY_SIZE, NULL, grown, bundle->body, secret);
	sodium_free(secret);
	return 0;
}

int bundle_verify(const struct bundle *bundle, const char *name, const char *const *trusted, size_t trusted_count,
	struct error *error)
{
	const uint8_t *key = bundle->bytes + bundle->body, *signature = key + BUNDLE_KEY_SIZE;
	char text[BUNDLE_KEY_TEXT_SIZE];
	bool is_trusted = false;

	if (bundle->size == bundle->body)
		return fail(error, EACCES, "/fence/bundle", name, "is not signed");
	for (size_t i = 0; i < trusted_count; i++) {
		uint8_t candidate[BUNDLE_KEY_SIZE];
		char pointer[64];

		(void)snprintf(pointer, sizeof(pointer), "/fence/trusted_keys/%zu", i);
		if (identity_public_parse(trusted[i], candidate))
			return error_set(error, EINVAL, pointer, "\"%.60s\" is not base64 of 32 bytes", trusted[i]);
		is_trusted = is_trusted || !memcmp(candidate, key, BUNDLE_KEY_SIZE);
	}
	identity_public_text(key, text);
	if (!is_trusted)
		return error_set(error, EACCES, "/fence/bundle", "%.300s: is signed by a key that is not trusted: %s",
			name, text);
	if (crypto_sign_verify_detached(signature, bundle->bytes, bundle->body, key))
		return fail(error, EBADMSG, "/fence/bundle", name,
			"its signature is wrong: it was altered after it was signed");
	return 0;
}

int bundle_open(
	struct model *model, const char *path, const char *const *trusted, size_t trusted_count, struct error *error)
{
	struct bundle bundle;
	int result;

	if (bundle_load(&bundle, path, "/fence/bundle", error))
		return -1;
	/* Nothing of it is looked at before its signature. */
	result = bundle_verify(&bundle, path, trusted, trusted_count, error);
	if (!result)
		result = bundle_parse(&bundle, path, model, error);
	bundle_free(&bundle);
	return result;
}
