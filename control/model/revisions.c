/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/revisions.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Names inside the state directory. */
#define LOCK_NAME   "lock"
#define POLICY_NAME "policy-revision"
#define NEXT_NAME   "next.tmp" /* in history/: the record being written */

struct revisions {
	char path[PATH_MAX]; /* of the state directory, for messages */
	int lock;
	int state; /* directories */
	int history;
	uint64_t current;
	uint64_t policy;
	bool prepared;
};

void revisions_time(char text[REVISIONS_TIME_SIZE])
{
	struct timespec now;
	struct tm utc;
	size_t length;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &utc);
	length = strftime(text, REVISIONS_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(text + length, REVISIONS_TIME_SIZE - length, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static int system_error(const struct revisions *revisions, const char *name, const char *what, struct error *error)
{
	int code = errno;

	return error_set(error, code, NULL, "%s/%s: %s: %s", revisions->path, name, what, strerror(code));
}

/* Number of a history file's name "NNNNNNNN.json" (more digits from 10^8 on), 0 if it is something else. */
static uint64_t name_number(const char *name)
{
	char *end;
	uint64_t number;

	if (strspn(name, "0123456789") < 8 || strspn(name, "0123456789") > 19)
		return 0;
	number = strtoull(name, &end, 10);
	return strcmp(end, ".json") == 0 ? number : 0;
}

enum { NAME_SIZE = 32 };

static void number_name(uint64_t number, char name[NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, "%08" PRIu64 ".json", number);
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* All numbers on disk, ascending; the array is the caller's. */
static uint64_t *scan(const struct revisions *revisions, size_t *count)
{
	int fd = openat(revisions->history, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	uint64_t *numbers = NULL;
	const struct dirent *entry;

	*count = 0;
	if (directory == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return NULL;
	}
	while ((entry = readdir(directory)) != NULL) {
		uint64_t number = name_number(entry->d_name);
		uint64_t *grown = number != 0 ? reallocarray(numbers, *count + 1, sizeof(*numbers)) : NULL;

		if (grown == NULL)
			continue;
		numbers = grown;
		numbers[(*count)++] = number;
	}
	(void)closedir(directory);
	if (*count != 0)
		qsort(numbers, *count, sizeof(*numbers), compare_numbers);
	return numbers;
}

/* Writes a whole file and brings it to the disk. */
static int write_durably(int directory, const char *name, const char *data, size_t length)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int code = 0;

	if (fd < 0)
		return -1;
	while (length != 0 && code == 0) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno != EINTR)
			code = errno;
		if (written > 0) {
			data += written;
			length -= (size_t)written;
		}
	}
	if (code == 0 && fsync(fd) != 0)
		code = errno;
	if (close(fd) != 0 && code == 0)
		code = errno;
	if (code != 0)
		(void)unlinkat(directory, name, 0);
	errno = code;
	return code == 0 ? 0 : -1;
}

static int open_directory(struct revisions *revisions, int above, const char *path, struct error *error)
{
	int fd;

	if (mkdirat(above, path, 0700) != 0 && errno != EEXIST)
		return error_set(error, errno, NULL, "%s: cannot make the directory: %s", path, strerror(errno));
	fd = openat(above, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		(void)system_error(revisions, path, "cannot open the directory", error);
	return fd;
}

static int take_lock(struct revisions *revisions, struct error *error)
{
	revisions->lock = openat(revisions->state, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (revisions->lock < 0)
		return system_error(revisions, LOCK_NAME, "cannot open", error);
	if (flock(revisions->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return system_error(revisions, LOCK_NAME, "cannot lock", error);
	return error_set(error, EBUSY, NULL, "%s: another pontlevis-control keeps its state there", revisions->path);
}

static int read_policy(struct revisions *revisions, struct error *error)
{
	char text[32] = "", *end;
	ssize_t length;
	int fd = openat(revisions->state, POLICY_NAME, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return system_error(revisions, POLICY_NAME, "cannot open", error);
	length = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	revisions->policy = strtoull(text, &end, 10);
	if (length <= 0 || end == text || strcmp(end, "\n") != 0)
		return error_set(error, EINVAL, NULL, "%s/%s: is not one number", revisions->path, POLICY_NAME);
	return 0;
}

static int find_current(struct revisions *revisions, struct error *error)
{
	size_t count;
	uint64_t *numbers = scan(revisions, &count);
	json_t *record;

	(void)unlinkat(revisions->history, NEXT_NAME, 0);
	revisions->current = count != 0 ? numbers[count - 1] : 0;
	free(numbers);
	if (revisions->current == 0)
		return 0;
	record = revisions_read(revisions, revisions->current, error);
	json_decref(record);
	return record != NULL ? 0 : -1;
}

struct revisions *revisions_open(const char *state, struct error *error)
{
	struct revisions *revisions = calloc(1, sizeof(*revisions));

	if (revisions == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	(void)snprintf(revisions->path, sizeof(revisions->path), "%s", state);
	revisions->history = revisions->lock = -1;
	revisions->state = open_directory(revisions, AT_FDCWD, state, error);
	if (revisions->state < 0 || take_lock(revisions, error) != 0)
		goto undo;
	revisions->history = open_directory(revisions, revisions->state, "history", error);
	if (revisions->history < 0 || read_policy(revisions, error) != 0 || find_current(revisions, error) != 0)
		goto undo;
	return revisions;
undo:
	revisions_close(revisions);
	return NULL;
}

void revisions_close(struct revisions *revisions)
{
	if (revisions == NULL)
		return;
	revisions_abandon(revisions);
	if (revisions->history >= 0)
		(void)close(revisions->history);
	if (revisions->state >= 0)
		(void)close(revisions->state);
	if (revisions->lock >= 0)
		(void)close(revisions->lock);
	free(revisions);
}

uint64_t revisions_current(const struct revisions *revisions)
{
	return revisions->current;
}

json_t *revisions_read(const struct revisions *revisions, uint64_t revision, struct error *error)
{
	char name[NAME_SIZE];
	json_error_t problem;
	json_t *record;
	FILE *file;
	int fd;

	number_name(revision, name);
	fd = openat(revisions->history, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		(void)error_set(error, ENOENT, NULL, "revision %" PRIu64 " is not kept", revision);
		return NULL;
	}
	file = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (file == NULL) {
		(void)system_error(revisions, name, "cannot open", error);
		if (fd >= 0)
			(void)close(fd);
		return NULL;
	}
	record = json_loadf(file, JSON_REJECT_DUPLICATES, &problem);
	(void)fclose(file);
	if (record == NULL) {
		(void)error_set(error, EINVAL, NULL, "%s/history/%s: line %d: %s", revisions->path, name, problem.line,
			problem.text);
	} else if (json_integer_value(json_object_get(record, "revision")) != (json_int_t)revision ||
		   !json_is_object(json_object_get(record, "config"))) {
		(void)error_set(error, EINVAL, NULL, "%s/history/%s: is no record of revision %" PRIu64,
			revisions->path, name, revision);
		json_decref(record);
		record = NULL;
	}
	return record;
}

size_t revisions_list(const struct revisions *revisions, uint64_t *numbers, size_t size)
{
	size_t count, skipped;
	uint64_t *all = scan(revisions, &count);

	skipped = count > size ? count - size : 0;
	if (count != 0)
		memcpy(numbers, all + skipped, (count - skipped) * sizeof(*numbers));
	free(all);
	return count - skipped;
}

int revisions_prepare(struct revisions *revisions, json_t *record, struct error *error)
{
	char time[REVISIONS_TIME_SIZE];
	char *text;
	int result;

	revisions_time(time);
	if (json_object_set_new(record, "revision", json_integer((json_int_t)revisions->current + 1)) != 0 ||
		json_object_set_new(record, "time", json_string(time)) != 0)
		return error_set(error, ENOMEM, NULL, "out of memory");
	text = json_dumps(record, JSON_INDENT(1));
	if (text == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	result = write_durably(revisions->history, NEXT_NAME, text, strlen(text));
	free(text);
	if (result != 0)
		return system_error(revisions, "history/" NEXT_NAME, "cannot write", error);
	revisions->prepared = true;
	return 0;
}

/* Removes what is beyond REVISIONS_KEPT; a file that stays does no harm. */
static void prune(const struct revisions *revisions)
{
	size_t count;
	uint64_t *numbers = scan(revisions, &count);

	for (size_t i = 0; i + REVISIONS_KEPT < count; i++) {
		char name[NAME_SIZE];

		number_name(numbers[i], name);
		(void)unlinkat(revisions->history, name, 0);
	}
	free(numbers);
}

int revisions_publish(struct revisions *revisions, struct error *error)
{
	char name[NAME_SIZE];

	number_name(revisions->current + 1, name);
	if (renameat(revisions->history, NEXT_NAME, revisions->history, name) != 0) {
		(void)system_error(revisions, name, "cannot be put in place", error);
		revisions_abandon(revisions);
		return -1;
	}
	revisions->prepared = false;
	if (fsync(revisions->history) != 0) {
		(void)system_error(revisions, "history", "cannot be written to disk", error);
		(void)unlinkat(revisions->history, name, 0);
		return -1;
	}
	revisions->current++;
	prune(revisions);
	return 0;
}

void revisions_abandon(struct revisions *revisions)
{
	if (revisions->prepared)
		(void)unlinkat(revisions->history, NEXT_NAME, 0);
	revisions->prepared = false;
}

uint64_t revisions_next_policy(struct revisions *revisions, struct error *error)
{
	static const char temporary[] = POLICY_NAME ".tmp";
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", revisions->policy + 1);
	if (write_durably(revisions->state, temporary, text, strlen(text)) != 0 ||
		renameat(revisions->state, temporary, revisions->state, POLICY_NAME) != 0 ||
		fsync(revisions->state) != 0) {
		(void)system_error(revisions, POLICY_NAME, "cannot be written", error);
		return 0;
	}
	return ++revisions->policy;
}
