/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/deadline.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BOOT_ID_SIZE = 37 }; /* a UUID as text, NUL */

int64_t deadline_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "" if the kernel does not tell: then every start is taken for one after a reboot. */
static void read_boot_id(char text[BOOT_ID_SIZE])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, BOOT_ID_SIZE - 1) : 0;

	text[length > 0 ? length : 0] = '\0';
	if (fd >= 0)
		(void)close(fd);
}

json_t *deadline_make(uint32_t timeout_s)
{
	char boot_id[BOOT_ID_SIZE];

	read_boot_id(boot_id);
	return json_pack("{s:I, s:s, s:I}", "timeout_s", (json_int_t)timeout_s, "boot_id", boot_id, "deadline_ms",
		(json_int_t)deadline_now_ms() + (json_int_t)timeout_s * 1000);
}

int64_t deadline_read(const json_t *record)
{
	const char *boot_id = json_string_value(json_object_get(record, "boot_id"));
	char here[BOOT_ID_SIZE];

	read_boot_id(here);
	if (boot_id == NULL || here[0] == '\0' || strcmp(boot_id, here) != 0)
		return 0;
	return json_integer_value(json_object_get(record, "deadline_ms"));
}
