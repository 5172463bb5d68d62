/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One TCP connection to another site: framing, Noise handshake, keepalive. Frames are a 16-bit big-endian length and
 * that many bytes, one Noise message each. Handshake payloads are empty, so the first frame has exactly
 * NOISE_FIRST_OVERHEAD bytes and the second exactly NOISE_SECOND_OVERHEAD.
 *
 * The first message can be replayed by anybody who saw it, so a responder's channel is up only once a transport
 * message has been opened: the initiator sends one (a keepalive) as soon as it is up. A keepalive is a transport
 * message with no payload.
 *
 * All of it runs on the event loop given. A channel may be closed from within its callbacks.
 */
#ifndef CONTROL_KEYS_CHANNEL_H
#define CONTROL_KEYS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "control/keys/endpoint.h"
#include "control/keys/identity.h"
#include "control/keys/times.h"

struct event_base;
struct channel;

/* Carried by the handshake: both sites speak the same protocol and version, or there is no session. */
#define CHANNEL_PROLOGUE "pontlevis keys 1"

enum {
	CHANNEL_TEXT_SIZE = 160,
	/* Sealed bytes waiting for a slow reader; beyond this the channel is given up. */
	CHANNEL_BACKLOG_MAX = 1 << 20,
};

struct channel_callbacks {
	/*
	 * Responder only: the first message named this initiator. True: it is known, *psk is its pre-shared key or
	 * NULL. False: it is not wanted, and why says so.
	 */
	bool (*identify)(void *context, struct channel *channel, const uint8_t public_key[IDENTITY_KEY_SIZE],
		const uint8_t **psk, char why[CHANNEL_TEXT_SIZE]);
	/* Both sides have proven themselves. */
	void (*up)(void *context, struct channel *channel);
	void (*message)(void *context, struct channel *channel, const uint8_t *data, size_t size);
	/* What was queued has left, after channel_backlog() had grown. */
	void (*drained)(void *context, struct channel *channel);
	/* It is over, for this reason; the channel is closed and freed by this side after the return. */
	void (*down)(void *context, struct channel *channel, const char *why);
};

enum channel_state {
	CHANNEL_CONNECTING,
	CHANNEL_HANDSHAKE,
	CHANNEL_UNCONFIRMED, /* responder: waits for the first transport message */
	CHANNEL_UP,
	CHANNEL_CLOSED,
};

struct channel_options {
	struct event_base *base;
	const struct identity *identity; /* outlives the channel */
	const struct keys_times *times;  /* outlives the channel */
	const struct channel_callbacks *callbacks;
	void *context;
};

/* Dials from the source address (any port). remote_key and psk (NULL: none) are copied. NULL with the error set. */
struct channel *channel_dial(const struct channel_options *options, const struct pont_address *source,
	const struct endpoint *destination, const uint8_t remote_key[IDENTITY_KEY_SIZE], const uint8_t *psk,
	struct error *error);

/* Answers on an accepted, non-blocking socket, which it takes over in any case. NULL without memory. */
struct channel *channel_answer(const struct channel_options *options, int fd, const struct endpoint *remote);

/* Seals and queues a message; only while up. -1: it did not fit or there was an error, and "down" follows. */
int channel_send(struct channel *channel, const void *data, size_t size);

/* Gives the channel up: "down" follows from the event loop, with this (constant) reason. */
void channel_abandon(struct channel *channel, const char *why);

enum channel_state channel_state(const struct channel *channel);
bool channel_is_initiator(const struct channel *channel);
const struct endpoint *channel_remote(const struct channel *channel);
/* Session root (schedule.h); valid while the channel is up. */
const uint8_t *channel_root(const struct channel *channel);
/* Bytes sealed but not yet taken by the kernel. */
size_t channel_backlog(const struct channel *channel);

/* Closes, erases and frees, without the "down" callback. NULL is allowed. */
void channel_close(struct channel *channel);

#endif
