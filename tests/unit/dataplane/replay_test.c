/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/replay.h"

#include <criterion/criterion.h>
#include <search.h>
#include <stdlib.h>

#define W    ((uint64_t)PONT_REPLAY_WINDOW)
#define ESN  (UINT64_C(1) << 32)
#define LAST UINT64_MAX

TestSuite(replay, .timeout = 60);

static const char *const verdicts[] = {
	[REPLAY_FRESH] = "fresh", [REPLAY_DUPLICATE] = "duplicate", [REPLAY_TOO_OLD] = "too old"};

/*
 * RFC 4303 section 3.4.3 case by case. A row starts with the window's state by `top`: 0 is a new SA, another number is
 * a window in which that number alone was received. Then up to four numbers arrive.
 */
static const struct {
	int number;
	uint64_t top;
	struct {
		uint64_t sequence;
		enum replay_verdict verdict;
	} arrival[4];
} table[] = {
	/* A new SA. Zero is never sent. */
	{1, 0, {{0, REPLAY_TOO_OLD}, {1, REPLAY_FRESH}, {1, REPLAY_DUPLICATE}, {2, REPLAY_FRESH}}},
	{2, 0, {{1, REPLAY_FRESH}, {0, REPLAY_TOO_OLD}, {2, REPLAY_FRESH}, {0, REPLAY_TOO_OLD}}},
	{3, 0, {{W - 1, REPLAY_FRESH}, {1, REPLAY_FRESH}, {1, REPLAY_DUPLICATE}, {0, REPLAY_TOO_OLD}}},
	{4, 0, {{W, REPLAY_FRESH}, {1, REPLAY_FRESH}, {W + 1, REPLAY_FRESH}, {1, REPLAY_TOO_OLD}}},
	{5, 0, {{W + 1, REPLAY_FRESH}, {1, REPLAY_TOO_OLD}, {2, REPLAY_FRESH}, {2, REPLAY_DUPLICATE}}},
	{6, 0, {{LAST, REPLAY_FRESH}, {LAST, REPLAY_DUPLICATE}, {1, REPLAY_TOO_OLD}, {LAST - 1, REPLAY_FRESH}}},
	/* In order, out of order, twice. */
	{10, 100, {{101, REPLAY_FRESH}, {102, REPLAY_FRESH}, {101, REPLAY_DUPLICATE}, {102, REPLAY_DUPLICATE}}},
	{11, 100, {{103, REPLAY_FRESH}, {101, REPLAY_FRESH}, {102, REPLAY_FRESH}, {100, REPLAY_DUPLICATE}}},
	{12, 100, {{99, REPLAY_FRESH}, {99, REPLAY_DUPLICATE}, {1, REPLAY_FRESH}, {1, REPLAY_DUPLICATE}}},
	/* The left edge: top - W + 1 is the last one in the window. */
	{20, 5 * W, {{4 * W + 1, REPLAY_FRESH}, {4 * W + 1, REPLAY_DUPLICATE}, {4 * W, REPLAY_TOO_OLD}}},
	{21, 5 * W, {{4 * W + 2, REPLAY_FRESH}, {4 * W - 1, REPLAY_TOO_OLD}, {1, REPLAY_TOO_OLD}}},
	{22, 5 * W + 1, {{4 * W + 2, REPLAY_FRESH}, {4 * W + 1, REPLAY_TOO_OLD}, {4 * W, REPLAY_TOO_OLD}}},
	{23, 5 * W + 63, {{4 * W + 64, REPLAY_FRESH}, {4 * W + 63, REPLAY_TOO_OLD}}},
	{24, 5 * W + 64, {{4 * W + 65, REPLAY_FRESH}, {4 * W + 64, REPLAY_TOO_OLD}}},
	/* One step right puts the left edge out: the place of a number is used again by top + W. */
	{30, 5 * W,
		{{4 * W + 1, REPLAY_FRESH}, {5 * W + 1, REPLAY_FRESH}, {4 * W + 1, REPLAY_TOO_OLD},
			{5 * W + 1, REPLAY_DUPLICATE}}},
	/* Jumps of W - 1, W, W + 1 and many windows. What lies between is fresh, what is left behind is too old. */
	{40, 1000,
		{{1000 + W - 1, REPLAY_FRESH}, {1000, REPLAY_DUPLICATE}, {999, REPLAY_TOO_OLD}, {1001, REPLAY_FRESH}}},
	{41, 1000,
		{{1000 + W, REPLAY_FRESH}, {1000, REPLAY_TOO_OLD}, {1001, REPLAY_FRESH}, {1000 + W, REPLAY_DUPLICATE}}},
	{42, 1000,
		{{1000 + W + 1, REPLAY_FRESH}, {1001, REPLAY_TOO_OLD}, {1002, REPLAY_FRESH}, {1000 + W, REPLAY_FRESH}}},
	{43, 1000,
		{{1000 + 9 * W, REPLAY_FRESH}, {1000, REPLAY_TOO_OLD}, {1001 + 8 * W, REPLAY_FRESH},
			{1000 + 8 * W, REPLAY_TOO_OLD}}},
	/* Across the subspaces of ESN nothing is special once the number has 64 bits. */
	{50, ESN - 1,
		{{ESN, REPLAY_FRESH}, {ESN - 1, REPLAY_DUPLICATE}, {ESN, REPLAY_DUPLICATE}, {ESN + 1, REPLAY_FRESH}}},
	{51, ESN - 1,
		{{ESN + W - 2, REPLAY_FRESH}, {ESN - 1, REPLAY_DUPLICATE}, {ESN - 2, REPLAY_TOO_OLD},
			{ESN, REPLAY_FRESH}}},
	{52, ESN + 5,
		{{ESN - 1, REPLAY_FRESH}, {ESN, REPLAY_FRESH}, {ESN + 6 - W, REPLAY_FRESH},
			{ESN + 5 - W, REPLAY_TOO_OLD}}},
	{53, 7 * ESN,
		{{7 * ESN - 1, REPLAY_FRESH}, {7 * ESN + 1 - W, REPLAY_FRESH}, {7 * ESN - W, REPLAY_TOO_OLD},
			{6 * ESN, REPLAY_TOO_OLD}}},
	/* The end of all numbers. */
	{60, LAST - 1,
		{{LAST, REPLAY_FRESH}, {LAST, REPLAY_DUPLICATE}, {LAST - 1, REPLAY_DUPLICATE}, {0, REPLAY_TOO_OLD}}},
	{61, LAST - 2,
		{{LAST, REPLAY_FRESH}, {LAST - 1, REPLAY_FRESH}, {LAST - W + 1, REPLAY_FRESH},
			{LAST - W, REPLAY_TOO_OLD}}},
	{62, LAST - 100,
		{{LAST, REPLAY_FRESH}, {LAST - 99, REPLAY_FRESH}, {LAST - 100, REPLAY_DUPLICATE}, {1, REPLAY_TOO_OLD}}},
	{63, LAST - W + 1,
		{{LAST, REPLAY_FRESH}, {LAST - W + 1, REPLAY_DUPLICATE}, {LAST - W, REPLAY_TOO_OLD},
			{LAST - 64, REPLAY_FRESH}}},
};

