/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A text file of records, read line by line, and the kinds of fields that are in it. Everything that is wrong is said
 * as "FILE:LINE: ...", with no more of the file in the message than is harmless in a log.
 */
#ifndef CONTROL_FENCE_LINES_H
#define CONTROL_FENCE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/sequence.h"

enum {
	LINES_LINE_MAX = 1024,       /* bytes of a line */
	LINES_FIELDS_MAX = 16,       /* of a line */
	LINES_OPERATOR_MAX = 255,    /* bytes of an operator's name */
	LINES_FILE_MAX = 1024 << 20, /* bytes of a file: far above the whole Internet's tables */
	LINES_SHA256_SIZE = 32,
};

struct lines {
	const char *path;
	const char *pointer; /* place in the configuration that names the file */
	struct error *error;
	uint32_t line; /* number of the current one, from 1 */
	uint8_t sha256[LINES_SHA256_SIZE];
	char *text, *at, *end;
};

/* Reads the file. 0, or -1 with the error set; lines_close() in either case. The strings are kept by reference. */
int lines_open(struct lines *lines, const char *path, const char *pointer, struct error *error);
void lines_close(struct lines *lines);

/*
 * The next line that is neither blank nor starts with '#', without its line break (LF or CRLF; a byte order mark
 * before the first line means nothing). 1, 0 at the end of the file, -1 with the error set. The text may be changed.
 */
int lines_next(struct lines *lines, char **line);

/* Sets the error with file and line before the text; returns -1. */
__attribute__((format(printf, 3, 4))) int lines_fail(struct lines *lines, int code, const char *format, ...);

/*
 * Splits a line in place at its commas (RFC 4180: fields may be quoted; not over several lines), or at any other
 * separator without quotes. Returns the number of fields, -1 with the error set if there are more than `most`.
 */
int lines_split_csv(struct lines *lines, char *line, char *fields[], int most);
int lines_split(struct lines *lines, char *line, char separator, char *fields[], int most);

enum { LINES_QUOTED_SIZE = 48 };
/* The start of a field as it may stand in a message: plain ASCII, whatever the file holds. */
const char *lines_quoted(const char *field, char text[LINES_QUOTED_SIZE]);

/* Decimal digits only, no sign, no leading zero, at most max. False if the text is anything else. */
bool lines_number(const char *text, uint64_t max, uint64_t *value);
/* An IPv4 or IPv6 address; false if it is neither. */
bool lines_address(const char *text, fence_address *address, bool *is_ipv6);
/* ADDRESS/BITS as a range. Returns NULL, or what is wrong with it. */
const char *lines_prefix(const char *text, fence_address *first, fence_address *last, bool *is_ipv6);
/* Two capital letters: ISO 3166-1 alpha-2. */
bool lines_is_country(const char *text);
/* Printable UTF-8 (RFC 3629) of at most LINES_OPERATOR_MAX bytes. */
bool lines_is_operator(const char *text);

#endif
