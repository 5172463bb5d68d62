/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/secret.h"

#include <sodium.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SANITIZED)
#define SANITIZED 1
#endif

void *secret_alloc(size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first;
	void *secret = sodium_malloc(size); /* guard pages, MADV_DONTDUMP, mlock() */

	if (secret == NULL)
		return NULL;
	first = (uintptr_t)secret & ~(page - 1);
	/* Again, as sodium_malloc() does not say when locking fails; and DONTFORK is not its business. */
	if (mlock(secret, size) != 0 ||
		madvise((void *)first, (uintptr_t)secret + size - first, MADV_DONTFORK) != 0) { /* NOLINT: page start */
		sodium_free(secret);
		return NULL;
	}
	return secret;
}

void secret_free(void *secret)
{
	sodium_free(secret);
}

int secret_keep_process(void)
{
	const struct rlimit no_core = {0}, all = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	(void)setrlimit(RLIMIT_MEMLOCK, &all); /* more than the default, if we may; mlockall() has the last word */
	if (setrlimit(RLIMIT_CORE, &no_core) != 0)
		return -1;
#ifndef SANITIZED /* its leak check is a debugger to the kernel, and its shadow is not to be locked */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		return -1;
	/* Stacks and registers saved there hold secrets too. ONFAULT: what is never touched takes no memory. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		return -1;
#endif
	return 0;
}
