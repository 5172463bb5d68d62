/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new configuration. Everything that can fail is done first, on the side; then it is taken over by steps that
 * cannot.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/state.h"

#include "control/keys/secret.h"

/* What becomes of one configured peer. */
struct peer_plan {
	const struct keys_peer_config *config;
	struct peer *peer;       /* the present one, or a new one */
	bool fresh;              /* it is new */
	uint8_t *psk;            /* copy of its pre-shared key, until taken */
	struct member **members; /* ascending by VNI; those of the present peer that stay, and new ones */
	size_t member_count;
	bool grown; /* there are new ones */
};

struct plan {
	struct tenants tenants;
	const struct keys_tenant_config **sorted; /* the tenants, ascending by VNI */
	struct peer_plan *peers;
	size_t peer_count;
	struct listener *listener[2]; /* the present one, a new one or NULL */
	struct peer **list;           /* becomes keys->peers */
};

void tenants_free(struct tenants *tenants)
{
	free(tenants->list);
	secret_free(tenants->psks);
	*tenants = (struct tenants){0};
}

/* --- Checks --- */

static bool valid_family(const struct pont_address *address)
{
	return address->family == PONT_FAMILY_IPV4 || address->family == PONT_FAMILY_IPV6;
}

static int check_site(const struct keys_config *config, struct error *error)
{
	if (!config->site_name || !message_site_valid(config->site_name))
		return error_set(error, EINVAL, "/site/name", "is not a name");
	if (config->port == 0)
		return error_set(error, EINVAL, "/site/keys_port", "must not be 0");
	for (size_t i = 0; i < 2; i++)
		if (config->vtep[i].family != PONT_FAMILY_NONE && !valid_family(&config->vtep[i]))
			return error_set(error, EINVAL, "/site/vtep", "is neither IPv4 nor IPv6");
	if (config->vtep[0].family == config->vtep[1].family)
		return error_set(error, EINVAL, "/site/vtep", "at least one address, and at most one of a family");
	return 0;
}

static int check_peer(const struct keys *keys, const struct keys_config *config, size_t index, struct error *error)
{
	const struct keys_peer_config *peer = &config->peers[index];
	char pointer[64];

	(void)snprintf(pointer, sizeof(pointer), "/peers/%zu", index);
	if (peer->peer < 1 || peer->peer > PONT_PEERS_MAX)
		return error_set(error, EINVAL, pointer, "peer number %u is out of range", peer->peer);
	if (!peer->name || strlen(peer->name) >= PONT_NAME_SIZE)
		return error_set(error, EINVAL, pointer, "the name of peer %u is too long", peer->peer);
	if (peer->port == 0)
		return error_set(error, EINVAL, pointer, "the port of peer %s must not be 0", peer->name);
	if (!valid_family(&peer->endpoint))
		return error_set(error, EINVAL, pointer, "peer %s has no endpoint", peer->name);
	if (peer->endpoint.family != config->vtep[0].family && peer->endpoint.family != config->vtep[1].family)
		return error_set(error, EINVAL, pointer, "this site has no IPv%u VTEP address to reach peer %s from",
			peer->endpoint.family, peer->name);
	if (memcmp(peer->public_key, keys->identity->public_key, KEYS_PUBLIC_SIZE) == 0)
		return error_set(error, EINVAL, pointer, "the public key of peer %s is this site's own", peer->name);
	if (sodium_is_zero(peer->public_key, KEYS_PUBLIC_SIZE))
		return error_set(error, EINVAL, pointer, "the public key of peer %s is all zeros", peer->name);
	for (size_t i = 0; i < index; i++) {
		if (config->peers[i].peer == peer->peer)
			return error_set(error, EINVAL, pointer, "peer number %u is used twice", peer->peer);
		if (memcmp(config->peers[i].public_key, peer->public_key, KEYS_PUBLIC_SIZE) == 0)
			return error_set(error, EINVAL, pointer, "peers %s and %s have the same public key",
				config->peers[i].name, peer->name);
	}
	return 0;
}

