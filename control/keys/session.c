/* SPDX-License-Identifier: BSD-3-Clause */
/* From a connection to a session: who it is, whether it is wanted, what replaces what. */
#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/keys/state.h"

static struct peer *peer_at(const struct keys *keys, const struct pont_address *address)
{
	for (size_t i = 0; i < keys->peer_count; i++)
		if (memcmp(&keys->peers[i]->endpoint.address, address, sizeof(*address)) == 0)
			return keys->peers[i];
	return NULL;
}

static struct peer *peer_with_key(const struct keys *keys, const uint8_t public_key[KEYS_PUBLIC_SIZE])
{
	for (size_t i = 0; i < keys->peer_count; i++)
		if (memcmp(keys->peers[i]->public_key, public_key, KEYS_PUBLIC_SIZE) == 0)
			return keys->peers[i];
	return NULL;
}

void session_set_stranger(struct session *session, bool stranger)
{
	if (session->stranger == stranger)
		return;
	session->stranger = stranger;
	if (stranger)
		session->keys->strangers++;
	else
		session->keys->strangers--;
}

static struct session *session_new(struct keys *keys, struct peer *peer, struct peer *neighbour)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->keys = keys;
	session->number = ++keys->session_number;
	session->peer = peer;
	session->neighbour = neighbour;
	LIST_INSERT_HEAD(&keys->sessions, session, entry);
	session_set_stranger(session, !peer && !neighbour);
	return session;
}

static void session_free(struct session *session)
{
	struct peer *peer = session->peer;

	session_set_stranger(session, false);
	if (peer && peer->session == session)
		peer->session = NULL;
	if (peer && peer->attempt == session)
		peer->attempt = NULL;
	LIST_REMOVE(session, entry);
	if (session->expiry)
		event_free(session->expiry);
	channel_close(session->channel);
	seen_clear(&session->seen);
	free(session->list);
	free(session);
}

unsigned int session_lifetime_ms(const struct session *session)
{
	unsigned int own = session->keys->lifetimes.session_s;

	return 1000 * (session->greeted && session->hello.lifetime_s < own ? session->hello.lifetime_s : own);
}

/* No key is derived from it any more. What it has brought goes on until the ends of the SAs' own lives. */
static void on_expiry(evutil_socket_t fd, short what, void *context)
{
	struct session *session = context;

	(void)fd;
	(void)what;
	session->expired = true;
	session_end(session, "its lifetime is over, and no fresh handshake has replaced it", true);
}

void session_lifetime(struct session *session)
{
	uint64_t age = keys_now_ms() - session->up_ms, life = session_lifetime_ms(session);
	uint64_t left = age < life ? life - age : 0;
	const struct timeval delay = {.tv_sec = (time_t)(left / 1000), .tv_usec = (suseconds_t)(left % 1000) * 1000};

	if (!session->expiry)
		session->expiry = evtimer_new(session->keys->base, on_expiry, session);
	if (!session->expiry || event_add(session->expiry, &delay) < 0)
		channel_abandon(session->channel, "no memory for the end of its lifetime");
	/* What is to replace it comes accordingly. */
	if (session->peer->session == session && !session->peer->attempt) {
		peer_rest(session->peer);
		peer_dial(session->peer);
	}
}

/* An end before the session was up. */
static void report_failure(const struct session *session, const char *why)
{
	char remote[ENDPOINT_TEXT_SIZE];
	struct keys *keys = session->keys;
	struct peer *peer = session->peer;

	endpoint_text(channel_remote(session->channel), remote);
	if (peer && channel_is_initiator(session->channel)) {
		if (strncmp(peer->last_error, why, sizeof(peer->last_error) - 1) != 0)
			keys_audit(keys, "handshake_failed", peer, "%s: %s", remote, why);
	} else if (peer) {
		keys_audit(keys, "handshake_failed", peer, "from %s: %s", remote, why);
	} else if (session->neighbour) {
		keys_audit(keys, "handshake_failed", NULL, "from %s, the address of peer %s: %s", remote,
			session->neighbour->name, why);
	} else {
		keys_audit(keys, "handshake_failed", NULL, "from %s: %s", remote, why);
	}
}

void session_end(struct session *session, const char *why, bool failed)
{
	struct keys *keys = session->keys;
	struct peer *peer = session->peer;
	struct peer *blamed = peer ? peer : session->neighbour;
	bool current = peer && (peer->session == session || peer->attempt == session);
	bool settled = session->up && keys_now_ms() - session->up_ms >= keys->times.settled_ms;

	if (session->superseded) {
		why = "replaced by a new session";
		failed = false;
	}
	if (session->up) {
		keys_audit(keys, "session_down", peer, "%s", why);
		keys_tell_session(keys, KEYS_SESSION_ENDED,
			session->expired      ? KEYS_BY_TIME
			: failed              ? KEYS_BY_FAILURE
			: session->superseded ? KEYS_BY_SESSION
					      : KEYS_BY_CONFIGURATION,
			peer, why);
	} else if (failed && !session->reported) {
		report_failure(session, why);
	}
	session_free(session);
	if (failed && blamed)
		peer_failed(blamed, why);
	else if (failed)
		keys->stranger_failures++;
	if (!current)
		return;
	peer_rest(peer);
	if (settled)
		peer->backoff_ms = 0;
	else if (failed)
		peer_back_off(peer);
	peer_dial(peer);
}

