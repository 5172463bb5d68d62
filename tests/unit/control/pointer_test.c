/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/pointer.h"

#include <criterion/criterion.h>

Test(pointer, document_itself_is_the_empty_text)
{
	char text[8];

	pointer_text(NULL, text, sizeof(text));
	cr_assert_str_eq(text, "");
}

Test(pointer, steps_are_written_from_the_top_and_escaped)
{
	struct pointer tenants = pointer_name(NULL, "a/b"), second = pointer_index(&tenants, 12);
	struct pointer name = pointer_name(&second, "m~n");
	char text[64];

	pointer_text(&name, text, sizeof(text));
	cr_assert_str_eq(text, "/a~1b/12/m~0n");
}

Test(pointer, text_that_does_not_fit_is_cut_between_characters)
{
	struct pointer name = pointer_name(NULL, "ab\xc3\xa9\xc3\xa9"); /* two e acute */
	char text[7];

	pointer_text(&name, text, sizeof(text));
	cr_assert_str_eq(text, "/ab\xc3\xa9");
}
