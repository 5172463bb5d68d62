/* SPDX-License-Identifier: BSD-3-Clause */
/* events.*: the stream of events, followed by a client at its own pace. */
#include "control/events.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "control/methods/methods.h"
#include "control/rpc/server.h"

struct subscription {
	const struct events *events;
	struct events_filter filter;
	uint64_t next;    /* number of the event to look at next */
	bool caught_up;   /* what was there at the beginning is told */
	uint64_t current; /* the last event that was there then */
	char *line;       /* the notification given last */
};

/* The client was too slow, or asks for what is long gone. */
static int tell_gap(struct subscription *subscription)
{
	uint64_t first = subscription->next, last = events_first(subscription->events) - 1;

	subscription->next = last + 1;
	return asprintf(&subscription->line,
		"{\"jsonrpc\":\"2.0\",\"method\":\"events.gap\",\"params\":{\"first\":%" PRIu64 ",\"last\":%" PRIu64
		"}}",
		first, last);
}

static int tell_caught_up(struct subscription *subscription)
{
	subscription->caught_up = true;
	return asprintf(&subscription->line,
		"{\"jsonrpc\":\"2.0\",\"method\":\"events.caught_up\",\"params\":{\"sequence\":%" PRIu64 "}}",
		subscription->current);
}

static const char *next(void *state, size_t *length)
{
	struct subscription *subscription = state;
	const char *text;
	size_t size = 0;
	int printed = -1;

	free(subscription->line);
	subscription->line = NULL;
	if (subscription->next < events_first(subscription->events)) {
		printed = tell_gap(subscription);
	} else if (!subscription->caught_up && subscription->next > subscription->current) {
		printed = tell_caught_up(subscription);
	} else {
		text = events_read(subscription->events, &subscription->filter, &subscription->next, &size);
		if (text != NULL)
			printed = asprintf(
				&subscription->line, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":%s}", text);
		else if (!subscription->caught_up)
			printed = tell_caught_up(subscription);
	}
	if (printed < 0) {
		subscription->line = NULL;
		return NULL;
	}
	*length = (size_t)printed;
	return subscription->line;
}

static void end(void *state)
{
	struct subscription *subscription = state;

	free(subscription->line);
	free(subscription);
}

static bool copy_name(char *out, size_t size, const json_t *value)
{
	const char *name = json_string_value(value);

	return name == NULL || (name[0] != '\0' && (size_t)snprintf(out, size, "%s", name) < size);
}

static int read_filter(const json_t *params, struct events_filter *filter, struct rpc_failure *failure)
{
	const json_t *names = json_object_get(params, "events"), *name;
	size_t i;

	failure->code = RPC_INVALID_PARAMS;
	json_array_foreach (names, i, name) {
		char place[32];

		(void)snprintf(place, sizeof(place), "/events/%zu", i);
		if (!copy_name(filter->names[i], sizeof(filter->names[i]), name) ||
			!events_name_known(filter->names[i]))
			return error_set(&failure->error, ENOENT, place,
				"\"%.64s\" is neither an event nor a family of events", json_string_value(name));
		filter->name_count = i + 1;
	}
	if (names != NULL && filter->name_count == 0)
		return error_set(&failure->error, EINVAL, "/events", "an empty list lets no event through");
	if (!copy_name(filter->tenant, sizeof(filter->tenant), json_object_get(params, "tenant")))
		return error_set(&failure->error, EINVAL, "/tenant", "no name of a tenant");
	if (!copy_name(filter->peer, sizeof(filter->peer), json_object_get(params, "peer")))
		return error_set(&failure->error, EINVAL, "/peer", "no name of a peer");
	return 0;
}

/* Where to begin. Numbers of another epoch say nothing here: whoever has them has missed all of this one. */
static int read_start(const struct events *events, const json_t *params, struct subscription *subscription,
	bool *restarted, struct rpc_failure *failure)
{
	const char *epoch = json_string_value(json_object_get(params, "epoch"));
	const json_t *from = json_object_get(params, "from");

	failure->code = RPC_INVALID_PARAMS;
	*restarted = epoch != NULL && strcmp(epoch, events_epoch(events)) != 0;
	subscription->current = events_last(events);
	subscription->next = subscription->current + 1;
	if (*restarted)
		subscription->next = 1;
	else if (from != NULL)
		subscription->next =
			json_integer_value(from) != 0 ? (uint64_t)json_integer_value(from) : events_first(events);
	if (epoch != NULL && from == NULL)
		return error_set(&failure->error, EINVAL, "/epoch", "\"epoch\" goes with \"from\"");
	if (subscription->next > subscription->current + 1)
		return error_set(
			&failure->error, ERANGE, "/from", "the newest event is number %" PRIu64, subscription->current);
	return 0;
}

static json_t *subscribe(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	struct subscription *subscription = calloc(1, sizeof(*subscription));
	const struct rpc_source source = {.next = next, .end = end, .state = subscription};
	bool restarted = false;

	if (subscription == NULL)
		return rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	subscription->events = control->events;
	if (read_filter(params, &subscription->filter, failure) != 0 ||
		read_start(control->events, params, subscription, &restarted, failure) != 0) {
		free(subscription);
		return NULL;
	}
	if (rpc_subscribe(who->client, &source) != 0) {
		free(subscription);
		return rpc_fail(failure, RPC_SYSTEM, EALREADY, NULL,
			"this connection is subscribed already: events.unsubscribe, or another connection");
	}
	return json_pack("{s:s, s:I, s:I, s:I, s:b}", "epoch", events_epoch(control->events), "first",
		(json_int_t)events_first(control->events), "last", (json_int_t)subscription->current, "next",
		(json_int_t)subscription->next, "restarted", restarted);
}

static json_t *unsubscribe(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)context;
	(void)params;
	(void)failure;
	return json_pack("{s:b}", "was_subscribed", rpc_unsubscribe(who->client));
}

static json_t *kinds(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	json_t *list = json_array();

	(void)context;
	(void)who;
	(void)params;
	(void)failure;
	for (const struct events_kind *kind = events_kinds; kind->name != NULL; kind++)
		(void)json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "event", kind->name, "audited",
							  kind->audited, "description", kind->description));
	return json_pack("{s:o}", "kinds", list);
}

static const struct rpc_param subscribe_params[] = {
	{"events", RPC_STRINGS, false, 0, EVENTS_NAMES_MAX, "Only these events, or families of events"},
	{"tenant", RPC_STRING, false, 0, 0, "Only events about this tenant"},
	{"peer", RPC_STRING, false, 0, 0, "Only events about this peer"},
	{"from", RPC_INTEGER, false, 0, INT64_MAX,
		"Number of the first event wanted, 0: the oldest there is; new ones only by default"},
	{"epoch", RPC_STRING, false, 0, 0,
		"The epoch of that number; if it is over, everything of the present one is told"},
	{0},
};

const struct rpc_method methods_events[] = {
	{"events.subscribe", RPC_ROLE_READ, "Sends events as notifications from now on, or from a given one",
		subscribe_params, subscribe},
	{"events.unsubscribe", RPC_ROLE_READ, "Sends no more events", NULL, unsubscribe},
	{"events.kinds", RPC_ROLE_READ, "Lists the kinds of events", NULL, kinds},
	{0},
};
