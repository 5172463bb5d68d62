/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/dataset.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIELDS = 4, FIELD_PREFIX = 0, FIELD_LOCATION, FIELD_OPERATOR, FIELD_JURISDICTION };

static const char *const field_names[FIELDS] = {"prefix", "location", "operator", "jurisdiction"};

/* A file being read. */
struct reader {
	const char *path;
	uint32_t line;
	bool has_header;
	struct error *error;
	struct dataset *dataset;
	size_t ipv4_room, ipv6_room, label_room;
	uint32_t *buckets; /* hash table of labels: index + 1, 0 is free; a power of two of them */
	size_t bucket_count;
};

__attribute__((format(printf, 3, 4))) static int fail(struct reader *reader, int code, const char *format, ...)
{
	char text[384];
	va_list arguments;

	va_start(arguments, format);
	/* clang-tidy 14 loses sight of va_start() here. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)error_set(reader->error, code, "/fence/dataset", "%.100s:%u: %s", reader->path, reader->line, text);
	return -1;
}

/* The start of a field as it may stand in a message: plain ASCII, whatever the file holds. */
static const char *quoted(const char *field, char text[48])
{
	size_t i;

	for (i = 0; field[i] && i < 44; i++)
		text[i] = field[i] >= ' ' && field[i] <= '~' ? field[i] : '?';
	(void)snprintf(text + i, 48 - i, "%s", field[i] ? "..." : "");
	return text;
}

/* Makes room for one more element. */
static int grow(struct reader *reader, void **array, size_t *room, size_t count, size_t size)
{
	size_t wanted = *room ? *room * 2 : 1024;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*array, wanted, size);
	if (!grown)
		return fail(reader, ENOMEM, "out of memory");
	*array = grown;
	*room = wanted;
	return 0;
}

static uint32_t label_hash(const char *location, const char *operator_name, const char *jurisdiction)
{
	const char *const parts[] = {location, jurisdiction, operator_name};
	uint32_t hash = 2166136261u; /* FNV-1a */
	size_t i;
	const char *byte;

	for (i = 0; i < 3; i++) {
		for (byte = parts[i]; *byte; byte++)
			hash = (hash ^ (uint8_t)*byte) * 16777619u;
		hash = (hash ^ 0xff) * 16777619u;
	}
	return hash;
}

/* Doubles the hash table when it is half full. */
static int buckets_grow(struct reader *reader)
{
	const struct dataset *dataset = reader->dataset;
	size_t count = reader->bucket_count ? reader->bucket_count * 2 : 4096;
	uint32_t *buckets;
	size_t i;

	if (dataset->label_count * 2 < reader->bucket_count)
		return 0;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return fail(reader, ENOMEM, "out of memory");
	for (i = 0; i < dataset->label_count; i++) {
		const struct dataset_label *label = &dataset->labels[i];
		size_t at = label_hash(label->location, label->operator_name, label->jurisdiction) & (count - 1);

		while (buckets[at])
			at = (at + 1) & (count - 1);
		buckets[at] = (uint32_t)i + 1;
	}
	free(reader->buckets);
	reader->buckets = buckets;
	reader->bucket_count = count;
	return 0;
}

/* The number of a label, entered if it is new. */
static int label_find(struct reader *reader, char *const fields[FIELDS], uint32_t *number)
{
	struct dataset *dataset = reader->dataset;
	struct dataset_label *label;
	size_t at;

	if (buckets_grow(reader))
		return -1;
	at = label_hash(fields[FIELD_LOCATION], fields[FIELD_OPERATOR], fields[FIELD_JURISDICTION]);
	for (at &= reader->bucket_count - 1; reader->buckets[at]; at = (at + 1) & (reader->bucket_count - 1)) {
		label = &dataset->labels[reader->buckets[at] - 1];
		if (!strcmp(label->location, fields[FIELD_LOCATION]) &&
			!strcmp(label->jurisdiction, fields[FIELD_JURISDICTION]) &&
			!strcmp(label->operator_name, fields[FIELD_OPERATOR])) {
			*number = reader->buckets[at] - 1;
			return 0;
		}
	}
	if (grow(reader, (void **)&dataset->labels, &reader->label_room, dataset->label_count, sizeof(*label)))
		return -1;
	label = &dataset->labels[dataset->label_count];
	memcpy(label->location, fields[FIELD_LOCATION], sizeof(label->location));
	memcpy(label->jurisdiction, fields[FIELD_JURISDICTION], sizeof(label->jurisdiction));
	label->operator_name = strdup(fields[FIELD_OPERATOR]);
	if (!label->operator_name)
		return fail(reader, ENOMEM, "out of memory");
	*number = (uint32_t)dataset->label_count++;
	reader->buckets[at] = *number + 1;
	return 0;
}