static int check_lifetimes(const struct keys_lifetimes *lifetimes, struct error *error)
{
	if (lifetimes->sa_packets > PONT_SA_HARD_PACKETS || lifetimes->sa_bytes > PONT_SA_HARD_BYTES ||
		lifetimes->sa_s > PONT_SA_HARD_S)
		return error_set(error, EINVAL, "/keys/sa_lifetime", "a limit is higher than the highest allowed");
	if (lifetimes->session_s > PONT_SESSION_S_MAX)
		return error_set(
			error, EINVAL, "/keys/session_lifetime_seconds", "is more than %d", PONT_SESSION_S_MAX);
	return 0;
}

static int check(const struct keys *keys, const struct keys_config *config, struct error *error)
{
	if (check_site(config, error) < 0 || check_lifetimes(&config->lifetimes, error) < 0)
		return -1;
	if (config->peer_count > PONT_PEERS_MAX)
		return error_set(error, EINVAL, "/peers", "%zu peers, at most %d", config->peer_count, PONT_PEERS_MAX);
	if (config->tenant_count > PONT_TENANTS_MAX)
		return error_set(
			error, EINVAL, "/tenants", "%zu tenants, at most %d", config->tenant_count, PONT_TENANTS_MAX);
	for (size_t i = 0; i < config->peer_count; i++)
		if (check_peer(keys, config, i, error) < 0)
			return -1;
	return 0;
}

/* --- The plan --- */

static int compare_tenants(const void *a, const void *b)
{
	const struct keys_tenant_config *left = *(const struct keys_tenant_config *const *)a;
	const struct keys_tenant_config *right = *(const struct keys_tenant_config *const *)b;

	return (left->vni > right->vni) - (left->vni < right->vni);
}

static int plan_tenants(struct plan *plan, const struct keys_config *config, struct error *error)
{
	size_t psk_count = 0;
	uint8_t *psk;

	/* One more than needed: calloc(0) may be NULL. */
	plan->sorted = calloc(config->tenant_count + 1, sizeof(*plan->sorted));
	plan->tenants.list = calloc(config->tenant_count + 1, sizeof(*plan->tenants.list));
	if (!plan->sorted || !plan->tenants.list)
		return error_set(error, ENOMEM, NULL, "no memory for the tenants");
	for (size_t i = 0; i < config->tenant_count; i++) {
		plan->sorted[i] = &config->tenants[i];
		psk_count += config->tenants[i].psk != NULL;
	}
	qsort(plan->sorted, config->tenant_count, sizeof(*plan->sorted), compare_tenants);
	if (psk_count > 0) {
		plan->tenants.psks = secret_alloc(psk_count * KEYS_PSK_SIZE);
		if (!plan->tenants.psks)
			return error_set(error, ENOMEM, NULL, "no locked memory for the tenants' keys");
	}
	psk = plan->tenants.psks;
	for (size_t i = 0; i < config->tenant_count; i++) {
		struct tenant *tenant = &plan->tenants.list[i];

		tenant->vni = plan->sorted[i]->vni;
		if (tenant->vni < PONT_VNI_MIN || tenant->vni > PONT_VNI_MAX)
			return error_set(error, EINVAL, "/tenants", "VNI %u is out of range", tenant->vni);
		if (i > 0 && tenant[-1].vni == tenant->vni)
			return error_set(error, EINVAL, "/tenants", "VNI %u is used twice", tenant->vni);
		if (plan->sorted[i]->psk && psk) {
			memcpy(psk, plan->sorted[i]->psk, KEYS_PSK_SIZE);
			tenant->psk = psk;
			psk += KEYS_PSK_SIZE;
		}
	}
	plan->tenants.count = config->tenant_count;
	return 0;
}

static bool same_psk(const uint8_t *a, const uint8_t *b)
{
	if (!a || !b)
		return a == b;
	return sodium_memcmp(a, b, KEYS_PSK_SIZE) == 0;
}

static bool stretched_to(const struct keys_tenant_config *tenant, uint16_t peer)
{
	for (size_t i = 0; i < tenant->peer_count; i++)
		if (tenant->peers[i] == peer)
			return true;
	return false;
}

