/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/clock.h"

#include <rte_cycles.h>
#include <time.h>
#include <unistd.h>

enum { SPAN_US = 100000, TRIES = 64 };

struct instant {
	uint64_t tsc, ns;
};

/* Both clocks at once: the reading that was interrupted least. */
static struct instant now(void)
{
	struct instant best = {0};
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		const uint64_t before = rte_rdtsc_precise();
		struct timespec time;
		uint64_t took;

		(void)clock_gettime(CLOCK_MONOTONIC, &time);
		took = rte_rdtsc_precise() - before;
		if (took < shortest) {
			shortest = took;
			best = (struct instant){
				before + took / 2, (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec};
		}
	}
	return best;
}

uint64_t clock_tsc_hz(void)
{
	struct instant start = now(), end;

	(void)usleep(SPAN_US);
	end = now();
	return (uint64_t)((double)(end.tsc - start.tsc) * NS_PER_S / (double)(end.ns - start.ns));
}
