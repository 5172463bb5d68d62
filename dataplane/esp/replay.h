/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Anti-replay window with extended sequence numbers, RFC 4303 section 3.4.3 and Appendix A2.
 *
 * The bitmap is a ring: sequence number s stands at bit s mod PONT_REPLAY_WINDOW, and the numbers (top - W, top] have
 * places of their own. In order, a packet touches one word. Written by the owner worker only;
 * the main lcore reads the top.
 *
 * Use: sequence = replay_infer(); replay_check() before the AEAD saves its cost on replays; after the AEAD
 * replay_accept(), which checks again: two copies in one burst both pass the first check.
 */
#ifndef DATAPLANE_ESP_REPLAY_H
#define DATAPLANE_ESP_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "pontlevis/limits.h"

struct replay {
	uint64_t top; /* highest sequence number that was authenticated, 0: none yet */
	uint64_t seen[PONT_REPLAY_WINDOW / 64];
};
_Static_assert((PONT_REPLAY_WINDOW & (PONT_REPLAY_WINDOW - 1)) == 0, "positions are taken modulo the window");

enum replay_verdict { REPLAY_FRESH, REPLAY_DUPLICATE, REPLAY_TOO_OLD };

/*
 * The 64-bit number whose low half is on the wire (RFC 4303 A2.1): the one in or right of the window that is nearest.
 * The three cases of the appendix are one comparison: take the number in the subspace of the window's left edge, and if
 * it lies left of the window take the next subspace.
 */
static inline uint64_t replay_infer(const struct replay *replay, uint32_t low)
{
	uint64_t left = replay->top >= PONT_REPLAY_WINDOW ? replay->top - PONT_REPLAY_WINDOW + 1 : 0;
	uint64_t sequence = (left & ~UINT64_C(0xffffffff)) | low;

	if (sequence < left && (left >> 32) != UINT32_MAX)
		sequence += UINT64_C(1) << 32;
	return sequence;
}

static inline enum replay_verdict replay_check(const struct replay *replay, uint64_t sequence)
{
	uint64_t bit = sequence % PONT_REPLAY_WINDOW;

	if (sequence > replay->top)
		return REPLAY_FRESH;
	/* ESP starts at 1 (RFC 4303 section 3.3.3): zero is never sent. */
	if (sequence == 0 || replay->top - sequence >= PONT_REPLAY_WINDOW)
		return REPLAY_TOO_OLD;
	return (replay->seen[bit / 64] >> (bit % 64)) & 1 ? REPLAY_DUPLICATE : REPLAY_FRESH;
}

/* Forgets the numbers (from, to] so that their places can be used by newer ones. */
static inline void replay_clear(struct replay *replay, uint64_t from, uint64_t to)
{
	if (to - from >= PONT_REPLAY_WINDOW) {
		for (unsigned int word = 0; word < PONT_REPLAY_WINDOW / 64; word++)
			replay->seen[word] = 0;
		return;
	}
	/* Counted down, not up to `to`, which may be the last number there is. */
	for (uint64_t left = to - from; left != 0;) {
		uint64_t bit = (to - left + 1) % PONT_REPLAY_WINDOW;

		if (bit % 64 == 0 && left >= 64) {
			replay->seen[bit / 64] = 0;
			left -= 64;
		} else {
			replay->seen[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
			left--;
		}
	}
}

/* Takes an authenticated number into the window. Anything but REPLAY_FRESH leaves the window as it was. */
static inline enum replay_verdict replay_accept(struct replay *replay, uint64_t sequence)
{
	enum replay_verdict verdict = replay_check(replay, sequence);
	uint64_t bit = sequence % PONT_REPLAY_WINDOW;

	if (verdict != REPLAY_FRESH)
		return verdict;
	if (sequence > replay->top) {
		if (sequence - replay->top > 1)
			replay_clear(replay, replay->top, sequence);
		__atomic_store_n(&replay->top, sequence, __ATOMIC_RELAXED);
	}
	replay->seen[bit / 64] |= UINT64_C(1) << (bit % 64);
	return REPLAY_FRESH;
}

#endif
