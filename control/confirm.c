/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/confirm.h"

#include <event2/event.h>

#include "control/commit.h"
#include "control/control.h"
#include "control/deadline.h"

enum {
	LOOK_MAX_MS = 10000, /* libevent's clock stands still while the machine is suspended: look up now and then */
	RETRY_MS = 5000,
};

json_t *confirm_make(uint32_t timeout_s, uint64_t previous)
{
	json_t *confirm = deadline_make(timeout_s);

	if (confirm != NULL && json_object_set_new(confirm, "previous", json_integer((json_int_t)previous)) != 0) {
		json_decref(confirm);
		return NULL;
	}
	return confirm;
}

static void look_in(struct control *control, int64_t ms)
{
	struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	(void)evtimer_add(control->confirm.timer, &delay);
}

static void look(struct control *control)
{
	int64_t left = control->confirm.deadline_ms - deadline_now_ms();

	look_in(control, left < 0 ? 0 : left > LOOK_MAX_MS ? LOOK_MAX_MS : left);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	(void)fd;
	(void)what;
	if (control->confirm.revision == 0)
		return;
	if (confirm_is_overdue(control))
		commit_expire(control);
	else
		look(control);
}

void confirm_follow(struct control *control, uint64_t revision, const json_t *confirm)
{
	if (control->confirm.timer == NULL)
		control->confirm.timer = evtimer_new(control->base, on_timer, control);
	control->confirm.revision = confirm != NULL ? revision : 0;
	if (confirm == NULL) {
		(void)evtimer_del(control->confirm.timer);
		return;
	}
	control->confirm.previous = (uint64_t)json_integer_value(json_object_get(confirm, "previous"));
	control->confirm.timeout_s = (uint32_t)json_integer_value(json_object_get(confirm, "timeout_s"));
	control->confirm.deadline_ms = deadline_read(confirm);
	look(control);
}

bool confirm_is_overdue(const struct control *control)
{
	return control->confirm.revision != 0 && control->confirm.deadline_ms <= deadline_now_ms();
}

void confirm_retry_later(struct control *control)
{
	look_in(control, RETRY_MS);
}

json_t *confirm_describe(const struct control *control)
{
	int64_t left = control->confirm.deadline_ms - deadline_now_ms();

	if (control->confirm.revision == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "revision", (json_int_t)control->confirm.revision, "previous",
		(json_int_t)control->confirm.previous, "timeout_s", (json_int_t)control->confirm.timeout_s,
		"remaining_ms", (json_int_t)(left > 0 ? left : 0), "gone_back", (int)control->unwritten);
}
