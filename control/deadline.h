/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A moment in the future that is written down, for a process that may have been restarted by then. It is on the clock
 * that counts from the boot, suspended time included (CLOCK_BOOTTIME): setting the time of day moves nothing.
 */
#ifndef CONTROL_DEADLINE_H
#define CONTROL_DEADLINE_H

#include <jansson.h>
#include <stdint.h>

/* Milliseconds of CLOCK_BOOTTIME. */
int64_t deadline_now_ms(void);

/* {"timeout_s", "boot_id", "deadline_ms"}, counted from now. NULL if out of memory. */
json_t *deadline_make(uint32_t timeout_s);
/* Milliseconds of CLOCK_BOOTTIME; 0 if the record is of another boot than this one, or of none. */
int64_t deadline_read(const json_t *record);

#endif