static bool on_identify(void *context, struct channel *channel, const uint8_t public_key[IDENTITY_KEY_SIZE],
	const uint8_t **psk, char why[CHANNEL_TEXT_SIZE])
{
	struct session *session = context;
	struct keys *keys = session->keys;
	struct peer *peer = peer_with_key(keys, public_key);
	char text[IDENTITY_TEXT_SIZE];
	char remote[ENDPOINT_TEXT_SIZE];

	if (!peer) {
		identity_public_text(public_key, text);
		keys_audit(keys, "peer_unknown", NULL, "%s presents the public key %s, which is no peer's",
			endpoint_text(channel_remote(channel), remote), text);
		session->reported = true;
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "unknown public key %s", text);
		return false;
	}
	session->peer = peer;
	if (peer->initiator) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "it is this site's part to dial, as its public key is smaller");
		return false;
	}
	*psk = peer->psk;
	return true;
}

/*
 * A new session is up in place of this one. The answering side ends the old one; the dialling side lets it do so, or
 * the other might see the end of the old before the beginning of the new, and take it for a loss.
 */
static void supersede(struct session *session)
{
	struct peer *peer = session->peer;

	peer->session = NULL;
	session->superseded = true;
	if (!peer->initiator)
		session_end(session, "replaced by a new session", false);
}

static void on_up(void *context, struct channel *channel)
{
	struct session *session = context;
	struct peer *peer = session->peer;
	char remote[ENDPOINT_TEXT_SIZE], text[CHANNEL_TEXT_SIZE];

	if (peer->session)
		supersede(peer->session);
	peer->session = session;
	if (peer->attempt == session)
		peer->attempt = NULL;
	session->up = true;
	session_set_stranger(session, false);
	session->up_ms = keys_now_ms();
	peer->established_ms = session->up_ms;
	peer->handshakes++;
	peer->last_error[0] = '\0';
	(void)snprintf(text, sizeof(text), "handshake %llu complete with %s", (unsigned long long)peer->handshakes,
		endpoint_text(channel_remote(channel), remote));
	keys_audit(session->keys, "session_up", peer, "%s", text);
	keys_tell_session(session->keys, KEYS_SESSION_STARTED, KEYS_BY_SESSION, peer, text);
	session_lifetime(session);
	offers_greet(session);
	rollover_tell_using(session);
}

static void on_message(void *context, struct channel *channel, const uint8_t *data, size_t size)
{
	struct session *session = context;
	struct keys *keys = session->keys;
	char reason[MESSAGE_ERROR_SIZE];
	char why[CHANNEL_TEXT_SIZE];

	(void)channel;
	if (session->superseded)
		return;
	if (message_decode(data, size, keys->message, reason) < 0) {
		(void)snprintf(why, sizeof(why), "malformed message: %s", reason);
		session_end(session, why, true);
	} else if (offers_receive(session, keys->message, why) < 0) {
		session_end(session, why, true);
	}
}

static void on_drained(void *context, struct channel *channel)
{
	struct session *session = context;

	(void)channel;
	keys_work_soon(session->keys, 0);
}

static void on_down(void *context, struct channel *channel, const char *why)
{
	(void)channel;
	session_end(context, why, true);
}

static const struct channel_callbacks callbacks = {
	.identify = on_identify,
	.up = on_up,
	.message = on_message,
	.drained = on_drained,
	.down = on_down,
};

static struct channel_options options_for(struct session *session)
{
	return (struct channel_options){
		.base = session->keys->base,
		.identity = session->keys->identity,
		.times = &session->keys->times,
		.callbacks = &callbacks,
		.context = session,
	};
}

static const struct pont_address *source_for(const struct keys *keys, const struct endpoint *endpoint)
{
	return &keys->vtep[keys->vtep[0].family == endpoint->address.family ? 0 : 1];
}

int session_dial(struct peer *peer, struct error *error)
{
	struct keys *keys = peer->keys;
	struct session *session = session_new(keys, peer, NULL);
	struct channel_options options;

	if (!session)
		return error_set(error, ENOMEM, NULL, "no memory for a session");
	options = options_for(session);
	session->channel = channel_dial(
		&options, source_for(keys, &peer->endpoint), &peer->endpoint, peer->public_key, peer->psk, error);
	if (!session->channel) {
		session_free(session);
		return -1;
	}
	peer->attempt = session;
	return 0;
}

/*
 * How many connections from the peer's address are not up yet. What merely claims to be the peer counts as a stranger:
 * replayed first messages must not keep the peer itself out.
 */
static unsigned int knocks_of(const struct keys *keys, const struct peer *peer)
{
	const struct session *session;
	unsigned int count = 0;

	LIST_FOREACH (session, &keys->sessions, entry)
		count += !session->up && session->neighbour == peer;
	return count;
}

void session_accept(void *context, int fd, const struct endpoint *remote)
{
	struct keys *keys = context;
	struct peer *neighbour = peer_at(keys, &remote->address);
	char text[ENDPOINT_TEXT_SIZE];
	struct channel_options options;
	struct session *session;

	/* It has just been lost, in the middle of a callback. */
	if (!keys_running(keys)) {
		(void)close(fd);
		return;
	}
	if (neighbour ? knocks_of(keys, neighbour) >= KEYS_KNOCKS_MAX : keys->strangers >= KEYS_STRANGERS_MAX) {
		if (!neighbour)
			keys->stranger_failures++;
		keys_audit(keys, "handshake_failed", NULL, "from %s: too many connections that have not authenticated",
			endpoint_text(remote, text));
		(void)close(fd);
		return;
	}
	session = session_new(keys, NULL, neighbour);
	if (!session) {
		(void)close(fd);
		return;
	}
	options = options_for(session);
	session->channel = channel_answer(&options, fd, remote);
	if (!session->channel)
		session_free(session);
}
