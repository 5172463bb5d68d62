/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/lock.h"

#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/audit.h"
#include "control/commit.h"
#include "control/deadline.h"
#include "control/events.h"
#include "control/fence/switches.h"
#include "control/model/durable.h"
#include "control/model/revisions.h"

static const char note_name[] = "fence_lock.json";

/* --- the note --- */

static void note_path(const char *state, const char *name, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s", state, name);
}

static int note_write(const char *state, const json_t *note, struct error *error)
{
	int directory = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = directory < 0 ? errno : 0;
	char *text = json_dumps(note, JSON_COMPACT);

	if (text == NULL)
		code = ENOMEM;
	else if (code == 0 && durable_replace(directory, note_name, text, strlen(text)) != 0)
		code = errno;
	free(text);
	if (directory >= 0)
		(void)close(directory);
	return code == 0
		       ? 0
		       : error_set(error, code, NULL, "%s/%s: cannot be written: %s", state, note_name, strerror(code));
}

static int note_remove(const char *state, struct error *error)
{
	int directory = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = 0;

	if (directory < 0 || (unlinkat(directory, note_name, 0) != 0 && errno != ENOENT) || fsync(directory) != 0)
		code = errno;
	if (directory >= 0)
		(void)close(directory);
	return code == 0
		       ? 0
		       : error_set(error, code, NULL, "%s/%s: cannot be removed: %s", state, note_name, strerror(code));
}

/* The note, one of its own if it cannot be read, NULL if there is none. */
static json_t *note_read(const char *state)
{
	char path[PATH_MAX];
	json_t *note;

	note_path(state, note_name, path);
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return NULL;
	note = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(note))
		return note;
	json_decref(note);
	return json_pack("{s:n, s:n, s:s, s:n, s:n}", "since", "who", "reason",
		"the note of an earlier lock cannot be read", "confirm_by", "confirm");
}

bool lock_is_noted(const char *state)
{
	json_t *note = note_read(state);
	bool noted = note != NULL;

	json_decref(note);
	return noted;
}

/* Seconds of the epoch, for people: what is waited for is in the note on a clock that nobody sets. */
static json_int_t in_seconds(unsigned int seconds)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (json_int_t)now.tv_sec + seconds;
}

static json_t *note_make(const char *reason, unsigned int confirm_s, json_t *who)
{
	char since[REVISIONS_TIME_SIZE];

	revisions_time(since);
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "since", since, "who", who, "reason",
		reason != NULL ? audit_text(reason) : json_null(), "confirm_by",
		confirm_s != 0 ? json_integer(in_seconds(confirm_s)) : json_null(), "confirm",
		confirm_s != 0 ? deadline_make(confirm_s) : json_null());
}

/* --- times --- */

static json_t *when(json_int_t seconds)
{
	time_t at = (time_t)seconds;
	char text[32];
	struct tm parts;

	if (seconds == 0 || gmtime_r(&at, &parts) == NULL || strftime(text, sizeof(text), "%FT%TZ", &parts) == 0)
		return json_null();
	return json_string(text);
}

static void wait_ms(struct event *timer, int64_t ms)
{
	struct timeval delay = {.tv_sec = ms > 0 ? ms / 1000 : 0, .tv_usec = ms > 0 ? ms % 1000 * 1000 : 0};

	(void)evtimer_add(timer, &delay);
}

/* Until the lock's deadline, if it has one. After a reboot all of its time is given again: nobody could confirm. */
static void await_confirmation(struct control *control)
{
	const json_t *confirm = json_object_get(control->lock.note, "confirm");
	const json_int_t timeout_s = json_integer_value(json_object_get(confirm, "timeout_s"));
	int64_t deadline_ms = deadline_read(confirm);

	(void)evtimer_del(control->lock.timer);
	if (timeout_s <= 0 || timeout_s > LOCK_CONFIRM_MAX_S)
		return;
	wait_ms(control->lock.timer, deadline_ms != 0 ? deadline_ms - deadline_now_ms() : timeout_s * 1000);
}

/* --- locked and unlocked --- */

static json_t *who_or_null(const struct rpc_who *who)
{
	return who != NULL ? commit_who(who) : json_null();
}

static int unlock(struct control *control, const char *why, const struct rpc_who *who, struct error *error)
{
	/* The note first: what is unlocked must not be locked again by a restart. */
	if (note_remove(control->options->state, error) != 0)
		return -1;
	fence_lock(control->fence, false);
	(void)evtimer_del(control->lock.timer);
	json_decref(control->lock.note);
	control->lock.note = NULL;
	events_publish(
		control->events, "fence.unlocked", json_pack("{s:s, s:o}", "reason", why, "who", who_or_null(who)));
	return 0;
}

static void on_lock_not_confirmed(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;
	struct error error = {0};

	(void)fd;
	(void)what;
	if (unlock(control, "not confirmed in time", NULL, &error) == 0)
		return;
	audit_log("%s; tried again in a minute", error.text);
	wait_ms(control->lock.timer, 60000);
}

static void on_policy_not_confirmed(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;
	struct fence_policy *previous = control->lock.previous;

	(void)fd;
	(void)what;
	control->lock.previous = NULL;
	control->lock.policy_confirm_by = 0;
	if (previous != NULL)
		commit_revert_policy(control, previous, &control->lock.previous_stamp);
}

