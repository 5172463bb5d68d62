/* SPDX-License-Identifier: BSD-3-Clause */
/* The formats of source files. */
#include <stdlib.h>
#include <string.h>

#include "control/fence/lines.h"
#include "control/fence/source.h"

enum { KIND_ASN, KIND_IPV4, KIND_IPV6, KINDS };

/* A file being read. */
struct reader {
	struct lines lines;
	struct source *source;
	struct source_builder *builder;
	bool has_header;
	int columns; /* of the header */
	/* A registry's summary lines, to see that the file is whole. */
	bool has_summary[KINDS];
	uint64_t announced[KINDS], found[KINDS];
};

static int no_memory(struct reader *reader)
{
	return lines_fail(&reader->lines, ENOMEM, "out of memory, or more than a source may hold");
}

static int read_header(struct reader *reader, const char *const columns[], int least, char *const fields[], int count)
{
	char text[128] = "";
	int i;

	for (i = 0; i < count && columns[i] && !strcmp(fields[i], columns[i]); i++)
		;
	if (i == count && count >= least) {
		reader->has_header = true;
		reader->columns = count;
		return 0;
	}
	for (i = 0; i < least; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? "," : "", columns[i]);
	return lines_fail(&reader->lines, EINVAL, "first line is not the header %s", text);
}

static int need_fields(struct reader *reader, int count, int wanted)
{
	return count == wanted ? 0 : lines_fail(&reader->lines, EINVAL, "%d fields instead of %d", count, wanted);
}

static int need_country(struct reader *reader, const char *what, const char *field)
{
	char text[LINES_QUOTED_SIZE];

	if (lines_is_country(field))
		return 0;
	return lines_fail(&reader->lines, EINVAL, "%s \"%s\" is not a country code (two capital letters)", what,
		lines_quoted(field, text));
}

static int need_operator(struct reader *reader, const char *field)
{
	char text[LINES_QUOTED_SIZE];

	if (strlen(field) > LINES_OPERATOR_MAX)
		return lines_fail(&reader->lines, EINVAL, "operator is longer than %d bytes", LINES_OPERATOR_MAX);
	if (lines_is_operator(field))
		return 0;
	return lines_fail(
		&reader->lines, EINVAL, "operator \"%s\" is not printable UTF-8 text", lines_quoted(field, text));
}

/* least: 0 where "unknown" may stand, else 1. */
static int need_asn(struct reader *reader, const char *field, uint32_t least, uint32_t *asn)
{
	char text[LINES_QUOTED_SIZE];
	uint64_t value;

	if (!lines_number(field, UINT32_MAX, &value) || value < least)
		return lines_fail(&reader->lines, EINVAL, "\"%s\" is not an AS number (%u to %u)",
			lines_quoted(field, text), least, UINT32_MAX);
	*asn = (uint32_t)value;
	return 0;
}

static int need_prefix(struct reader *reader, const char *field, struct source_range *range, bool *is_ipv6)
{
	const char *wrong = lines_prefix(field, &range->first, &range->last, is_ipv6);
	char text[LINES_QUOTED_SIZE];

	if (!wrong)
		return 0;
	return lines_fail(&reader->lines, EINVAL, "prefix \"%s\" %s", lines_quoted(field, text), wrong);
}

/* ADDRESS/BITS, or first and last address in two fields; *used is how many it took. */
static int need_range(
	struct reader *reader, char *const fields[], int count, struct source_range *range, bool *is_ipv6, int *used)
{
	char text[LINES_QUOTED_SIZE];
	bool last_is_ipv6;

	*used = 1;
	if (strchr(fields[0], '/'))
		return need_prefix(reader, fields[0], range, is_ipv6);
	*used = 2;
	if (!lines_address(fields[0], &range->first, is_ipv6))
		return lines_fail(
			&reader->lines, EINVAL, "\"%s\" is not an IPv4 or IPv6 address", lines_quoted(fields[0], text));
	if (count < 2 || !lines_address(fields[1], &range->last, &last_is_ipv6))
		return lines_fail(&reader->lines, EINVAL, "\"%s\" is not an IPv4 or IPv6 address",
			lines_quoted(count < 2 ? "" : fields[1], text));
	if (last_is_ipv6 != *is_ipv6)
		return lines_fail(&reader->lines, EINVAL, "the range begins in one family and ends in another");
	if (range->last < range->first)
		return lines_fail(&reader->lines, EINVAL, "the range ends before it begins");
	if (*is_ipv6 && range->first >> 32 == 0xffff)
		return lines_fail(&reader->lines, EINVAL, "the range is IPv4-mapped: write it as IPv4");
	return 0;
}

