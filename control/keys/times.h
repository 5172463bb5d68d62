/* SPDX-License-Identifier: BSD-3-Clause */
/* How long key agreement waits for what, in milliseconds. */
#ifndef CONTROL_KEYS_TIMES_H
#define CONTROL_KEYS_TIMES_H

#include <stdint.h>
#include <time.h>

struct keys_times {
	unsigned int handshake_ms;     /* from connect() or accept() to a confirmed session */
	unsigned int keepalive_ms;     /* between two keepalives of one side */
	unsigned int dead_ms;          /* silence after which the other side is given up */
	unsigned int backoff_ms;       /* before the second attempt to dial; the first is at once */
	unsigned int backoff_limit_ms; /* it doubles up to here; the wait is a random 50 to 100 % of it */
	unsigned int settled_ms;       /* a session that was up this long is dialled again at once */
	unsigned int drain_ms;         /* a replaced inbound SA goes on opening */
	unsigned int drain_min_ms;     /* at least, if newer ones need its place */
	unsigned int retry_ms;         /* before SAs that could not be installed are offered again */
};

/* CLOCK_MONOTONIC in milliseconds. */
static inline uint64_t keys_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
