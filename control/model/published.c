/* SPDX-License-Identifier: BSD-3-Clause */
/* The published schema, built in: what integrators read is what documents are checked against. */
#include "config_schema.h"
#include "control/model/schema.h"

struct schema *schema_published(struct error *error)
{
	return schema_compile((const char *)config_schema, sizeof(config_schema), error);
}
