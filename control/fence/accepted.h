/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The highest version of a bundle that was ever in force here, in STATE/bundle-accepted: one line, the version and the
 * SHA-256 of the signed bytes. A bundle that was withdrawn does not come back, also after a restart.
 */
#ifndef CONTROL_FENCE_ACCEPTED_H
#define CONTROL_FENCE_ACCEPTED_H

#include <stdint.h>

#include "control/error.h"
#include "control/fence/lines.h"

/*
 * Whether a bundle may come into force: a higher version than any before, or the very same bundle again. ESTALE if not.
 * A file that cannot be read is an error and not "none before".
 */
int accepted_check(const char *state, uint64_t version, const uint8_t sha256[LINES_SHA256_SIZE], struct error *error);
/* Writes a version down, durably; a lower one than before is left out. */
int accepted_note(const char *state, uint64_t version, const uint8_t sha256[LINES_SHA256_SIZE], struct error *error);

#endif
