/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Committed configurations on disk: STATE/history/NNNNNNNN.json, one file per revision, the highest number is the
 * current one. A file is complete or absent, also after a crash: written beside, fsync, rename, fsync of the directory.
 *
 *	{"revision": 3, "time": "...", "who": {...}, "peer_numbers": {"par2": 1}, "config": {...}}
 */
#ifndef CONTROL_MODEL_REVISIONS_H
#define CONTROL_MODEL_REVISIONS_H

#include <jansson.h>
#include <stdint.h>

#include "control/error.h"

enum { REVISIONS_KEPT = 20 };

struct revisions;

/*
 * Opens (makes) the directory `state` and locks it against a second process. Left-overs of a crash are removed. A file
 * of the current revision that cannot be read is an error: what was committed must not be passed over in silence.
 */
struct revisions *revisions_open(const char *state, struct error *error);
void revisions_close(struct revisions *revisions);

/* Number of the current revision, 0 before the first. */
uint64_t revisions_current(const struct revisions *revisions);

/* Record of a revision (a new reference), NULL with ENOENT if it is not (no longer) kept. */
json_t *revisions_read(const struct revisions *revisions, uint64_t revision, struct error *error);

/* Numbers kept, ascending: fills in at most `size`, returns how many. */
size_t revisions_list(const struct revisions *revisions, uint64_t *numbers, size_t size);

/*
 * A commit in two steps. prepare() writes the next revision's record to disk (fsynced) under a name that counts for
 * nothing; publish() makes it the current one and returns once that is durable; abandon() removes it. A publish() that
 * fails has abandoned. `record` is completed with "revision" and "time".
 */
int revisions_prepare(struct revisions *revisions, json_t *record, struct error *error);
int revisions_publish(struct revisions *revisions, struct error *error);
void revisions_abandon(struct revisions *revisions);

/* A number for a new fence policy: grows by one per call and is never given twice, also after a restart. 0 on error. */
uint64_t revisions_next_policy(struct revisions *revisions, struct error *error);

/* RFC 3339 in UTC with milliseconds: "2025-01-31T10:00:00.000Z". */
enum { REVISIONS_TIME_SIZE = 32 };
void revisions_time(char text[REVISIONS_TIME_SIZE]);

#endif
