/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/messages.h"
#include "control/cli/paint.h"

enum { GAP = 2 };

struct column {
	const char *heading;
	size_t width; /* on the terminal, heading included */
	bool has_number;
	bool has_text;
};

struct cell {
	char *text;
	enum paint paint;
};

struct table {
	struct column *columns;
	size_t column_count;
	struct cell *cells; /* row by row */
	size_t cell_count;
	size_t cell_capacity;
};

static void *enough(void *memory)
{
	if (!memory) {
		(void)fprintf(stderr, "pontlevis: %s\n", _("out of memory"));
		exit(EXIT_FAILURE);
	}
	return memory;
}

/* Characters, not bytes. (Those of double width do not occur in names.) */
size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			width++;
	return width;
}

void text_label(FILE *out, const char *label, int width)
{
	int gap = width - (int)text_width(_(label));

	(void)fprintf(out, "%s%*s", _(label), gap > 0 ? gap : 1, "");
}

/* Whether the byte at text begins a control character: C0, DEL, or C1 (two bytes in UTF-8). *length: its bytes. */
static bool is_control(const char *text, size_t *length)
{
	unsigned char first = (unsigned char)text[0], second = (unsigned char)text[1];

	*length = 1;
	if (first < 0x20 || first == 0x7f)
		return true;
	*length = 2;
	return first == 0xc2 && second >= 0x80 && second < 0xa0;
}

char *text_safe(const char *text)
{
	/* A control character of one byte becomes four. */
	char *out = enough(malloc(4 * strlen(text) + 1)), *end = out;

	while (*text) {
		size_t length;

		if (is_control(text, &length)) {
			/* A control character of two bytes is U+0080 to U+009F: its second byte is its number. */
			end += sprintf(end, "\\x%02x", (unsigned char)text[length - 1]);
			text += length;
		} else {
			*end++ = *text++;
		}
	}
	*end = '\0';
	return out;
}

static void write_value(FILE *out, const json_t *value, int depth);

static void write_array(FILE *out, const json_t *array, int depth)
{
	const json_t *item;
	size_t i;

	if (json_array_size(array) == 0)
		(void)fputc('-', out);
	json_array_foreach (array, i, item) {
		if (i)
			(void)fputs(", ", out);
		write_value(out, item, depth + 1);
	}
}

static void write_object(FILE *out, const json_t *object, int depth)
{
	bool first = true;

	if (depth)
		(void)fputc('{', out);
	/* The iterator takes a pointer to non-const, but does not change the object. */
	for (void *i = json_object_iter((json_t *)(uintptr_t)object); i;
		i = json_object_iter_next((json_t *)(uintptr_t)object, i)) {
		char *name = text_safe(json_object_iter_key(i));

		(void)fprintf(out, "%s%s=", first ? "" : " ", name);
		free(name);
		write_value(out, json_object_iter_value(i), depth + 1);
		first = false;
	}
	if (depth)
		(void)fputc('}', out);
}

static void write_value(FILE *out, const json_t *value, int depth)
{
	char *text;

	if (!value || json_is_null(value)) {
		(void)fputc('-', out);
		return;
	}
	switch (json_typeof(value)) {
	case JSON_STRING:
		text = text_safe(json_string_value(value));
		(void)fputs(text[0] ? text : "-", out);
		free(text);
		break;
	case JSON_INTEGER:
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		(void)fprintf(out, "%g", json_real_value(value));
		break;
	case JSON_ARRAY:
		write_array(out, value, depth);
		break;
	case JSON_OBJECT:
		write_object(out, value, depth);
		break;
	default:
		(void)fputs(json_is_true(value) ? _("yes") : _("no"), out);
		break;
	}
}

char *text_of(const json_t *value)
{
	char *text = NULL;
	size_t size;
	FILE *out = enough(open_memstream(&text, &size));

	write_value(out, value, 0);
	(void)fclose(out);
	return enough(text);
}

struct table *table_new(void)
{
	return enough(calloc(1, sizeof(struct table)));
}

