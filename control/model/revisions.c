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

#include "control/audit.h"
#include "control/model/canonical.h"
#include "control/model/durable.h"

/* Names inside the state directory. */
#define LOCK_NAME   "lock"
#define POLICY_NAME "policy-revision"
#define NEXT_NAME   "next.tmp" /* in history/: the record being written */

enum {
	NAME_SIZE = 32,
	RECORD_MAX = 64 << 20, /* bytes: a document has at most 16 MiB, and the file is indented */
	/* After the loss of policy-revision: more policies than a site has had since its last commit. */
	POLICY_MARGIN = 1 << 20,
};

struct revisions {
	char path[PATH_MAX]; /* of the state directory, for messages */
	int lock;
	int state; /* directories */
	int history;
	uint64_t current;
	uint64_t last; /* highest number on disk, damaged ones included */
	uint64_t policy;
	uint64_t keep;     /* gone back to if the current one is not confirmed, 0: none */
	uint64_t keep_new; /* the same for the one prepared */
	bool prepared;
	bool policy_lost; /* its file is damaged: numbers go on well above those of the records */
	json_t *damage;
	struct error problem; /* of the last write */
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

/* The same for what should have been written. */
static int write_error(struct revisions *revisions, const char *name, const char *what, struct error *error)
{
	(void)system_error(revisions, name, what, error);
	revisions->problem = *error;
	return -1;
}

static void note_damage(struct revisions *revisions, const char *name, const char *text)
{
	audit_log("%s", text);
	(void)json_array_append_new(
		revisions->damage, json_pack("{s:o, s:o}", "file", audit_text(name), "text", audit_text(text)));
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

/* Opens a directory; a new one is durable before anything is put into it. */
static int open_directory(struct revisions *revisions, int above, const char *path, struct error *error)
{
	bool made = mkdirat(above, path, 0700) == 0;
	int fd, parent;

	if (!made && errno != EEXIST)
		return error_set(error, errno, NULL, "%s: cannot make the directory: %s", path, strerror(errno));
	fd = openat(above, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return system_error(revisions, path, "cannot open the directory", error);
	parent = made ? openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (parent >= 0) {
		(void)fsync(parent);
		(void)close(parent);
	}
	return fd;
}

static int take_lock(struct revisions *revisions, struct error *error)
{
	revisions->lock = openat(revisions->state, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (revisions->lock < 0 && errno == EROFS) {
		(void)write_error(revisions, LOCK_NAME, "the state can be read only", error);
		audit_log("%s", error->text);
		revisions->lock = openat(revisions->state, LOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (revisions->lock < 0)
		return system_error(revisions, LOCK_NAME, "cannot open", error);
	if (flock(revisions->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return system_error(revisions, LOCK_NAME, "cannot lock", error);
	return error_set(error, EBUSY, NULL, "%s: another pontlevis-control keeps its state there", revisions->path);
}

/* The whole of a file that should hold one number. */
static int parse_policy(const char *text, ssize_t length, uint64_t *policy)
{
	char *end;

	errno = 0;
	*policy = strtoull(text, &end, 10);
	return length > 0 && errno == 0 && text[0] >= '0' && text[0] <= '9' && strcmp(end, "\n") == 0 ? 0 : -1;
}

static int read_policy(struct revisions *revisions, struct error *error)
{
	char text[32] = "";
	ssize_t length;
	int fd = openat(revisions->state, POLICY_NAME, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return system_error(revisions, POLICY_NAME, "cannot open", error);
	length = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (parse_policy(text, length, &revisions->policy) == 0)
		return 0;
	revisions->policy = 0;
	revisions->policy_lost = true;
	(void)error_set(error, EBADMSG, NULL, "%s/%s: is not one number; numbers go on above those of the records",
		revisions->path, POLICY_NAME);
	note_damage(revisions, POLICY_NAME, error->text);
	return 0;
}

/* The newest record that is good is the current one. */
static void find_current(struct revisions *revisions)
{
	size_t count;
	uint64_t *numbers = scan(revisions, &count);
	json_t *record = NULL;
	struct error error;
	uint64_t known;

	(void)unlinkat(revisions->history, NEXT_NAME, 0);
	revisions->last = count != 0 ? numbers[count - 1] : 0;
	while (count != 0 && record == NULL) {
		char name[sizeof("history/") + NAME_SIZE] = "history/";

		record = revisions_read(revisions, numbers[--count], &error);
		if (record != NULL) {
			revisions->current = numbers[count];
			continue;
		}
		number_name(numbers[count], name + strlen(name));
		note_damage(revisions, name, error.text);
	}
	free(numbers);
	if (json_array_size(revisions->damage) != 0)
		audit_log("%s: going on with revision %" PRIu64 ", the last one that is good", revisions->path,
			revisions->current);
	known = (uint64_t)json_integer_value(json_object_get(record, "policy_revision"));
	if (revisions->policy < known)
		revisions->policy = known;
	if (revisions->policy_lost)
		revisions->policy += POLICY_MARGIN;
	revisions->keep = (uint64_t)json_integer_value(json_object_get(json_object_get(record, "confirm"), "previous"));
	json_decref(record);
}

struct revisions *revisions_open(const char *state, struct error *error)
{
	struct revisions *revisions = calloc(1, sizeof(*revisions));

	if (revisions == NULL || (revisions->damage = json_array()) == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		free(revisions);
		return NULL;
	}
	(void)snprintf(revisions->path, sizeof(revisions->path), "%s", state);
	revisions->history = revisions->lock = -1;
	revisions->state = open_directory(revisions, AT_FDCWD, state, error);
	if (revisions->state < 0 || take_lock(revisions, error) != 0)
		goto undo;
	revisions->history = open_directory(revisions, revisions->state, "history", error);
	if (revisions->history < 0 || read_policy(revisions, error) != 0)
		goto undo;
	find_current(revisions);
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
	json_decref(revisions->damage);
	free(revisions);
}

uint64_t revisions_current(const struct revisions *revisions)
{
	return revisions->current;
}

const json_t *revisions_damage(const struct revisions *revisions)
{
	return revisions->damage;
}

const struct error *revisions_problem(const struct revisions *revisions)
{
	return &revisions->problem;
}

/* Format 0, without a checksum: what the first version wrote. Nothing else may look like it. */
static const char *migrate_0(json_t *record)
{
	static const char *const members[] = {"revision", "time", "who", "peer_numbers", "config"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (json_object_get(record, members[i]) == NULL)
			return "is no record";
	}
	if (json_object_size(record) != sizeof(members) / sizeof(members[0]))
		return "has members that its format does not know";
	return json_object_set_new(record, "reason", json_string("commit")) == 0 ? NULL : "out of memory";
}

/* From each earlier format to the next one: changes the record, and says what is wrong with it or NULL. */
static const char *(*const migrations[REVISIONS_FORMAT])(json_t *record) = {migrate_0};

static bool checksum_fits(json_t *record)
{
	char digest[CANONICAL_DIGEST_SIZE];
	json_t *checksum = json_incref(json_object_get(record, "checksum"));
	const char *text = json_string_value(checksum);
	bool fits;

	(void)json_object_del(record, "checksum");
	fits = text != NULL && canonical_digest(record, digest) == 0 && strcmp(text, digest) == 0;
	(void)json_object_set_new(record, "checksum", checksum != NULL ? checksum : json_null());
	return fits;
}

/* What is wrong with a record, NULL: nothing. Brings it to the present format. */
static const char *judge(json_t *record, uint64_t revision)
{
	const json_t *format = json_object_get(record, "format");
	json_int_t number = json_integer_value(format);

	if (format != NULL && !json_is_integer(format))
		return "has a format that is no number";
	if (number < 0 || number > REVISIONS_FORMAT)
		return "is of a format that a later version writes";
	if (number != 0 && !checksum_fits(record))
		return "does not fit its checksum";
	for (; number < REVISIONS_FORMAT; number++) {
		const char *wrong = migrations[number](record);

		if (wrong != NULL)
			return wrong;
	}
	if (json_integer_value(json_object_get(record, "revision")) != (json_int_t)revision)
		return "is the record of another revision";
	return json_is_object(json_object_get(record, "config")) ? NULL : "has no configuration";
}

json_t *revisions_read(const struct revisions *revisions, uint64_t revision, struct error *error)
{
	char name[NAME_SIZE];
	const char *wrong = "is longer than any record";
	json_error_t problem = {.text = ""};
	json_t *record = NULL;
	struct stat status;
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
	if (fstat(fd, &status) == 0 && status.st_size <= RECORD_MAX) {
		record = json_loadf(file, JSON_REJECT_DUPLICATES, &problem);
		wrong = record == NULL ? problem.text : judge(record, revision);
	}
	(void)fclose(file);
	if (wrong == NULL)
		return record;
	(void)error_set(error, EBADMSG, NULL, "%s/history/%s: damaged: %s", revisions->path, name, wrong);
	json_decref(record);
	return NULL;
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

/* Completes a record with its checksum and writes it beside. */
static int write_record(struct revisions *revisions, json_t *record, struct error *error)
{
	char digest[CANONICAL_DIGEST_SIZE];
	char *text;
	int result;

	(void)json_object_del(record, "checksum");
	if (json_object_set_new(record, "format", json_integer(REVISIONS_FORMAT)) != 0 ||
		canonical_digest(record, digest) != 0 ||
		json_object_set_new(record, "checksum", json_string(digest)) != 0)
		return error_set(error, ENOMEM, NULL, "out of memory");
	text = json_dumps(record, JSON_INDENT(1));
	if (text == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	result = durable_write(revisions->history, NEXT_NAME, text, strlen(text));
	free(text);
	if (result != 0)
		return write_error(revisions, "history/" NEXT_NAME, "cannot write", error);
	revisions->prepared = true;
	return 0;
}

int revisions_prepare(struct revisions *revisions, json_t *record, struct error *error)
{
	char time[REVISIONS_TIME_SIZE];

	revisions_time(time);
	if (json_object_set_new(record, "revision", json_integer((json_int_t)revisions->last + 1)) != 0 ||
		json_object_set_new(record, "time", json_string(time)) != 0)
		return error_set(error, ENOMEM, NULL, "out of memory");
	revisions->keep_new =
		(uint64_t)json_integer_value(json_object_get(json_object_get(record, "confirm"), "previous"));
	return write_record(revisions, record, error);
}

/* Removes what is beyond REVISIONS_KEPT; a file that stays does no harm. */
static void prune(const struct revisions *revisions)
{
	size_t count;
	uint64_t *numbers = scan(revisions, &count);

	for (size_t i = 0; i + REVISIONS_KEPT < count; i++) {
		char name[NAME_SIZE];

		number_name(numbers[i], name);
		if (numbers[i] != revisions->keep)
			(void)unlinkat(revisions->history, name, 0);
	}
	free(numbers);
}

/* Puts the record written beside in its place, durably. fresh: it is a new one, which goes again if that fails. */
static int put_in_place(struct revisions *revisions, const char *name, bool fresh, struct error *error)
{
	if (renameat(revisions->history, NEXT_NAME, revisions->history, name) != 0) {
		(void)write_error(revisions, name, "cannot be put in place", error);
		revisions_abandon(revisions);
		return -1;
	}
	revisions->prepared = false;
	if (fsync(revisions->history) != 0) {
		(void)write_error(revisions, "history", "cannot be written to disk", error);
		if (fresh) {
			(void)unlinkat(revisions->history, name, 0);
			(void)fsync(revisions->history);
		}
		return -1;
	}
	revisions->problem.code = 0;
	return 0;
}

int revisions_publish(struct revisions *revisions, struct error *error)
{
	char name[NAME_SIZE];

	number_name(revisions->last + 1, name);
	if (put_in_place(revisions, name, true, error) != 0)
		return -1;
	revisions->current = ++revisions->last;
	revisions->keep = revisions->keep_new;
	prune(revisions);
	return 0;
}

int revisions_set_confirm(struct revisions *revisions, json_t *confirm, struct error *error)
{
	json_t *record = revisions_read(revisions, revisions->current, error);
	char name[NAME_SIZE];
	int result = -1;

	if (record == NULL)
		return -1;
	(void)json_object_del(record, "confirm");
	if (confirm != NULL && json_object_set(record, "confirm", confirm) != 0)
		(void)error_set(error, ENOMEM, NULL, "out of memory");
	else
		result = write_record(revisions, record, error);
	number_name(revisions->current, name);
	if (result == 0)
		result = put_in_place(revisions, name, false, error);
	if (result == 0)
		revisions->keep = (uint64_t)json_integer_value(json_object_get(confirm, "previous"));
	json_decref(record);
	return result;
}

void revisions_abandon(struct revisions *revisions)
{
	if (revisions->prepared)
		(void)unlinkat(revisions->history, NEXT_NAME, 0);
	revisions->prepared = false;
}

uint64_t revisions_next_policy(struct revisions *revisions, struct error *error)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", revisions->policy + 1);
	if (durable_replace(revisions->state, POLICY_NAME, text, strlen(text)) != 0) {
		(void)write_error(revisions, POLICY_NAME, "cannot be written", error);
		return 0;
	}
	return ++revisions->policy;
}

uint64_t revisions_next_policy_unwritten(struct revisions *revisions, uint64_t in_force)
{
	if (revisions->policy < in_force)
		revisions->policy = in_force;
	return ++revisions->policy;
}
