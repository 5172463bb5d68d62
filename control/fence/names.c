/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/fence.h"

const char *fence_verdict_name(unsigned int verdict)
{
	static const char *const names[PONT_VERDICT_COUNT] = {
		[PONT_VERDICT_ALLOW] = "allow",
		[PONT_VERDICT_HOUSEKEEPING] = "housekeeping",
		[PONT_VERDICT_LOOPBACK] = "loopback",
		[PONT_VERDICT_DENY] = "deny",
		[PONT_VERDICT_DENY_UNLISTED] = "deny_unlisted",
		[PONT_VERDICT_DENY_NO_POLICY] = "deny_no_policy",
		[PONT_VERDICT_DENY_MULTICAST] = "deny_multicast",
		[PONT_VERDICT_DENY_PROTOCOL] = "deny_protocol",
		[PONT_VERDICT_DENY_MALFORMED] = "deny_malformed",
		[PONT_VERDICT_DENY_ROUTED] = "deny_routed",
		[PONT_VERDICT_DENY_LOCKED] = "deny_locked",
	};

	return verdict < PONT_VERDICT_COUNT && names[verdict] ? names[verdict] : "unknown";
}

const char *fence_place_name(unsigned int place)
{
	static const char *const names[PONT_PLACE_COUNT] = {
		[PONT_PLACE_TC] = "tc",
		[PONT_PLACE_CGROUP] = "cgroup",
		[PONT_PLACE_CONNECT] = "connect",
		[PONT_PLACE_DATAPLANE] = "dataplane",
	};

	return place < PONT_PLACE_COUNT ? names[place] : "unknown";
}