static int add(struct reader *reader, const struct source_fact *fact, struct source_range *range, bool is_ipv6)
{
	range->line = reader->lines.line;
	if (source_builder_fact(reader->builder, fact->location, fact->jurisdiction, fact->asn,
		    fact->operator_name ? fact->operator_name : "", &range->fact) ||
		source_builder_range(reader->builder, is_ipv6, range))
		return no_memory(reader);
	return 0;
}

static int read_labels(struct reader *reader, char *line)
{
	static const char *const columns[] = {"prefix", "location", "operator", "jurisdiction", "asn", NULL};
	enum { LEAST = 4, MOST = 5 };
	int count;
	char *fields[MOST];
	struct source_fact fact = {0};
	struct source_range range;
	bool is_ipv6;

	count = lines_split_csv(&reader->lines, line, fields, reader->has_header ? reader->columns : MOST);
	if (count < 0)
		return -1;
	if (!reader->has_header)
		return read_header(reader, columns, LEAST, fields, count);
	if (need_fields(reader, count, reader->columns) || need_prefix(reader, fields[0], &range, &is_ipv6) ||
		need_country(reader, "location", fields[1]) || need_country(reader, "jurisdiction", fields[3]) ||
		need_operator(reader, fields[2]))
		return -1;
	/* An AS that nobody knows is an empty field. */
	if (count == MOST && fields[4][0] && need_asn(reader, fields[4], 1, &fact.asn))
		return -1;
	memcpy(fact.location, fields[1], sizeof(fact.location));
	memcpy(fact.jurisdiction, fields[3], sizeof(fact.jurisdiction));
	fact.operator_name = fields[2];
	return add(reader, &fact, &range, is_ipv6);
}

static int read_operators(struct reader *reader, char *line)
{
	static const char *const columns[] = {"asn", "operator", "jurisdiction", NULL};
	enum { FIELDS = 3 };
	char *fields[FIELDS];
	uint32_t asn = 0, number;
	size_t before = reader->source->fact_count;
	int count = lines_split_csv(&reader->lines, line, fields, FIELDS);

	if (count < 0)
		return -1;
	if (!reader->has_header)
		return read_header(reader, columns, FIELDS, fields, count);
	if (need_fields(reader, count, FIELDS) || need_asn(reader, fields[0], 1, &asn) ||
		need_operator(reader, fields[1]) || need_country(reader, "jurisdiction", fields[2]))
		return -1;
	if (!fields[1][0])
		return lines_fail(&reader->lines, EINVAL, "operator is empty");
	if (source_builder_fact(reader->builder, "", fields[2], asn, fields[1], &number))
		return no_memory(reader);
	if (reader->source->fact_count == before)
		return lines_fail(&reader->lines, EINVAL, "AS %u stands in line %u already", asn,
			reader->source->facts[number].line);
	reader->source->facts[number].line = reader->lines.line;
	return 0;
}

static int read_country(struct reader *reader, char *line)
{
	enum { MOST = 3 };
	char *fields[MOST];
	struct source_fact fact = {0};
	struct source_range range;
	bool is_ipv6;
	int used, count = lines_split_csv(&reader->lines, line, fields, MOST);

	if (count < 0 || need_range(reader, fields, count, &range, &is_ipv6, &used) ||
		need_fields(reader, count, used + 1) || need_country(reader, "location", fields[used]))
		return -1;
	memcpy(fact.location, fields[used], sizeof(fact.location));
	return add(reader, &fact, &range, is_ipv6);
}

static int read_asn(struct reader *reader, char *line)
{
	enum { MOST = 4 };
	char *fields[MOST];
	struct source_fact fact = {0};
	struct source_range range;
	bool is_ipv6;
	int used, count = lines_split_csv(&reader->lines, line, fields, MOST);

	if (count < 0 || need_range(reader, fields, count, &range, &is_ipv6, &used) ||
		need_fields(reader, count, used + 2) || need_asn(reader, fields[used], 0, &fact.asn) ||
		need_operator(reader, fields[used + 1]))
		return -1;
	/* AS 0 (RFC 7607) is nobody's. */
	if (!fact.asn)
		return 0;
	fact.operator_name = fields[used + 1];
	return add(reader, &fact, &range, is_ipv6);
}

