/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for secrets: locked (never on swap), left out of core dumps, not inherited by a child, between guard pages,
 * and erased when freed.
 */
#ifndef CONTROL_KEYS_SECRET_H
#define CONTROL_KEYS_SECRET_H

#include <stddef.h>

/* size bytes, not zero; NULL if there is no memory that can be made so. Freed with secret_free(). */
void *secret_alloc(size_t size);
/* Erases and frees; NULL is allowed. */
void secret_free(void *secret);

/*
 * For the whole process, before the first secret: nothing of it goes to swap or into a core dump, and no debugger of
 * the same user looks inside (but see there for builds with a sanitizer). -1 with errno if the system does not allow
 * that.
 */
int secret_keep_process(void);

#endif