Test(replay, answers_every_edge_of_the_window_as_rfc_4303_says)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct replay replay = {0};

		if (table[i].top != 0)
			cr_assert_eq(replay_accept(&replay, table[i].top), REPLAY_FRESH);
		for (unsigned int a = 0; a < 4; a++) {
			uint64_t sequence = table[i].arrival[a].sequence;
			enum replay_verdict expected = table[i].arrival[a].verdict, got;

			if (sequence == 0 && expected == REPLAY_FRESH)
				break; /* rest of a shorter row */
			got = replay_check(&replay, sequence);
			cr_expect_eq(got, expected, "row %d, arrival %u: check says %s of %#lx", table[i].number, a,
				verdicts[got], (unsigned long)sequence);
			got = replay_accept(&replay, sequence);
			cr_expect_eq(got, expected, "row %d, arrival %u: accept says %s of %#lx", table[i].number, a,
				verdicts[got], (unsigned long)sequence);
		}
	}
}

Test(replay, is_left_alone_by_a_check_and_by_a_refused_number)
{
	struct replay replay = {0}, before;

	for (uint64_t s = 3; s < 3 * W; s += 3)
		cr_assert_eq(replay_accept(&replay, s), REPLAY_FRESH);
	before = replay;
	for (uint64_t s = 0; s < 4 * W; s++) {
		if (replay_check(&replay, s) != REPLAY_FRESH)
			cr_assert_neq(replay_accept(&replay, s), REPLAY_FRESH);
		cr_assert_arr_eq(&replay, &before, sizeof(replay), "%lu changed the window", (unsigned long)s);
	}
}

