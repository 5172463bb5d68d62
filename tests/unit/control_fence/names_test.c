/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <string.h>

#include "control/fence/fence.h"

Test(names, of_verdicts_and_places_are_total)
{
	unsigned int i, named = 0;

	for (i = 0; i < PONT_VERDICT_COUNT + 2; i++) {
		cr_expect_not_null(fence_verdict_name(i));
		named += strcmp(fence_verdict_name(i), "unknown") != 0;
	}
	cr_expect_eq(named, 11);
	cr_expect_str_eq(fence_verdict_name(PONT_VERDICT_DENY_UNLISTED), "deny_unlisted");
	for (i = 0; i < PONT_PLACE_COUNT; i++)
		cr_expect_str_neq(fence_place_name(i), "unknown");
	cr_expect_str_eq(fence_place_name(PONT_PLACE_COUNT), "unknown");
	cr_expect_str_eq(fence_place_name(PONT_PLACE_TC), "tc");
}
