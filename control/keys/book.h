/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The book of SAs: which ones this process has installed in the dataplane, without their keys. An SA is on the list of
 * its member (the tenant at a peer) while it is in use, and on one of the two queues when it is to leave: "draining"
 * for a replaced inbound SA that still opens what was under way, "leaving" for one that goes at once. A draining one is
 * on a second list of its member. It stays in the book, and an inbound one in its slot, until the dataplane has
 * confirmed the delete.
 */
#ifndef CONTROL_KEYS_BOOK_H
#define CONTROL_KEYS_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* The sending worker of an inbound SA that an earlier process of control has installed. */
#define BOOK_SENDER_UNKNOWN UINT16_MAX

LIST_HEAD(book_list, book_sa);

struct book_sa {
	LIST_ENTRY(book_sa) same;   /* of its list, or of the list of draining ones */
	TAILQ_ENTRY(book_sa) later; /* of its queue, when gone is set */
	uint8_t direction;          /* PONT_SA_IN, PONT_SA_OUT */
	bool gone;                  /* is on a queue */
	bool drains;                /* and on the list of draining ones */
	bool accepted;              /* inbound: the peer has confirmed that it seals with it */
	bool due;                   /* has reached a limit, for the reason below, and nothing was done about it yet */
	bool expired;               /* the hard one */
	bool asked;                 /* outbound: the peer was asked for a new one, for the reason below */
	bool told;                  /* what becomes of it was told already */
	uint8_t reason;             /* enum keys_reason: why it was made; later: why it is due, or leaves */
	uint16_t peer;
	uint16_t worker;      /* of this site: owner (in), sealer (out) */
	uint16_t sender;      /* worker that seals, at the sending site */
	uint16_t source_port; /* outbound */
	uint32_t vni;
	uint32_t spi;
	uint64_t installed_ms;
	uint64_t session; /* number of the session that brought it, 0: of an earlier process */
	uint64_t retired_ms;
	uint64_t due_ms; /* when the delete is due */
};

TAILQ_HEAD(book_queue, book_sa);

struct book {
	struct book_sa **slot; /* inbound SAs by the low bits of their SPI */
	uint32_t slots;        /* power of two; 0 before the first dataplane */
	uint32_t used;
	struct book_queue draining; /* ordered by due_ms */
	struct book_queue leaving;
};

/* Zeroed memory becomes an empty book without slots. */
void book_init(struct book *book);
/* Forgets the SAs on the queues and takes a new number of slots; members have emptied their lists. -1: no memory. */
int book_resize(struct book *book, uint32_t slots);
void book_free(struct book *book);

/* An SPI with a free slot, above 255, random but for that; 0 if every slot is in use. */
uint32_t book_pick_spi(const struct book *book);

/* Writes an SA into the book and onto the list. NULL: no memory, or the slot is in use. */
struct book_sa *book_add(struct book *book, struct book_list *list, const struct book_sa *values);
/* The inbound SA with this SPI, NULL if there is none. */
struct book_sa *book_find_in(const struct book *book, uint32_t spi);

/* Takes it off its list, to be deleted at once. Harmless if it is on a queue. */
void book_retire(struct book *book, struct book_sa *sa);
/* Moves it to the list of draining ones, to be deleted after so many milliseconds. Harmless if it is on a queue. */
void book_drain(struct book *book, struct book_sa *sa, struct book_list *draining, unsigned int delay_ms);
/* Moves a draining SA to those that leave at once. */
void book_hurry(struct book *book, struct book_sa *sa);
/* The next SA to delete, NULL if none is due; it stays on its queue until book_drop(). */
struct book_sa *book_next_due(const struct book *book, const struct book_sa *previous, uint64_t now_ms);
/* Strikes an SA out and frees it. */
void book_drop(struct book *book, struct book_sa *sa);
void book_drop_list(struct book *book, struct book_list *list);

#endif
