/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/snapshot/state.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct state *state;
static struct port_set ports;
static const struct state_limits limits = {.ports = &ports, .workers = 1, .spi_slots = 64};
static struct state_error error;

enum { ACCESS, WAN, PORTS };

static struct pont_address ipv4(uint8_t last)
{
	return (struct pont_address){.family = PONT_FAMILY_IPV4, .bytes = {192, 0, 2, last}};
}

static struct pont_address ipv6(uint8_t last)
{
	return (struct pont_address){.family = PONT_FAMILY_IPV6, .bytes = {0x20, 0x01, [15] = last}};
}

static struct pont_link_tenant good_tenant(uint32_t vni)
{
	return (struct pont_link_tenant){.vni = vni, .mac_limit = 100, .mac_ageing_s = 300, .name = "tenant"};
}

static struct pont_link_adjacency good_adjacency(uint16_t peer)
{
	return (struct pont_link_adjacency){.peer = peer,
		.port = WAN,
		.destination_mac = {2, 0, 0, 0, 0, 1},
		.source = ipv4(1),
		.destination = ipv4(2),
		.path_mtu = 1500};
}

static int set_tenant(uint32_t vni)
{
	struct pont_link_tenant message = good_tenant(vni);

	return state_set_tenant(state, &message, &error);
}

static int set_circuit(uint16_t port, uint16_t vlan, uint32_t vni)
{
	struct pont_link_circuit message = {.port = port, .vlan = vlan, .vni = vni};

	return state_set_circuit(state, &limits, &message, &error);
}

static int set_peer(uint16_t peer)
{
	struct pont_link_peer message = {.peer = peer, .name = "peer"};

	return state_set_peer(state, &message, &error);
}

static int set_member(uint32_t vni, uint16_t peer)
{
	struct pont_link_member message = {.vni = vni, .peer = peer};

	return state_set_member(state, &message, &error);
}

static int set_adjacency(uint16_t peer)
{
	struct pont_link_adjacency message = good_adjacency(peer);

	return state_set_adjacency(state, &limits, &message, &error);
}

/* Two tenants, 100 and 200, peers 1 and 2; tenant 100 at VLAN 5 and at peer 1. */
static void set_up(void)
{
	struct pont_link_site site = {.vtep4 = ipv4(1)};

	ports = (struct port_set){.count = PORTS};
	ports.port[ACCESS] = (struct port){.name = "access0", .role = PONT_PORT_ACCESS, .mtu = 1500};
	ports.port[WAN] = (struct port){.name = "wan0", .role = PONT_PORT_WAN, .mtu = 1600};
	state = state_create();
	cr_assert_not_null(state);
	cr_assert_eq(state_set_site(state, &site, &error), 0);
	cr_assert_eq(set_tenant(100), 0);
	cr_assert_eq(set_tenant(200), 0);
	cr_assert_eq(set_peer(1), 0);
	cr_assert_eq(set_peer(2), 0);
	cr_assert_eq(set_circuit(ACCESS, 5, 100), 0);
	cr_assert_eq(set_member(100, 1), 0);
	cr_assert_eq(set_adjacency(1), 0);
}

static void tear_down(void)
{
	state_free(state);
}

TestSuite(state, .init = set_up, .fini = tear_down, .timeout = 60);

/* Whether two states say the same; arrays may have grown. */
static bool equal(const struct state *left, const struct state *right)
{
	struct state *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
	uint32_t circuits = left->circuit_size < right->circuit_size ? left->circuit_size : right->circuit_size;
	uint32_t edges = left->edge_size < right->edge_size ? left->edge_size : right->edge_size;
	bool same;

	cr_assert(a != NULL && b != NULL);
	*a = *left;
	*b = *right;
	a->circuit = b->circuit = NULL;
	a->edge = b->edge = NULL;
	a->circuit_size = b->circuit_size = a->edge_size = b->edge_size = 0;
	same = memcmp(a, b, sizeof(*a)) == 0 &&
	       memcmp(left->circuit, right->circuit, circuits * sizeof(*left->circuit)) == 0 &&
	       memcmp(left->edge, right->edge, edges * sizeof(*left->edge)) == 0;
	free(a);
	free(b);
	return same;
}

/* --- what is refused, with which code; nothing changes --- */

