/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/lines.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(LINES_SHA256_SIZE == crypto_hash_sha256_BYTES, "SHA-256");

int lines_fail(struct lines *lines, int code, const char *format, ...)
{
	char text[384];
	va_list arguments;

	va_start(arguments, format);
	/* clang-tidy 14 loses sight of va_start() here. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return error_set(lines->error, code, lines->pointer, "%.100s:%u: %s", lines->path, lines->line, text);
}

const char *lines_quoted(const char *field, char text[LINES_QUOTED_SIZE])
{
	size_t i;

	for (i = 0; field[i] && i < LINES_QUOTED_SIZE - 4; i++)
		text[i] = field[i] >= ' ' && field[i] <= '~' ? field[i] : '?';
	(void)snprintf(text + i, LINES_QUOTED_SIZE - i, "%s", field[i] ? "..." : "");
	return text;
}

/* Fails because of the file as a whole. */
static int fail_file(struct lines *lines, int code, const char *text)
{
	return error_set(lines->error, code, lines->pointer, "%.300s: %s", lines->path, text);
}

static int slurp(struct lines *lines, int fd, size_t size)
{
	size_t have = 0;

	lines->text = malloc(size + 1);
	if (!lines->text)
		return fail_file(lines, ENOMEM, "out of memory");
	while (have < size) {
		ssize_t got = read(fd, lines->text + have, size - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_file(lines, errno, strerror(errno));
		if (!got)
			return fail_file(lines, EIO, "file became shorter while it was read");
		have += (size_t)got;
	}
	(void)crypto_hash_sha256(lines->sha256, (const uint8_t *)lines->text, size);
	lines->at = lines->text;
	lines->end = lines->text + size;
	if (size >= 3 && !memcmp(lines->at, "\xef\xbb\xbf", 3))
		lines->at += 3;
	return 0;
}

int lines_open(struct lines *lines, const char *path, const char *pointer, struct error *error)
{
	struct stat status;
	int fd, result;

	*lines = (struct lines){.path = path, .pointer = pointer, .error = error};
	/* O_NONBLOCK: a pipe must not hold us before we can see that it is one. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail_file(lines, errno, strerror(errno));
	if (fstat(fd, &status))
		result = fail_file(lines, errno, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		result = fail_file(lines, EINVAL, "not a regular file");
	else if (status.st_size > LINES_FILE_MAX)
		result = fail_file(lines, EINVAL, "file is larger than 1 GiB");
	else
		result = slurp(lines, fd, (size_t)status.st_size);
	(void)close(fd);
	return result;
}

void lines_close(struct lines *lines)
{
	free(lines->text);
	lines->text = lines->at = lines->end = NULL;
}

int lines_next(struct lines *lines, char **line)
{
	while (lines->at < lines->end) {
		char *start = lines->at, *stop = memchr(start, '\n', (size_t)(lines->end - start));

		if (!stop)
			stop = lines->end; /* slurp() left room for the NUL */
		*stop = '\0';
		lines->line++;
		lines->at = stop + 1;
		if (stop - start > LINES_LINE_MAX)
			return lines_fail(lines, EINVAL, "line is longer than %d bytes", LINES_LINE_MAX);
		if (memchr(start, '\0', (size_t)(stop - start)))
			return lines_fail(lines, EINVAL, "NUL byte in the line");
		if (stop > start && stop[-1] == '\r')
			*--stop = '\0';
		if (stop == start || *start == '#')
			continue;
		*line = start;
		return 1;
	}
	return 0;
}

/* Takes one quoted field: its text goes to *out, *in moves behind the closing quote. */
static int unquote(struct lines *lines, char **in, char **out, int number)
{
	char *at = *in + 1;

	for (; *at && (at[0] != '"' || at[1] == '"'); at++) {
		if (*at == '"')
			at++;
		*(*out)++ = *at;
	}
	if (!*at)
		return lines_fail(lines, EINVAL, "quote of field %d is not closed on the line", number);
	at++;
	if (*at && *at != ',')
		return lines_fail(lines, EINVAL, "field %d goes on behind its closing quote", number);
	*in = at;
	return 0;
}

int lines_split_csv(struct lines *lines, char *line, char *fields[], int most)
{
	char *in = line, *out;
	int count = 0;

	for (;;) {
		if (count == most)
			return lines_fail(lines, EINVAL, "more than %d fields", most);
		fields[count++] = out = in;
		if (*in == '"') {
			if (unquote(lines, &in, &out, count))
				return -1;
		} else {
			in += strcspn(in, ",\"");
			if (*in == '"')
				return lines_fail(lines, EINVAL, "quote inside field %d, which is not quoted", count);
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

int lines_split(struct lines *lines, char *line, char separator, char *fields[], int most)
{
	int count = 0;

	for (;;) {
		if (count == most)
			return lines_fail(lines, EINVAL, "more than %d fields", most);
		fields[count++] = line;
		line = strchr(line, separator);
		if (!line)
			return count;
		*line++ = '\0';
	}
}

bool lines_number(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t number = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || number > UINT64_MAX / 10 - 1)
			return false;
		number = number * 10 + (uint64_t)(*text - '0');
	}
	*value = number;
	return number <= max;
}

/* inet_pton() of IPv4 alone is half of the time that a table of the world takes to read. */
static bool parse_ipv4(const char *text, fence_address *address)
{
	uint32_t value = 0;
	int part;

	for (part = 0; part < 4; part++) {
		uint32_t byte = 0;
		int digits;

		for (digits = 0; *text >= '0' && *text <= '9'; digits++, text++) {
			if (digits == 3 || (digits && !byte))
				return false;
			byte = byte * 10 + (uint32_t)(*text - '0');
		}
		if (!digits || byte > 255 || *text != (part < 3 ? '.' : '\0'))
			return false;
		value = value << 8 | byte;
		text++;
	}
	*address = value;
	return true;
}

bool lines_address(const char *text, fence_address *address, bool *is_ipv6)
{
	uint8_t bytes[16];
	int i;

	*is_ipv6 = false;
	if (parse_ipv4(text, address))
		return true;
	if (inet_pton(AF_INET6, text, bytes) != 1)
		return false;
	*is_ipv6 = true;
	*address = 0;
	for (i = 0; i < 16; i++)
		*address = *address << 8 | bytes[i];
	return true;
}

const char *lines_prefix(const char *text, fence_address *first, fence_address *last, bool *is_ipv6)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	fence_address host;
	uint64_t length;

	if (!slash)
		return "has no length (ADDRESS/BITS)";
	if ((size_t)(slash - text) >= sizeof(address))
		return "is not an IPv4 or IPv6 prefix";
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (!lines_address(address, first, is_ipv6))
		return "is not an IPv4 or IPv6 prefix";
	if (!lines_number(slash + 1, *is_ipv6 ? 128 : 32, &length))
		return *is_ipv6 ? "has a bad length, expected 0 to 128" : "has a bad length, expected 0 to 32";
	host = length == 128 ? 0 : fence_address_last(*is_ipv6) >> length;
	if (*first & host)
		return "has bits set beyond its length";
	if (*is_ipv6 && length >= 96 && *first >> 32 == 0xffff)
		return "is IPv4-mapped: write it as IPv4";
	*last = *first | host;
	return NULL;
}

bool lines_is_country(const char *text)
{
	return text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z' && !text[2];
}

/* Length of the UTF-8 sequence at text, 0 if it is none or a control character. */
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

bool lines_is_operator(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	while (*at) {
		size_t length = character_length(at);

		if (!length)
			return false;
		at += length;
	}
	return (const char *)at - text <= LINES_OPERATOR_MAX;
}
