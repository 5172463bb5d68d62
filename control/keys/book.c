/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/book.h"

#include <sodium.h>
#include <stdlib.h>

#include "control/keys/times.h"
#include "pontlevis/link.h"

enum { SPI_MIN = 256 };

void book_init(struct book *book)
{
	TAILQ_INIT(&book->draining);
	TAILQ_INIT(&book->leaving);
}

static struct book_sa **slot_of(const struct book *book, uint32_t spi)
{
	return &book->slot[spi & (book->slots - 1)];
}

struct book_sa *book_find_in(const struct book *book, uint32_t spi)
{
	struct book_sa *sa = book->slots > 0 ? *slot_of(book, spi) : NULL;

	return sa && sa->spi == spi ? sa : NULL;
}

uint32_t book_pick_spi(const struct book *book)
{
	uint32_t slot, spi;

	if (book->used >= book->slots)
		return 0;
	slot = randombytes_uniform(book->slots);
	while (book->slot[slot])
		slot = (slot + 1) & (book->slots - 1);
	do {
		spi = (randombytes_random() & ~(book->slots - 1)) | slot;
		/* The bits above the slot are never all zero, and the values up to 255 are reserved. */
	} while (spi < book->slots || spi < SPI_MIN);
	return spi;
}

struct book_sa *book_add(struct book *book, struct book_list *list, const struct book_sa *values)
{
	struct book_sa *sa;

	if (values->direction == PONT_SA_IN && (book->slots == 0 || *slot_of(book, values->spi)))
		return NULL;
	sa = malloc(sizeof(*sa));
	if (!sa)
		return NULL;
	*sa = *values;
	sa->gone = sa->drains = false;
	if (sa->direction == PONT_SA_IN) {
		*slot_of(book, sa->spi) = sa;
		book->used++;
	}
	LIST_INSERT_HEAD(list, sa, same);
	return sa;
}

void book_retire(struct book *book, struct book_sa *sa)
{
	if (sa->gone)
		return;
	LIST_REMOVE(sa, same);
	sa->gone = true;
	sa->due_ms = 0;
	TAILQ_INSERT_TAIL(&book->leaving, sa, later);
}

void book_drain(struct book *book, struct book_sa *sa, struct book_list *draining, unsigned int delay_ms)
{
	if (sa->gone)
		return;
	LIST_REMOVE(sa, same);
	LIST_INSERT_HEAD(draining, sa, same);
	sa->gone = sa->drains = true;
	sa->retired_ms = keys_now_ms();
	sa->due_ms = sa->retired_ms + delay_ms;
	TAILQ_INSERT_TAIL(&book->draining, sa, later);
}

void book_hurry(struct book *book, struct book_sa *sa)
{
	if (!sa->drains)
		return;
	LIST_REMOVE(sa, same);
	sa->drains = false;
	TAILQ_REMOVE(&book->draining, sa, later);
	sa->due_ms = 0;
	TAILQ_INSERT_TAIL(&book->leaving, sa, later);
}

struct book_sa *book_next_due(const struct book *book, const struct book_sa *previous, uint64_t now_ms)
{
	struct book_sa *next;

	if (!previous)
		next = TAILQ_FIRST(&book->leaving);
	else
		next = TAILQ_NEXT(previous, later);
	if (!next && (!previous || previous->due_ms == 0))
		next = TAILQ_FIRST(&book->draining);
	return next && next->due_ms <= now_ms ? next : NULL;
}

void book_drop(struct book *book, struct book_sa *sa)
{
	if (!sa->gone || sa->drains)
		LIST_REMOVE(sa, same);
	if (sa->drains)
		TAILQ_REMOVE(&book->draining, sa, later);
	else if (sa->gone)
		TAILQ_REMOVE(&book->leaving, sa, later);
	if (sa->direction == PONT_SA_IN) {
		*slot_of(book, sa->spi) = NULL;
		book->used--;
	}
	free(sa);
}

void book_drop_list(struct book *book, struct book_list *list)
{
	struct book_sa *sa, *next;

	for (sa = LIST_FIRST(list); sa; sa = next) {
		next = LIST_NEXT(sa, same);
		book_drop(book, sa);
	}
}

static void drop_queue(struct book *book, struct book_queue *queue)
{
	struct book_sa *sa, *next;

	for (sa = TAILQ_FIRST(queue); sa; sa = next) {
		next = TAILQ_NEXT(sa, later);
		book_drop(book, sa);
	}
}

int book_resize(struct book *book, uint32_t slots)
{
	struct book_sa **slot = calloc(slots, sizeof(*slot));

	if (!slot)
		return -1;
	drop_queue(book, &book->leaving);
	drop_queue(book, &book->draining);
	free(book->slot);
	book->slot = slot;
	book->slots = slots;
	book->used = 0;
	return 0;
}

void book_free(struct book *book)
{
	drop_queue(book, &book->leaving);
	drop_queue(book, &book->draining);
	free(book->slot);
	book->slot = NULL;
	book->slots = 0;
}
