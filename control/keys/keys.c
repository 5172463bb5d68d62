/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/keys.h"

#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/secret.h"
#include "control/keys/state.h"

enum {
	/* Deletes in one transaction, to leave room for other messages of the link. */
	DELETE_BATCH = 500,
};

static const struct keys_times usual_times = {
	.handshake_ms = 5000,
	.keepalive_ms = 5000,
	.dead_ms = 15000,
	.backoff_ms = 250,
	.backoff_limit_ms = 5000,
	.settled_ms = 10000,
	.drain_ms = PONT_SA_DRAIN_S * 1000,
	.drain_min_ms = PONT_SA_DRAIN_MIN_S * 1000,
	.retry_ms = 5000,
};

/* --- Small services to the other files --- */

/* Strangers can make as much noise as they like; the audit log can't. */
static bool audit_allowed(struct keys *keys, const char *event)
{
	uint64_t now = keys_now_ms();
	uint64_t seconds = (now - keys->audit_refilled_ms) / 1000;

	if (strcmp(event, "handshake_failed") != 0 && strcmp(event, "peer_unknown") != 0)
		return true;
	if (seconds > 0) {
		keys->audit_refilled_ms += seconds * 1000;
		keys->audit_tokens = seconds >= KEYS_AUDIT_BURST - keys->audit_tokens
					     ? KEYS_AUDIT_BURST
					     : keys->audit_tokens + (unsigned int)seconds;
	}
	if (keys->audit_tokens > 0) {
		keys->audit_tokens--;
		return true;
	}
	keys->audit_unsaid++;
	return false;
}

void keys_audit(struct keys *keys, const char *event, const struct peer *peer, const char *format, ...)
{
	char text[512];
	va_list arguments;
	size_t length;

	if (!keys->callbacks.audit || !audit_allowed(keys, event))
		return;
	va_start(arguments, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the analyser loses va_start() from sight. */
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	length = strlen(text);
	if (keys->audit_unsaid > 0)
		(void)snprintf(text + length, sizeof(text) - length, " (%llu failures before it were not reported)",
			(unsigned long long)keys->audit_unsaid);
	keys->audit_unsaid = 0;
	keys->callbacks.audit(keys->callbacks.context, event, peer ? peer->name : NULL, text);
}

void keys_tell_session(
	struct keys *keys, enum keys_step step, enum keys_reason reason, const struct peer *peer, const char *text)
{
	const struct keys_event event = {.step = step, .reason = reason, .peer = peer->name, .text = text};

	if (keys->callbacks.event)
		keys->callbacks.event(keys->callbacks.context, &event);
}

void keys_tell_sa(struct keys *keys, enum keys_step step, enum keys_reason reason, const struct book_sa *sa)
{
	const struct peer *peer = keys_peer(keys, sa->peer);
	const struct keys_event event = {.step = step,
		.reason = reason,
		.peer = peer ? peer->name : "",
		.direction = sa->direction,
		.worker = sa->worker,
		.vni = sa->vni,
		.spi = sa->spi};

	if (keys->callbacks.event)
		keys->callbacks.event(keys->callbacks.context, &event);
}

void keys_work_soon(struct keys *keys, unsigned int delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = (suseconds_t)(delay_ms % 1000) * 1000};
	uint64_t due = keys_now_ms() + delay_ms;

	/* An earlier appointment stands; whoever is early finds that out and makes another. */
	if (evtimer_pending(keys->work, NULL) && keys->work_due_ms <= due)
		return;
	keys->work_due_ms = due;
	(void)event_add(keys->work, &delay);
}

bool keys_running(const struct keys *keys)
{
	return keys->dataplane && keys->configured;
}

struct peer *keys_peer(const struct keys *keys, uint16_t number)
{
	for (size_t i = 0; i < keys->peer_count; i++)
		if (keys->peers[i]->number == number)
			return keys->peers[i];
	return NULL;
}

