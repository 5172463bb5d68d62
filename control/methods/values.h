/* SPDX-License-Identifier: BSD-3-Clause */
/* Values that several methods answer with. Each returns a new reference. */
#ifndef CONTROL_METHODS_VALUES_H
#define CONTROL_METHODS_VALUES_H

#include <jansson.h>
#include <stdint.h>

#include "control/control.h"
#include "control/rpc/method.h"

json_t *value_address(const struct pont_address *address); /* null: none */
json_t *value_mac(const uint8_t mac[6]);
json_t *value_traffic(const struct pont_traffic *traffic); /* {"packets", "bytes"} */
json_t *value_problem(const struct error *error);          /* null: code 0 */
json_t *value_number(uint64_t number);
const char *value_role(uint8_t port_role); /* "access", "wan" */
/* Name of a tenant or peer of the committed configuration; null if it has none. */
json_t *value_tenant_name(const struct control *control, uint32_t vni);
json_t *value_peer_name(const struct control *control, uint16_t number);
/* Name of a port of the connected dataplane; null if it has none. */
json_t *value_port_name(const struct control *control, uint16_t number);

/* VNI of the parameter "tenant". 0: all (no such parameter); -1 with the failure set: there is no such tenant. */
int64_t value_tenant_filter(const struct control *control, const json_t *params, struct rpc_failure *failure);

/* Age in ms of a CLOCK_MONOTONIC time in ms. */
uint64_t value_age_ms(uint64_t since_ms);

#endif
