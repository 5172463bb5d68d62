/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/book.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>

#define W BOOK_WINDOW

TestSuite(book, .timeout = 60);

static const char *const names[] = {[BOOK_NEXT] = "next",
	[BOOK_GAP] = "gap",
	[BOOK_REORDERED] = "reordered",
	[BOOK_DUPLICATE] = "duplicate",
	[BOOK_TOO_OLD] = "too old"};

/* A row starts with a book whose only entry is `first` (0: none). */
static const struct {
	uint64_t first;
	struct {
		uint32_t number;
		enum book_verdict verdict;
		uint32_t skipped;
	} arrival[4];
} table[] = {
	{0, {{1, BOOK_NEXT, 0}, {2, BOOK_NEXT, 0}, {3, BOOK_NEXT, 0}, {3, BOOK_DUPLICATE, 0}}},
	{0, {{3, BOOK_GAP, 2}, {1, BOOK_REORDERED, 0}, {2, BOOK_REORDERED, 0}, {2, BOOK_DUPLICATE, 0}}},
	{0, {{0, BOOK_TOO_OLD, 0}, {1, BOOK_NEXT, 0}, {0, BOOK_TOO_OLD, 0}, {0xffffffff, BOOK_TOO_OLD, 0}}},
	{100, {{101, BOOK_NEXT, 0}, {105, BOOK_GAP, 3}, {104, BOOK_REORDERED, 0}, {101, BOOK_DUPLICATE, 0}}},
	/* The edges of the window. */
	{W + 100,
		{{101, BOOK_REORDERED, 0}, {100, BOOK_TOO_OLD, 0}, {101, BOOK_DUPLICATE, 0}, {102, BOOK_REORDERED, 0}}},
	{100, {{100 + W - 1, BOOK_GAP, W - 2}, {100, BOOK_DUPLICATE, 0}, {101, BOOK_REORDERED, 0},
		      {99, BOOK_TOO_OLD, 0}}},
	{100, {{100 + W, BOOK_GAP, W - 1}, {100, BOOK_TOO_OLD, 0}, {101, BOOK_REORDERED, 0}, {102, BOOK_REORDERED, 0}}},
	{100, {{100 + 3 * W, BOOK_GAP, 3 * W - 1}, {101 + 2 * W, BOOK_REORDERED, 0}, {100 + 2 * W, BOOK_TOO_OLD, 0},
		      {100 + 3 * W, BOOK_DUPLICATE, 0}}},
	/* 32 bits on the wire, more in the book. */
	{0xfffffffe, {{0xffffffff, BOOK_NEXT, 0}, {0, BOOK_NEXT, 0}, {2, BOOK_GAP, 1}, {1, BOOK_REORDERED, 0}}},
	{UINT64_C(0x100000001),
		{{0xffffffff, BOOK_REORDERED, 0}, {0, BOOK_REORDERED, 0}, {1, BOOK_DUPLICATE, 0}, {2, BOOK_NEXT, 0}}},
};

Test(book, verdicts)
{
	for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++) {
		struct book book = {.top = table[row].first};

		if (table[row].first != 0)
			book.window[table[row].first % W / 64] |= UINT64_C(1) << (table[row].first % 64);
		for (size_t i = 0; i < 4; i++) {
			uint32_t skipped = 0;
			enum book_verdict verdict = book_enter(&book, table[row].arrival[i].number, &skipped);

			cr_expect(verdict == table[row].arrival[i].verdict, "row %zu, arrival %zu: %s instead of %s",
				row, i, names[verdict], names[table[row].arrival[i].verdict]);
			cr_expect_eq(skipped, table[row].arrival[i].skipped, "row %zu, arrival %zu: %u skipped", row, i,
				skipped);
		}
	}
}

/* Mostly the next ones, some left out; one in eight from far behind, one in a thousand far ahead. */
static int64_t random_step(void)
{
	long kind = random() % 1024;

	if (kind == 0)
		return random() % (2 * W);
	return kind < 128 ? random() % (W * 5 / 4) - W * 5 / 4 : random() % 3;
}

/* Against a model that remembers everything: numbers near a wandering top, across the wrap of 32 bits. */
Test(book, model)
{
	enum { NUMBERS = 1 << 20 };
	static bool seen[NUMBERS];
	const uint64_t base = UINT64_C(0x100000000) - NUMBERS / 8;
	struct book book = {.top = base};
	uint64_t top = base, received = 0, duplicates = 0, reordered = 0, too_old = 0, distance = 0;

	book.window[base % W / 64] |= UINT64_C(1) << (base % 64);
	seen[0] = true;
	srandom(1);
	for (unsigned int i = 0; i < 150000 && top < base + NUMBERS - W; i++) {
		uint64_t number = top + (uint64_t)random_step();
		uint32_t skipped;

		if (number < base + 1)
			continue;
		(void)book_enter(&book, (uint32_t)number, &skipped);
		if (number <= top && top - number >= W) {
			too_old++;
		} else if (seen[number - base]) {
			duplicates++;
		} else {
			seen[number - base] = true;
			received++;
			if (number < top) {
				reordered++;
				distance = top - number > distance ? top - number : distance;
			}
		}
		top = number > top ? number : top;
	}
	cr_expect(top > UINT64_C(0x100000000));
	cr_expect(reordered > 1000 && duplicates > 1000 && too_old > 1000, "%lu reordered, %lu twice, %lu too old",
		reordered, duplicates, too_old);
	cr_expect_eq(book.top, top);
	cr_expect_eq(book.received, received);
	cr_expect_eq(book.duplicates, duplicates);
	cr_expect_eq(book.reordered, reordered);
	cr_expect_eq(book.too_old, too_old);
	cr_expect_eq(book.distance, distance);
}