static int bad_site(int variant)
{
	struct pont_link_site site = {.vtep4 = ipv4(9), .vtep6 = ipv6(9)};

	switch (variant) {
	case 0:
		site.vtep4 = ipv6(1);
		break;
	case 1:
		site.vtep6 = ipv4(1);
		break;
	case 2:
		site.vtep4.family = 5;
		break;
	case 3:
		memset(&site.vtep4, 0, sizeof(site.vtep4));
		memset(&site.vtep6, 0, sizeof(site.vtep6));
		break;
	case 4:
		site.vtep4.bytes[4] = 1;
		break;
	case 5:
		site.vtep6.reserved[2] = 1;
		break;
	default:
		memset(&site.vtep6, 0, sizeof(site.vtep6));
		site.vtep6.bytes[0] = 1;
		break;
	}
	return state_set_site(state, &site, &error);
}

static int bad_tenant(int variant)
{
	struct pont_link_tenant tenant = good_tenant(300);

	switch (variant) {
	case 0:
		tenant.vni = 0;
		break;
	case 1:
		tenant.vni = PONT_VNI_MAX + 1;
		break;
	case 2:
		memset(tenant.name, 'x', sizeof(tenant.name));
		break;
	case 3:
		tenant.mac_limit = 0;
		break;
	case 4:
		tenant.mac_limit = PONT_TENANT_MACS_MAX + 1;
		break;
	case 5:
		tenant.mac_ageing_s = PONT_MAC_AGEING_S_MIN - 1;
		break;
	case 6:
		tenant.mac_ageing_s = PONT_MAC_AGEING_S_MAX + 1;
		break;
	default:
		/* A tenant that is there keeps what it has. */
		tenant = good_tenant(100);
		tenant.mac_limit = 0;
		break;
	}
	return state_set_tenant(state, &tenant, &error);
}

static int bad_circuit(int variant)
{
	static const struct {
		uint16_t port, vlan;
		uint32_t vni;
	} variants[] = {{ACCESS, 7, 999}, {ACCESS, 7, 0}, {PORTS, 7, 100}, {UINT16_MAX, 7, 100}, {WAN, 7, 100},
		{ACCESS, PONT_VLAN_MAX + 1, 100}, {ACCESS, UINT16_MAX, 100}, {ACCESS, 5, 200}};

	return set_circuit(variants[variant].port, variants[variant].vlan, variants[variant].vni);
}

static int bad_peer(int variant)
{
	struct pont_link_peer peer = {.peer = 3, .name = "three"};

	switch (variant) {
	case 0:
		peer.peer = 0;
		break;
	case 1:
		peer.peer = PONT_PEERS_MAX + 1;
		break;
	case 2:
		peer.peer = UINT16_MAX;
		break;
	case 3:
		memset(peer.name, 'x', sizeof(peer.name));
		break;
	default:
		peer.reserved = 1;
		break;
	}
	return state_set_peer(state, &peer, &error);
}

static int bad_member(int variant)
{
	struct pont_link_member member = {.vni = 200, .peer = 2};

	switch (variant) {
	case 0:
		member.vni = 999;
		break;
	case 1:
		member.peer = 0;
		break;
	case 2:
		member.peer = 3;
		break;
	case 3:
		member.peer = UINT16_MAX;
		break;
	default:
		member.reserved = 1;
		break;
	}
	return state_set_member(state, &member, &error);
}

static int bad_adjacency(int variant)
{
	struct pont_link_adjacency adjacency = good_adjacency(2);

	switch (variant) {
	case 0:
		adjacency.peer = 0;
		break;
	case 1:
		adjacency.peer = 3;
		break;
	case 2:
		adjacency.peer = UINT16_MAX;
		break;
	case 3:
		adjacency.port = PORTS;
		break;
	case 4:
		adjacency.port = ACCESS;
		break;
	case 5:
		adjacency.source = ipv6(1);
		break;
	case 6:
		memset(&adjacency.source, 0, sizeof(adjacency.source));
		memset(&adjacency.destination, 0, sizeof(adjacency.destination));
		break;
	case 7:
		adjacency.destination_mac[0] |= 1;
		break;
	case 8:
		adjacency.path_mtu = 575;
		break;
	case 9:
		adjacency.path_mtu = 65536;
		break;
	case 10:
		adjacency.destination.bytes[15] = 1;
		break;
	default:
		adjacency.source.reserved[0] = 1;
		break;
	}
	return state_set_adjacency(state, &limits, &adjacency, &error);
}

