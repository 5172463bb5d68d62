/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each command prints for people. A result is described in docs/controller.md; a member that is missing is
 * shown as "-", one that is not known here is left out (--json shows everything).
 */
#ifndef CONTROL_CLI_REPORT_H
#define CONTROL_CLI_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Any result: members line by line, lists of objects as tables. */
void report_value(FILE *out, const json_t *result);

void report_status(FILE *out, const json_t *result);
void report_peers(FILE *out, const json_t *result);
void report_tenants(FILE *out, const json_t *result);
void report_sas(FILE *out, const json_t *result);
void report_fdb(FILE *out, const json_t *result);
void report_stats(FILE *out, const json_t *result);
/* The document to out, its revision to standard error. */
void report_config(FILE *out, const json_t *result);
void report_commit(FILE *out, const json_t *result);
void report_diff(FILE *out, const json_t *result);
void report_history(FILE *out, const json_t *result);
void report_fence(FILE *out, const json_t *result);
void report_explanation(FILE *out, const json_t *result);
void report_shadow(FILE *out, const json_t *result);
void report_matrix(FILE *out, const json_t *result);
/* RFC 4180, with a header; one line for each peer and each other entity. */
void report_matrix_csv(FILE *out, const json_t *result);
void report_difference(FILE *out, const json_t *result);
void report_audit(FILE *out, const json_t *result);
/* One notification of events.subscribe on a line: an event, or that some are gone. */
void report_notice(FILE *out, const json_t *notification, bool as_json);
void report_methods(FILE *out, const json_t *result);

/* "pontlevis: TEXT" on standard error: what went wrong. */
__attribute__((format(printf, 1, 2))) void report_failure(const char *format, ...);
/* The same, of what is not wrong (any more). */
__attribute__((format(printf, 1, 2))) void report_remark(const char *format, ...);
/* An error object of JSON-RPC: what was refused, why, and the place in the document. */
void report_refusal(FILE *out, const char *method, const json_t *error);

/* "at POINTER" on a line; nothing if there is none. */
void report_place(FILE *out, const char *pointer);

/* Member of a member, "next_hop.state"; NULL if there is none. For the reports themselves. */
const json_t *report_member(const json_t *object, const char *path);

#endif
