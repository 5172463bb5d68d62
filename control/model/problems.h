/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything that is wrong with a document, in the order in which it was found: an author wants to hear it all at once.
 */
#ifndef CONTROL_MODEL_PROBLEMS_H
#define CONTROL_MODEL_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "control/error.h"
#include "control/model/pointer.h"

enum { PROBLEMS_MAX = 100 }; /* a document with more of them is not read to its end */

struct problems {
	size_t count;
	struct error list[PROBLEMS_MAX];
};

/* Takes an error down. Returns -1, as a failing check does. */
int problems_add(struct problems *problems, const struct error *error);
/* The same for a place and a sentence. */
__attribute__((format(printf, 4, 5))) int problems_say(
	struct problems *problems, int code, const struct pointer *at, const char *format, ...);
/* Nothing more is worth looking for. */
bool problems_full(const struct problems *problems);

#endif
