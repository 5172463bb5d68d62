/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/snapshot/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static int fail(struct state_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return code;
}

int state_check_reserved(uint64_t reserved, const char *message, struct state_error *error)
{
	return reserved == 0 ? 0 : fail(error, EINVAL, "%s: reserved fields are not zero", message);
}

/* Whether all that is not the address proper is zero, as two equal addresses are equal for memcmp(). */
static bool is_clean(const struct pont_address *address)
{
	size_t used = address->family == PONT_FAMILY_IPV6 ? 16 : address->family == PONT_FAMILY_IPV4 ? 4 : 0;

	for (size_t i = 0; i < sizeof(address->reserved); i++)
		if (address->reserved[i] != 0)
			return false;
	for (size_t i = used; i < sizeof(address->bytes); i++)
		if (address->bytes[i] != 0)
			return false;
	return true;
}

struct state *state_create(void)
{
	return calloc(1, sizeof(struct state));
}

struct state *state_copy(const struct state *state)
{
	struct state *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return NULL;
	*copy = *state;
	copy->circuit = calloc(RTE_MAX(state->circuit_size, 1u), sizeof(*copy->circuit));
	copy->edge = calloc(RTE_MAX(state->edge_size, 1u), sizeof(*copy->edge));
	if (copy->circuit == NULL || copy->edge == NULL) {
		state_free(copy);
		return NULL;
	}
	if (state->circuit_size != 0)
		memcpy(copy->circuit, state->circuit, state->circuit_size * sizeof(*copy->circuit));
	if (state->edge_size != 0)
		memcpy(copy->edge, state->edge, state->edge_size * sizeof(*copy->edge));
	return copy;
}

void state_free(struct state *state)
{
	if (state == NULL)
		return;
	free(state->circuit);
	free(state->edge);
	free(state);
}