const struct tenant *keys_tenant(const struct keys *keys, uint32_t vni)
{
	size_t low = 0, high = keys->tenants.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct tenant *tenant = &keys->tenants.list[middle];

		if (tenant->vni == vni)
			return tenant;
		if (tenant->vni < vni)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int keys_install(struct keys *keys, const struct keys_sa_changes *changes, struct error *error)
{
	int result;

	if (!keys->dataplane)
		return error_set(error, ENOTCONN, NULL, "the dataplane is not there");
	memset(error, 0, sizeof(*error));
	keys->asking++;
	result = keys->callbacks.install(keys->callbacks.context, changes, error);
	keys->asking--;
	return result;
}

void keys_source_ports(struct keys *keys, uint16_t peer, uint16_t *ports)
{
	memset(ports, 0, PONT_WORKERS_MAX * sizeof(*ports));
	if (!keys->callbacks.source_ports)
		return;
	keys->asking++;
	keys->callbacks.source_ports(keys->callbacks.context, peer, ports);
	keys->asking--;
}

/* --- Deletes --- */

/* One transaction of deletes that are due; false if there were none, or the dataplane does not take them. */
static bool delete_batch(struct keys *keys)
{
	struct book_sa *due[DELETE_BATCH];
	struct pont_link_sa_in_del in[DELETE_BATCH];
	struct pont_link_sa_out_del out[DELETE_BATCH];
	struct keys_sa_changes changes = {.in_del = in, .out_del = out};
	uint64_t now = keys_now_ms();
	struct book_sa *sa = NULL;
	struct error error;
	size_t count = 0;

	while (count < DELETE_BATCH && (sa = book_next_due(&keys->book, sa, now))) {
		due[count++] = sa;
		if (sa->direction == PONT_SA_IN)
			in[changes.in_del_count++] = (struct pont_link_sa_in_del){.spi = sa->spi};
		else
			out[changes.out_del_count++] = (struct pont_link_sa_out_del){
				.vni = sa->vni, .peer = sa->peer, .worker = sa->worker, .spi = sa->spi};
	}
	if (count == 0)
		return false;
	if (keys_install(keys, &changes, &error) < 0) {
		if (keys->dataplane)
			keys_audit(keys, "sas_delete_failed", NULL, "%zu SAs: %s", count, error.text);
		keys_work_soon(keys, keys->times.retry_ms);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!due[i]->told)
			keys_tell_sa(keys, KEYS_SA_DRAINED, due[i]->reason, due[i]);
		book_drop(&keys->book, due[i]);
	}
	return true;
}

void keys_delete_due(struct keys *keys)
{
	const struct book_sa *next;
	uint64_t now;

	while (keys->dataplane && delete_batch(keys))
		;
	next = TAILQ_FIRST(&keys->book.draining);
	if (!next || !keys->dataplane)
		return;
	now = keys_now_ms();
	keys_work_soon(keys, next->due_ms > now ? (unsigned int)(next->due_ms - now) + 1 : keys->times.retry_ms);
}

int keys_flush(struct keys *keys)
{
	keys_delete_due(keys);
	return TAILQ_EMPTY(&keys->book.leaving) ? 0 : -1;
}

/* --- The dataplane --- */

void keys_doors(struct keys *keys)
{
	for (size_t i = 0; i < sizeof(keys->listener) / sizeof(keys->listener[0]); i++)
		if (keys->listener[i])
			listener_hold(keys->listener[i], !keys_running(keys));
}

static void close_sessions(struct keys *keys, const char *why)
{
	struct session *session, *next;

	for (session = LIST_FIRST(&keys->sessions); session; session = next) {
		next = LIST_NEXT(session, entry);
		session_end(session, why, false);
	}
}

static void dataplane_lost(struct keys *keys, const char *why)
{
	keys->dataplane = false;
	keys_doors(keys);
	for (size_t i = 0; i < keys->peer_count; i++)
		peer_rest(keys->peers[i]);
	close_sessions(keys, why);
}