/* --- random walks against a set of all numbers ever accepted --- */

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct model {
	void *seen; /* tree of uint64_t */
	uint64_t top;
};

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static enum replay_verdict model_accept(struct model *model, uint64_t sequence)
{
	uint64_t *number;

	if (sequence == 0 || (model->top >= sequence && model->top - sequence >= W))
		return REPLAY_TOO_OLD;
	if (tfind(&sequence, &model->seen, compare) != NULL)
		return REPLAY_DUPLICATE;
	number = malloc(sizeof(*number));
	*number = sequence;
	(void)tsearch(number, &model->seen, compare);
	if (sequence > model->top)
		model->top = sequence;
	return REPLAY_FRESH;
}

/* A step of a walk: mostly near the top or an edge of the window, sometimes far away. */
static uint64_t next_number(uint64_t top)
{
	uint64_t r = random_number(), near = r >> 8;

	switch (r % 16) {
	case 0:
		return top - W + near % 5 - 2; /* may wrap for a small top: then it is just a large number */
	case 1:
		return top + W + near % 5 - 2;
	case 2:
		return top + near % (3 * W);
	case 3:
		return top + 64 * (near % 40);
	case 4:
	case 5:
	case 6:
		return top - near % W;
	default:
		return top + 1 + near % 3;
	}
}

static void walk(uint64_t start, unsigned int steps)
{
	struct replay replay = {0};
	struct model model = {0};

	if (start != 0)
		cr_assert_eq(replay_accept(&replay, start), model_accept(&model, start));
	for (unsigned int i = 0; i < steps; i++) {
		uint64_t sequence = next_number(model.top);
		enum replay_verdict expected;

		/* From a small top a wrapped number would end the walk at once. */
		if (start < ESN && sequence > start + 16 * ESN)
			continue;
		cr_assert_eq(replay_check(&replay, sequence), replay_check(&replay, sequence));
		expected = model_accept(&model, sequence);
		cr_assert_eq(replay_accept(&replay, sequence), expected, "step %u from %#lx: %#lx at top %#lx is %s", i,
			(unsigned long)start, (unsigned long)sequence, (unsigned long)model.top, verdicts[expected]);
		cr_assert_eq(replay.top, model.top);
	}
	tdestroy(model.seen, free);
}

Test(replay, agrees_with_a_set_of_all_numbers_on_random_walks)
{
	walk(0, 200000);
	walk(ESN - 10000, 200000);
	walk(12345 * ESN - 3, 100000);
	walk(LAST - 3 * W, 20000);
}

/* --- RFC 4303 appendix A2.1 --- */