void table_column(struct table *table, const char *heading)
{
	table->columns = enough(reallocarray(table->columns, table->column_count + 1, sizeof(*table->columns)));
	table->columns[table->column_count++] = (struct column){.heading = heading, .width = text_width(heading)};
}

void table_columns(struct table *table, const char *const *headings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		table_column(table, headings[i][0] ? _(headings[i]) : "");
}

enum kind { NOTHING, NUMBER, TEXT };

/* Takes the text over. */
static void add_cell(struct table *table, char *text, enum kind kind)
{
	struct column *column = &table->columns[table->cell_count % table->column_count];
	size_t width = text_width(text);

	if (table->cell_count == table->cell_capacity) {
		table->cell_capacity = table->cell_capacity ? 2 * table->cell_capacity : 64;
		table->cells = enough(reallocarray(table->cells, table->cell_capacity, sizeof(*table->cells)));
	}
	table->cells[table->cell_count++] = (struct cell){.text = text};
	if (width > column->width)
		column->width = width;
	column->has_number |= kind == NUMBER;
	column->has_text |= kind == TEXT;
}

void table_text(struct table *table, const char *text)
{
	add_cell(table, text_safe(text), TEXT);
}

void table_printf(struct table *table, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	table_text(table, enough(text));
	free(text);
}

void table_value(struct table *table, const json_t *value)
{
	bool nothing = !value || json_is_null(value);

	add_cell(table, text_of(value), nothing ? NOTHING : json_is_number(value) ? NUMBER : TEXT);
}

void table_duration(struct table *table, const json_t *milliseconds)
{
	int64_t s = json_integer_value(milliseconds) / 1000;
	char *text = NULL;
	int length;

	if (!json_is_integer(milliseconds)) {
		table_value(table, NULL);
		return;
	}
	if (s < 60)
		length = asprintf(&text, "%" PRId64 ".%ds", s, (int)(json_integer_value(milliseconds) % 1000 / 100));
	else if (s < 3600)
		length = asprintf(&text, "%" PRId64 "m%02ds", s / 60, (int)(s % 60));
	else if (s < 86400)
		length = asprintf(&text, "%" PRId64 "h%02dm", s / 3600, (int)(s / 60 % 60));
	else
		length = asprintf(&text, "%" PRId64 "d%02dh", s / 86400, (int)(s / 3600 % 24));
	add_cell(table, enough(length < 0 ? NULL : text), NUMBER);
}

void table_alarm(struct table *table)
{
	table->cells[table->cell_count - 1].paint = PAINT_ALARM;
}

size_t table_rows(const struct table *table)
{
	return table->column_count ? table->cell_count / table->column_count : 0;
}

static bool is_right_aligned(const struct table *table, size_t column)
{
	return table->columns[column].has_number && !table->columns[column].has_text;
}

static void print_row(const struct table *table, FILE *out, int indent, const struct cell *cells)
{
	(void)fprintf(out, "%*s", indent, "");
	for (size_t i = 0; i < table->column_count; i++) {
		const struct cell *cell = &cells[i];
		int pad = (int)(table->columns[i].width - text_width(cell->text));
		const char *begin = cell->paint ? paint(out, cell->paint) : "";
		const char *end = cell->paint ? paint(out, PAINT_PLAIN) : "";
		bool last = i + 1 == table->column_count;

		if (is_right_aligned(table, i))
			(void)fprintf(out, "%*s%s%s%s%*s", pad, "", begin, cell->text, end, last ? 0 : GAP, "");
		else
			(void)fprintf(out, "%s%s%s%*s", begin, cell->text, end, last ? 0 : pad + GAP, "");
	}
	(void)fputc('\n', out);
}

void table_print(const struct table *table, FILE *out, int indent)
{
	struct cell *headings = enough(calloc(table->column_count + 1, sizeof(*headings)));

	for (size_t i = 0; i < table->column_count; i++)
		headings[i].text = (char *)(uintptr_t)table->columns[i].heading; /* only to be printed */
	print_row(table, out, indent, headings);
	free(headings);
	for (size_t row = 0; row < table_rows(table); row++)
		print_row(table, out, indent, &table->cells[row * table->column_count]);
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table->columns);
	free(table);
}
