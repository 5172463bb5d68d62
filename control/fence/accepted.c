/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/accepted.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "control/model/durable.h"

static const char file_name[] = "bundle-accepted";

enum { LINE_SIZE = 128 };

struct accepted {
	uint64_t version; /* 0: none */
	uint8_t sha256[LINES_SHA256_SIZE];
};

static bool parse(char *line, struct accepted *accepted)
{
	char *space = strchr(line, ' ');
	size_t length = strlen(line), size = 0;

	if (!space || !length || line[length - 1] != '\n')
		return false;
	*space = line[length - 1] = '\0';
	return lines_number(line, INT64_MAX, &accepted->version) && accepted->version &&
	       !sodium_hex2bin(
		       accepted->sha256, sizeof(accepted->sha256), space + 1, strlen(space + 1), NULL, &size, NULL) &&
	       size == sizeof(accepted->sha256);
}

static int read_accepted(const char *state, struct accepted *accepted, struct error *error)
{
	char path[PATH_MAX], line[LINE_SIZE];
	ssize_t got;
	int fd;

	memset(accepted, 0, sizeof(*accepted));
	(void)snprintf(path, sizeof(path), "%s/%s", state, file_name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	got = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
	if (got < 0)
		(void)error_set(error, errno, "/fence/bundle", "%.300s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	if (got < 0)
		return -1;
	line[got] = '\0';
	if (parse(line, accepted))
		return 0;
	return error_set(error, EINVAL, "/fence/bundle",
		"%.300s: is damaged: which bundles are too old cannot be told. Write the version and the SHA-256 of "
		"the bundle that was in force there, or remove the file to start anew",
		path);
}

int accepted_check(const char *state, uint64_t version, const uint8_t sha256[LINES_SHA256_SIZE], struct error *error)
{
	struct accepted accepted;

	if (read_accepted(state, &accepted, error))
		return -1;
	if (version < accepted.version)
		return error_set(error, ESTALE, "/fence/bundle",
			"the bundle's version %" PRIu64 " is older than %" PRIu64 ", which was in force already",
			version, accepted.version);
	if (version == accepted.version && memcmp(sha256, accepted.sha256, LINES_SHA256_SIZE) != 0)
		return error_set(error, ESTALE, "/fence/bundle",
			"another bundle of the same version %" PRIu64 " was in force already", version);
	return 0;
}

int accepted_note(const char *state, uint64_t version, const uint8_t sha256[LINES_SHA256_SIZE], struct error *error)
{
	char line[LINE_SIZE], hexadecimal[2 * LINES_SHA256_SIZE + 1];
	struct accepted accepted;
	int directory, code = 0;

	if (read_accepted(state, &accepted, error))
		return -1;
	if (version <= accepted.version)
		return 0;
	(void)sodium_bin2hex(hexadecimal, sizeof(hexadecimal), sha256, LINES_SHA256_SIZE);
	(void)snprintf(line, sizeof(line), "%" PRIu64 " %s\n", version, hexadecimal);
	directory = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || durable_replace(directory, file_name, line, strlen(line)))
		code = errno;
	if (directory >= 0)
		(void)close(directory);
	return code ? error_set(error, code, "/fence/bundle",
			      "%.300s/%s: the bundle's version cannot be written down: %s", state, file_name,
			      strerror(code))
		    : 0;
}
