/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/bucket.h"

#include <criterion/criterion.h>

enum { SECOND = 1000000 };

/* How many messages may be carried out at that time, one by one. */
static unsigned int drain(struct bucket *bucket, int64_t now_us)
{
	unsigned int count = 0;

	for (; count < 10 * BUCKET_BURST && bucket_allows(bucket, now_us); count++)
		bucket_take(bucket, 1);
	return count;
}

Test(bucket, gives_a_burst_and_then_as_many_as_it_gets)
{
	struct bucket bucket;

	bucket_init(&bucket, 5);
	cr_expect_eq(drain(&bucket, 5), BUCKET_BURST);
	cr_expect_eq(drain(&bucket, 5), 0);
	cr_expect_eq(drain(&bucket, 5 + SECOND), BUCKET_PER_SECOND);
	cr_expect_eq(drain(&bucket, 5 + SECOND + SECOND / 10), BUCKET_PER_SECOND / 10);
}

Test(bucket, loses_nothing_by_being_asked_often)
{
	struct bucket bucket;
	unsigned int count = 0;

	bucket_init(&bucket, 0);
	(void)drain(&bucket, 0);
	for (int64_t now = 1; now <= SECOND; now += 7)
		count += drain(&bucket, now);
	cr_expect_geq(count, BUCKET_PER_SECOND - 1);
	cr_expect_leq(count, BUCKET_PER_SECOND);
}

Test(bucket, holds_no_more_than_a_burst_however_long_it_rests)
{
	struct bucket bucket;

	bucket_init(&bucket, 0);
	(void)drain(&bucket, 0);
	cr_expect_eq(drain(&bucket, INT64_MAX), BUCKET_BURST);
}

Test(bucket, is_in_debt_after_a_batch_and_says_for_how_long)
{
	struct bucket bucket;
	int64_t wait;

	bucket_init(&bucket, 0);
	cr_expect_eq(bucket_wait_us(&bucket, 1), 0);
	(void)drain(&bucket, 0);
	cr_expect_eq(bucket_wait_us(&bucket, 1), SECOND / BUCKET_PER_SECOND);
	(void)bucket_allows(&bucket, SECOND / BUCKET_PER_SECOND);
	bucket_take(&bucket, 1024);
	wait = bucket_wait_us(&bucket, 8);
	cr_expect_eq(wait, (int64_t)(1023 + 8) * SECOND / BUCKET_PER_SECOND);
	cr_expect_not(bucket_allows(&bucket, SECOND));
	cr_expect(bucket_allows(&bucket, SECOND / BUCKET_PER_SECOND + wait));
	cr_expect_eq(drain(&bucket, SECOND / BUCKET_PER_SECOND + wait), 8);
}
