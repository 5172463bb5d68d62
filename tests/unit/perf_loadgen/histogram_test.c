/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/histogram.h"

#include <criterion/criterion.h>

TestSuite(histogram, .timeout = 60);

Test(histogram, every_value_is_in_its_bucket)
{
	unsigned int before = 0;

	for (uint64_t ns = 0; ns < UINT64_C(1) << HISTOGRAM_OCTAVES; ns += 1 + ns / 300) {
		unsigned int bucket = histogram_bucket(ns);

		cr_assert(bucket < HISTOGRAM_BUCKETS - 1, "%lu ns: bucket %u", ns, bucket);
		cr_assert(bucket >= before && bucket <= before + 1, "%lu ns: bucket %u after %u", ns, bucket, before);
		cr_assert(ns <= histogram_upper_ns(bucket));
		cr_assert(bucket == 0 || ns > histogram_upper_ns(bucket - 1));
		/* Better than 1 part in 2^(bits - 1). */
		cr_assert(histogram_upper_ns(bucket) - ns <= ns >> (HISTOGRAM_BITS - 1));
		before = bucket;
	}
	cr_expect_eq(histogram_bucket((UINT64_C(1) << HISTOGRAM_OCTAVES) - 1), HISTOGRAM_BUCKETS - 2);
	cr_expect_eq(histogram_bucket(UINT64_C(1) << HISTOGRAM_OCTAVES), HISTOGRAM_BUCKETS - 1);
	cr_expect_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

Test(histogram, quantiles)
{
	static struct histogram histogram, other;

	cr_expect_eq(histogram_quantile_ns(&histogram, 0.5), 0);
	for (uint64_t ns = 1; ns <= 100; ns++)
		histogram_add(&histogram, ns);
	cr_expect_eq(histogram_quantile_ns(&histogram, 0), 1);
	cr_expect_eq(histogram_quantile_ns(&histogram, 0.5), 50);
	cr_expect_eq(histogram_quantile_ns(&histogram, 0.99), 99);
	cr_expect_eq(histogram_quantile_ns(&histogram, 0.991), 100);
	cr_expect_eq(histogram_quantile_ns(&histogram, 1), 100);
	cr_expect_eq(histogram.sum_ns, 5050);
	histogram_add(&other, 1000001);
	histogram_merge(&histogram, &other);
	cr_expect_eq(histogram.count, 101);
	cr_expect_eq(histogram.max_ns, 1000001);
	cr_expect_eq(histogram.min_ns, 1);
	/* The last bucket is wider than its value. */
	cr_expect_eq(histogram_quantile_ns(&histogram, 1), 1000001);
	histogram_add(&other, 7);
	cr_expect_eq(other.min_ns, 7);
	cr_expect_eq(histogram_quantile_ns(&other, 0.5), 7);
}