/* Position of the first entry whose VNI is not smaller. */
static uint32_t vni_position(const struct state *state, uint32_t vni)
{
	uint32_t low = 0, high = state->tenant_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (state->vni[middle].vni < vni)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint16_t state_tenant(const struct state *state, uint32_t vni)
{
	uint32_t position = vni_position(state, vni);

	return position < state->tenant_count && state->vni[position].vni == vni ? state->vni[position].tenant : 0;
}

uint32_t state_edge(const struct state *state, uint16_t tenant, uint16_t peer)
{
	uint32_t number = state->first_edge[tenant];

	while (number != 0 && state->edge[number].peer != peer)
		number = state->edge[number].next;
	return number;
}

/* Doubles an array of `size` elements, zeroing the new half; number 0 stays unused. */
static void *grow(void *array, uint32_t *size, size_t element)
{
	uint32_t bigger = RTE_MAX(64u, *size * 2);
	void *grown = reallocarray(array, bigger, element);

	if (grown == NULL)
		return NULL;
	memset((char *)grown + *size * element, 0, (bigger - *size) * element);
	*size = bigger;
	return grown;
}

int state_set_site(struct state *state, const struct pont_link_site *message, struct state_error *error)
{
	if (message->vtep4.family != PONT_FAMILY_NONE && message->vtep4.family != PONT_FAMILY_IPV4)
		return fail(error, EINVAL, "vtep4 is not an IPv4 address");
	if (message->vtep6.family != PONT_FAMILY_NONE && message->vtep6.family != PONT_FAMILY_IPV6)
		return fail(error, EINVAL, "vtep6 is not an IPv6 address");
	if (message->vtep4.family == PONT_FAMILY_NONE && message->vtep6.family == PONT_FAMILY_NONE)
		return fail(error, EINVAL, "the site has no VTEP address");
	if (!is_clean(&message->vtep4) || !is_clean(&message->vtep6))
		return fail(error, EINVAL, "SITE: reserved bytes of an address are not zero");
	state->site = *message;
	state->has_site = state->site_marked = true;
	return 0;
}

int state_set_tenant(struct state *state, const struct pont_link_tenant *message, struct state_error *error)
{
	uint16_t index = state_tenant(state, message->vni);
	struct tenant *tenant;

	if (message->vni < PONT_VNI_MIN || message->vni > PONT_VNI_MAX)
		return fail(error, EINVAL, "VNI %u is not between %d and %d", message->vni, PONT_VNI_MIN, PONT_VNI_MAX);
	if (memchr(message->name, 0, sizeof(message->name)) == NULL)
		return fail(error, EINVAL, "name of tenant with VNI %u is not terminated", message->vni);
	if (message->mac_limit < 1 || message->mac_limit > PONT_TENANT_MACS_MAX)
		return fail(error, EINVAL, "tenant %s: MAC limit %u is not between 1 and %d", message->name,
			message->mac_limit, PONT_TENANT_MACS_MAX);
	if (message->mac_ageing_s < PONT_MAC_AGEING_S_MIN || message->mac_ageing_s > PONT_MAC_AGEING_S_MAX)
		return fail(error, EINVAL, "tenant %s: MAC ageing time %u s is not between %d and %d", message->name,
			message->mac_ageing_s, PONT_MAC_AGEING_S_MIN, PONT_MAC_AGEING_S_MAX);
	if (index == 0) {
		uint32_t position = vni_position(state, message->vni);

		for (index = 1; index <= PONT_TENANTS_MAX && state->tenant[index].vni != 0; index++)
			;
		if (index > PONT_TENANTS_MAX)
			return fail(error, ENOSPC, "more than %d tenants", PONT_TENANTS_MAX);
		memmove(&state->vni[position + 1], &state->vni[position],
			(state->tenant_count - position) * sizeof(state->vni[0]));
		state->vni[position] = (struct vni_index){.vni = message->vni, .tenant = index};
		state->tenant_count++;
		memset(&state->tenant[index], 0, sizeof(state->tenant[index]));
	}
	tenant = &state->tenant[index];
	tenant->vni = message->vni;
	tenant->mac_limit = message->mac_limit;
	tenant->mac_ageing_s = message->mac_ageing_s;
	tenant->marked = true;
	memcpy(tenant->name, message->name, sizeof(tenant->name));
	return 0;
}

int state_set_circuit(struct state *state, const struct state_limits *limits, const struct pont_link_circuit *message,
	struct state_error *error)
{
	uint16_t tenant = state_tenant(state, message->vni);
	struct circuit_config *circuit;
	uint32_t number;

	if (tenant == 0)
		return fail(error, ENOENT, "circuit names VNI %u, which no tenant has", message->vni);
	if (message->port >= limits->ports->count)
		return fail(error, ENOENT, "circuit names port number %u, there are %u", message->port,
			limits->ports->count);
	if (limits->ports->port[message->port].role != PONT_PORT_ACCESS)
		return fail(error, EINVAL, "port %s is not an access port", limits->ports->port[message->port].name);
	if (message->vlan > PONT_VLAN_MAX)
		return fail(error, EINVAL, "VLAN %u is not between 0 and %d", message->vlan, PONT_VLAN_MAX);
	number = state->circuit_of[message->port][message->vlan];
	if (number != 0 && state->circuit[number].marked && state->circuit[number].tenant != tenant)
		return fail(error, EEXIST, "VLAN %u of port %s belongs to tenant %s already", message->vlan,
			limits->ports->port[message->port].name, state->tenant[state->circuit[number].tenant].name);
	if (number == 0) {
		for (number = 1; number < state->circuit_size && state->circuit[number].tenant != 0; number++)
			;
		if (number > UINT16_MAX)
			return fail(error, ENOSPC, "more than %d circuits", UINT16_MAX);
		if (number >= state->circuit_size) {
			void *grown = grow(state->circuit, &state->circuit_size, sizeof(*state->circuit));

			if (grown == NULL)
				return fail(error, ENOMEM, "out of memory for circuits");
			state->circuit = grown;
		}
		state->circuit_of[message->port][message->vlan] = (uint16_t)number;
	}
	circuit = &state->circuit[number];
	*circuit =
		(struct circuit_config){.port = message->port, .vlan = message->vlan, .tenant = tenant, .marked = true};
	return 0;
}

int state_set_peer(struct state *state, const struct pont_link_peer *message, struct state_error *error)
{
	struct peer *peer;

	if (state_check_reserved(message->reserved, "PEER", error) != 0)
		return error->code;
	if (message->peer < 1 || message->peer > PONT_PEERS_MAX)
		return fail(error, EINVAL, "peer number %u is not between 1 and %d", message->peer, PONT_PEERS_MAX);
	if (memchr(message->name, 0, sizeof(message->name)) == NULL)
		return fail(error, EINVAL, "name of peer %u is not terminated", message->peer);
	peer = &state->peer[message->peer];
	peer->used = peer->marked = true;
	memcpy(peer->name, message->name, sizeof(peer->name));
	return 0;
}

uint32_t state_need_edge(struct state *state, uint32_t vni, uint16_t peer, struct state_error *error)
{
	uint16_t tenant = state_tenant(state, vni);
	uint32_t number;

	if (tenant == 0) {
		(void)fail(error, ENOENT, "VNI %u belongs to no tenant", vni);
		return 0;
	}
	if (peer > PONT_PEERS_MAX || !state->peer[peer].used) {
		(void)fail(error, ENOENT, "there is no peer number %u", peer);
		return 0;
	}
	number = state_edge(state, tenant, peer);
	if (number != 0)
		return number;
	for (number = 1; number < state->edge_size && state->edge[number].tenant != 0; number++)
		;
	if (number >= state->edge_size) {
		void *grown = grow(state->edge, &state->edge_size, sizeof(*state->edge));

		if (grown == NULL) {
			(void)fail(error, ENOMEM, "out of memory for edges");
			return 0;
		}
		state->edge = grown;
	}
	state->edge[number] = (struct edge){.tenant = tenant, .peer = peer, .next = state->first_edge[tenant]};
	state->first_edge[tenant] = number;
	return number;
}

int state_set_member(struct state *state, const struct pont_link_member *message, struct state_error *error)
{
	uint32_t number;

	if (state_check_reserved(message->reserved, "MEMBER", error) != 0)
		return error->code;
	number = state_need_edge(state, message->vni, message->peer, error);
	if (number == 0)
		return error->code;
	state->edge[number].member = state->edge[number].marked = true;
	return 0;
}

int state_set_adjacency(struct state *state, const struct state_limits *limits,
	const struct pont_link_adjacency *message, struct state_error *error)
{
	const struct port *port;
	struct peer *peer;

	if (message->peer < 1 || message->peer > PONT_PEERS_MAX || !state->peer[message->peer].used)
		return fail(error, ENOENT, "adjacency names peer number %u, which is not set", message->peer);
	peer = &state->peer[message->peer];
	if (message->port >= limits->ports->count)
		return fail(error, ENOENT, "adjacency of peer %s names port number %u, there are %u", peer->name,
			message->port, limits->ports->count);
	port = &limits->ports->port[message->port];
	if (port->role != PONT_PORT_WAN)
		return fail(error, EINVAL, "adjacency of peer %s: port %s is not a WAN port", peer->name, port->name);
	if ((message->source.family != PONT_FAMILY_IPV4 && message->source.family != PONT_FAMILY_IPV6) ||
		message->source.family != message->destination.family)
		return fail(error, EINVAL, "adjacency of peer %s: source and destination are not of one IP family",
			peer->name);
	if (!is_clean(&message->source) || !is_clean(&message->destination))
		return fail(
			error, EINVAL, "adjacency of peer %s: reserved bytes of an address are not zero", peer->name);
	if (message->destination_mac[0] & 1)
		return fail(error, EINVAL, "adjacency of peer %s: next hop has a group MAC address", peer->name);
	if (message->path_mtu < 576 || message->path_mtu > UINT16_MAX)
		return fail(error, EINVAL, "adjacency of peer %s: path MTU %u is not between 576 and 65535", peer->name,
			message->path_mtu);
	peer->adjacency = *message;
	peer->has_adjacency = peer->adjacency_marked = true;
	return 0;
}

void state_unmark(struct state *state)
{
	state->site_marked = false;
	for (uint32_t i = 1; i <= PONT_TENANTS_MAX; i++)
		state->tenant[i].marked = false;
	for (uint32_t i = 1; i <= PONT_PEERS_MAX; i++)
		state->peer[i].marked = state->peer[i].adjacency_marked = false;
	for (uint32_t i = 1; i < state->circuit_size; i++)
		state->circuit[i].marked = false;
	for (uint32_t i = 1; i < state->edge_size; i++)
		state->edge[i].marked = false;
}

static void sweep_tenants(struct state *state)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < state->tenant_count; i++) {
		struct tenant *tenant = &state->tenant[state->vni[i].tenant];

		if (tenant->marked)
			state->vni[kept++] = state->vni[i];
		else
			memset(tenant, 0, sizeof(*tenant));
	}
	state->tenant_count = kept;
}

