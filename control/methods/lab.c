/* SPDX-License-Identifier: BSD-3-Clause */
/* lab.*: raw SA keys by hand, for interop labs. Compiled only with the option manual_keys. */
#include <sodium.h>
#include <string.h>

#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/push.h"

static int read_hex(const json_t *params, const char *name, uint8_t *out, size_t size, struct rpc_failure *failure)
{
	const char *text = json_string_value(json_object_get(params, name));
	char place[16];
	size_t length;

	if (strlen(text) == size * 2 && sodium_hex2bin(out, size, text, size * 2, NULL, &length, NULL) == 0 &&
		length == size)
		return 0;
	(void)snprintf(place, sizeof(place), "/%s", name);
	(void)rpc_fail(
		failure, RPC_INVALID_PARAMS, EINVAL, place, "parameter \"%s\" must be %zu hex digits", name, size * 2);
	return -1;
}

static const struct document_peer *read_peer(
	const struct control *control, const json_t *params, struct rpc_failure *failure)
{
	const char *name = json_string_value(json_object_get(params, "peer"));
	const struct document_peer *peer =
		control->document != NULL ? document_peer_by_name(control->document, name) : NULL;

	if (peer == NULL)
		(void)rpc_fail(failure, RPC_NOT_FOUND, ENOENT, "/peer", "there is no peer \"%.64s\"", name);
	return peer;
}

static uint64_t number(const json_t *params, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(params, name));
}

static json_t *finish(struct control *control, struct rpc_failure *failure)
{
	failure->code = RPC_DATAPLANE;
	return link_commit(control->link, &failure->error) == 0 ? json_object() : NULL;
}

static json_t *sa_in(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct control *control = context;
	const struct document_peer *peer = read_peer(control, params, failure);
	struct pont_link_sa_in message = {0};

	(void)who;
	if (peer == NULL || read_hex(params, "key", message.key, sizeof(message.key), failure) != 0 ||
		read_hex(params, "salt", message.salt, sizeof(message.salt), failure) != 0)
		return NULL;
	message.spi = (uint32_t)number(params, "spi");
	message.vni = (uint32_t)number(params, "vni");
	message.peer = peer->number;
	message.worker = (uint16_t)number(params, "worker");
	message.sequence = number(params, "sequence");
	link_begin(control->link, 0);
	link_send(control->link, PONT_LINK_SA_IN_SET, &message, sizeof(message), -1);
	sodium_memzero(&message, sizeof(message));
	return finish(control, failure);
}

/* Without a key agreement that says so, flooded frames would not go to the peer. */
static int make_member(struct control *control, uint32_t vni, uint16_t peer, struct rpc_failure *failure)
{
	size_t room = sizeof(control->lab_members) / sizeof(control->lab_members[0]);

	if (push_is_member(control, vni, peer))
		return 0;
	if (control->lab_member_count == room) {
		(void)rpc_fail(failure, RPC_SYSTEM, ENOSPC, NULL, "at most %zu members are set by hand", room);
		return -1;
	}
	control->lab_members[control->lab_member_count].vni = vni;
	control->lab_members[control->lab_member_count].peer = peer;
	control->lab_member_count++;
	failure->code = RPC_DATAPLANE;
	return push_sync(control, &failure->error);
}

static json_t *sa_out(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct control *control = context;
	const struct document_peer *peer = read_peer(control, params, failure);
	struct pont_link_sa_out message = {0};
	json_t *result;
	uint32_t vni = (uint32_t)number(params, "vni");

	(void)who;
	if (peer == NULL || read_hex(params, "key", message.key, sizeof(message.key), failure) != 0 ||
		read_hex(params, "salt", message.salt, sizeof(message.salt), failure) != 0)
		return NULL;
	message.vni = vni;
	message.peer = peer->number;
	message.worker = (uint16_t)number(params, "worker");
	message.spi = (uint32_t)number(params, "spi");
	message.source_port = (uint16_t)number(params, "source_port");
	message.sequence = number(params, "sequence");
	link_begin(control->link, 0);
	link_send(control->link, PONT_LINK_SA_OUT_SET, &message, sizeof(message), -1);
	sodium_memzero(&message, sizeof(message));
	result = finish(control, failure);
	if (result != NULL && make_member(control, vni, peer->number, failure) != 0) {
		json_decref(result);
		return NULL;
	}
	return result;
}

static const struct rpc_param sa_in_params[] = {
	{"vni", RPC_INTEGER, true, PONT_VNI_MIN, PONT_VNI_MAX, "VXLAN network identifier of the tenant"},
	{"peer", RPC_STRING, true, 0, 0, "Name of the sending site"},
	{"worker", RPC_INTEGER, true, 0, PONT_WORKERS_MAX - 1, "The worker that opens its packets"},
	{"spi", RPC_INTEGER, true, 256, UINT32_MAX, "Security parameters index"},
	{"key", RPC_STRING, true, 0, 0, "AES-256 key, 64 hex digits"},
	{"salt", RPC_STRING, true, 0, 0, "GCM salt, 8 hex digits"},
	{"sequence", RPC_INTEGER, false, 0, INT64_MAX, "Highest sequence number considered received"},
	{0},
};

static const struct rpc_param sa_out_params[] = {
	{"vni", RPC_INTEGER, true, PONT_VNI_MIN, PONT_VNI_MAX, "VXLAN network identifier of the tenant"},
	{"peer", RPC_STRING, true, 0, 0, "Name of the receiving site"},
	{"worker", RPC_INTEGER, true, 0, PONT_WORKERS_MAX - 1, "The worker that seals with it"},
	{"spi", RPC_INTEGER, true, 256, UINT32_MAX, "Security parameters index, chosen by the receiver"},
	{"source_port", RPC_INTEGER, true, PONT_UDP_SOURCE_PORT_MIN, PONT_UDP_SOURCE_PORT_MAX, "UDP source port"},
	{"key", RPC_STRING, true, 0, 0, "AES-256 key, 64 hex digits"},
	{"salt", RPC_STRING, true, 0, 0, "GCM salt, 8 hex digits"},
	{"sequence", RPC_INTEGER, false, 0, INT64_MAX, "Last sequence number considered used"},
	{0},
};

const struct rpc_method methods_lab[] = {
	{"lab.sa_in", RPC_ROLE_KEYS, "Sets an inbound SA by hand", sa_in_params, sa_in},
	{"lab.sa_out", RPC_ROLE_KEYS, "Sets an outbound SA by hand, and makes its tenant a member", sa_out_params,
		sa_out},
	{0},
};
