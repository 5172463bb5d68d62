/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The audit log: JSON Lines, appended, one write per event, so that a line is whole or absent; rotated to PATH.1 at a
 * size limit. It is fed by control/events.h, and nothing else writes to it. The last events are kept in memory too, and
 * each one is told in short on stderr. An event that cannot be written to the file is said on stderr: the log never
 * stops the process.
 */
#ifndef CONTROL_AUDIT_H
#define CONTROL_AUDIT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"

enum { AUDIT_KEPT = 256 };
#define AUDIT_FILE_MAX (16u << 20) /* bytes: two files of this size at most */

struct audit;

/* Opens the file for appending (mode 0640 if it is new). size_limit in bytes, normally AUDIT_FILE_MAX. */
struct audit *audit_open(const char *path, size_t size_limit, struct error *error);
void audit_close(struct audit *audit);

/* Writes an event as events.h describes it: "sequence", "time", "event", and its details. */
void audit_append(struct audit *audit, json_t *event);

/* The last `count` events (at most AUDIT_KEPT) oldest first, only those called `event` unless it is NULL. */
json_t *audit_tail(const struct audit *audit, size_t count, const char *event);

/* A JSON string from text of unknown origin: bytes that are not UTF-8 become '?'. NULL if out of memory. */
json_t *audit_text(const char *text);

/* One line on stderr, for what is no event. */
__attribute__((format(printf, 1, 2))) void audit_log(const char *format, ...);

#endif
