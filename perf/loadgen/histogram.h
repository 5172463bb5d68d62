/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latencies as an HDR histogram keeps them: buckets of equal width within an octave, so that every value is known to
 * better than 1.6 %, whatever its size, in a fixed amount of memory.
 */
#ifndef PERF_LOADGEN_HISTOGRAM_H
#define PERF_LOADGEN_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_BITS = 7,     /* 2^7 values are exact, then 2^6 buckets for each octave */
	HISTOGRAM_OCTAVES = 36, /* values from 2^36 ns (69 s) on share the last bucket */
	HISTOGRAM_BUCKETS = ((HISTOGRAM_OCTAVES - HISTOGRAM_BITS) << (HISTOGRAM_BITS - 1)) + (1 << HISTOGRAM_BITS) + 1,
};

struct histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns, max_ns; /* of the values themselves; meaningless while count is 0 */
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

/* Bucket of a value in nanoseconds. */
static inline unsigned int histogram_bucket(uint64_t ns)
{
	unsigned int octave;

	if (ns < 1u << HISTOGRAM_BITS)
		return (unsigned int)ns;
	if (ns >> HISTOGRAM_OCTAVES != 0)
		return HISTOGRAM_BUCKETS - 1;
	octave = 63 - (unsigned int)__builtin_clzll(ns) - HISTOGRAM_BITS + 1;
	return (octave << (HISTOGRAM_BITS - 1)) + (unsigned int)(ns >> octave);
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
	if (ns < histogram->min_ns || histogram->count == 0)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns || histogram->count == 0)
		histogram->max_ns = ns;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->bucket[histogram_bucket(ns)]++;
}

/* Highest value that a bucket holds, in nanoseconds; of the last bucket: UINT64_MAX. */
uint64_t histogram_upper_ns(unsigned int bucket);

/*
 * The value that a share of 0 to 1 of all values does not exceed, in nanoseconds: upper end of its bucket, but never
 * more than the greatest value. 0 if there are none.
 */
uint64_t histogram_quantile_ns(const struct histogram *histogram, double share);

/* Adds the values of another one. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

#endif