/* The member that stays as it is, with the same pre-shared key; NULL if there is none. */
static struct member *present_member(const struct keys *keys, const struct peer *peer, const struct tenant *tenant)
{
	const struct tenant *present = keys_tenant(keys, tenant->vni);
	struct member *member = peer_member(peer, tenant->vni);

	return member && present && same_psk(present->psk, tenant->psk) ? member : NULL;
}

static int plan_members(
	const struct keys *keys, const struct plan *plan, struct peer_plan *peer_plan, struct error *error)
{
	peer_plan->members = calloc(plan->tenants.count + 1, sizeof(*peer_plan->members));
	if (!peer_plan->members)
		return error_set(error, ENOMEM, NULL, "no memory for the tenants of a peer");
	for (size_t i = 0; i < plan->tenants.count; i++) {
		struct member *member;

		if (!stretched_to(plan->sorted[i], peer_plan->config->peer))
			continue;
		member = present_member(keys, peer_plan->peer, &plan->tenants.list[i]);
		if (!member) {
			member = calloc(1, sizeof(*member));
			if (!member)
				return error_set(error, ENOMEM, NULL, "no memory for a tenant of a peer");
			member->vni = plan->tenants.list[i].vni;
			peer_plan->grown = true;
		}
		peer_plan->members[peer_plan->member_count++] = member;
	}
	return 0;
}

static struct peer *present_peer(const struct keys *keys, const struct keys_peer_config *config)
{
	struct peer *peer = keys_peer(keys, config->peer);

	return peer && memcmp(peer->public_key, config->public_key, KEYS_PUBLIC_SIZE) == 0 ? peer : NULL;
}

static int plan_peer(struct keys *keys, const struct plan *plan, struct peer_plan *peer_plan,
	const struct keys_peer_config *config, struct error *error)
{
	peer_plan->config = config;
	peer_plan->peer = present_peer(keys, config);
	if (!peer_plan->peer) {
		peer_plan->peer = peer_new(keys, config);
		peer_plan->fresh = true;
	}
	if (config->psk) {
		peer_plan->psk = secret_alloc(KEYS_PSK_SIZE);
		if (peer_plan->psk)
			memcpy(peer_plan->psk, config->psk, KEYS_PSK_SIZE);
	}
	if (!peer_plan->peer || (config->psk && !peer_plan->psk))
		return error_set(error, ENOMEM, NULL, "no memory for peer %s", config->name);
	return plan_members(keys, plan, peer_plan, error);
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

static struct listener *present_listener(const struct keys *keys, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < 2; i++)
		if (keys->listener[i] && same_endpoint(listener_endpoint(keys->listener[i]), endpoint))
			return keys->listener[i];
	return NULL;
}

static int plan_listeners(struct keys *keys, struct plan *plan, const struct keys_config *config, struct error *error)
{
	for (size_t i = 0; i < 2; i++) {
		const struct endpoint endpoint = {.address = config->vtep[i], .port = config->port};

		if (endpoint.address.family == PONT_FAMILY_NONE)
			continue;
		plan->listener[i] = present_listener(keys, &endpoint);
		if (!plan->listener[i])
			plan->listener[i] = listener_open(keys->base, &endpoint, session_accept, keys, error);
		if (!plan->listener[i])
			return -1;
	}
	return 0;
}

static int plan_all(struct keys *keys, struct plan *plan, const struct keys_config *config, struct error *error)
{
	if (plan_tenants(plan, config, error) < 0)
		return -1;
	plan->peers = calloc(config->peer_count + 1, sizeof(*plan->peers));
	plan->list = calloc(config->peer_count + 1, sizeof(struct peer *));
	if (!plan->peers || !plan->list)
		return error_set(error, ENOMEM, NULL, "no memory for the peers");
	for (size_t i = 0; i < config->peer_count; i++) {
		plan->peer_count++;
		if (plan_peer(keys, plan, &plan->peers[i], &config->peers[i], error) < 0)
			return -1;
	}
	return plan_listeners(keys, plan, config, error);
}

