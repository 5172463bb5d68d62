/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text for people: aligned tables, and single values. What comes from the socket may hold anything (a process may be
 * called as it likes), so control characters are shown, not sent to the terminal.
 */
#ifndef CONTROL_CLI_TABLE_H
#define CONTROL_CLI_TABLE_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Columns may be added up to the first cell. Running out of memory ends the program: nothing is in its hands. */
struct table;

struct table *table_new(void);
/* A column under a heading as it is, which has to stay until the table is freed. */
void table_column(struct table *table, const char *heading);
/* Columns under headings in the language of messages. */
void table_columns(struct table *table, const char *const *headings, size_t count);
/* Cells from left to right; the next one after the last column begins a new row. */
void table_text(struct table *table, const char *text);
__attribute__((format(printf, 2, 3))) void table_printf(struct table *table, const char *format, ...);
/* null and absent (NULL): "-". Columns whose cells are all numbers or "-" are aligned to the right. */
void table_value(struct table *table, const json_t *value);
/* Milliseconds, as "5.2s", "3m20s", "4h05m", "12d03h". */
void table_duration(struct table *table, const json_t *milliseconds);
/* What the last cell says is wrong. */
void table_alarm(struct table *table);
size_t table_rows(const struct table *table);
/* Two blanks between columns, each line behind the indent. */
void table_print(const struct table *table, FILE *out, int indent);
void table_free(struct table *table);

/* One line for any value: "-" for null, yes/no, lists with commas, objects as name=value. The caller frees. */
char *text_of(const json_t *value);
/* Places that a text takes on a terminal. */
size_t text_width(const char *text);
/* Prints a label in the language of messages, and blanks up to the width, one at least. */
void text_label(FILE *out, const char *label, int width);
/* The text without control characters: they stand as \xNN. The caller frees. */
char *text_safe(const char *text);

#endif
