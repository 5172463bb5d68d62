/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/primitives.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

TestSuite(primitives, .timeout = 60);

Test(primitives, all_give_the_known_answers)
{
	const struct primitive *wrong;

	cr_assert_geq(sodium_init(), 0);
	wrong = primitives_check();
	cr_assert_null(wrong, "%s", wrong->name);
}

Test(primitives, table_is_complete_and_without_doubles)
{
	for (const struct primitive *a = primitives; a->name; a++) {
		cr_expect(a->standard && a->use && a->function && a->check, "%s", a->name);
		cr_expect_eq(a->key_bits % 8 + a->output_bits % 8, 0, "%s", a->name);
		for (const struct primitive *b = a + 1; b->name; b++)
			cr_expect_str_neq(a->name, b->name);
	}
}
