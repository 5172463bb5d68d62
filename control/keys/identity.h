/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The site's static X25519 identity and pre-shared keys on disk: one line, 32 bytes in base64, in a regular file of
 * mode 0600 owned by the reader. In memory they live in guarded, locked, no-dump pages and are erased on free.
 */
#ifndef CONTROL_KEYS_IDENTITY_H
#define CONTROL_KEYS_IDENTITY_H

#include <stdint.h>

#include "control/error.h"

enum { IDENTITY_KEY_SIZE = 32, IDENTITY_TEXT_SIZE = 45 /* base64 of 32 bytes and NUL */ };

struct identity {
	uint8_t *private_key; /* IDENTITY_KEY_SIZE bytes, secret_alloc */
	uint8_t public_key[IDENTITY_KEY_SIZE];
};

/* Writes a new random key; never overwrites (EEXIST). The file is complete or absent, also after a crash. */
int identity_generate(const char *path, struct error *error);
/* Reads the identity, EACCES if group or others may read the file, EINVAL if it is not one key. NULL on error. */
struct identity *identity_load(const char *path, struct error *error);
void identity_free(struct identity *identity);
/* Base64 of a public key, as the configuration's public_key takes it. */
void identity_public_text(const uint8_t public_key[IDENTITY_KEY_SIZE], char text[IDENTITY_TEXT_SIZE]);
/* The reverse; -1 if the text is not base64 of 32 bytes. */
int identity_public_parse(const char *text, uint8_t public_key[IDENTITY_KEY_SIZE]);
/* Reads a pre-shared key into memory of secret_alloc() of 32 bytes (free with secret_free()); NULL on error. */
uint8_t *identity_psk_load(const char *path, struct error *error);

#endif