/* Another process than before, or the first: it has no SA that this one knows of. */
static int dataplane_booted(struct keys *keys, const struct keys_dataplane_facts *facts)
{
	for (size_t i = 0; i < keys->peer_count; i++)
		for (size_t j = 0; j < keys->peers[i]->member_count; j++) {
			book_drop_list(&keys->book, &keys->peers[i]->members[j]->sas);
			book_drop_list(&keys->book, &keys->peers[i]->members[j]->draining);
		}
	book_drop_list(&keys->book, &keys->unclaimed);
	if (book_resize(&keys->book, facts->spi_slots) < 0) {
		keys_audit(keys, "dataplane_unusable", NULL, "no memory for %u SPIs", facts->spi_slots);
		return -1;
	}
	keys->facts = *facts;
	keys->booted = true;
	keys->next_owner = 0;
	return 0;
}

static bool facts_usable(const struct keys_dataplane_facts *facts)
{
	return facts->workers > 0 && facts->workers <= PONT_WORKERS_MAX && facts->spi_slots > 0 &&
	       facts->spi_slots <= 1u << PONT_SPI_INDEX_BITS && (facts->spi_slots & (facts->spi_slots - 1)) == 0;
}

static void dataplane_found(struct keys *keys, const struct keys_dataplane_facts *facts)
{
	bool same = keys->booted && keys->facts.boot_id == facts->boot_id && keys->facts.workers == facts->workers &&
		    keys->facts.spi_slots == facts->spi_slots;

	if (keys->dataplane && same)
		return;
	if (keys->dataplane)
		dataplane_lost(keys, "the dataplane was restarted");
	if (!facts_usable(facts)) {
		keys_audit(
			keys, "dataplane_unusable", NULL, "%u workers and %u SPIs", facts->workers, facts->spi_slots);
		return;
	}
	if (!same && dataplane_booted(keys, facts) < 0)
		return;
	keys->dataplane = true;
	keys_doors(keys);
	for (size_t i = 0; i < keys->peer_count; i++)
		peer_dial_now(keys->peers[i]);
	keys_work_soon(keys, 0);
}

/* News that came in the middle of a callback. */
static void take_news(struct keys *keys)
{
	struct keys_dataplane_facts facts = keys->changed_facts;

	if (!keys->changed)
		return;
	keys->changed = false;
	dataplane_lost(keys, "the dataplane is gone");
	if (keys->changed_present)
		dataplane_found(keys, &facts);
}

void keys_dataplane(struct keys *keys, const struct pont_link_hello *hello)
{
	struct keys_dataplane_facts facts = {0};

	if (hello) {
		facts.boot_id = hello->boot_id;
		facts.spi_slots = hello->spi_slots;
		facts.workers = hello->workers;
	}
	/* The link may lose the dataplane in the middle of a callback: then its caller still works with a session. */
	if (keys->asking > 0) {
		keys->dataplane = false;
		keys->changed = true;
		keys->changed_present = hello != NULL;
		keys->changed_facts = facts;
		keys_work_soon(keys, 0);
		return;
	}
	take_news(keys);
	if (hello)
		dataplane_found(keys, &facts);
	else
		dataplane_lost(keys, "the dataplane is gone");
}

bool keys_has_dataplane(const struct keys *keys)
{
	return keys->dataplane;
}

