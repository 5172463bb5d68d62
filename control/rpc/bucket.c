/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/bucket.h"

enum { MESSAGE = 1000000 };

static const int64_t full = (int64_t)BUCKET_BURST * MESSAGE;

void bucket_init(struct bucket *bucket, int64_t now_us)
{
	*bucket = (struct bucket){.level = full, .seen_us = now_us};
}

bool bucket_allows(struct bucket *bucket, int64_t now_us)
{
	int64_t passed_us = now_us - bucket->seen_us;

	bucket->seen_us = now_us;
	/* So many messages a second are as many millionths of one in a microsecond. */
	if (passed_us >= (full - bucket->level) / BUCKET_PER_SECOND)
		bucket->level = full;
	else
		bucket->level += passed_us * BUCKET_PER_SECOND;
	return bucket->level >= MESSAGE;
}

void bucket_take(struct bucket *bucket, size_t messages)
{
	bucket->level -= (int64_t)messages * MESSAGE;
}

int64_t bucket_wait_us(const struct bucket *bucket, unsigned int messages)
{
	int64_t missing = (int64_t)messages * MESSAGE - bucket->level;

	return missing > 0 ? (missing + BUCKET_PER_SECOND - 1) / BUCKET_PER_SECOND : 0;
}
