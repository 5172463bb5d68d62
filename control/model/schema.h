/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small interpreter of JSON Schema (draft 2020-12), enough for config.schema.json and no more: the published schema
 * itself is the validator. Known keywords: type, properties, required, additionalProperties (false), items, minimum,
 * maximum, minLength, maxLength, pattern (a POSIX ERE that means the same in ECMA-262), enum, minItems, maxItems,
 * uniqueItems, $ref (to #/$defs/NAME), and the annotations $schema, $id, $defs, title, description, default.
 */
#ifndef CONTROL_MODEL_SCHEMA_H
#define CONTROL_MODEL_SCHEMA_H

#include <jansson.h>

#include "control/error.h"
#include "control/model/problems.h"

struct schema;

/*
 * Compiles a schema text. A keyword or pattern that is not understood is an error, so that nothing in the published
 * file goes unchecked. NULL on error.
 */
struct schema *schema_compile(const char *text, size_t length, struct error *error);
/* Compiles include/pontlevis/config.schema.json, which is built in. */
struct schema *schema_published(struct error *error);
void schema_free(struct schema *schema);

/* Checks a document, all of it; the problems' pointers name the places in it (RFC 6901). -1 if there are any. */
int schema_check(const struct schema *schema, const json_t *document, struct problems *problems);
/* Checks what would be the document's member of that name; the pointers name the places in the document. */
int schema_check_property(
	const struct schema *schema, const char *name, const json_t *value, struct problems *problems);

#endif
