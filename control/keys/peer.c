/* SPDX-License-Identifier: BSD-3-Clause */
#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/state.h"

#include "control/keys/secret.h"

static void dial_due(evutil_socket_t fd, short what, void *context);

static void copy_text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%.*s", (int)size - 1, from);
}

struct peer *peer_new(struct keys *keys, const struct keys_peer_config *config)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->keys = keys;
	peer->number = config->peer;
	memcpy(peer->public_key, config->public_key, KEYS_PUBLIC_SIZE);
	peer->initiator = memcmp(keys->identity->public_key, peer->public_key, KEYS_PUBLIC_SIZE) < 0;
	peer->dial = evtimer_new(keys->base, dial_due, peer);
	if (!peer->dial) {
		free(peer);
		return NULL;
	}
	return peer;
}

void peer_free(struct peer *peer)
{
	if (!peer)
		return;
	peer_hang_up(peer, "the peer is not configured any more");
	for (size_t i = 0; i < peer->member_count; i++) {
		book_drop_list(&peer->keys->book, &peer->members[i]->sas);
		book_drop_list(&peer->keys->book, &peer->members[i]->draining);
		free(peer->members[i]);
	}
	free(peer->members);
	free(peer->remote);
	event_free(peer->dial);
	secret_free(peer->psk);
	free(peer);
}

static bool same_psk(const uint8_t *a, const uint8_t *b)
{
	if (!a || !b)
		return a == b;
	return sodium_memcmp(a, b, KEYS_PSK_SIZE) == 0;
}

bool peer_update(struct peer *peer, const struct keys_peer_config *config, uint8_t **psk)
{
	struct endpoint endpoint = {.address = config->endpoint, .port = config->port};
	bool same = memcmp(&endpoint.address, &peer->endpoint.address, sizeof(endpoint.address)) == 0 &&
		    endpoint.port == peer->endpoint.port && same_psk(peer->psk, config->psk);

	copy_text(peer->name, sizeof(peer->name), config->name);
	if (same)
		return false;
	peer->endpoint = endpoint;
	secret_free(peer->psk);
	peer->psk = *psk;
	*psk = NULL;
	return true;
}

struct member *peer_member(const struct peer *peer, uint32_t vni)
{
	size_t low = 0, high = peer->member_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (peer->members[middle]->vni == vni)
			return peer->members[middle];
		if (peer->members[middle]->vni < vni)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool peer_remote_has(const struct peer *peer, uint32_t vni)
{
	size_t low = 0, high = peer->remote_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (peer->remote[middle] == vni)
			return true;
		if (peer->remote[middle] < vni)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

size_t peer_common(const struct peer *peer)
{
	size_t count = 0;

	for (size_t i = 0; i < peer->member_count; i++)
		count += peer->members[i]->remote;
	return count;
}

static void dial_after(struct peer *peer, unsigned int ms)
{
	struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	(void)event_add(peer->dial, &delay);
}

/* From half of it to all of it, so that sites that fail together do not come back together. */
static unsigned int jitter(unsigned int ms)
{
	return ms / 2 + randombytes_uniform(ms - ms / 2 + 1);
}

/*
 * Until the session has to be replaced by a fresh one: at 70 to 75 % of its life, a little before its SAs are due for
 * their age, and with time left for some attempts.
 */
static unsigned int until_renewal(const struct peer *peer)
{
	unsigned int life = session_lifetime_ms(peer->session) / 1000 * (700 + randombytes_uniform(51));
	uint64_t age = keys_now_ms() - peer->session->up_ms;

	return age < life ? (unsigned int)(life - age) : 0;
}

void peer_dial(struct peer *peer)
{
	unsigned int wait = peer->backoff_ms > 0 ? jitter(peer->backoff_ms) : 0;
	unsigned int renewal;

	if (!peer->initiator || !keys_running(peer->keys) || peer->attempt || evtimer_pending(peer->dial, NULL))
		return;
	renewal = peer->session ? until_renewal(peer) : 0;
	dial_after(peer, wait > renewal ? wait : renewal);
}

void peer_dial_now(struct peer *peer)
{
	peer->backoff_ms = 0;
	peer_rest(peer);
	peer_dial(peer);
}

void peer_rest(struct peer *peer)
{
	(void)event_del(peer->dial);
}

void peer_failed(struct peer *peer, const char *why)
{
	peer->failures++;
	copy_text(peer->last_error, sizeof(peer->last_error), why);
}

void peer_back_off(struct peer *peer)
{
	const struct keys_times *times = &peer->keys->times;

	if (peer->backoff_ms == 0)
		peer->backoff_ms = times->backoff_ms;
	else if (peer->backoff_ms < times->backoff_limit_ms / 2)
		peer->backoff_ms *= 2;
	else
		peer->backoff_ms = times->backoff_limit_ms;
}

static void dial_due(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;
	struct error error;

	(void)fd;
	(void)what;
	if (!keys_running(peer->keys) || peer->attempt)
		return;
	if (session_dial(peer, &error) == 0)
		return;
	/* An unreachable peer is tried for days: the audit hears of it when the reason changes. */
	if (strncmp(peer->last_error, error.text, sizeof(peer->last_error) - 1) != 0)
		keys_audit(peer->keys, "handshake_failed", peer, "%s", error.text);
	peer_failed(peer, error.text);
	peer_back_off(peer);
	peer_dial(peer);
}

void peer_hang_up(struct peer *peer, const char *why)
{
	struct session *session, *next;

	for (session = LIST_FIRST(&peer->keys->sessions); session; session = next) {
		next = LIST_NEXT(session, entry);
		if (session->peer == peer)
			session_end(session, why, false);
	}
}
