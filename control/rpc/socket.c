/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc/socket.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/audit.h"

enum { BACKLOG = 64 };

struct guarded_socket {
	struct sockaddr_un address;
	char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int lock;
	int fd;
};

static int held_by_another(struct guarded_socket *guarded, struct error *error)
{
	char text[32] = "";
	ssize_t length = pread(guarded->lock, text, sizeof(text) - 1, 0);

	text[length > 0 ? strcspn(text, "\n") : 0] = '\0';
	return error_set(error, EBUSY, NULL, "%s: in use by another pontlevis-control (process %s)",
		guarded->address.sun_path, text[0] != '\0' ? text : "unknown");
}

static int take_lock(struct guarded_socket *guarded, struct error *error)
{
	guarded->lock = open(guarded->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (guarded->lock < 0)
		return error_set(error, errno, NULL, "%s: cannot open: %s", guarded->lock_path, strerror(errno));
	if (flock(guarded->lock, LOCK_EX | LOCK_NB) != 0)
		return held_by_another(guarded, error);
	if (ftruncate(guarded->lock, 0) != 0 || dprintf(guarded->lock, "%d\n", (int)getpid()) < 0)
		return error_set(error, errno, NULL, "%s: cannot write: %s", guarded->lock_path, strerror(errno));
	return 0;
}

struct guarded_socket *guarded_socket_claim(const char *path, struct error *error)
{
	struct guarded_socket *guarded = calloc(1, sizeof(*guarded));

	if (guarded == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	guarded->lock = guarded->fd = -1;
	guarded->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(guarded->address.sun_path) || path[0] == '\0') {
		(void)error_set(error, ENAMETOOLONG, NULL, "%s: a Unix socket's name has 1 to %zu bytes", path,
			sizeof(guarded->address.sun_path) - 1);
		goto undo;
	}
	memcpy(guarded->address.sun_path, path, strlen(path) + 1);
	(void)snprintf(guarded->lock_path, sizeof(guarded->lock_path), "%s.lock", path);
	if (take_lock(guarded, error) != 0)
		goto undo;
	return guarded;
undo:
	guarded_socket_release(guarded);
	return NULL;
}

int guarded_socket_listen(struct guarded_socket *guarded, mode_t mode, gid_t group, struct error *error)
{
	const char *path = guarded->address.sun_path;
	struct stat status;
	mode_t before;
	int bound;

	if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
		return error_set(error, EEXIST, NULL, "%s: exists and is no socket", path);
	(void)unlink(path); /* ours by the lock */
	guarded->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (guarded->fd < 0)
		return error_set(error, errno, NULL, "%s: %s", path, strerror(errno));
	before = umask(0777); /* nobody gets in before mode and group are right */
	bound = bind(guarded->fd, (const struct sockaddr *)&guarded->address, sizeof(guarded->address));
	(void)umask(before);
	if (bound != 0 || chown(path, (uid_t)-1, group) != 0 || chmod(path, mode) != 0 ||
		listen(guarded->fd, BACKLOG) != 0) {
		int code = errno;

		if (bound == 0)
			(void)unlink(path);
		(void)close(guarded->fd);
		guarded->fd = -1;
		return error_set(error, code, NULL, "%s: cannot listen: %s", path, strerror(code));
	}
	return guarded->fd;
}

void guarded_socket_set_mode(const struct guarded_socket *guarded, mode_t mode)
{
	if (chmod(guarded->address.sun_path, mode) != 0)
		audit_log("%s: cannot have mode %04o: %s", guarded->address.sun_path, mode, strerror(errno));
}

void guarded_socket_release(struct guarded_socket *guarded)
{
	if (guarded == NULL)
		return;
	if (guarded->fd >= 0) {
		(void)unlink(guarded->address.sun_path);
		(void)close(guarded->fd);
	}
	/* The lock file stays: removing it would let two processes hold locks on two files of one name. */
	if (guarded->lock >= 0)
		(void)close(guarded->lock);
	free(guarded);
}