static bool is_present_listener(const struct keys *keys, const struct listener *listener)
{
	return listener == keys->listener[0] || listener == keys->listener[1];
}

/* Undoes a plan that could not be completed. */
static void drop_plan(const struct keys *keys, struct plan *plan)
{
	for (size_t i = 0; i < 2; i++)
		if (plan->listener[i] && !is_present_listener(keys, plan->listener[i]))
			listener_close(plan->listener[i]);
	for (size_t i = 0; i < plan->peer_count; i++) {
		struct peer_plan *peer_plan = &plan->peers[i];

		for (size_t j = 0; j < peer_plan->member_count; j++)
			if (peer_member(peer_plan->peer, peer_plan->members[j]->vni) != peer_plan->members[j])
				free(peer_plan->members[j]);
		free(peer_plan->members);
		secret_free(peer_plan->psk);
		if (peer_plan->fresh)
			peer_free(peer_plan->peer);
	}
	free(plan->list);
	tenants_free(&plan->tenants);
}

/* --- Taking it over --- */

static void take_listeners(struct keys *keys, const struct plan *plan)
{
	for (size_t i = 0; i < 2; i++)
		if (keys->listener[i] != plan->listener[0] && keys->listener[i] != plan->listener[1])
			listener_close(keys->listener[i]);
	memcpy(keys->listener, plan->listener, sizeof(keys->listener));
}

/* The peer is no longer configured, or another site has its number now. */
static void remove_peer(struct keys *keys, struct peer *peer)
{
	struct session *session;

	peer_hang_up(peer, "the peer is not configured any more");
	LIST_FOREACH (session, &keys->sessions, entry) {
		if (session->neighbour != peer)
			continue;
		session->neighbour = NULL;
		session_set_stranger(session, !session->up);
	}
	for (size_t i = 0; i < peer->member_count; i++)
		offers_drop_member(peer, peer->members[i], keys->leaving);
	peer_free(peer);
}

static bool planned(const struct plan *plan, const struct peer *peer)
{
	for (size_t i = 0; i < plan->peer_count; i++)
		if (plan->peers[i].peer == peer)
			return true;
	return false;
}

/* The members that go, or whose key changed, are withdrawn at the peer before the new list is sent. */
static void withdraw_members(struct peer *peer, const struct peer_plan *peer_plan)
{
	uint32_t *vnis = calloc(peer->member_count + 1, sizeof(*vnis));
	size_t count = 0, next = 0;

	for (size_t i = 0; i < peer->member_count; i++) {
		struct member *member = peer->members[i];

		while (next < peer_plan->member_count && peer_plan->members[next]->vni < member->vni)
			next++;
		if (next < peer_plan->member_count && peer_plan->members[next] == member)
			continue;
		if (vnis)
			vnis[count++] = member->vni;
		offers_drop_member(peer, member, peer->keys->leaving);
		free(member);
	}
	if (peer->session && vnis)
		offers_send_withdraw(peer->session, vnis, count);
	else if (peer->session)
		session_end(peer->session, "no memory for a withdrawal", false);
	free(vnis);
}

static void take_members(struct keys *keys, struct peer *peer, struct peer_plan *peer_plan)
{
	withdraw_members(peer, peer_plan);
	free(peer->members);
	peer->members = peer_plan->members;
	peer->member_count = peer_plan->member_count;
	peer_plan->members = NULL;
	if (!peer_plan->grown)
		return;
	for (size_t i = 0; i < peer->member_count; i++) {
		struct member *member = peer->members[i];

		if (member->remote || !peer_remote_has(peer, member->vni))
			continue;
		member->remote = true;
		keys->members_changed = true;
		if (peer->session && peer->session->listed)
			offers_want(peer->session, member, KEYS_BY_CONFIGURATION);
	}
	if (peer->session)
		offers_send_tenants(peer->session);
}

