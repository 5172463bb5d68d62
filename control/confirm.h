/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A commit on trial (as NETCONF's confirmed commit, RFC 6241, 8.4): it is undone unless it is confirmed in time. That
 * it waits stands in its record on disk, with the deadline (control/deadline.h), so that a new process knows how much
 * is left. After a reboot nothing is left: who was to confirm has had no way in, or had one and did not use it.
 */
#ifndef CONTROL_CONFIRM_H
#define CONTROL_CONFIRM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct control;
struct event;

enum { CONFIRM_TIMEOUT_MAX_S = 86400 };

struct confirm {
	uint64_t revision; /* on trial, 0: none */
	uint64_t previous; /* revision to go back to */
	uint32_t timeout_s;
	int64_t deadline_ms; /* CLOCK_BOOTTIME; in the past: overdue */
	struct event *timer;
};

/* {"previous", "timeout_s", "boot_id", "deadline_ms"} for a record, counted from now. NULL if out of memory. */
json_t *confirm_make(uint32_t timeout_s, uint64_t previous);

/* Follows the current revision: `confirm` is that of its record, NULL: it is not on trial. */
void confirm_follow(struct control *control, uint64_t revision, const json_t *confirm);

bool confirm_is_overdue(const struct control *control);
/* Looks again in a few seconds: the way back was barred. */
void confirm_retry_later(struct control *control);

/* {"revision", "previous", "timeout_s", "remaining_ms", "gone_back"}, null if nothing is on trial. */
json_t *confirm_describe(const struct control *control);

#endif
