/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON pointers (RFC 6901), built on the way down without allocating: each step lives in its caller's frame and
 * points to the one above; NULL is the document itself.
 */
#ifndef CONTROL_MODEL_POINTER_H
#define CONTROL_MODEL_POINTER_H

#include <stddef.h>

struct pointer {
	const struct pointer *parent;
	const char *name; /* of an object's member; NULL: item of an array */
	size_t index;
};

static inline struct pointer pointer_name(const struct pointer *parent, const char *name)
{
	return (struct pointer){.parent = parent, .name = name};
}

static inline struct pointer pointer_index(const struct pointer *parent, size_t index)
{
	return (struct pointer){.parent = parent, .index = index};
}

/* Writes the text, cut short if it does not fit (never inside a character). size > 0. */
void pointer_text(const struct pointer *pointer, char *text, size_t size);

#endif
