/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cryptographic primitives of the control process: what they are, where they are used, and a known answer for each.
 * One table for the check at start and for the inventory, so that nothing is used unchecked or unlisted.
 */
#ifndef CONTROL_KEYS_PRIMITIVES_H
#define CONTROL_KEYS_PRIMITIVES_H

struct primitive {
	const char *name;
	const char *standard;
	const char *use;
	const char *function;     /* the names of libsodium's functions behind it begin so */
	unsigned int key_bits;    /* 0: no key */
	unsigned int output_bits; /* of a shared secret, tag, digest or derived key */
	int (*check)(void);       /* computes a known answer: 0 if it is right */
};

/* Ended by a record without name. */
extern const struct primitive primitives[];

/* Checks all of them; returns the first one whose answer is wrong, or NULL. */
const struct primitive *primitives_check(void);

#endif
