/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataset of prefixes as a CSV file (RFC 4180) with the header `prefix,location,operator,jurisdiction`. Blank
 * lines and lines that start with '#' mean nothing; LF or CRLF, with or without a byte order mark; UTF-8.
 */
#ifndef CONTROL_FENCE_DATASET_H
#define CONTROL_FENCE_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "control/error.h"

enum {
	DATASET_LINE_MAX = 1024,       /* bytes of a line */
	DATASET_OPERATOR_MAX = 127,    /* bytes of an operator's name, as in the configuration schema */
	DATASET_FILE_MAX = 1024 << 20, /* bytes of the file: far above the whole Internet's table */
};

/* Who holds a prefix. The operator may be empty: unknown. */
struct dataset_label {
	char location[3];     /* ISO 3166-1 alpha-2, country of registration */
	char jurisdiction[3]; /* ISO 3166-1 alpha-2, country whose law reaches the operator */
	char *operator_name;
};

struct dataset_prefix {
	uint64_t high; /* first address, host byte order; IPv4: 0 and the address in the lower 32 bits of low */
	uint64_t low;
	uint32_t label; /* index into labels */
	uint32_t line;  /* of the file, from 1 */
	uint8_t length; /* bits */
};

/* Prefixes are sorted by address, shorter ones first, so that each comes after those that contain it. */
struct dataset {
	struct dataset_prefix *ipv4;
	size_t ipv4_count;
	struct dataset_prefix *ipv6;
	size_t ipv6_count;
	struct dataset_label *labels; /* every combination once */
	size_t label_count;
};

/* Reads a file. 0, or -1 with "FILE:LINE: ..." in the error and nothing in the dataset. */
int dataset_read(const char *path, struct dataset *dataset, struct error *error);
void dataset_free(struct dataset *dataset);

#endif
