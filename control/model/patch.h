/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON merge patch (RFC 7396), and what is different between two documents. */
#ifndef CONTROL_MODEL_PATCH_H
#define CONTROL_MODEL_PATCH_H

#include <jansson.h>

/* The target with the patch applied, as a new value; neither is changed. target may be NULL. NULL if out of memory. */
json_t *patch_merge(const json_t *target, const json_t *patch);

/*
 * Array of the differences, in the order of the documents; empty if they are equal:
 *
 *	{"op": "add", "pointer": "/tenants/3", "new": ...}
 *	{"op": "remove", "old_pointer": "/tenants/1", "old": ...}
 *	{"op": "replace", "pointer": "/tenants/2/vni", "old_pointer": "/tenants/1/vni", "old": ..., "new": ...}
 *
 * pointer leads into `to`, old_pointer into `from`. Items of an array that have a "name" are the same item if they have
 * the same one, wherever they stand; other items are the same if they are equal. If only the order of an array is
 * different, the whole array is replaced. NULL if out of memory.
 */
json_t *patch_diff(const json_t *from, const json_t *to);

#endif