void state_sweep(struct state *state)
{
	if (!state->site_marked)
		state->has_site = false;
	sweep_tenants(state);
	for (uint32_t i = 1; i <= PONT_PEERS_MAX; i++) {
		struct peer *peer = &state->peer[i];

		if (!peer->marked)
			memset(peer, 0, sizeof(*peer));
		else if (!peer->adjacency_marked)
			peer->has_adjacency = false;
	}
	for (uint32_t i = 1; i < state->circuit_size; i++) {
		struct circuit_config *circuit = &state->circuit[i];

		if (circuit->tenant != 0 && !circuit->marked) {
			state->circuit_of[circuit->port][circuit->vlan] = 0;
			circuit->tenant = 0;
		}
	}
	for (uint32_t i = 1; i < state->edge_size; i++)
		if (!state->edge[i].marked)
			state->edge[i].member = false;
}

bool state_edge_is_empty(const struct edge *edge)
{
	bool carries = edge->member || edge->inbound != 0;

	for (unsigned int worker = 0; worker < PONT_WORKERS_MAX; worker++)
		carries = carries || edge->sa[worker] != NULL;
	return !carries;
}

void state_drop_empty_edges(struct state *state)
{
	memset(state->first_edge, 0, sizeof(state->first_edge));
	for (uint32_t i = 1; i < state->edge_size; i++) {
		struct edge *edge = &state->edge[i];

		if (edge->tenant == 0)
			continue;
		if (state_edge_is_empty(edge)) {
			memset(edge, 0, sizeof(*edge));
			continue;
		}
		edge->next = state->first_edge[edge->tenant];
		state->first_edge[edge->tenant] = i;
	}
}