static void take_peers(struct keys *keys, struct plan *plan)
{
	for (size_t i = 0; i < keys->peer_count; i++)
		if (!planned(plan, keys->peers[i]))
			remove_peer(keys, keys->peers[i]);
	free(keys->peers);
	keys->peers = plan->list;
	keys->peer_count = 0;
	for (size_t i = 0; i < plan->peer_count; i++)
		keys->peers[keys->peer_count++] = plan->peers[i].peer;
	for (size_t i = 0; i < plan->peer_count; i++) {
		struct peer_plan *peer_plan = &plan->peers[i];
		struct peer *peer = peer_plan->peer;

		if (peer_update(peer, peer_plan->config, &peer_plan->psk)) {
			peer_hang_up(peer, "its endpoint or pre-shared key was configured anew");
			peer_dial_now(peer);
		}
		secret_free(peer_plan->psk);
		take_members(keys, peer, peer_plan);
	}
}

/* SAs of an earlier process find their member, or go. */
void keys_claim(struct keys *keys)
{
	struct book_sa *sa;

	while ((sa = LIST_FIRST(&keys->unclaimed))) {
		const struct peer *peer = keys_peer(keys, sa->peer);
		struct member *member = peer ? peer_member(peer, sa->vni) : NULL;

		if (!member) {
			book_retire(&keys->book, sa);
			continue;
		}
		LIST_REMOVE(sa, same);
		LIST_INSERT_HEAD(&member->sas, sa, same);
		/* Both had the tenant when this was made: so they still do, until the peer says otherwise. */
		if (sa->direction == PONT_SA_OUT && !member->remote) {
			member->remote = true;
			keys->members_changed = true;
		}
	}
}

static struct keys_lifetimes lifetimes_of(const struct keys_config *config)
{
	const struct keys_lifetimes *given = &config->lifetimes;

	return (struct keys_lifetimes){
		.sa_packets = given->sa_packets > 0 ? given->sa_packets : PONT_SA_HARD_PACKETS,
		.sa_bytes = given->sa_bytes > 0 ? given->sa_bytes : PONT_SA_HARD_BYTES,
		.sa_s = given->sa_s > 0 ? given->sa_s : PONT_SA_HARD_S,
		.session_s = given->session_s > 0 ? given->session_s : PONT_SESSION_S_MAX,
	};
}

/* SAs and sessions that would live longer than is now allowed are replaced. */
static void take_lifetimes(struct keys *keys, const struct keys_lifetimes *new)
{
	struct keys_lifetimes old = keys->lifetimes;

	keys->lifetimes = *new;
	if (!keys->configured)
		return;
	if (new->sa_packets < old.sa_packets || new->sa_bytes < old.sa_bytes || new->sa_s < old.sa_s)
		rollover_all(keys, 0, 0, KEYS_BY_CONFIGURATION);
	if (new->session_s == old.session_s)
		return;
	for (size_t i = 0; i < keys->peer_count; i++) {
		struct session *session = keys->peers[i]->session;

		if (session)
			session_lifetime(session);
	}
}

int keys_configure(struct keys *keys, const struct keys_config *config, struct error *error)
{
	const struct keys_lifetimes lifetimes = lifetimes_of(config);
	struct plan plan = {0};
	int result = -1;

	if (check(keys, config, error) < 0)
		return -1;
	if (plan_all(keys, &plan, config, error) < 0) {
		drop_plan(keys, &plan);
		goto out;
	}
	(void)snprintf(keys->site_name, sizeof(keys->site_name), "%s", config->site_name);
	memcpy(keys->vtep, config->vtep, sizeof(keys->vtep));
	keys->leaving = config->revoking ? KEYS_BY_REVOCATION : KEYS_BY_CONFIGURATION;
	take_listeners(keys, &plan);
	take_peers(keys, &plan);
	tenants_free(&keys->tenants);
	keys->tenants = plan.tenants;
	take_lifetimes(keys, &lifetimes);
	keys->configured = true;
	keys_doors(keys);
	keys_claim(keys);
	for (size_t i = 0; i < keys->peer_count; i++)
		peer_dial(keys->peers[i]);
	keys_work_soon(keys, 0);
	result = 0;
out:
	free(plan.sorted);
	free(plan.peers);
	return result;
}