static const struct {
	const char *what;
	int (*act)(int variant);
	int variant;
	int code;
} refusals[] = {
	{"SITE: IPv6 address as vtep4", bad_site, 0, EINVAL},
	{"SITE: IPv4 address as vtep6", bad_site, 1, EINVAL},
	{"SITE: unknown family", bad_site, 2, EINVAL},
	{"SITE: no address", bad_site, 3, EINVAL},
	{"SITE: bytes behind an IPv4 address", bad_site, 4, EINVAL},
	{"SITE: reserved byte", bad_site, 5, EINVAL},
	{"SITE: bytes of no address", bad_site, 6, EINVAL},
	{"TENANT: VNI 0", bad_tenant, 0, EINVAL},
	{"TENANT: VNI of 25 bits", bad_tenant, 1, EINVAL},
	{"TENANT: name without end", bad_tenant, 2, EINVAL},
	{"TENANT: no addresses", bad_tenant, 3, EINVAL},
	{"TENANT: too many addresses", bad_tenant, 4, EINVAL},
	{"TENANT: ageing too fast", bad_tenant, 5, EINVAL},
	{"TENANT: ageing too slow", bad_tenant, 6, EINVAL},
	{"TENANT: change of one that is there", bad_tenant, 7, EINVAL},
	{"CIRCUIT: unknown VNI", bad_circuit, 0, ENOENT},
	{"CIRCUIT: VNI 0", bad_circuit, 1, ENOENT},
	{"CIRCUIT: port one too high", bad_circuit, 2, ENOENT},
	{"CIRCUIT: port far too high", bad_circuit, 3, ENOENT},
	{"CIRCUIT: WAN port", bad_circuit, 4, EINVAL},
	{"CIRCUIT: VLAN 4095", bad_circuit, 5, EINVAL},
	{"CIRCUIT: VLAN of 16 bits", bad_circuit, 6, EINVAL},
	{"CIRCUIT: another tenant's", bad_circuit, 7, EEXIST},
	{"PEER: 0", bad_peer, 0, EINVAL},
	{"PEER: 256", bad_peer, 1, EINVAL},
	{"PEER: 65535", bad_peer, 2, EINVAL},
	{"PEER: name without end", bad_peer, 3, EINVAL},
	{"PEER: reserved field", bad_peer, 4, EINVAL},
	{"MEMBER: unknown VNI", bad_member, 0, ENOENT},
	{"MEMBER: peer 0", bad_member, 1, ENOENT},
	{"MEMBER: unknown peer", bad_member, 2, ENOENT},
	{"MEMBER: peer out of range", bad_member, 3, ENOENT},
	{"MEMBER: reserved field", bad_member, 4, EINVAL},
	{"ADJACENCY: peer 0", bad_adjacency, 0, ENOENT},
	{"ADJACENCY: unknown peer", bad_adjacency, 1, ENOENT},
	{"ADJACENCY: peer out of range", bad_adjacency, 2, ENOENT},
	{"ADJACENCY: unknown port", bad_adjacency, 3, ENOENT},
	{"ADJACENCY: access port", bad_adjacency, 4, EINVAL},
	{"ADJACENCY: two families", bad_adjacency, 5, EINVAL},
	{"ADJACENCY: no addresses", bad_adjacency, 6, EINVAL},
	{"ADJACENCY: group address as next hop", bad_adjacency, 7, EINVAL},
	{"ADJACENCY: MTU too small", bad_adjacency, 8, EINVAL},
	{"ADJACENCY: MTU too large", bad_adjacency, 9, EINVAL},
	{"ADJACENCY: bytes behind an address", bad_adjacency, 10, EINVAL},
	{"ADJACENCY: reserved byte", bad_adjacency, 11, EINVAL},
};

Test(state, refuses_what_makes_no_sense_and_stays_as_it_was)
{
	struct state *before = state_copy(state);

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		error = (struct state_error){0};
		cr_expect_eq(refusals[i].act(refusals[i].variant), refusals[i].code, "%s: code %d", refusals[i].what,
			error.code);
		cr_expect_eq(error.code, refusals[i].code, "%s", refusals[i].what);
		cr_expect_gt(strlen(error.text), 10, "%s: says '%s'", refusals[i].what, error.text);
		cr_expect(equal(before, state), "%s changed the state", refusals[i].what);
	}
	state_free(before);
}

Test(state, names_the_place_in_its_errors)
{
	(void)set_circuit(ACCESS, 5, 200);
	cr_expect_str_eq(error.text, "VLAN 5 of port access0 belongs to tenant tenant already");
	(void)set_circuit(WAN, 5, 200);
	cr_expect_str_eq(error.text, "port wan0 is not an access port");
	(void)set_member(4711, 1);
	cr_expect_not_null(strstr(error.text, "4711"));
}

