/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may be reached under a policy, and what changes from one policy to another: counted in addresses, by entity. */
#ifndef CONTROL_FENCE_MATRIX_H
#define CONTROL_FENCE_MATRIX_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct model;

/*
 * {"entities": [{"jurisdiction", "location", "operator", "asn", "allowed", "rule", "reason", "ipv4_addresses",
 * "ipv6_networks"}], "left_out": n}, the largest first, at most `most` of them. by_operator false: operators of one
 * jurisdiction and location are one entity (operator "" and asn null). IPv6 is counted in networks of 64 bits, begun
 * ones whole. NULL: out of memory.
 */
json_t *matrix_entities(const struct model *model, bool by_operator, size_t most);

/*
 * {"allowed": {"ipv4_addresses", "ipv6_networks"}, "denied": {...}, "entities": [as above, with "change": "allowed" or
 * "denied", "before": reason, "after": reason], "left_out": n}: what the new policy lets out or stops that the old one
 * did not.
 */
json_t *matrix_difference(const struct model *before, const struct model *after, size_t most);

#endif
