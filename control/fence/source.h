/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A source of facts about addresses, as it was read: ranges with what one file (or one section of a bundle) says of
 * them. Nothing is interpreted here; world.h merges sources.
 *
 *	labels		CSV: prefix,location,operator,jurisdiction[,asn] (with this header)
 *	operators	CSV: asn,operator,jurisdiction (with this header): who controls an AS, no ranges
 *	country		CSV: first,last,location or prefix,location (no header)
 *	asn		CSV: first,last,asn,operator or prefix,asn,operator (no header)
 *	delegated	a registry's delegated-extended statistics: location of IPv4 and IPv6 delegations
 *
 * A file of one's own that says two things of one range or AS is an error. The three formats of others' data contradict
 * themselves now and then: of such a range the source knows nothing, nor does a wider range of it speak for it.
 */
#ifndef CONTROL_FENCE_SOURCE_H
#define CONTROL_FENCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/lines.h"
#include "control/fence/sequence.h"

enum source_format {
	SOURCE_LABELS = 1,
	SOURCE_OPERATORS,
	SOURCE_COUNTRY,
	SOURCE_ASN,
	SOURCE_DELEGATED,
};

enum {
	SOURCE_FACTS_MAX = 1 << 24,  /* different facts of a source */
	SOURCE_RANGES_MAX = 1 << 26, /* of a family */
};

/* What a source says. What it does not know is empty, or AS 0. */
struct source_fact {
	char location[3];     /* ISO 3166-1 alpha-2, country of registration */
	char jurisdiction[3]; /* ISO 3166-1 alpha-2, country whose law reaches the operator */
	uint32_t asn;
	uint32_t line; /* format operators only: of the file, from 1 */
	char *operator_name;
};

struct source_range {
	fence_address first, last;
	uint32_t fact; /* index */
	uint32_t line; /* of the file, from 1 */
};

/* The ranges of a family, in the order of their first addresses, wider ones first; none is there twice. */
struct source_ranges {
	bool is_ipv6;
	size_t count, room;
	void *bounds; /* first and last of each: two uint32_t, or four uint64_t halves */
	uint32_t *facts, *lines;
	/*
	 * Which range an address belongs to (index + 1): of those that contain it the narrowest, of equally wide ones
	 * the one that starts last.
	 */
	struct sequence narrowest;
};

struct source {
	enum source_format format;
	char *name;   /* of the file, without directories */
	char *origin; /* where the file comes from, as the configuration says; "" if it does not */
	char *date;   /* of the data, likewise */
	uint8_t sha256[LINES_SHA256_SIZE];
	uint32_t contradictions;   /* ranges of which the file says two things; not kept in a bundle */
	struct source_fact *facts; /* each once; format operators: ascending by ASN, one for an AS */
	size_t fact_count;
	struct source_ranges ranges[2]; /* IPv4, IPv6 */
};

/*
 * Reads a file (formats.c). 0, or -1 with the error set ("FILE:LINE: ...", at `pointer`) and nothing in the source. The
 * time is that of sorting.
 */
int source_read(
	struct source *source, enum source_format format, const char *path, const char *pointer, struct error *error);
void source_free(struct source *source);

struct source_range source_range(const struct source_ranges *ranges, size_t i);
/* The fact about an address and, unless NULL, its range; NULL if the source is silent. */
const struct source_fact *source_find(
	const struct source *source, bool is_ipv6, fence_address address, struct source_range *range);
/* The fact about an AS (format operators), NULL if the source is silent. */
const struct source_fact *source_operator(const struct source *source, uint32_t asn);

const char *source_format_name(enum source_format format);
/* 0 if there is none of this name. */
enum source_format source_format_of(const char *name);

/*
 * For who makes a source from something else than a file. Facts are entered once: equal ones have one number.
 * finish() sorts the ranges and finds the narrowest; it fails (-1) with errno EEXIST and the range and the line of its
 * earlier twin if one is there twice, else with ENOMEM.
 */
struct source_builder;
struct source_builder *source_builder_new(struct source *source);
void source_builder_free(struct source_builder *builder);
/* Returns -1 if out of memory. */
int source_builder_fact(struct source_builder *builder, const char *location, const char *jurisdiction, uint32_t asn,
	const char *operator_name, uint32_t *number);
int source_builder_range(struct source_builder *builder, bool is_ipv6, const struct source_range *range);
/* Makes one range of equal ones: without a fact if they contradict each other. Returns -1 if out of memory. */
int source_builder_settle(struct source_builder *builder);
int source_builder_finish(struct source_builder *builder, struct source_range *repeated, uint32_t *earlier_line);

#endif