void keys_adopt(struct keys *keys, const struct pont_link_sa_stats *record)
{
	const struct book_sa values = {
		.direction = record->direction,
		.peer = record->peer,
		.worker = record->worker,
		.sender = record->direction == PONT_SA_IN ? BOOK_SENDER_UNKNOWN : record->worker,
		.vni = record->vni,
		.spi = record->spi,
		.expired = record->expired != 0,
		.told = record->expired != 0,
		.installed_ms = keys_now_ms() - record->age_ms,
	};
	const struct peer *peer = keys_peer(keys, record->peer);
	const struct member *member = peer ? peer_member(peer, record->vni) : NULL;
	const struct book_sa *sa;

	if (!keys->dataplane || (record->direction != PONT_SA_IN && record->direction != PONT_SA_OUT))
		return;
	if (record->direction == PONT_SA_IN && book_find_in(&keys->book, record->spi))
		return;
	if (record->direction == PONT_SA_OUT && member) {
		LIST_FOREACH (sa, &member->sas, same)
			if (sa->direction == PONT_SA_OUT && sa->worker == record->worker)
				return;
	}
	(void)book_add(&keys->book, &keys->unclaimed, &values);
	if (keys->configured)
		keys_claim(keys);
	keys_work_soon(keys, 0);
}

/* --- The event loop's share --- */

static void work(evutil_socket_t fd, short what, void *context)
{
	struct keys *keys = context;
	bool more = false;

	(void)fd;
	(void)what;
	take_news(keys);
	if (keys_running(keys))
		keys_claim(keys);
	rollover_work(keys);
	keys_delete_due(keys);
	for (size_t i = 0; i < keys->peer_count; i++) {
		struct session *session = keys->peers[i]->session;

		if (!session)
			continue;
		rollover_tell_using(session);
		more = offers_pump(session) || more;
	}
	if (more || keys->changed)
		keys_work_soon(keys, 0);
	if (keys->members_changed) {
		keys->members_changed = false;
		if (keys->callbacks.members_changed)
			keys->callbacks.members_changed(keys->callbacks.context);
	}
}

/* --- Names --- */

const char *keys_step_name(enum keys_step step)
{
	static const char *const names[] = {
		[KEYS_SA_OFFERED] = "offered",
		[KEYS_SA_SWITCHED] = "switched",
		[KEYS_SA_DRAINED] = "drained",
		[KEYS_SA_EXPIRED] = "expired",
		[KEYS_SA_REVOKED] = "revoked",
		[KEYS_SESSION_STARTED] = "session_up",
		[KEYS_SESSION_ENDED] = "session_down",
	};

	return names[step];
}

const char *keys_reason_name(enum keys_reason reason)
{
	static const char *const names[] = {
		[KEYS_BY_SESSION] = "session",
		[KEYS_BY_PACKETS] = "packets",
		[KEYS_BY_BYTES] = "bytes",
		[KEYS_BY_TIME] = "time",
		[KEYS_BY_PEER] = "peer",
		[KEYS_BY_CONFIGURATION] = "configuration",
		[KEYS_BY_REVOCATION] = "revocation",
		[KEYS_BY_REQUEST] = "request",
		[KEYS_BY_FAILURE] = "failure",
	};

	return names[reason];
}

/* --- Start, stop, status --- */

struct keys *keys_start_with(struct event_base *base, const struct identity *identity,
	const struct keys_callbacks *callbacks, const struct keys_times *times, struct error *error)
{
	struct keys *keys;

	if (sodium_init() < 0) {
		error_set(error, EIO, NULL, "libsodium does not start");
		return NULL;
	}
	keys = calloc(1, sizeof(*keys));
	if (!keys)
		goto no_memory;
	keys->base = base;
	keys->identity = identity;
	keys->callbacks = *callbacks;
	keys->times = *times;
	keys->lifetimes =
		(struct keys_lifetimes){PONT_SA_HARD_PACKETS, PONT_SA_HARD_BYTES, PONT_SA_HARD_S, PONT_SESSION_S_MAX};
	keys->audit_tokens = KEYS_AUDIT_BURST;
	keys->audit_refilled_ms = keys_now_ms();
	book_init(&keys->book);
	keys->scratch = secret_alloc(sizeof(*keys->scratch));
	keys->message = malloc(sizeof(*keys->message));
	keys->work = evtimer_new(base, work, keys);
	if (keys->scratch && keys->message && keys->work)
		return keys;
	keys_stop(keys);
no_memory:
	(void)error_set(error, ENOMEM, NULL, "no memory for key agreement");
	return NULL;
}

