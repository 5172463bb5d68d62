/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/events.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/audit.h"
#include "control/model/revisions.h"

const struct events_kind events_kinds[] = {
#define PONT_EVENT(name, audited, description) {name, audited, description},
#include "control/events.def"
#undef PONT_EVENT
	{0},
};

struct kept {
	const struct events_kind *kind;
	char *text;
	size_t length;
	char tenant[PONT_NAME_SIZE]; /* "": it is about none */
	char peer[PONT_NAME_SIZE];
};

struct events {
	struct audit *audit;
	void (*news)(void *context);
	void *context;
	char epoch[EVENTS_EPOCH_SIZE];
	uint64_t first, next; /* numbers in the ring: first <= number < next */
	size_t bytes;
	struct kept ring[EVENTS_KEPT]; /* by number modulo its size */
};

struct events *events_new(struct audit *audit, struct error *error)
{
	struct events *events = calloc(1, sizeof(*events));
	uint8_t epoch[EVENTS_EPOCH_SIZE / 2];

	if (events == NULL) {
		(void)error_set(error, ENOMEM, NULL, "no memory for the journal of events");
		return NULL;
	}
	events->audit = audit;
	events->first = events->next = 1;
	randombytes_buf(epoch, sizeof(epoch));
	(void)sodium_bin2hex(events->epoch, sizeof(events->epoch), epoch, sizeof(epoch));
	return events;
}

static struct kept *slot(struct events *events, uint64_t number)
{
	return &events->ring[number % EVENTS_KEPT];
}

static void forget_oldest(struct events *events)
{
	struct kept *kept = slot(events, events->first++);

	events->bytes -= kept->length;
	free(kept->text);
	kept->text = NULL;
}

void events_free(struct events *events)
{
	if (events == NULL)
		return;
	while (events->first < events->next)
		forget_oldest(events);
	free(events);
}

static const struct events_kind *find_kind(const char *name)
{
	const struct events_kind *kind = events_kinds;

	while (kind->name != NULL && strcmp(kind->name, name) != 0)
		kind++;
	return kind->name != NULL ? kind : NULL;
}

static void keep(struct events *events, const struct events_kind *kind, const json_t *record)
{
	const char *tenant = json_string_value(json_object_get(record, "tenant"));
	const char *peer = json_string_value(json_object_get(record, "peer"));
	char *text = json_dumps(record, JSON_COMPACT);
	struct kept *kept;

	/* Without memory for its text, its number stands for an event that nobody can read. */
	if (events->next - events->first == EVENTS_KEPT)
		forget_oldest(events);
	kept = slot(events, events->next++);
	*kept = (struct kept){.kind = kind, .text = text, .length = text != NULL ? strlen(text) : 0};
	(void)snprintf(kept->tenant, sizeof(kept->tenant), "%s", tenant != NULL ? tenant : "");
	(void)snprintf(kept->peer, sizeof(kept->peer), "%s", peer != NULL ? peer : "");
	events->bytes += kept->length;
	while (events->bytes > EVENTS_KEPT_BYTES && events->first + 1 < events->next)
		forget_oldest(events);
}

void events_publish(struct events *events, const char *name, json_t *members)
{
	const struct events_kind *kind = find_kind(name);
	char time[REVISIONS_TIME_SIZE];
	json_t *record;

	revisions_time(time);
	record = json_pack("{s:I, s:s, s:s}", "sequence", (json_int_t)events->next, "time", time, "event", name);
	if (kind == NULL || record == NULL) {
		audit_log("event %s: %s", name, kind == NULL ? "there is no such kind" : "out of memory");
	} else {
		if (members != NULL)
			(void)json_object_update_missing(record, members);
		keep(events, kind, record);
		if (kind->audited && events->audit != NULL)
			audit_append(events->audit, record);
		if (events->news != NULL)
			events->news(events->context);
	}
	json_decref(record);
	json_decref(members);
}

void events_watch(struct events *events, void (*news)(void *context), void *context)
{
	events->news = news;
	events->context = context;
}

const char *events_epoch(const struct events *events)
{
	return events->epoch;
}

uint64_t events_first(const struct events *events)
{
	return events->first;
}

uint64_t events_last(const struct events *events)
{
	return events->next - 1;
}

/* "sa" is the family of "sa.offered", and "sa.offered" is itself. */
static bool is_of(const char *kind, const char *name)
{
	size_t length = strlen(name);

	return strncmp(kind, name, length) == 0 && (kind[length] == '\0' || kind[length] == '.');
}

bool events_name_known(const char *name)
{
	for (const struct events_kind *kind = events_kinds; kind->name != NULL; kind++) {
		if (is_of(kind->name, name))
			return true;
	}
	return false;
}

static bool lets_through(const struct events_filter *filter, const struct kept *kept)
{
	bool named = filter->name_count == 0;

	for (size_t i = 0; i < filter->name_count && !named; i++)
		named = is_of(kept->kind->name, filter->names[i]);
	return named && (filter->tenant[0] == '\0' || strcmp(filter->tenant, kept->tenant) == 0) &&
	       (filter->peer[0] == '\0' || strcmp(filter->peer, kept->peer) == 0);
}

const char *events_read(const struct events *events, const struct events_filter *filter, uint64_t *next, size_t *length)
{
	while (*next < events->next) {
		const struct kept *kept = &events->ring[(*next)++ % EVENTS_KEPT];

		if (kept->text == NULL || !lets_through(filter, kept))
			continue;
		*length = kept->length;
		return kept->text;
	}
	return NULL;
}