static int kind_of(struct reader *reader, const char *field)
{
	static const char *const kinds[KINDS] = {"asn", "ipv4", "ipv6"};
	char text[LINES_QUOTED_SIZE];
	int kind;

	for (kind = 0; kind < KINDS; kind++)
		if (!strcmp(field, kinds[kind]))
			return kind;
	return lines_fail(&reader->lines, EINVAL, "type \"%s\" is none of asn, ipv4, ipv6", lines_quoted(field, text));
}

/* "2|ripencc|1767225600|123456|19830705|20251231|+0100" */
static int read_delegated_version(struct reader *reader, char *const fields[], int count)
{
	if (count < 6 || fields[0][0] != '2')
		return lines_fail(&reader->lines, EINVAL,
			"first line is not that of a registry's statistics, version 2 "
			"(VERSION|REGISTRY|SERIAL|RECORDS|FIRST|LAST|OFFSET)");
	reader->has_header = true;
	return 0;
}

/* "ripencc|*|ipv4|*|90000|summary" */
static int read_delegated_summary(struct reader *reader, char *const fields[])
{
	const int kind = kind_of(reader, fields[2]);
	char text[LINES_QUOTED_SIZE];

	if (kind < 0)
		return -1;
	if (reader->has_summary[kind])
		return lines_fail(&reader->lines, EINVAL, "a second summary of %s", fields[2]);
	if (!lines_number(fields[4], UINT32_MAX, &reader->announced[kind]))
		return lines_fail(
			&reader->lines, EINVAL, "\"%s\" is not a number of records", lines_quoted(fields[4], text));
	reader->has_summary[kind] = true;
	return 0;
}

/* start and value: for IPv4 an address and how many, for IPv6 an address and the bits of its prefix. */
static int delegated_range(
	struct reader *reader, int kind, const char *start, const char *value, struct source_range *range)
{
	char text[LINES_QUOTED_SIZE], prefix[80];
	uint64_t number;
	bool is_ipv6;

	if (kind == KIND_IPV6) {
		(void)snprintf(prefix, sizeof(prefix), "%.50s/%.20s", start, value);
		if (need_prefix(reader, prefix, range, &is_ipv6))
			return -1;
		return is_ipv6 ? 0 : lines_fail(&reader->lines, EINVAL, "an IPv4 prefix in a record of type ipv6");
	}
	if (!lines_address(start, &range->first, &is_ipv6) || is_ipv6)
		return lines_fail(&reader->lines, EINVAL, "\"%s\" is not an IPv4 address", lines_quoted(start, text));
	if (!lines_number(value, UINT64_C(1) << 32, &number) || !number ||
		number - 1 > (uint64_t)(UINT32_MAX - range->first))
		return lines_fail(&reader->lines, EINVAL, "\"%s\" is not a number of IPv4 addresses from %s on",
			lines_quoted(value, text), start);
	range->last = range->first + number - 1;
	return 0;
}

/* "ripencc|FR|ipv4|192.0.2.0|256|20120101|allocated|..." */
static int read_delegated_record(struct reader *reader, char *const fields[], int count)
{
	static const char *const known[] = {"allocated", "assigned", "available", "reserved"};
	const int kind = kind_of(reader, fields[2]);
	struct source_fact fact = {0};
	struct source_range range;
	char text[LINES_QUOTED_SIZE];
	size_t status;

	if (kind < 0)
		return -1;
	if (count < 7)
		return lines_fail(&reader->lines, EINVAL, "%d fields instead of 7 or more", count);
	for (status = 0; status < 4 && strcmp(fields[6], known[status]) != 0; status++)
		;
	if (status == 4)
		return lines_fail(&reader->lines, EINVAL,
			"status \"%s\" is none of allocated, assigned, available, reserved",
			lines_quoted(fields[6], text));
	reader->found[kind]++;
	if (kind == KIND_ASN)
		return 0;
	if (delegated_range(reader, kind, fields[3], fields[4], &range))
		return -1;
	/* What is delegated to nobody, or to somebody nowhere, has no location. */
	if (status >= 2 || !fields[1][0] || !strcmp(fields[1], "ZZ"))
		return 0;
	if (need_country(reader, "country", fields[1]))
		return -1;
	memcpy(fact.location, fields[1], sizeof(fact.location));
	return add(reader, &fact, &range, kind == KIND_IPV6);
}

