/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of the controller socket, a table per file; docs/controller.md describes their results. */
#ifndef CONTROL_METHODS_METHODS_H
#define CONTROL_METHODS_METHODS_H

#include "control/rpc/method.h"

struct control;

extern const struct rpc_method methods_version[];
extern const struct rpc_method methods_config[];
extern const struct rpc_method methods_state[];
extern const struct rpc_method methods_workers[];
extern const struct rpc_method methods_peers[];
extern const struct rpc_method methods_tenants[];
extern const struct rpc_method methods_sas[];
extern const struct rpc_method methods_keys[];
extern const struct rpc_method methods_fdb[];
extern const struct rpc_method methods_stats[];
extern const struct rpc_method methods_fence[];
extern const struct rpc_method methods_fence_lock[];
extern const struct rpc_method methods_fence_shadow[];
extern const struct rpc_method methods_audit[];
extern const struct rpc_method methods_events[];
extern const struct rpc_method methods_crypto[];
#ifdef PONT_MANUAL_KEYS
extern const struct rpc_method methods_lab[];
#endif

/* All of them, ended by NULL; the handlers' context is a struct control. */
extern const struct rpc_method *const methods_all[];

/* The "peers" of peers.list, for state.get too. */
json_t *peers_describe(const struct control *control);

#endif