/* Decimal digits only, no sign, no leading zero, at most max; -1 otherwise. */
static int parse_length(const char *text, int max)
{
	int value = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		value = value * 10 + (*text - '0');
		if (value > max)
			return -1;
	}
	return value;
}

static uint64_t host_bits(int length, int half)
{
	int within = length - half * 64;

	if (within >= 64)
		return 0;
	return within <= 0 ? UINT64_MAX : UINT64_MAX >> within;
}

static uint64_t load_half(const uint8_t bytes[8])
{
	uint64_t value = 0;
	int i;

	for (i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

static int parse_prefix(struct reader *reader, const char *field, struct dataset_prefix *prefix, bool *is_ipv6)
{
	char address[INET6_ADDRSTRLEN], text[48];
	const char *slash = strchr(field, '/');
	uint8_t bytes[16];
	int length;

	if (!slash)
		return fail(reader, EINVAL, "prefix \"%s\" has no length (ADDRESS/BITS)", quoted(field, text));
	if ((size_t)(slash - field) >= sizeof(address))
		return fail(reader, EINVAL, "\"%s\" is not an IPv4 or IPv6 prefix", quoted(field, text));
	memcpy(address, field, (size_t)(slash - field));
	address[slash - field] = '\0';
	if (inet_pton(AF_INET, address, bytes) == 1) {
		*is_ipv6 = false;
		prefix->high = 0;
		prefix->low = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
	} else if (inet_pton(AF_INET6, address, bytes) == 1) {
		*is_ipv6 = true;
		prefix->high = load_half(bytes);
		prefix->low = load_half(bytes + 8);
	} else {
		return fail(reader, EINVAL, "\"%s\" is not an IPv4 or IPv6 prefix", quoted(field, text));
	}
	length = parse_length(slash + 1, *is_ipv6 ? 128 : 32);
	if (length < 0)
		return fail(reader, EINVAL, "prefix \"%s\" has a bad length, expected 0 to %d", quoted(field, text),
			*is_ipv6 ? 128 : 32);
	prefix->length = (uint8_t)length;
	if (*is_ipv6 ? (prefix->high & host_bits(length, 0)) || (prefix->low & host_bits(length, 1))
		     : (prefix->low & host_bits(length + 32, 0)) != 0)
		return fail(reader, EINVAL, "prefix \"%s\" has bits set beyond its length", quoted(field, text));
	if (*is_ipv6 && length >= 96 && !prefix->high && prefix->low >> 32 == 0xffff)
		return fail(reader, EINVAL, "prefix \"%s\" is IPv4-mapped: write it as IPv4", quoted(field, text));
	return 0;
}

static bool is_country(const char *text)
{
	return text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z' && !text[2];
}

/* Length of the UTF-8 sequence (RFC 3629) at text, 0 if it is none or a control character. */
static size_t character_length(const uint8_t *text)
{
	uint32_t value;
	size_t length, i;

	if (text[0] < 0x80)
		return text[0] >= ' ' && text[0] != 0x7f ? 1 : 0;
	if (text[0] >= 0xc2 && text[0] <= 0xdf) {
		length = 2;
		value = text[0] & 0x1f;
	} else if ((text[0] & 0xf0) == 0xe0) {
		length = 3;
		value = text[0] & 0x0f;
	} else if (text[0] >= 0xf0 && text[0] <= 0xf4) {
		length = 4;
		value = text[0] & 0x07;
	} else {
		return 0;
	}
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (text[i] & 0x3f);
	}
	if ((length == 3 && value < 0x800) || (length == 4 && value < 0x10000) || value > 0x10ffff ||
		(value >= 0xd800 && value <= 0xdfff) || value < 0xa0)
		return 0;
	return length;
}

static bool is_text(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	while (*at) {
		size_t length = character_length(at);

		if (!length)
			return false;
		at += length;
	}
	return true;
}

/* Splits a line at its commas, in place, and takes the quotes off. Returns the number of fields, -1 on error. */
static int split(struct reader *reader, char *line, char *fields[FIELDS])
{
	char *in = line, *out;
	int count = 0;

	for (;;) {
		if (count == FIELDS) {
			(void)fail(reader, EINVAL, "more than %d fields", FIELDS);
			return -1;
		}
		fields[count++] = out = in;
		if (*in == '"') {
			for (in++; *in && (in[0] != '"' || in[1] == '"'); in++) {
				if (*in == '"')
					in++;
				*out++ = *in;
			}
			if (!*in) {
				(void)fail(reader, EINVAL, "quote of field %d is not closed on the line", count);
				return -1;
			}
			in++;
			if (*in && *in != ',') {
				(void)fail(reader, EINVAL, "field %d goes on behind its closing quote", count);
				return -1;
			}
		} else {
			for (; *in && *in != ','; in++) {
				if (*in == '"') {
					(void)fail(reader, EINVAL, "quote inside field %d, which is not quoted", count);
					return -1;
				}
			}
			out = in;
		}
		if (!*in) {
			*out = '\0';
			return count;
		}
		in++;
		*out = '\0';
	}
}

static int read_header(struct reader *reader, char *const fields[FIELDS], int count)
{
	int i;

	for (i = 0; i < FIELDS; i++)
		if (i >= count || strcmp(fields[i], field_names[i]) != 0)
			return fail(
				reader, EINVAL, "first line is not the header prefix,location,operator,jurisdiction");
	reader->has_header = true;
	return 0;
}

static int read_record(struct reader *reader, char *const fields[FIELDS], int count)
{
	struct dataset *dataset = reader->dataset;
	struct dataset_prefix prefix = {.line = reader->line};
	bool is_ipv6 = false;
	char text[48];

	if (count < FIELDS)
		return fail(reader, EINVAL, "%d fields instead of %d", count, FIELDS);
	if (parse_prefix(reader, fields[FIELD_PREFIX], &prefix, &is_ipv6))
		return -1;
	if (!is_country(fields[FIELD_LOCATION]))
		return fail(reader, EINVAL, "location \"%s\" is not a country code (two capital letters)",
			quoted(fields[FIELD_LOCATION], text));
	if (!is_country(fields[FIELD_JURISDICTION]))
		return fail(reader, EINVAL, "jurisdiction \"%s\" is not a country code (two capital letters)",
			quoted(fields[FIELD_JURISDICTION], text));
	if (strlen(fields[FIELD_OPERATOR]) > DATASET_OPERATOR_MAX)
		return fail(reader, EINVAL, "operator is longer than %d bytes", DATASET_OPERATOR_MAX);
	if (!is_text(fields[FIELD_OPERATOR]))
		return fail(reader, EINVAL, "operator \"%s\" is not printable UTF-8 text",
			quoted(fields[FIELD_OPERATOR], text));
	if (label_find(reader, fields, &prefix.label))
		return -1;
	if (is_ipv6) {
		if (grow(reader, (void **)&dataset->ipv6, &reader->ipv6_room, dataset->ipv6_count, sizeof(prefix)))
			return -1;
		dataset->ipv6[dataset->ipv6_count++] = prefix;
	} else {
		if (grow(reader, (void **)&dataset->ipv4, &reader->ipv4_room, dataset->ipv4_count, sizeof(prefix)))
			return -1;
		dataset->ipv4[dataset->ipv4_count++] = prefix;
	}
	return 0;
}

/* line ends with NUL instead of its line break. */
static int read_line(struct reader *reader, char *line, size_t length)
{
	char *fields[FIELDS] = {NULL};
	int count;

	if (length > DATASET_LINE_MAX)
		return fail(reader, EINVAL, "line is longer than %d bytes", DATASET_LINE_MAX);
	if (memchr(line, '\0', length))
		return fail(reader, EINVAL, "NUL byte in the line");
	if (length && line[length - 1] == '\r')
		line[--length] = '\0';
	if (!length || line[0] == '#')
		return 0;
	count = split(reader, line, fields);
	if (count < 0)
		return -1;
	return reader->has_header ? read_record(reader, fields, count) : read_header(reader, fields, count);
}

/* text has one writable byte behind it. */
static int read_text(struct reader *reader, char *text, size_t size)
{
	char *end = text + size;

	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	while (text < end) {
		char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		*stop = '\0';
		reader->line++;
		if (read_line(reader, text, (size_t)(stop - text)))
			return -1;
		text = stop + 1;
	}
	return 0;
}

static int compare_prefixes(const void *left, const void *right)
{
	const struct dataset_prefix *a = left, *b = right;

	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

/* Sorts, and finds the first line that repeats a prefix. */
static int sort_prefixes(struct reader *reader, struct dataset_prefix *prefixes, size_t count)
{
	const struct dataset_prefix *duplicate = NULL;
	uint32_t first = 0;
	size_t i;

	if (count)
		qsort(prefixes, count, sizeof(*prefixes), compare_prefixes);
	for (i = 1; i < count; i++) {
		const struct dataset_prefix *a = &prefixes[i - 1], *b = &prefixes[i];

		if (a->high != b->high || a->low != b->low || a->length != b->length)
			continue;
		if (!duplicate || b->line < duplicate->line) {
			duplicate = b;
			first = a->line;
		}
	}
	if (!duplicate)
		return 0;
	reader->line = duplicate->line;
	return fail(reader, EINVAL, "prefix stands in line %u already", first);
}

/* Reads the whole file into memory that the caller frees; one byte more than size is allocated. */
static char *slurp(const char *path, size_t *size, struct error *error)
{
	struct stat status;
	char *text = NULL;
	size_t have = 0;
	int fd;

	/* O_NONBLOCK: a pipe must not hold us before we can see that it is one. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status)) {
		(void)error_set(error, errno, "/fence/dataset", "%.300s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(status.st_mode) || status.st_size > DATASET_FILE_MAX) {
		(void)error_set(error, EINVAL, "/fence/dataset", "%.300s: %s", path,
			S_ISREG(status.st_mode) ? "file is larger than 1 GiB" : "not a regular file");
		goto out;
	}
	text = malloc((size_t)status.st_size + 1);
	if (!text) {
		(void)error_set(error, ENOMEM, "/fence/dataset", "%.300s: out of memory", path);
		goto out;
	}
	while (have < (size_t)status.st_size) {
		ssize_t got = read(fd, text + have, (size_t)status.st_size - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			(void)error_set(error, got ? errno : EIO, "/fence/dataset", "%.300s: %s", path,
				got ? strerror(errno) : "file became shorter while it was read");
			free(text);
			text = NULL;
			goto out;
		}
		have += (size_t)got;
	}
	*size = have;
out:
	if (fd >= 0)
		(void)close(fd);
	return text;
}

int dataset_read(const char *path, struct dataset *dataset, struct error *error)
{
	struct reader reader = {.path = path, .error = error, .dataset = dataset};
	size_t size = 0;
	char *text;
	int result = -1;

	memset(dataset, 0, sizeof(*dataset));
	text = slurp(path, &size, error);
	if (!text)
		return -1;
	if (read_text(&reader, text, size))
		goto out;
	if (sort_prefixes(&reader, dataset->ipv4, dataset->ipv4_count) ||
		sort_prefixes(&reader, dataset->ipv6, dataset->ipv6_count))
		goto out;
	result = 0;
out:
	free(reader.buckets);
	free(text);
	if (result)
		dataset_free(dataset);
	return result;
}

void dataset_free(struct dataset *dataset)
{
	size_t i;

	for (i = 0; i < dataset->label_count; i++)
		free(dataset->labels[i].operator_name);
	free(dataset->labels);
	free(dataset->ipv4);
	free(dataset->ipv6);
	memset(dataset, 0, sizeof(*dataset));
}
