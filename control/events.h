/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens, as one stream. Every event gets the next number, counting from 1 in each life of the process (an
 * epoch), and goes to the journal, a bounded memory of the last ones from which subscribers read at their own pace;
 * those of an audited kind also go to the audit log. The journal is the only queue: who is too slow finds that the
 * oldest numbers are gone, and costs nobody anything.
 *
 * An event is one JSON object: "sequence", "time" (RFC 3339, UTC, milliseconds), "event" (its kind), and what belongs
 * to the kind. Names of a tenant and a peer are always its members "tenant" and "peer".
 */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/limits.h"

enum {
	EVENTS_KEPT = 16384,          /* events in the journal, and */
	EVENTS_KEPT_BYTES = 16 << 20, /* bytes of their text, at most */
	EVENTS_EPOCH_SIZE = 17,       /* 16 hex digits and NUL */
	EVENTS_NAMES_MAX = 32,        /* in a filter */
};

struct audit;
struct events;

struct events_kind {
	const char *name; /* "family.kind" */
	bool audited;
	const char *description;
};
/* Every kind there is, ended by a record without name (events.def). */
extern const struct events_kind events_kinds[];

/* The audit log stays the caller's and must outlive the events; NULL: none. */
struct events *events_new(struct audit *audit, struct error *error);
void events_free(struct events *events);

/*
 * Publishes an event. name: of a kind in events.def. members: an object with its details (the reference is taken over,
 * NULL: none); "sequence", "time" and "event" are not its to set.
 */
void events_publish(struct events *events, const char *name, json_t *members);

/* Called after each event; the callback must not publish. */
void events_watch(struct events *events, void (*news)(void *context), void *context);

/* A random name of this life of the process: numbers of different epochs have nothing to do with each other. */
const char *events_epoch(const struct events *events);
/* Numbers of the oldest and the newest event in the journal: first = last + 1 if it is empty. */
uint64_t events_first(const struct events *events);
uint64_t events_last(const struct events *events);

/* What a subscriber wants to hear of. */
struct events_filter {
	char names[EVENTS_NAMES_MAX][32]; /* kinds or families; any of them */
	size_t name_count;                /* 0: all */
	char tenant[PONT_NAME_SIZE];      /* "": any; else only events about this tenant */
	char peer[PONT_NAME_SIZE];
};

/* Whether the name of a filter is a kind or a family that there is. */
bool events_name_known(const char *name);

/*
 * Text of the next event from number *next on that the filter lets through, as compact JSON, and its length; *next is
 * then the number behind it. NULL if there is none yet: *next is then events_last() + 1. *next must not be smaller than
 * events_first(). The text is valid until the next event is published.
 */
const char *events_read(
	const struct events *events, const struct events_filter *filter, uint64_t *next, size_t *length);

#endif