/* --- the limits --- */

Test(state, holds_as_many_tenants_as_it_says_and_finds_each)
{
	/* Two are there. In an order that makes the sorted index insert everywhere. */
	for (uint32_t i = 2; i < PONT_TENANTS_MAX; i++)
		cr_assert_eq(set_tenant(1000 + (i * 2654435761u >> 8) % 16000000), 0, "tenant %u: %s", i, error.text);
	cr_expect_eq(state->tenant_count, PONT_TENANTS_MAX);
	cr_expect_eq(set_tenant(PONT_VNI_MAX), ENOSPC);
	cr_expect_eq(set_tenant(100), 0, "one that is there can be set again");
	for (uint32_t i = 0; i < state->tenant_count; i++) {
		cr_assert_eq(state_tenant(state, state->vni[i].vni), state->vni[i].tenant);
		cr_assert_eq(state->tenant[state->vni[i].tenant].vni, state->vni[i].vni);
		cr_assert(i == 0 || state->vni[i - 1].vni < state->vni[i].vni);
	}
	cr_expect_eq(state_tenant(state, 999), 0);
}

Test(state, takes_every_vlan_of_a_port)
{
	for (uint16_t vlan = 0; vlan <= PONT_VLAN_MAX; vlan++)
		cr_assert_eq(set_circuit(ACCESS, vlan, 100), 0, "VLAN %u: %s", vlan, error.text);
	for (uint16_t vlan = 0; vlan <= PONT_VLAN_MAX; vlan++) {
		uint16_t number = state->circuit_of[ACCESS][vlan];

		cr_assert_neq(number, 0);
		cr_assert_eq(state->circuit[number].vlan, vlan);
	}
}

Test(state, takes_every_vlan_of_sixteen_ports)
{
	ports.count = PONT_PORTS_MAX;
	for (uint16_t port = 0; port < PONT_PORTS_MAX; port++)
		ports.port[port].role = PONT_PORT_ACCESS;
	for (uint16_t port = 0; port < PONT_PORTS_MAX; port += 5)
		for (uint16_t vlan = 0; vlan <= PONT_VLAN_MAX; vlan++)
			cr_assert_eq(set_circuit(port, vlan, 100), 0, "VLAN %u: %s", vlan, error.text);
}

Test(state, takes_every_peer_number)
{
	for (uint16_t peer = 1; peer <= PONT_PEERS_MAX; peer++) {
		cr_assert_eq(set_peer(peer), 0);
		cr_assert_eq(set_adjacency(peer), 0);
		cr_assert_eq(set_member(100, peer), 0);
	}
	for (uint16_t peer = 1; peer <= PONT_PEERS_MAX; peer++) {
		uint32_t edge = state_edge(state, state_tenant(state, 100), peer);

		cr_assert_neq(edge, 0);
		cr_assert_eq(state->edge[edge].peer, peer);
	}
}

Test(state, is_idempotent)
{
	struct state *before = state_copy(state);
	struct pont_link_site site = {.vtep4 = ipv4(1)};

	for (unsigned int i = 0; i < 3; i++) {
		cr_expect_eq(state_set_site(state, &site, &error), 0);
		cr_expect_eq(set_tenant(100), 0);
		cr_expect_eq(set_circuit(ACCESS, 5, 100), 0);
		cr_expect_eq(set_peer(1), 0);
		cr_expect_eq(set_member(100, 1), 0);
		cr_expect_eq(set_adjacency(1), 0);
	}
	cr_expect(equal(before, state));
	state_free(before);
}

/* --- mark and sweep --- */

static uint32_t member_edge(uint32_t vni, uint16_t peer)
{
	uint32_t edge = state_edge(state, state_tenant(state, vni), peer);

	return edge != 0 && state->edge[edge].member ? edge : 0;
}

static void keep(bool site, bool tenant, bool circuit, bool peer, bool member, bool adjacency)
{
	struct pont_link_site message = {.vtep4 = ipv4(1)};

	state_unmark(state);
	if (site)
		cr_assert_eq(state_set_site(state, &message, &error), 0);
	if (tenant)
		cr_assert_eq(set_tenant(100), 0);
	if (circuit)
		cr_assert_eq(set_circuit(ACCESS, 5, 100), 0);
	if (peer)
		cr_assert_eq(set_peer(1), 0);
	if (member)
		cr_assert_eq(set_member(100, 1), 0);
	if (adjacency)
		cr_assert_eq(set_adjacency(1), 0);
	state_sweep(state);
	state_drop_empty_edges(state);
}

