/* SPDX-License-Identifier: BSD-3-Clause */
/* The books of one stream at its receiver: which of the numbers 1, 2, 3 ... have come, and how. */
#ifndef PERF_LOADGEN_BOOK_H
#define PERF_LOADGEN_BOOK_H

#include <stdint.h>

/* Numbers behind the highest one that can still be told apart; a power of two. */
enum { BOOK_WINDOW = 4096 };

struct book {
	uint64_t top;        /* highest number received; 0: none yet */
	uint64_t received;   /* numbers that came, each counted once */
	uint64_t duplicates; /* numbers that came again */
	uint64_t reordered;  /* numbers that came after a higher one (RFC 4737 type-P-reordered) */
	uint64_t too_old;    /* further behind than the window: neither received nor a duplicate, as far as is known */
	uint32_t distance;   /* greatest distance of a reordered number behind the top */
	uint64_t window[BOOK_WINDOW / 64]; /* bit n % BOOK_WINDOW: number n has come */
};

enum book_verdict { BOOK_NEXT, BOOK_GAP, BOOK_REORDERED, BOOK_DUPLICATE, BOOK_TOO_OLD };

/*
 * Enters a number of which only the low 32 bits are on the wire; it is taken for the one closest to the top. After
 * BOOK_GAP *skipped has how many numbers were left out before it.
 */
static inline enum book_verdict book_enter(struct book *book, uint32_t low, uint32_t *skipped)
{
	int32_t ahead = (int32_t)(low - (uint32_t)book->top);
	uint64_t number = book->top + (uint64_t)(int64_t)ahead, bit = UINT64_C(1) << (number % 64);
	uint64_t *word = &book->window[number % BOOK_WINDOW / 64];

	if (ahead > 0) {
		if (ahead >= BOOK_WINDOW) {
			__builtin_memset(book->window, 0, sizeof(book->window));
		} else {
			for (uint64_t n = book->top + 1; n < number; n++)
				book->window[n % BOOK_WINDOW / 64] &= ~(UINT64_C(1) << (n % 64));
		}
		*word |= bit;
		book->top = number;
		book->received++;
		*skipped = (uint32_t)ahead - 1;
		return ahead == 1 ? BOOK_NEXT : BOOK_GAP;
	}
	/* Number 0 and below were never sent: before the first one nothing can be behind it. */
	if (ahead <= -BOOK_WINDOW || (uint64_t) - (int64_t)ahead >= book->top) {
		book->too_old++;
		return BOOK_TOO_OLD;
	}
	if (*word & bit) {
		book->duplicates++;
		return BOOK_DUPLICATE;
	}
	*word |= bit;
	book->received++;
	book->reordered++;
	if ((uint32_t)-ahead > book->distance)
		book->distance = (uint32_t)-ahead;
	return BOOK_REORDERED;
}

#endif
