/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/identity.h"

#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/keys/secret.h"

enum {
	LINE_SIZE = IDENTITY_TEXT_SIZE, /* the base64 text and a newline */
	READ_SIZE = LINE_SIZE + 1,      /* one more, to see that the file is too long */
};

_Static_assert(
	IDENTITY_TEXT_SIZE == sodium_base64_ENCODED_LEN(IDENTITY_KEY_SIZE, sodium_base64_VARIANT_ORIGINAL), "base64");

static int ready(struct error *error)
{
	return sodium_init() < 0 ? error_set(error, EIO, NULL, "libsodium does not start") : 0;
}

void identity_public_text(const uint8_t public_key[IDENTITY_KEY_SIZE], char text[IDENTITY_TEXT_SIZE])
{
	sodium_bin2base64(text, IDENTITY_TEXT_SIZE, public_key, IDENTITY_KEY_SIZE, sodium_base64_VARIANT_ORIGINAL);
}

static int parse(const char *text, size_t length, uint8_t key[IDENTITY_KEY_SIZE])
{
	const char *end = NULL;
	size_t size = 0;

	if (length != IDENTITY_TEXT_SIZE - 1)
		return -1;
	if (sodium_base642bin(
		    key, IDENTITY_KEY_SIZE, text, length, NULL, &size, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
		size != IDENTITY_KEY_SIZE || end != text + length)
		return -1;
	return 0;
}

int identity_public_parse(const char *text, uint8_t public_key[IDENTITY_KEY_SIZE])
{
	return parse(text, strlen(text), public_key);
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Makes the directory entry durable. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	char *slash;
	int fd, result;

	(void)snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (!slash)
		(void)snprintf(directory, sizeof(directory), ".");
	else if (slash == directory)
		slash[1] = '\0';
	else
		*slash = '\0';
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = fsync(fd);
	(void)close(fd);
	return result;
}

/*
 * The line goes to a temporary file first, and link() gives it its name: it fails if the name is taken, and nobody
 * ever sees half a key under that name.
 */
static int write_file(const char *path, const char *line, size_t size, struct error *error)
{
	char temporary[PATH_MAX];
	int fd, result = -1;
	int length = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);

	if (length < 0 || (size_t)length >= sizeof(temporary))
		return error_set(error, ENAMETOOLONG, NULL, "%.200s...: the path is too long", path);
	if (access(path, F_OK) == 0)
		return error_set(error, EEXIST, NULL, "%s: exists already and is not overwritten", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_set(error, errno, NULL, "%s: cannot be created: %s", path, strerror(errno));
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 || write_all(fd, line, size) < 0 || fsync(fd) < 0) {
		error_set(error, errno, NULL, "%s: cannot be written: %s", path, strerror(errno));
		goto out;
	}
	if (link(temporary, path) < 0) {
		if (errno == EEXIST)
			error_set(error, EEXIST, NULL, "%s: exists already and is not overwritten", path);
		else
			error_set(error, errno, NULL, "%s: cannot be created: %s", path, strerror(errno));
		goto out;
	}
	result = 0;
out:
	(void)close(fd);
	(void)unlink(temporary);
	if (result == 0 && sync_directory(path) < 0)
		result = error_set(
			error, errno, NULL, "%s: its directory cannot be synchronised: %s", path, strerror(errno));
	return result;
}

int identity_generate(const char *path, struct error *error)
{
	/* In one locked block: the key, then its line. */
	uint8_t *secret;
	char *line;
	int result;

	if (ready(error) < 0)
		return -1;
	secret = secret_alloc(IDENTITY_KEY_SIZE + LINE_SIZE);
	if (!secret)
		return error_set(error, ENOMEM, NULL, "no locked memory for a key");
	line = (char *)secret + IDENTITY_KEY_SIZE;
	randombytes_buf(secret, IDENTITY_KEY_SIZE);
	identity_public_text(secret, line);
	line[LINE_SIZE - 1] = '\n';
	result = write_file(path, line, LINE_SIZE, error);
	secret_free(secret);
	return result;
}

static int check_file(int fd, const char *path, struct error *error)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return error_set(error, errno, NULL, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(error, EINVAL, NULL, "%s: is not a regular file", path);
	if (status.st_uid != geteuid())
		return error_set(error, EACCES, NULL, "%s: belongs to user %u, must belong to user %u", path,
			(unsigned int)status.st_uid, (unsigned int)geteuid());
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(error, EACCES, NULL, "%s: mode is %04o, must be 0600: others may read the key", path,
			(unsigned int)(status.st_mode & 07777));
	return 0;
}

static int read_line(int fd, const char *path, char *text, size_t *length, struct error *error)
{
	*length = 0;
	while (*length < READ_SIZE) {
		ssize_t got = read(fd, text + *length, READ_SIZE - *length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set(error, errno, NULL, "%s: cannot be read: %s", path, strerror(errno));
		if (got == 0)
			break;
		*length += (size_t)got;
	}
	if (*length > 0 && text[*length - 1] == '\n')
		--*length;
	return 0;
}

/* The key in the file, in secret_alloc() memory. */
static uint8_t *load(const char *path, struct error *error)
{
	uint8_t *key = NULL;
	char *text = NULL;
	bool good = false;
	size_t length;
	/* O_NONBLOCK: a FIFO in its place must not hold the process up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		error_set(error, errno, NULL, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (check_file(fd, path, error) < 0)
		goto out;
	key = secret_alloc(IDENTITY_KEY_SIZE);
	text = secret_alloc(READ_SIZE);
	if (!key || !text) {
		error_set(error, ENOMEM, NULL, "%s: no locked memory for the key", path);
		goto out;
	}
	if (read_line(fd, path, text, &length, error) < 0)
		goto out;
	if (parse(text, length, key) < 0) {
		error_set(error, EINVAL, NULL, "%s: is not one line with 32 bytes in base64", path);
		goto out;
	}
	if (sodium_is_zero(key, IDENTITY_KEY_SIZE)) {
		error_set(error, EINVAL, NULL, "%s: the key is all zeros", path);
		goto out;
	}
	good = true;
out:
	secret_free(text);
	(void)close(fd);
	if (!good) {
		secret_free(key);
		key = NULL;
	}
	return key;
}

struct identity *identity_load(const char *path, struct error *error)
{
	struct identity *identity;

	if (ready(error) < 0)
		return NULL;
	identity = calloc(1, sizeof(*identity));
	if (!identity) {
		error_set(error, ENOMEM, NULL, "%s: no memory", path);
		return NULL;
	}
	identity->private_key = load(path, error);
	if (!identity->private_key) {
		free(identity);
		return NULL;
	}
	crypto_scalarmult_base(identity->public_key, identity->private_key);
	return identity;
}

void identity_free(struct identity *identity)
{
	if (!identity)
		return;
	secret_free(identity->private_key);
	free(identity);
}

uint8_t *identity_psk_load(const char *path, struct error *error)
{
	return ready(error) < 0 ? NULL : load(path, error);
}
