/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy in one file that can be signed: sources in normal form, rules, and where all of it comes from. The same
 * sources, rules and version give the same bytes. All integers are little-endian.
 *
 *	 0	8	"PONTFNCE"
 *	 8	u32	format: 1
 *	12	u32	bytes of the manifest
 *	16	u64	version, > 0: only grows
 *	24	u64	bytes of the body, that is of the file without signature
 *	32		manifest: JSON without white space, names sorted: {"policy": {...}, "sources": [...]}
 *			policy: the configuration's fence section but for the sources
 *			source: {"format", "name", "origin", "date", "sha256" (hexadecimal)}
 *	then for each source of the manifest:
 *		u32 u32 u32	number of facts, of IPv4 ranges, of IPv6 ranges
 *		fact:		location (2 bytes, NUL if unknown), jurisdiction (likewise), u32 AS, u32 line,
 *				u16 bytes of the operator's name, the name (UTF-8)
 *		IPv4 range:	u32 first, u32 last, u32 fact, u32 line
 *		IPv6 range:	first and last (16 bytes each, network byte order), u32 fact, u32 line
 *	end of the body; in a signed bundle behind it:
 *		32	Ed25519 public key
 *		64	Ed25519 signature (RFC 8032) of the body
 *
 * Ranges ascend by first address, equal ones descend by last, and no range is there twice; every fact is there once,
 * those of the format operators ascend by AS. What breaks any of this is refused. Reading takes memory in proportion to
 * the file.
 */
#ifndef CONTROL_FENCE_BUNDLE_H
#define CONTROL_FENCE_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/fence/lines.h"

struct fence_policy_source;
struct model;

enum {
	BUNDLE_KEY_SIZE = 32,
	BUNDLE_SIGNATURE_SIZE = 64,
	BUNDLE_TRAILER_SIZE = BUNDLE_KEY_SIZE + BUNDLE_SIGNATURE_SIZE,
	BUNDLE_FILE_MAX = 1024 << 20,
	BUNDLE_KEY_TEXT_SIZE = 45, /* base64 of a public key, and NUL */
};

/* A bundle's bytes. */
struct bundle {
	uint8_t *bytes;
	size_t body; /* bytes of the body */
	size_t size; /* of all: the body's, or BUNDLE_TRAILER_SIZE more */
	uint64_t version;
	uint8_t sha256[LINES_SHA256_SIZE]; /* of the body */
};

/* Reads a file and checks what can be checked without parsing it. pointer: place in the configuration, may be NULL. */
int bundle_load(struct bundle *bundle, const char *path, const char *pointer, struct error *error);
/* Writes a file that is complete or absent, also after a crash; replaces one that is there. */
int bundle_save(const struct bundle *bundle, const char *path, struct error *error);
void bundle_free(struct bundle *bundle);

/* Makes an unsigned bundle of a model that was compiled from `source`. */
int bundle_make(struct bundle *bundle, const struct model *model, const struct fence_policy_source *source,
	uint64_t version, struct error *error);
/* Reads the body; the signature is not looked at. name: for errors. */
int bundle_parse(const struct bundle *bundle, const char *name, struct model *model, struct error *error);

/* Signs with the key whose seed is in a file of `pontlevis key generate`. A signature that is there is replaced. */
int bundle_sign(struct bundle *bundle, const char *key_path, struct error *error);
/* The base64 of the public key that belongs to such a file. */
int bundle_public_key(const char *key_path, char text[BUNDLE_KEY_TEXT_SIZE], struct error *error);
/* Whether one of the keys (base64) has signed the bundle; says which is wrong if not. */
int bundle_verify(const struct bundle *bundle, const char *name, const char *const *trusted, size_t trusted_count,
	struct error *error);

/* Load, verify, parse: what the control process does. */
int bundle_open(
	struct model *model, const char *path, const char *const *trusted, size_t trusted_count, struct error *error);

#endif
