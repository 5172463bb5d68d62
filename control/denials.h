/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From single denials to events: the first of its kind is published at once, repeats of it are summed and published
 * once a minute. What the kernel counted and could not tell (its reports are limited in rate, and end while there is no
 * control process) is published as a number, so that the events' "packets" add up to the counters.
 */
#ifndef CONTROL_DENIALS_H
#define CONTROL_DENIALS_H

#include "control/control.h"
#include "pontlevis/fence_map.h"

/* Repeats of a kind are summed for so long. */
enum { DENIALS_FOLD_S = 60 };

struct denials;

/* NULL if memory is short. The fence and the events of control have started. */
struct denials *denials_start(struct control *control, struct error *error);
/* Publishes what is summed, then ends. NULL is allowed. */
void denials_stop(struct denials *denials);

void denials_kernel(struct denials *denials, const struct pont_fence_event *event);
void denials_dataplane(struct denials *denials, const struct pont_link_denied *denied);

/* Publishes what is summed now, as once a minute. */
void denials_publish(struct denials *denials);

#endif
