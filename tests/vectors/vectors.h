/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Published test vectors, as Debian packages carry them. They are read where the package puts them; an environment
 * variable names another place, for systems that keep them elsewhere.
 */
#ifndef TESTS_VECTORS_VECTORS_H
#define TESTS_VECTORS_VECTORS_H

#include <stdio.h>

enum vectors {
	VECTORS_NOISE,  /* golang-github-flynn-noise-dev: handshakes of the Noise framework */
	VECTORS_X25519, /* python3-cryptography-vectors: RFC 7748 */
};

/*
 * Opens a file of vectors. NULL: why[] says which package to install, or which variable to set. A test that gets NULL
 * fails: vectors that were not looked at prove nothing.
 */
FILE *vectors_open(enum vectors which, char why[256]);

#endif