Test(state, sweeps_what_was_not_set_again_and_nothing_else)
{
	keep(true, true, true, true, true, true);
	cr_expect(state->has_site);
	cr_expect_neq(state_tenant(state, 100), 0);
	cr_expect_eq(state_tenant(state, 200), 0);
	cr_expect_eq(state->tenant_count, 1);
	cr_expect_neq(state->circuit_of[ACCESS][5], 0);
	cr_expect(state->peer[1].used && state->peer[1].has_adjacency);
	cr_expect_not(state->peer[2].used);
	cr_expect_neq(member_edge(100, 1), 0);
}

Test(state, sweeps_each_kind_by_itself)
{
	keep(false, true, true, true, true, true);
	cr_expect_not(state->has_site);
	keep(true, true, false, true, true, true);
	cr_expect(state->has_site);
	cr_expect_eq(state->circuit_of[ACCESS][5], 0);
	keep(true, true, true, true, false, true);
	cr_expect_eq(member_edge(100, 1), 0);
	cr_expect_eq(state_edge(state, state_tenant(state, 100), 1), 0, "an edge that carries nothing is gone");
	keep(true, true, true, true, true, false);
	cr_expect(state->peer[1].used);
	cr_expect_not(state->peer[1].has_adjacency);
	keep(true, false, false, true, false, true);
	cr_expect_eq(state->tenant_count, 0);
	cr_expect_eq(state_tenant(state, 100), 0);
	keep(true, true, true, false, false, false);
	cr_expect_not(state->peer[1].used);
	cr_expect_not(state->peer[1].has_adjacency);
}

Test(state, gives_a_vlan_to_another_tenant_once_the_first_has_let_go)
{
	cr_expect_eq(set_circuit(ACCESS, 5, 200), EEXIST);
	state_unmark(state);
	cr_expect_eq(set_tenant(200), 0);
	cr_expect_eq(set_circuit(ACCESS, 5, 200), 0);
	cr_expect_eq(set_tenant(100), 0);
	cr_expect_eq(set_circuit(ACCESS, 5, 100), EEXIST, "not twice in one transaction");
	state_sweep(state);
	cr_expect_eq(state->circuit[state->circuit_of[ACCESS][5]].tenant, state_tenant(state, 200));
}

Test(state, uses_numbers_again_after_a_sweep_only)
{
	uint16_t index = state_tenant(state, 100);
	uint32_t edge = member_edge(100, 1);

	state_unmark(state);
	cr_assert_eq(set_peer(1), 0);
	cr_assert_eq(set_tenant(300), 0);
	cr_assert_eq(set_member(300, 1), 0);
	cr_expect_neq(state_tenant(state, 300), index, "the old tenant still has its number");
	cr_expect_neq(member_edge(300, 1), edge);
	state_sweep(state);
	state->edge[edge].member = false;
	state_drop_empty_edges(state);
	cr_assert_eq(set_tenant(400), 0);
	cr_expect_eq(state_tenant(state, 400), index);
	cr_assert_eq(set_member(400, 1), 0);
	cr_expect_eq(member_edge(400, 1), edge);
	cr_expect_neq(member_edge(300, 1), 0);
}

Test(state, keeps_an_edge_as_long_as_it_has_an_sa)
{
	uint32_t edge = member_edge(100, 1);

	state->edge[edge].inbound = 1;
	keep(true, true, true, true, false, true);
	cr_expect_eq(state_edge(state, state_tenant(state, 100), 1), edge);
	state->edge[edge].inbound = 0;
	state->edge[edge].sa[0] = (struct sa_out *)&ports;
	state_drop_empty_edges(state);
	cr_expect_eq(state_edge(state, state_tenant(state, 100), 1), edge);
	state->edge[edge].sa[0] = NULL;
	state_drop_empty_edges(state);
	cr_expect_eq(state_edge(state, state_tenant(state, 100), 1), 0);
}

Test(state, copy_is_deep)
{
	struct state *copy = state_copy(state);

	cr_expect(equal(state, copy));
	cr_assert_eq(set_circuit(ACCESS, 6, 200), 0);
	cr_assert_eq(set_member(200, 2), 0);
	cr_expect_eq(copy->circuit_of[ACCESS][6], 0);
	cr_expect_eq(state_edge(copy, state_tenant(copy, 200), 2), 0);
	cr_expect_not(equal(state, copy));
	state_free(copy);
	state_free(NULL);
}
