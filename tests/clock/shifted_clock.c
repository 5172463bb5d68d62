/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before the libraries (LD_PRELOAD): the wall clock is wrong by as many seconds as stand in the file that the
 * environment's CLOCK_SHIFT names (an int64_t), at every moment anew. The clock of the machine, and CLOCK_MONOTONIC,
 * stay as they are.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) __extension__((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static volatile const int64_t *shift;

__attribute__((constructor)) static void map_shift(void)
{
	const char *path = getenv("CLOCK_SHIFT");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *memory = file >= 0 ? mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;

	if (memory == MAP_FAILED)
		_exit(99); /* a test that shifts nothing proves nothing */
	(void)close(file);
	shift = memory;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = REAL(clock_gettime)(clock, now);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
		now->tv_sec += *shift;
	return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec exact;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &exact);
	*now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *seconds)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (seconds)
		*seconds = now.tv_sec;
	return now.tv_sec;
}