/* The smallest number with this low half that is not left of the window. */
static uint64_t nearest(uint64_t top, uint32_t low)
{
	uint64_t left = top >= W ? top - W + 1 : 0, high = top >> 32;
	uint64_t best = (high << 32) | low;
	bool found = false;

	for (uint64_t h = high == 0 ? 0 : high - 1; h <= high + 1 && h <= UINT32_MAX; h++) {
		uint64_t candidate = (h << 32) | low;

		if (candidate >= left && (!found || candidate < best)) {
			best = candidate;
			found = true;
		}
	}
	return best;
}

static const struct {
	int number;
	uint64_t top;
	uint32_t low;
	uint64_t sequence;
} inferences[] = {
	{1, 0, 1, 1},
	{2, 0, UINT32_MAX, UINT32_MAX},
	/* A2.1 case A: the window lies in one subspace. */
	{10, 9 * ESN + 5 * W, 5 * W, 9 * ESN + 5 * W},
	{11, 9 * ESN + 5 * W, 5 * W + 1, 9 * ESN + 5 * W + 1},
	{12, 9 * ESN + 5 * W, 4 * W + 1, 9 * ESN + 4 * W + 1},
	{13, 9 * ESN + 5 * W, 4 * W, 10 * ESN + 4 * W},
	{14, 9 * ESN + 5 * W, 0, 10 * ESN},
	{15, 9 * ESN + 5 * W, UINT32_MAX, 9 * ESN + UINT32_MAX},
	{16, 9 * ESN + W - 1, 0, 9 * ESN},
	/* Case B: the window spans two. */
	{20, 9 * ESN + 5, 5, 9 * ESN + 5},
	{21, 9 * ESN + 5, 6, 9 * ESN + 6},
	{22, 9 * ESN + 5, UINT32_MAX, 9 * ESN - 1},
	{23, 9 * ESN + 5, (uint32_t)(6 - W), 9 * ESN + 6 - W},
	{24, 9 * ESN + 5, (uint32_t)(5 - W), 10 * ESN + 5 - W},
	{25, 9 * ESN + 5, 0, 9 * ESN},
	{26, 9 * ESN + W - 2, UINT32_MAX, 9 * ESN - 1},
	{27, 9 * ESN + W - 1, UINT32_MAX, 9 * ESN + UINT32_MAX},
	/* Crossing 2^32 for the first time. */
	{30, ESN - 1, 0, ESN},
	{31, ESN - 1, 1, ESN + 1},
	{32, ESN - 1, UINT32_MAX, ESN - 1},
	{33, ESN - 2, UINT32_MAX, ESN - 1},
	{34, ESN, UINT32_MAX, ESN - 1},
	{35, W - 1, UINT32_MAX, UINT32_MAX},
	/* There is no subspace behind the last one. */
	{40, LAST, UINT32_MAX, LAST},
	{41, LAST - 1, UINT32_MAX, LAST},
	{42, LAST, 0, LAST - UINT32_MAX},
};

Test(replay, infers_the_upper_half_as_appendix_a2_says)
{
	for (size_t i = 0; i < sizeof(inferences) / sizeof(inferences[0]); i++) {
		struct replay replay = {.top = inferences[i].top};
		uint64_t sequence = replay_infer(&replay, inferences[i].low);

		cr_expect_eq(sequence, inferences[i].sequence, "row %d: %#lx, not %#lx", inferences[i].number,
			(unsigned long)sequence, (unsigned long)inferences[i].sequence);
	}
}

Test(replay, infers_the_nearest_candidate_for_random_windows)
{
	for (unsigned int i = 0; i < 2000000; i++) {
		uint64_t r = random_number();
		struct replay replay = {.top = random_number() >> (r % 64)};
		uint32_t low = (uint32_t)random_number();

		if (r & 64)
			replay.top = (replay.top & ~UINT64_C(0xffffffff)) + (r >> 40) % (3 * W) - W;
		if (r & 128)
			low = (uint32_t)(replay.top + (r >> 44) % (4 * W) - 2 * W);
		cr_assert_eq(replay_infer(&replay, low), nearest(replay.top, low), "top %#lx, low %#x",
			(unsigned long)replay.top, low);
	}
}
