/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Committed configurations on disk: STATE/history/NNNNNNNN.json, one file per revision, the highest number that is good
 * is the current one. A file is complete or absent, also after a crash: written beside, fsync, rename, fsync of the
 * directory. docs/controller.md describes the files.
 */
#ifndef CONTROL_MODEL_REVISIONS_H
#define CONTROL_MODEL_REVISIONS_H

#include <jansson.h>
#include <stdint.h>

#include "control/error.h"

enum {
	REVISIONS_KEPT = 20,
	REVISIONS_FORMAT = 1, /* of the records this program writes; earlier ones are migrated when they are read */
};

struct revisions;

/*
 * Opens (makes) the directory `state` and locks it against a second process. Left-overs of a crash are removed. Records
 * that are damaged are passed over, newest first, and remembered (revisions_damage()); their numbers are not given
 * again. A disk that can be read only is taken as it is: what needs writing fails later.
 */
struct revisions *revisions_open(const char *state, struct error *error);
void revisions_close(struct revisions *revisions);

/* Number of the current revision, 0 before the first. */
uint64_t revisions_current(const struct revisions *revisions);

/*
 * What was found damaged at the start: array of {"file", "text"}, borrowed. Empty: nothing.
 */
const json_t *revisions_damage(const struct revisions *revisions);
/* Why the last attempt to write failed; code 0: it did not. */
const struct error *revisions_problem(const struct revisions *revisions);

/*
 * Record of a revision in the present format (a new reference). NULL with ENOENT if it is not (no longer) kept, EBADMSG
 * if it is damaged.
 */
json_t *revisions_read(const struct revisions *revisions, uint64_t revision, struct error *error);

/* Numbers on disk, ascending: fills in at most `size` of the highest, returns how many. */
size_t revisions_list(const struct revisions *revisions, uint64_t *numbers, size_t size);

/*
 * A commit in two steps. prepare() writes the next revision's record to disk (fsynced) under a name that counts for
 * nothing; publish() makes it the current one and returns once that is durable; abandon() removes it. A publish() that
 * fails has abandoned. `record` is completed with "format", "revision", "time" and "checksum". If it has a "confirm",
 * the revision that is gone back to is kept as long as this one is the current one.
 */
int revisions_prepare(struct revisions *revisions, json_t *record, struct error *error);
int revisions_publish(struct revisions *revisions, struct error *error);
void revisions_abandon(struct revisions *revisions);

/* Replaces the current revision's record by one with another "confirm" (NULL: none), atomically and durably. */
int revisions_set_confirm(struct revisions *revisions, json_t *confirm, struct error *error);

/* A number for a new fence policy: grows by one per call and is never given twice, also after a restart. 0 on error. */
uint64_t revisions_next_policy(struct revisions *revisions, struct error *error);
/*
 * The same when the disk does not take it; in_force: the highest number that anything still enforces, which alone the
 * new one must be different from then.
 */
uint64_t revisions_next_policy_unwritten(struct revisions *revisions, uint64_t in_force);

/* RFC 3339 in UTC with milliseconds: "2025-01-31T10:00:00.000Z". */
enum { REVISIONS_TIME_SIZE = 32 };
void revisions_time(char text[REVISIONS_TIME_SIZE]);

#endif
