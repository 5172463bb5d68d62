/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SAs that an earlier control process left in the dataplane. They carry traffic while the new one agrees on keys of its
 * own; once it has, and packets under way have arrived, they are removed.
 */
#ifndef CONTROL_ORPHANS_H
#define CONTROL_ORPHANS_H

struct control;

/* Looks for orphans from time to time until there are none. */
void orphans_watch(struct control *control);
/* One look; from the event loop. */
void orphans_sweep(struct control *control);

#endif