static int read_delegated(struct reader *reader, char *line)
{
	char *fields[LINES_FIELDS_MAX];
	int count = lines_split(&reader->lines, line, '|', fields, LINES_FIELDS_MAX);

	if (count < 0)
		return -1;
	if (!reader->has_header)
		return read_delegated_version(reader, fields, count);
	if (count < 6)
		return lines_fail(&reader->lines, EINVAL, "%d fields instead of 7 or more", count);
	return !strcmp(fields[5], "summary") ? read_delegated_summary(reader, fields)
					     : read_delegated_record(reader, fields, count);
}

/* A file that was cut short is not half a truth. */
static int check_summaries(struct reader *reader)
{
	static const char *const kinds[KINDS] = {"asn", "ipv4", "ipv6"};
	int kind;

	for (kind = 0; kind < KINDS; kind++)
		if (reader->has_summary[kind] && reader->announced[kind] != reader->found[kind])
			return lines_fail(&reader->lines, EINVAL,
				"the file ends after %llu records of type %s, its summary says %llu",
				(unsigned long long)reader->found[kind], kinds[kind],
				(unsigned long long)reader->announced[kind]);
	return 0;
}

static int compare_asn(const void *left, const void *right)
{
	const struct source_fact *a = left, *b = right;

	if (a->asn != b->asn)
		return a->asn < b->asn ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

/* One fact for an AS. */
static int sort_operators(struct reader *reader)
{
	struct source *source = reader->source;
	size_t i;

	if (source->fact_count)
		qsort(source->facts, source->fact_count, sizeof(*source->facts), compare_asn);
	for (i = 1; i < source->fact_count; i++) {
		if (source->facts[i - 1].asn != source->facts[i].asn)
			continue;
		reader->lines.line = source->facts[i].line;
		return lines_fail(&reader->lines, EINVAL, "AS %u stands in line %u already", source->facts[i].asn,
			source->facts[i - 1].line);
	}
	return 0;
}

static int finish(struct reader *reader)
{
	struct source_range repeated;
	uint32_t earlier = 0;

	if (check_summaries(reader) || (reader->source->format == SOURCE_OPERATORS && sort_operators(reader)))
		return -1;
	if (reader->source->format != SOURCE_LABELS && source_builder_settle(reader->builder))
		return no_memory(reader);
	if (!source_builder_finish(reader->builder, &repeated, &earlier))
		return 0;
	if (errno != EEXIST)
		return no_memory(reader);
	reader->lines.line = repeated.line;
	return lines_fail(&reader->lines, EINVAL, "prefix stands in line %u already", earlier);
}

static int read_all(struct reader *reader)
{
	static int (*const readers[])(struct reader *, char *) = {
		[SOURCE_LABELS] = read_labels,
		[SOURCE_OPERATORS] = read_operators,
		[SOURCE_COUNTRY] = read_country,
		[SOURCE_ASN] = read_asn,
		[SOURCE_DELEGATED] = read_delegated,
	};
	char *line;
	int more;

	while ((more = lines_next(&reader->lines, &line)) > 0)
		if (readers[reader->source->format](reader, line))
			return -1;
	return more < 0 ? -1 : finish(reader);
}

int source_read(
	struct source *source, enum source_format format, const char *path, const char *pointer, struct error *error)
{
	const char *slash = strrchr(path, '/');
	struct reader reader = {.source = source};
	int result = -1;

	memset(source, 0, sizeof(*source));
	source->format = format;
	if (lines_open(&reader.lines, path, pointer, error))
		goto out;
	source->name = strdup(slash ? slash + 1 : path);
	reader.builder = source_builder_new(source);
	if (!reader.builder || !source->name) {
		(void)no_memory(&reader);
		goto out;
	}
	memcpy(source->sha256, reader.lines.sha256, sizeof(source->sha256));
	result = read_all(&reader);
out:
	source_builder_free(reader.builder);
	lines_close(&reader.lines);
	if (result)
		source_free(source);
	return result;
}
