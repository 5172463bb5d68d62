/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/audit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct audit {
	char path[PATH_MAX];
	int fd;
	size_t size, size_limit;  /* bytes */
	bool failing;             /* said already that the file cannot be written */
	json_t *kept[AUDIT_KEPT]; /* ring */
	size_t next, count;
};

static int open_file(struct audit *audit)
{
	struct stat status;

	audit->fd = open(audit->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (audit->fd < 0)
		return -1;
	audit->size = fstat(audit->fd, &status) == 0 ? (size_t)status.st_size : 0;
	return 0;
}

struct audit *audit_open(const char *path, size_t size_limit, struct error *error)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (audit == NULL || strlen(path) + sizeof(".1") > sizeof(audit->path)) {
		(void)error_set(error, audit == NULL ? ENOMEM : ENAMETOOLONG, NULL, "audit log: cannot be opened");
		free(audit);
		return NULL;
	}
	memcpy(audit->path, path, strlen(path) + 1);
	audit->size_limit = size_limit;
	/* A disk that takes nothing now must not keep the site down: each event tries again, and stderr hears of them.
	 */
	if (open_file(audit) != 0 && errno != EROFS && errno != ENOSPC && errno != EDQUOT) {
		(void)error_set(error, errno, NULL, "%s: cannot open the audit log: %s", path, strerror(errno));
		free(audit);
		return NULL;
	}
	return audit;
}

void audit_close(struct audit *audit)
{
	if (audit == NULL)
		return;
	for (size_t i = 0; i < AUDIT_KEPT; i++)
		json_decref(audit->kept[i]);
	if (audit->fd >= 0)
		(void)close(audit->fd);
	free(audit);
}

void audit_log(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *c = text; *c != '\0'; c++) { /* one line each, and no terminal escapes */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	}
	(void)fprintf(stderr, "pontlevis-control: %s\n", text);
}

/* Bytes of a valid UTF-8 character at c, 0 if there is none. */
static size_t character(const unsigned char *c)
{
	size_t length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < length; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
		(c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

json_t *audit_text(const char *text)
{
	char *copy = strdup(text);
	json_t *json;

	if (copy == NULL)
		return NULL;
	for (char *c = copy; *c != '\0';) {
		size_t length = character((const unsigned char *)c);

		if (length == 0) {
			*c = '?';
			length = 1;
		}
		c += length;
	}
	json = json_string(copy);
	free(copy);
	return json;
}

/* "session.up peer=par2 text=..." for people; nested values are left out. */
static void tell(json_t *event)
{
	char line[900];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s", json_string_value(json_object_get(event, "event")));
	const char *name;
	json_t *value;

	json_object_foreach (event, name, value) {
		if (used >= sizeof(line))
			break;
		if (strcmp(name, "event") == 0 || strcmp(name, "time") == 0 || strcmp(name, "sequence") == 0)
			continue;
		if (json_is_string(value))
			used += (size_t)snprintf(
				line + used, sizeof(line) - used, " %s=\"%s\"", name, json_string_value(value));
		else if (json_is_integer(value))
			used += (size_t)snprintf(line + used, sizeof(line) - used, " %s=%" JSON_INTEGER_FORMAT, name,
				json_integer_value(value));
	}
	audit_log("%s", line);
}

static void rotate(struct audit *audit)
{
	char old[PATH_MAX];
	size_t length = strlen(audit->path);

	memcpy(old, audit->path, length);
	memcpy(old + length, ".1", sizeof(".1"));
	if (rename(audit->path, old) != 0)
		return; /* goes on growing, and is tried again at the next event */
	(void)close(audit->fd);
	(void)open_file(audit);
}

static void append(struct audit *audit, const json_t *event)
{
	char *line = json_dumps(event, JSON_COMPACT);
	size_t length = line != NULL ? strlen(line) : 0;
	ssize_t written = -1;

	if (audit->fd >= 0 && audit->size + length + 1 > audit->size_limit && audit->size != 0)
		rotate(audit);
	if (audit->fd < 0)
		(void)open_file(audit);
	if (line != NULL && audit->fd >= 0) {
		line[length] = '\n'; /* in place of the NUL: one write, one line */
		written = write(audit->fd, line, length + 1);
	}
	if (written > 0 && written < (ssize_t)length + 1) { /* disk full: no half lines */
		written = ftruncate(audit->fd, (off_t)audit->size) == 0 ? 0 : written;
		errno = ENOSPC;
	}
	if (written > 0)
		audit->size += (size_t)written;
	if (written != (ssize_t)length + 1 && !audit->failing)
		audit_log("%s: cannot write the audit log: %s", audit->path, strerror(errno));
	audit->failing = written != (ssize_t)length + 1;
	free(line);
}

void audit_append(struct audit *audit, json_t *event)
{
	tell(event);
	append(audit, event);
	json_decref(audit->kept[audit->next]);
	audit->kept[audit->next] = json_incref(event);
	audit->next = (audit->next + 1) % AUDIT_KEPT;
	if (audit->count < AUDIT_KEPT)
		audit->count++;
}

json_t *audit_tail(const struct audit *audit, size_t count, const char *event)
{
	json_t *list = json_array();

	for (size_t back = 1; list != NULL && back <= audit->count && json_array_size(list) < count; back++) {
		json_t *record = audit->kept[(audit->next + AUDIT_KEPT - back) % AUDIT_KEPT];

		if (event != NULL && strcmp(json_string_value(json_object_get(record, "event")), event) != 0)
			continue;
		if (json_array_insert(list, 0, record) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