struct keys *keys_start(struct event_base *base, const struct identity *identity,
	const struct keys_callbacks *callbacks, struct error *error)
{
	return keys_start_with(base, identity, callbacks, &usual_times, error);
}

void keys_stop(struct keys *keys)
{
	if (!keys)
		return;
	keys->dataplane = false;
	close_sessions(keys, "this site stops");
	for (size_t i = 0; i < sizeof(keys->listener) / sizeof(keys->listener[0]); i++)
		listener_close(keys->listener[i]);
	for (size_t i = 0; i < keys->peer_count; i++)
		peer_free(keys->peers[i]);
	free(keys->peers);
	tenants_free(&keys->tenants);
	book_drop_list(&keys->book, &keys->unclaimed);
	book_free(&keys->book);
	if (keys->work)
		event_free(keys->work);
	secret_free(keys->scratch);
	free(keys->message);
	free(keys);
}

bool keys_is_member(const struct keys *keys, uint32_t vni, uint16_t number)
{
	const struct peer *peer = keys_peer(keys, number);
	const struct member *member = peer ? peer_member(peer, vni) : NULL;

	return member && member->remote;
}

static enum keys_session_state state_of(const struct peer *peer)
{
	const struct session *session;

	if (peer->session)
		return KEYS_SESSION_UP;
	if (peer->attempt)
		return channel_state(peer->attempt->channel) == CHANNEL_CONNECTING ? KEYS_SESSION_CONNECTING
										   : KEYS_SESSION_HANDSHAKE;
	LIST_FOREACH (session, &peer->keys->sessions, entry)
		if (session->peer == peer)
			return KEYS_SESSION_HANDSHAKE;
	return KEYS_SESSION_DOWN;
}

bool keys_peer_status(const struct keys *keys, uint16_t number, struct keys_peer_status *out)
{
	const struct peer *peer = keys_peer(keys, number);

	if (!peer)
		return false;
	*out = (struct keys_peer_status){
		.peer = peer->number,
		.state = state_of(peer),
		.initiator = peer->initiator,
		.established_ms = peer->established_ms,
		.handshakes = peer->handshakes,
		.failures = peer->failures,
		.tenants = peer_common(peer),
	};
	(void)snprintf(out->last_error, sizeof(out->last_error), "%s", peer->last_error);
	(void)snprintf(out->remote_site, sizeof(out->remote_site), "%s", peer->remote_site);
	return true;
}

uint64_t keys_stranger_failures(const struct keys *keys)
{
	return keys->stranger_failures;
}

static void show(const struct book_sa *sa, void (*visit)(void *context, const struct keys_sa_status *sa), void *context)
{
	const struct keys_sa_status status = {
		.vni = sa->vni,
		.spi = sa->spi,
		.peer = sa->peer,
		.worker = sa->worker,
		.direction = sa->direction,
		.draining = sa->gone,
		.source_port = sa->source_port,
		.installed_ms = sa->installed_ms,
	};

	visit(context, &status);
}

void keys_sas(const struct keys *keys, void (*visit)(void *context, const struct keys_sa_status *sa), void *context)
{
	const struct book_sa *sa;

	for (size_t i = 0; i < keys->peer_count; i++) {
		const struct peer *peer = keys->peers[i];

		for (size_t j = 0; j < peer->member_count; j++) {
			LIST_FOREACH (sa, &peer->members[j]->sas, same)
				show(sa, visit, context);
		}
	}
	LIST_FOREACH (sa, &keys->unclaimed, same)
		show(sa, visit, context);
	TAILQ_FOREACH (sa, &keys->book.draining, later)
		show(sa, visit, context);
	TAILQ_FOREACH (sa, &keys->book.leaving, later)
		show(sa, visit, context);
}
