/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/vectors/vectors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *package;
	const char *path;
	const char *variable;
} places[] = {
	[VECTORS_NOISE] = {"golang-github-flynn-noise-dev", "/usr/share/gocode/src/github.com/flynn/noise/vectors.txt",
		"PONT_VECTORS_NOISE"},
	[VECTORS_X25519] = {"python3-cryptography-vectors",
		"/usr/lib/python3/dist-packages/cryptography_vectors/asymmetric/X25519/rfc7748.txt",
		"PONT_VECTORS_X25519"},
};

FILE *vectors_open(enum vectors which, char why[256])
{
	const char *path = getenv(places[which].variable);
	FILE *file;

	if (!path)
		path = places[which].path;
	file = fopen(path, "re");
	if (!file)
		(void)snprintf(why, 256, "%s: %s: install the Debian package %s, or name the file in %s", path,
			strerror(errno), places[which].package, places[which].variable);
	return file;
}