int lock_restore(struct control *control, struct error *error)
{
	control->lock.timer = evtimer_new(control->base, on_lock_not_confirmed, control);
	control->lock.policy_timer = evtimer_new(control->base, on_policy_not_confirmed, control);
	if (control->lock.timer == NULL || control->lock.policy_timer == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	control->lock.note = note_read(control->options->state);
	/* Locked at the pins and not noted: by hand, without a state directory. It stays as it is. */
	if (control->lock.note == NULL && fence_is_locked(control->fence))
		control->lock.note = note_make("found locked", 0, json_null());
	if (control->lock.note == NULL)
		return 0;
	fence_lock(control->fence, true);
	await_confirmation(control);
	return 0;
}

json_t *lock_set(struct control *control, const char *reason, unsigned int confirm_s, const struct rpc_who *who,
	struct rpc_failure *failure)
{
	json_t *note = note_make(reason, confirm_s, commit_who(who));
	json_int_t confirm_by = json_integer_value(json_object_get(note, "confirm_by"));
	struct error error = {0};
	bool durable;

	if (note == NULL)
		return rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	fence_lock(control->fence, true);
	durable = note_write(control->options->state, note, &error) == 0;
	if (!durable)
		audit_log("the lock does not outlive a restart of the machine: %s", error.text);
	json_decref(control->lock.note);
	control->lock.note = note;
	await_confirmation(control);
	events_publish(control->events, "fence.locked",
		json_pack("{s:O, s:o, s:o, s:b}", "reason", json_object_get(note, "reason"), "who", commit_who(who),
			"confirm_by", when(confirm_by), "durable", durable));
	return json_pack("{s:b, s:b, s:o}", "locked", 1, "durable", durable, "confirm_by", when(confirm_by));
}

json_t *lock_clear(struct control *control, const struct rpc_who *who, struct rpc_failure *failure)
{
	bool was_locked = fence_is_locked(control->fence);

	failure->code = RPC_SYSTEM;
	if ((was_locked || control->lock.note != NULL) && unlock(control, "asked to", who, &failure->error) != 0)
		return NULL;
	return json_pack("{s:b, s:b}", "locked", 0, "changed", was_locked);
}

json_t *lock_confirm(struct control *control, const struct rpc_who *who, struct rpc_failure *failure)
{
	bool lock = evtimer_pending(control->lock.timer, NULL), policy = control->lock.previous != NULL;

	if (!lock && !policy)
		return rpc_fail(failure, RPC_NOT_FOUND, ENOENT, NULL, "nothing waits for its confirmation");
	failure->code = RPC_SYSTEM;
	if (lock) {
		(void)json_object_set_new(control->lock.note, "confirm_by", json_null());
		(void)json_object_set_new(control->lock.note, "confirm", json_null());
		if (note_write(control->options->state, control->lock.note, &failure->error) != 0)
			return NULL;
		(void)evtimer_del(control->lock.timer);
	}
	lock_forget_policy(control);
	events_publish(control->events, "fence.confirmed",
		json_pack("{s:b, s:b, s:o}", "lock", lock, "policy", policy, "who", commit_who(who)));
	return json_pack("{s:b, s:b}", "lock", lock, "policy", policy);
}

void lock_await_policy(struct control *control, struct fence_policy *previous, const struct policy_stamp *stamp,
	unsigned int confirm_s)
{
	lock_forget_policy(control);
	control->lock.previous = previous;
	control->lock.previous_stamp = *stamp;
	control->lock.policy_confirm_by = in_seconds(confirm_s);
	wait_ms(control->lock.policy_timer, (int64_t)confirm_s * 1000);
}

void lock_forget_policy(struct control *control)
{
	(void)evtimer_del(control->lock.policy_timer);
	fence_policy_free(control->lock.previous);
	control->lock.previous = NULL;
	control->lock.policy_confirm_by = 0;
}

json_t *lock_describe(const struct control *control)
{
	const json_t *note = control->lock.note;
	json_t *since = json_object_get(note, "since"), *who = json_object_get(note, "who");
	json_t *reason = json_object_get(note, "reason");

	return json_pack("{s:b, s:O?, s:O?, s:O?, s:o, s:o}", "locked", fence_is_locked(control->fence), "since", since,
		"who", who, "reason", reason, "confirm_by",
		when(json_integer_value(json_object_get(note, "confirm_by"))), "policy_confirm_by",
		when(control->lock.policy_confirm_by));
}

void lock_stop(struct control *control)
{
	if (control->lock.policy_timer != NULL) {
		lock_forget_policy(control);
		event_free(control->lock.policy_timer);
	}
	if (control->lock.timer != NULL)
		event_free(control->lock.timer);
	json_decref(control->lock.note);
}

int lock_offline(const struct control_options *options, const char *reason, bool locked, struct error *error)
{
	const struct fence_options fence = {.pin_directory = options->bpffs, .cgroup = options->cgroup};
	json_t *note;
	int result;

	if (!locked) {
		if (note_remove(options->state, error) != 0)
			return -1;
		return fence_lock_pinned(&fence, false, error) != 0 && error->code != ENOENT ? -1 : 0;
	}
	/* The switch first, as this is for emergencies; and the note even where there is no switch yet. */
	result = fence_lock_pinned(&fence, true, error);
	if (result != 0 && error->code != ENOENT)
		return -1;
	note = note_make(reason, 0, json_null());
	result = note != NULL ? note_write(options->state, note, error)
			      : error_set(error, ENOMEM, NULL, "out of memory");
	json_decref(note);
	return result;
}
