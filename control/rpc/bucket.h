/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A token bucket: how many messages of a client may be carried out now. It holds BUCKET_BURST of them at most and gets
 * BUCKET_PER_SECOND. What is taken beyond what it holds is a debt, since what a message holds is known too late.
 */
#ifndef CONTROL_RPC_BUCKET_H
#define CONTROL_RPC_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUCKET_BURST = 1000, BUCKET_PER_SECOND = 500 };

struct bucket {
	int64_t level;   /* millionths of a message; below 0: debt */
	int64_t seen_us; /* when it was filled up last, on a clock that does not jump */
};

void bucket_init(struct bucket *bucket, int64_t now_us);
/* Whether another message may be carried out. */
bool bucket_allows(struct bucket *bucket, int64_t now_us);
void bucket_take(struct bucket *bucket, size_t messages);
/* How long it takes until there are so many, BUCKET_BURST at most: 0 if there are. As of the last bucket_allows(). */
int64_t bucket_wait_us(const struct bucket *bucket, unsigned int messages);

#endif
