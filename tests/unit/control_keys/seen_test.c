/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/seen.h"

#include <criterion/criterion.h>

Test(seen, tells_new_from_seen_before)
{
	struct seen seen = {0};

	for (unsigned int round = 0; round < 2; round++) {
		for (uint32_t vni = 1; vni <= 50; vni++)
			for (uint16_t worker = 0; worker < 16; worker++)
				for (uint32_t spi = 256; spi < 266; spi++)
					cr_assert_eq(seen_add(&seen, vni, worker, spi << 17),
						round == 0 ? SEEN_NEW : SEEN_BEFORE);
	}
	cr_assert_eq(seen.count, 8000);
	seen_clear(&seen);
	cr_assert_eq(seen_add(&seen, 1, 0, 256), SEEN_NEW);
	seen_clear(&seen);
}

Test(seen, tells_triples_apart_at_the_ends_of_their_ranges)
{
	struct seen seen = {0};

	cr_assert_eq(seen_add(&seen, 0xffffff, 15, UINT32_MAX), SEEN_NEW);
	cr_assert_eq(seen_add(&seen, 0xffffff, 14, UINT32_MAX), SEEN_NEW);
	cr_assert_eq(seen_add(&seen, 0xfffffe, 15, UINT32_MAX), SEEN_NEW);
	cr_assert_eq(seen_add(&seen, 0xffffff, 15, UINT32_MAX - 1), SEEN_NEW);
	cr_assert_eq(seen_add(&seen, 1, 0, 256), SEEN_NEW);
	cr_assert_eq(seen_add(&seen, 0xffffff, 15, UINT32_MAX), SEEN_BEFORE);
	seen_clear(&seen);
}

Test(seen, says_when_it_is_full)
{
	struct seen seen = {0};
	uint32_t spi = 256;

	while (seen_add(&seen, 1, 0, spi) == SEEN_NEW)
		spi++;
	cr_assert_eq(spi - 256, SEEN_MAX);
	cr_assert_eq(seen_add(&seen, 2, 0, 256), SEEN_FULL);
	seen_clear(&seen);
}
