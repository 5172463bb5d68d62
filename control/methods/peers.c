/* SPDX-License-Identifier: BSD-3-Clause */
/* peers.list: the other sites, from key exchange to next hop. */
#include <net/if.h>
#include <string.h>

#include "control/audit.h"
#include "control/keys/keys.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/netlink/mirror.h"
#include "control/policy.h"
#include "control/push.h"

static const char *const session_names[] = {
	[KEYS_SESSION_DOWN] = "down",
	[KEYS_SESSION_CONNECTING] = "connecting",
	[KEYS_SESSION_HANDSHAKE] = "handshake",
	[KEYS_SESSION_UP] = "up",
};

static const char *const hop_names[] = {
	[MIRROR_UNREACHABLE] = "unreachable", [MIRROR_UNRESOLVED] = "unresolved", [MIRROR_RESOLVED] = "resolved"};

static json_t *describe_hop(const struct control *control, const struct document_peer *peer)
{
	size_t followed = push_followed(control, control->document, peer);
	struct mirror_next_hop hop = {.state = MIRROR_UNREACHABLE};
	char interface[IF_NAMESIZE];

	if (followed != SIZE_MAX)
		mirror_next_hop(control->mirror, followed, &hop);
	if (hop.state == MIRROR_UNREACHABLE)
		return json_pack("{s:s, s:n, s:n, s:n, s:n, s:n}", "state", hop_names[hop.state], "interface",
			"ifindex", "via", "mac", "mtu");
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "state", hop_names[hop.state], "interface",
		if_indextoname(hop.ifindex, interface) != NULL ? audit_text(interface) : json_null(), "ifindex",
		value_number(hop.ifindex), "via", value_address(&hop.via), "mac",
		hop.state == MIRROR_RESOLVED ? value_mac(hop.destination_mac) : json_null(), "mtu",
		value_number(hop.mtu));
}

static json_t *describe_adjacency(const struct control *control, const struct document_peer *peer)
{
	const struct pont_link_adjacency *adjacency = &control->picture.adjacency[peer->number];

	if (!control->dataplane_in_force || adjacency->peer == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "port", value_port_name(control, adjacency->port), "source",
		value_address(&adjacency->source), "destination", value_address(&adjacency->destination), "source_mac",
		value_mac(adjacency->source_mac), "destination_mac", value_mac(adjacency->destination_mac), "path_mtu",
		value_number(adjacency->path_mtu));
}

static json_t *describe_fence(const struct control *control, const struct document_peer *peer)
{
	struct fence_explanation explanation;
	char text[512];

	fence_policy_explain(control->policy, &peer->endpoint, &explanation);
	policy_say(&explanation, text, sizeof(text));
	return json_pack("{s:b, s:s, s:o}", "allowed", !policy_denies(&explanation), "rule", explanation.rule, "text",
		audit_text(text));
}

static json_t *describe(const struct control *control, const struct document_peer *peer)
{
	struct keys_peer_status status = {.state = KEYS_SESSION_DOWN};

	(void)keys_peer_status(control->keys, peer->number, &status);
	return json_pack("{s:i, s:s, s:o, s:i, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "peer",
		(int)peer->number, "name", peer->name, "endpoint", value_address(&peer->endpoint), "keys_port",
		(int)peer->keys_port, "public_key", peer->public_text, "session", session_names[status.state],
		"initiator", (int)status.initiator, "session_age_ms",
		status.established_ms != 0 ? value_number(value_age_ms(status.established_ms)) : json_null(),
		"handshakes", value_number(status.handshakes), "failures", value_number(status.failures), "last_error",
		audit_text(status.last_error), "remote_site", audit_text(status.remote_site), "tenants",
		value_number(status.tenants), "next_hop", describe_hop(control, peer), "adjacency",
		describe_adjacency(control, peer), "fence", describe_fence(control, peer));
}

json_t *peers_describe(const struct control *control)
{
	json_t *list = json_array();

	for (size_t i = 0; control->document != NULL && i < control->document->peer_count; i++)
		(void)json_array_append_new(list, describe(control, &control->document->peers[i]));
	return list;
}

static json_t *list(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	(void)who;
	(void)params;
	(void)failure;
	return json_pack("{s:o}", "peers", peers_describe(context));
}

const struct rpc_method methods_peers[] = {
	{"peers.list", RPC_ROLE_READ, "The other sites: key exchange, next hop, fence", NULL, list},
	{0},
};
