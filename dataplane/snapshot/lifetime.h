/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lifetimes of all SAs in use, watched by the main lcore. Workers keep the hard limits of packets and bytes
 * themselves, exactly; what is due, what has run out of time and what control has to hear is found here, at a bounded
 * period: one compact record for each SA, so that thousands of them are looked at within microseconds.
 */
#ifndef DATAPLANE_SNAPSHOT_LIFETIME_H
#define DATAPLANE_SNAPSHOT_LIFETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/esp/sa.h"
#include "dataplane/worker.h"

/* An SA in use. */
struct watch {
	union {
		struct sa_in *in;
		struct sa_out *out;
	};
	uint64_t soft_tsc, hard_tsc;
	uint64_t soft_sequence;
	uint64_t soft_bytes;
	uint64_t tell_tsc; /* when control is told, or told again */
	uint32_t vni;
	uint8_t direction; /* PONT_SA_IN, PONT_SA_OUT */
	uint8_t cause;     /* enum pont_sa_cause of the limit reached, 0: none */
	bool expired;      /* it was the hard one: the key is erased */
	uint8_t told;      /* times in vain */
};

/* Zero is the empty table. */
struct lifetimes {
	struct watch *watch; /* [count], number 0 is unused */
	uint32_t count, size;
	uint64_t next_time_tsc; /* no limit of time is reached before */
	uint64_t next_scan_tsc; /* counters are looked at every LIFETIME_SCAN_MS */
};

enum { LIFETIME_SCAN_MS = 50 };

/* Room for so many more SAs; false if memory is short. */
bool lifetimes_reserve(struct lifetimes *lifetimes, uint32_t more);
/* An SA comes into use; there is room. */
void lifetimes_add_in(struct lifetimes *lifetimes, struct sa_in *sa, uint32_t vni);
void lifetimes_add_out(struct lifetimes *lifetimes, struct sa_out *sa, uint32_t vni);
/* One goes out of use, before it is erased. */
void lifetimes_remove(struct lifetimes *lifetimes, struct sa_life *life);
void lifetimes_free(struct lifetimes *lifetimes);

/* Every few milliseconds: finds limits reached, stops expired SAs and erases their keys. */
void lifetimes_check(struct lifetimes *lifetimes, struct rte_rcu_qsbr *qsbr, uint64_t now);
bool lifetimes_expired(const struct lifetimes *lifetimes, const struct sa_life *life);

/*
 * Fills a message with notices that are to be told now; false if there are none. first: where the search goes on, 1 at
 * the beginning. They count as told by lifetimes_told() only.
 */
bool lifetimes_notices(
	const struct lifetimes *lifetimes, struct pont_link_sa_notices *message, uint32_t *first, uint64_t now);
void lifetimes_told(struct lifetimes *lifetimes, uint32_t first, uint32_t end, uint64_t now);
/* Somebody new listens: everything is told at once. */
void lifetimes_tell_again(struct lifetimes *lifetimes);

#endif
