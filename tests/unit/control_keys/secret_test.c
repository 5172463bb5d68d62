/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/secret.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void init(void)
{
	cr_assert_geq(sodium_init(), 0);
}

TestSuite(secret, .init = init, .timeout = 60);

/* Flags of the mapping that an address is in, as /proc/self/smaps has them: "rd wr mr ... ". */
static void read_flags(const void *address, char flags[128])
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long first, last;
	char line[512];
	int inside = 0;

	flags[0] = '\0';
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2 && strchr(line, '-') < strchr(line, ' '))
			inside = first <= (unsigned long)address && (unsigned long)address < last;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			(void)snprintf(flags, 128, "%.120s", line + 8);
	}
	(void)fclose(file);
}

Test(secret, memory_is_locked_not_dumped_and_not_inherited)
{
	static const size_t sizes[] = {1, 32, 4095, 4096, 4097, 100000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *secret = secret_alloc(sizes[i]);
		char flags[128];

		cr_assert_not_null(secret);
		memset(secret, 0x5a, sizes[i]);
		for (size_t at = 0; at < sizes[i]; at += sizes[i] - 1 ? sizes[i] - 1 : 1) { /* first and last byte */
			read_flags(secret + at, flags);
#ifndef __SANITIZE_ADDRESS__ /* takes mlock() for itself and does nothing */
			cr_expect_not_null(
				strstr(flags, " lo"), "%zu bytes at %zu are not locked:%s", sizes[i], at, flags);
#endif
			cr_expect_not_null(strstr(flags, " dd"), "%zu bytes at %zu are dumped:%s", sizes[i], at, flags);
			cr_expect_not_null(
				strstr(flags, " dc"), "%zu bytes at %zu are inherited:%s", sizes[i], at, flags);
		}
		secret_free(secret);
	}
	secret_free(NULL);
}

Test(secret, memory_has_guard_pages)
{
	uint8_t *secret = secret_alloc(32);
	char flags[128];

	read_flags(secret + 4096, flags);
	cr_expect_null(strstr(flags, " rd"), "behind it one can read:%s", flags);
	read_flags(secret - 4096, flags);
	cr_expect_null(strstr(flags, " wr"), "before it one can write:%s", flags);
	secret_free(secret);
}
