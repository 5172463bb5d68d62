/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One form for equal JSON: the members of objects in ascending order of their names' bytes, whole numbers as integers
 * (1.0 is 1, as it is to JSON Schema), and as text without white space (RFC 8785 for what a configuration may hold).
 * Two documents that mean the same have the same canonical text, and so the same digest.
 */
#ifndef CONTROL_MODEL_CANONICAL_H
#define CONTROL_MODEL_CANONICAL_H

#include <jansson.h>

/* A copy in canonical form; NULL if out of memory. */
json_t *canonical_copy(const json_t *value);

enum { CANONICAL_DIGEST_SIZE = 72 }; /* "sha256:", 64 hexadecimal digits, NUL */

/* SHA-256 (FIPS 180-4) of the canonical text of a value that is in canonical form. -1 if out of memory. */
int canonical_digest(const json_t *canonical, char text[CANONICAL_DIGEST_SIZE]);

#endif
