/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/methods/methods.h"

const struct rpc_method *const methods_all[] = {
	methods_version,
	methods_config,
	methods_state,
	methods_workers,
	methods_peers,
	methods_tenants,
	methods_sas,
	methods_keys,
	methods_fdb,
	methods_stats,
	methods_fence,
	methods_fence_lock,
	methods_fence_shadow,
	methods_audit,
	methods_events,
	methods_crypto,
#ifdef PONT_MANUAL_KEYS
	methods_lab,
#endif
	NULL,
};
