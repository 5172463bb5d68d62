/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outbound SAs of one session, as a set. The key of an SA follows from the session and from (VNI, worker, SPI), so
 * an offer repeated within a session would restart the sequence numbers of a key that was in use: the set says whether
 * a triple was there before.
 */
#ifndef CONTROL_KEYS_SEEN_H
#define CONTROL_KEYS_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beyond this many SAs in one session, a fresh handshake is asked for. */
enum { SEEN_MAX = 1 << 20 };

/* Zero is the empty set. */
struct seen {
	uint64_t *entry; /* open addressing; 0 is free, as no VNI is 0 */
	size_t size;     /* power of two, or 0 */
	size_t count;
};

enum seen_answer { SEEN_NEW, SEEN_BEFORE, SEEN_FULL };

/* Adds the triple. SEEN_FULL: no room, nothing is known about it. worker < 256. */
enum seen_answer seen_add(struct seen *seen, uint32_t vni, uint16_t worker, uint32_t spi);
void seen_clear(struct seen *seen);

#endif
