/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/confirm.h"

#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/commit.h"
#include "control/control.h"

enum {
	BOOT_ID_SIZE = 37,   /* a UUID as text, NUL */
	LOOK_MAX_MS = 10000, /* libevent's clock stands still while the machine is suspended: look up now and then */
	RETRY_MS = 5000,
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "" if the kernel does not tell: then every start is taken for one after a reboot. */
static void read_boot_id(char text[BOOT_ID_SIZE])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, BOOT_ID_SIZE - 1) : 0;

	text[length > 0 ? length : 0] = '\0';
	if (fd >= 0)
		(void)close(fd);
}

json_t *confirm_make(uint32_t timeout_s, uint64_t previous)
{
	json_int_t deadline_ms = now_ms() + (json_int_t)timeout_s * 1000;
	char boot_id[BOOT_ID_SIZE];

	read_boot_id(boot_id);
	return json_pack("{s:I, s:I, s:s, s:I}", "previous", (json_int_t)previous, "timeout_s", (json_int_t)timeout_s,
		"boot_id", boot_id, "deadline_ms", deadline_ms);
}

static void look_in(struct control *control, int64_t ms)
{
	struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	(void)evtimer_add(control->confirm.timer, &delay);
}

static void look(struct control *control)
{
	int64_t left = control->confirm.deadline_ms - now_ms();

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
	const char *boot_id = json_string_value(json_object_get(confirm, "boot_id"));
	char here[BOOT_ID_SIZE];

	if (control->confirm.timer == NULL)
		control->confirm.timer = evtimer_new(control->base, on_timer, control);
	control->confirm.revision = confirm != NULL ? revision : 0;
	if (confirm == NULL) {
		(void)evtimer_del(control->confirm.timer);
		return;
	}
	read_boot_id(here);
	control->confirm.previous = (uint64_t)json_integer_value(json_object_get(confirm, "previous"));
	control->confirm.timeout_s = (uint32_t)json_integer_value(json_object_get(confirm, "timeout_s"));
	control->confirm.deadline_ms = json_integer_value(json_object_get(confirm, "deadline_ms"));
	if (boot_id == NULL || here[0] == '\0' || strcmp(boot_id, here) != 0)
		control->confirm.deadline_ms = 0;
	look(control);
}

bool confirm_is_overdue(const struct control *control)
{
	return control->confirm.revision != 0 && control->confirm.deadline_ms <= now_ms();
}

void confirm_retry_later(struct control *control)
{
	look_in(control, RETRY_MS);
}

json_t *confirm_describe(const struct control *control)
{
	int64_t left = control->confirm.deadline_ms - now_ms();

	if (control->confirm.revision == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "revision", (json_int_t)control->confirm.revision, "previous",
		(json_int_t)control->confirm.previous, "timeout_s", (json_int_t)control->confirm.timeout_s,
		"remaining_ms", (json_int_t)(left > 0 ? left : 0), "gone_back", (int)control->unwritten);
}
