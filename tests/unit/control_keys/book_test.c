/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/book.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "pontlevis/link.h"

static struct book book;
static struct book_list list, draining;

static void open_book(void)
{
	cr_assert(sodium_init() >= 0);
	memset(&book, 0, sizeof(book));
	book_init(&book);
	LIST_INIT(&list);
	LIST_INIT(&draining);
}

static void close_book(void)
{
	book_drop_list(&book, &list);
	book_drop_list(&book, &draining);
	book_free(&book);
}

TestSuite(book, .init = open_book, .fini = close_book);

static struct book_sa *add(uint32_t spi)
{
	const struct book_sa values = {.direction = PONT_SA_IN, .spi = spi};

	return book_add(&book, &list, &values);
}

Test(book, gives_no_spi_before_there_are_slots)
{
	cr_assert_eq(book_pick_spi(&book), 0);
	cr_assert_null(book_find_in(&book, 4711));
}

Test(book, gives_every_slot_once_and_then_no_more)
{
	static const uint32_t sizes[] = {1, 2, 64, 4096};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool taken[4096] = {false};

		cr_assert_eq(book_resize(&book, sizes[i]), 0);
		for (uint32_t j = 0; j < sizes[i]; j++) {
			uint32_t spi = book_pick_spi(&book);

			cr_assert_gt(spi, 255);
			cr_assert_neq(spi / sizes[i], 0, "the random part of 0x%08x is zero", spi);
			cr_assert_not(taken[spi % sizes[i]]);
			taken[spi % sizes[i]] = true;
			cr_assert_not_null(add(spi));
			cr_assert_eq(book_find_in(&book, spi)->spi, spi);
		}
		cr_assert_eq(book_pick_spi(&book), 0);
		book_drop_list(&book, &list);
	}
}

Test(book, does_not_reuse_a_slot_before_the_delete_is_confirmed)
{
	struct book_sa *sa;
	uint32_t spi;

	cr_assert_eq(book_resize(&book, 1), 0);
	spi = book_pick_spi(&book);
	sa = add(spi);
	cr_assert_null(add(spi + 1));
	book_retire(&book, sa);
	cr_assert_eq(book_pick_spi(&book), 0);
	cr_assert_eq(book_next_due(&book, NULL, 1), sa);
	book_drop(&book, sa);
	cr_assert_neq(book_pick_spi(&book), 0);
	cr_assert_null(book_find_in(&book, spi));
}

Test(book, hands_out_what_leaves_at_once_before_what_has_drained)
{
	struct book_sa *drains, *drains_later, *leaves;
	const uint64_t forever = UINT64_MAX;

	cr_assert_eq(book_resize(&book, 8), 0);
	drains = add(0x1000);
	drains_later = add(0x1001);
	leaves = add(0x1002);
	book_drain(&book, drains, &draining, 30000);
	book_drain(&book, drains_later, &draining, 30000);
	book_retire(&book, leaves);
	/* A second retirement changes nothing. */
	book_retire(&book, drains);
	cr_assert_eq(book_next_due(&book, NULL, 1), leaves);
	cr_assert_null(book_next_due(&book, leaves, 1));
	cr_assert_eq(book_next_due(&book, leaves, forever), drains);
	cr_assert_eq(book_next_due(&book, drains, forever), drains_later);
	cr_assert_null(book_next_due(&book, drains_later, forever));
	book_hurry(&book, drains_later);
	cr_assert_eq(book_next_due(&book, leaves, 1), drains_later);
	book_drop(&book, leaves);
	cr_assert_eq(book_next_due(&book, NULL, 1), drains_later);
}
