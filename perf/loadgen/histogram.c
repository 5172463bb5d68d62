/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/histogram.h"

#include <math.h>

uint64_t histogram_upper_ns(unsigned int bucket)
{
	unsigned int octave;

	if (bucket < 1u << HISTOGRAM_BITS)
		return bucket;
	if (bucket == HISTOGRAM_BUCKETS - 1)
		return UINT64_MAX;
	octave = (bucket >> (HISTOGRAM_BITS - 1)) - 1;
	return ((uint64_t)(bucket - (octave << (HISTOGRAM_BITS - 1)) + 1) << octave) - 1;
}

uint64_t histogram_quantile_ns(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count), seen = 0;

	if (histogram->count == 0)
		return 0;
	if (wanted == 0)
		return histogram->min_ns;
	for (unsigned int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += histogram->bucket[bucket];
		if (seen >= wanted && histogram_upper_ns(bucket) < histogram->max_ns)
			return histogram_upper_ns(bucket);
		if (seen >= wanted)
			break;
	}
	return histogram->max_ns;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	if (other->count == 0)
		return;
	if (other->min_ns < histogram->min_ns || histogram->count == 0)
		histogram->min_ns = other->min_ns;
	if (other->max_ns > histogram->max_ns || histogram->count == 0)
		histogram->max_ns = other->max_ns;
	histogram->count += other->count;
	histogram->sum_ns += other->sum_ns;
	for (unsigned int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
		histogram->bucket[bucket] += other->bucket[bucket];
}
