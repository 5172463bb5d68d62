/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/channel.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/keys/noise.h"
#include "control/keys/schedule.h"
#include "control/keys/secret.h"

enum { FRAME_HEADER = 2 };

struct channel {
	struct channel_options options;
	struct endpoint remote;
	enum channel_state state;
	bool initiator;
	bool doomed;       /* to be freed by the last one who leaves */
	unsigned int busy; /* functions on the stack that still use the channel */
	uint64_t heard_ms; /* when the last authentic message came */
	uint64_t ticked_ms;
	const char *broken; /* why sending failed; reported from the event loop */

	int fd; /* while connecting, else -1 */
	struct event *connected;
	struct event *timer;
	struct bufferevent *stream;

	struct noise_handshake *handshake;
	struct noise_transport *transport;
	uint8_t *root;  /* SCHEDULE_ROOT_SIZE, locked memory */
	uint8_t *plain; /* NOISE_MESSAGE_MAX, from the end of the handshake on */
};

/* Closes the connection and erases the secrets; what remains is the struct. */
static void stop(struct channel *channel)
{
	channel->state = CHANNEL_CLOSED;
	if (channel->connected)
		event_free(channel->connected);
	channel->connected = NULL;
	if (channel->timer)
		event_free(channel->timer);
	channel->timer = NULL;
	if (channel->stream)
		bufferevent_free(channel->stream);
	channel->stream = NULL;
	if (channel->fd >= 0)
		(void)close(channel->fd);
	channel->fd = -1;
	noise_handshake_free(channel->handshake);
	channel->handshake = NULL;
	noise_transport_free(channel->transport);
	channel->transport = NULL;
	secret_free(channel->root);
	channel->root = NULL;
	if (channel->plain)
		sodium_memzero(channel->plain, NOISE_MESSAGE_MAX);
	free(channel->plain);
	channel->plain = NULL;
}

static void leave(struct channel *channel)
{
	if (--channel->busy == 0 && channel->doomed)
		free(channel);
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	channel->busy++;
	stop(channel);
	channel->doomed = true;
	leave(channel);
}

static void fail(struct channel *channel, const char *why)
{
	if (channel->state == CHANNEL_CLOSED)
		return;
	channel->busy++;
	channel->options.callbacks->down(channel->options.context, channel, why);
	stop(channel);
	channel->doomed = true;
	leave(channel);
}

static struct timeval timeval_ms(unsigned int ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

/* Sending failed somewhere below a callback: the owner hears of it when the stack is unwound. */
static int break_later(struct channel *channel, const char *why)
{
	struct timeval now = {0};

	if (!channel->broken)
		channel->broken = why;
	(void)event_add(channel->timer, &now);
	return -1;
}

static int send_frame(struct channel *channel, const uint8_t *message, size_t size)
{
	uint8_t header[FRAME_HEADER] = {(uint8_t)(size >> 8), (uint8_t)size};

	if (bufferevent_write(channel->stream, header, sizeof(header)) < 0 ||
		bufferevent_write(channel->stream, message, size) < 0)
		return -1;
	return 0;
}

static int seal_and_queue(struct channel *channel, const void *data, size_t size)
{
	struct evbuffer *output = bufferevent_get_output(channel->stream);
	size_t sealed = size + NOISE_TAG_SIZE;
	struct evbuffer_iovec space;
	uint8_t *frame;

	if (size > NOISE_MESSAGE_MAX - NOISE_TAG_SIZE)
		return break_later(channel, "a message does not fit the channel");
	if (evbuffer_get_length(output) + FRAME_HEADER + sealed > CHANNEL_BACKLOG_MAX)
		return break_later(channel, "the other side reads too slowly");
	if (evbuffer_reserve_space(output, (ev_ssize_t)(FRAME_HEADER + sealed), &space, 1) != 1)
		return break_later(channel, "no memory");
	frame = space.iov_base;
	if (noise_seal(channel->transport, data, size, frame + FRAME_HEADER) < 0)
		return break_later(channel, "the nonces of the session are used up");
	frame[0] = (uint8_t)(sealed >> 8);
	frame[1] = (uint8_t)sealed;
	space.iov_len = FRAME_HEADER + sealed;
	if (evbuffer_commit_space(output, &space, 1) < 0)
		return break_later(channel, "no memory");
	return 0;
}

int channel_send(struct channel *channel, const void *data, size_t size)
{
	if (channel->state != CHANNEL_UP || channel->broken)
		return -1;
	return seal_and_queue(channel, data, size);
}

void channel_abandon(struct channel *channel, const char *why)
{
	if (channel->state != CHANNEL_CLOSED)
		(void)break_later(channel, why);
}

static const char *late_text(const struct channel *channel)
{
	switch (channel->state) {
	case CHANNEL_CONNECTING:
		return "no TCP connection in time";
	case CHANNEL_HANDSHAKE:
		return channel->initiator ? "no answer to the handshake in time" : "no handshake message in time";
	case CHANNEL_UNCONFIRMED:
		return "the handshake was not confirmed in time: a replayed first message looks like this";
	default:
		return "timed out";
	}
}

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
	struct channel *channel = context;
	const struct keys_times *times = channel->options.times;
	struct timeval next = timeval_ms(times->keepalive_ms);
	uint64_t now = keys_now_ms();

	(void)fd;
	(void)what;
	if (channel->broken) {
		fail(channel, channel->broken);
		return;
	}
	if (channel->state != CHANNEL_UP) {
		fail(channel, late_text(channel));
		return;
	}
	/* If this process itself was held up, what the other side sent meanwhile still waits to be read. */
	if (now - channel->ticked_ms > 2 * (uint64_t)times->keepalive_ms)
		channel->heard_ms = now;
	channel->ticked_ms = now;
	if (now - channel->heard_ms > times->dead_ms) {
		fail(channel, "nothing was heard from the other side for too long");
		return;
	}
	if (seal_and_queue(channel, NULL, 0) == 0)
		(void)event_add(channel->timer, &next);
}

static void confirmed(struct channel *channel)
{
	struct timeval next = timeval_ms(channel->options.times->keepalive_ms);

	channel->state = CHANNEL_UP;
	channel->heard_ms = channel->ticked_ms = keys_now_ms();
	(void)event_add(channel->timer, &next);
	channel->options.callbacks->up(channel->options.context, channel);
}

/* Both handshake messages have passed: from handshake to transport. */
static int establish(struct channel *channel)
{
	channel->transport = noise_handshake_split(channel->handshake);
	channel->root = secret_alloc(SCHEDULE_ROOT_SIZE);
	channel->plain = malloc(NOISE_MESSAGE_MAX);
	if (!channel->transport || !channel->root || !channel->plain)
		return -1;
	schedule_root(noise_handshake_chaining_key(channel->handshake), noise_handshake_hash(channel->handshake),
		channel->root);
	noise_handshake_free(channel->handshake);
	channel->handshake = NULL;
	return 0;
}

static void read_first(struct channel *channel, const uint8_t *message, size_t size)
{
	const struct noise_static own = {channel->options.identity->private_key, channel->options.identity->public_key};
	uint8_t answer[NOISE_SECOND_OVERHEAD];
	uint8_t nothing[1];
	char why[CHANNEL_TEXT_SIZE] = "not wanted";
	const uint8_t *psk = NULL;
	size_t length;

	channel->handshake = noise_respond(CHANNEL_PROLOGUE, sizeof(CHANNEL_PROLOGUE) - 1, &own);
	if (!channel->handshake) {
		fail(channel, "no memory");
		return;
	}
	if (noise_handshake_read(channel->handshake, message, size, nothing, 0, &length) < 0) {
		fail(channel, "the first message is not authentic, or not meant for this site's key");
		return;
	}
	if (!channel->options.callbacks->identify(
		    channel->options.context, channel, noise_handshake_remote(channel->handshake), &psk, why)) {
		fail(channel, why);
		return;
	}
	/* The owner may have changed its mind about the connection altogether. */
	if (channel->state != CHANNEL_HANDSHAKE)
		return;
	noise_handshake_set_psk(channel->handshake, psk);
	if (noise_handshake_write(channel->handshake, NULL, 0, answer, sizeof(answer), &length) < 0 ||
		establish(channel) < 0 || send_frame(channel, answer, length) < 0) {
		fail(channel, "the handshake cannot be answered");
		return;
	}
	channel->state = CHANNEL_UNCONFIRMED;
}

static void read_second(struct channel *channel, const uint8_t *message, size_t size)
{
	uint8_t nothing[1];
	size_t length;

	if (noise_handshake_read(channel->handshake, message, size, nothing, 0, &length) < 0) {
		fail(channel, "the answer is not authentic: the pre-shared keys differ, or another site answers");
		return;
	}
	if (establish(channel) < 0) {
		fail(channel, "no memory");
		return;
	}
	/* Confirms the session to the responder. */
	if (seal_and_queue(channel, NULL, 0) == 0)
		confirmed(channel);
}

/* A transport message; the plaintext has been copied out of the stream's buffer. */
static void deliver(struct channel *channel, size_t size)
{
	channel->heard_ms = keys_now_ms();
	if (channel->state == CHANNEL_UNCONFIRMED)
		confirmed(channel);
	if (channel->state == CHANNEL_UP && size > 0)
		channel->options.callbacks->message(channel->options.context, channel, channel->plain, size);
}

/* How many bytes the next frame may have. */
static void frame_bounds(const struct channel *channel, size_t *low, size_t *high)
{
	if (channel->state == CHANNEL_HANDSHAKE) {
		*low = channel->initiator ? NOISE_SECOND_OVERHEAD : NOISE_FIRST_OVERHEAD;
		*high = *low;
	} else {
		*low = NOISE_TAG_SIZE;
		*high = NOISE_MESSAGE_MAX;
	}
}

/* Takes one frame from the stream; false if there is none, or no channel any more. */
static bool read_frame(struct channel *channel)
{
	struct evbuffer *input = bufferevent_get_input(channel->stream);
	size_t low, high, size;
	uint8_t header[FRAME_HEADER];
	const uint8_t *frame;

	if (evbuffer_copyout(input, header, sizeof(header)) < FRAME_HEADER)
		return false;
	size = (size_t)header[0] << 8 | header[1];
	frame_bounds(channel, &low, &high);
	if (size < low || size > high) {
		fail(channel, "a frame has a length that no message has here");
		return false;
	}
	if (evbuffer_get_length(input) < FRAME_HEADER + size)
		return false;
	frame = evbuffer_pullup(input, (ev_ssize_t)(FRAME_HEADER + size));
	if (!frame) {
		fail(channel, "no memory");
		return false;
	}
	frame += FRAME_HEADER;
	if (channel->state == CHANNEL_HANDSHAKE && channel->initiator) {
		uint8_t message[NOISE_SECOND_OVERHEAD];

		memcpy(message, frame, size);
		(void)evbuffer_drain(input, FRAME_HEADER + size);
		read_second(channel, message, size);
	} else if (channel->state == CHANNEL_HANDSHAKE) {
		uint8_t message[NOISE_FIRST_OVERHEAD];

		memcpy(message, frame, size);
		(void)evbuffer_drain(input, FRAME_HEADER + size);
		read_first(channel, message, size);
	} else if (noise_open(channel->transport, frame, size, channel->plain) < 0) {
		fail(channel, channel->state == CHANNEL_UNCONFIRMED ? "the handshake's confirmation is not authentic"
								    : "a message is not authentic");
	} else {
		(void)evbuffer_drain(input, FRAME_HEADER + size);
		deliver(channel, size - NOISE_TAG_SIZE);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): readable() is in, so the channel is not freed here. */
	return channel->state != CHANNEL_CLOSED;
}

static void readable(struct bufferevent *stream, void *context)
{
	struct channel *channel = context;

	(void)stream;
	channel->busy++;
	while (channel->state != CHANNEL_CLOSED && !channel->broken && read_frame(channel))
		;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): only the last one to leave frees it. */
	leave(channel);
}

static void drained(struct bufferevent *stream, void *context)
{
	struct channel *channel = context;

	(void)stream;
	channel->busy++;
	if (channel->state == CHANNEL_UP)
		channel->options.callbacks->drained(channel->options.context, channel);
	leave(channel);
}

static void ended(struct bufferevent *stream, short what, void *context)
{
	struct channel *channel = context;
	char why[CHANNEL_TEXT_SIZE];
	bool partial;

	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	partial = evbuffer_get_length(bufferevent_get_input(stream)) > 0;
	if (what & BEV_EVENT_ERROR) {
		(void)snprintf(why, sizeof(why), "the connection broke: %s",
			evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
		fail(channel, why);
	} else if (partial) {
		fail(channel, "the connection ended in the middle of a message");
	} else if (channel->state == CHANNEL_HANDSHAKE && channel->initiator) {
		fail(channel, "the other side hung up during the handshake: it does not know this site's key, or "
			      "its dataplane is not there");
	} else if (channel->state == CHANNEL_UNCONFIRMED) {
		fail(channel, "the other side hung up instead of confirming: the pre-shared keys differ");
	} else {
		fail(channel, "the other side hung up");
	}
}

/* The TCP connection stands: frames from here on. */
static int start_stream(struct channel *channel)
{
	int one = 1;

	(void)setsockopt(channel->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	channel->stream = bufferevent_socket_new(channel->options.base, channel->fd, BEV_OPT_CLOSE_ON_FREE);
	if (!channel->stream)
		return -1;
	channel->fd = -1;
	channel->state = CHANNEL_HANDSHAKE;
	bufferevent_setcb(channel->stream, readable, drained, ended, channel);
	bufferevent_setwatermark(channel->stream, EV_READ, 0, FRAME_HEADER + NOISE_MESSAGE_MAX);
	return bufferevent_enable(channel->stream, EV_READ | EV_WRITE);
}

static void connect_finished(evutil_socket_t fd, short what, void *context)
{
	struct channel *channel = context;
	uint8_t message[NOISE_FIRST_OVERHEAD];
	socklen_t size = sizeof(int);
	char why[CHANNEL_TEXT_SIZE];
	size_t length;
	int code = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code != 0) {
		(void)snprintf(why, sizeof(why), "cannot connect: %s", strerror(code));
		fail(channel, why);
		return;
	}
	if (start_stream(channel) < 0) {
		fail(channel, "no memory");
		return;
	}
	if (noise_handshake_write(channel->handshake, NULL, 0, message, sizeof(message), &length) < 0)
		fail(channel, "the peer's public key is not a usable X25519 key");
	else if (send_frame(channel, message, length) < 0)
		fail(channel, "no memory");
}

static struct channel *channel_new(const struct channel_options *options, int fd, const struct endpoint *remote)
{
	struct timeval deadline = timeval_ms(options->times->handshake_ms);
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->options = *options;
	channel->remote = *remote;
	channel->fd = fd;
	channel->timer = evtimer_new(options->base, timer_fired, channel);
	if (!channel->timer || event_add(channel->timer, &deadline) < 0) {
		channel->fd = -1;
		channel_close(channel);
		return NULL;
	}
	return channel;
}

struct channel *channel_answer(const struct channel_options *options, int fd, const struct endpoint *remote)
{
	struct channel *channel = channel_new(options, fd, remote);

	if (!channel) {
		(void)close(fd);
		return NULL;
	}
	if (start_stream(channel) < 0) {
		channel_close(channel);
		return NULL;
	}
	return channel;
}

/* A non-blocking socket on its way to the destination. */
static int start_connect(const struct pont_address *source, const struct endpoint *destination, struct error *error)
{
	const struct endpoint from = {.address = *source, .port = 0};
	char from_text[ENDPOINT_TEXT_SIZE], to_text[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage here, there;
	socklen_t here_size = endpoint_to_socket(&from, &here);
	socklen_t there_size = endpoint_to_socket(destination, &there);
	int one = 1, fd;

	if (here_size == 0 || there_size == 0 || source->family != destination->address.family)
		return error_set(error, EAFNOSUPPORT, NULL, "%s: this site has no VTEP address of that family",
			endpoint_text(destination, to_text));
	fd = socket(there.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, errno, NULL, "no socket: %s", strerror(errno));
	/* Leaves the choice of the port to connect(), which knows the destination too. */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&here, here_size) < 0) {
		error_set(error, errno, NULL, "cannot dial from %s: %s", endpoint_text(&from, from_text),
			strerror(errno));
		goto failed;
	}
	if (connect(fd, (const struct sockaddr *)&there, there_size) < 0 && errno != EINPROGRESS) {
		error_set(error, errno, NULL, "cannot connect: %s", strerror(errno));
		goto failed;
	}
	return fd;
failed:
	(void)close(fd);
	return -1;
}

struct channel *channel_dial(const struct channel_options *options, const struct pont_address *source,
	const struct endpoint *destination, const uint8_t remote_key[IDENTITY_KEY_SIZE], const uint8_t *psk,
	struct error *error)
{
	const struct noise_static own = {options->identity->private_key, options->identity->public_key};
	int fd = start_connect(source, destination, error);
	struct channel *channel;

	if (fd < 0)
		return NULL;
	channel = channel_new(options, fd, destination);
	if (!channel) {
		(void)close(fd);
		goto no_memory;
	}
	channel->initiator = true;
	channel->handshake = noise_initiate(CHANNEL_PROLOGUE, sizeof(CHANNEL_PROLOGUE) - 1, &own, remote_key, psk);
	channel->connected = event_new(options->base, fd, EV_WRITE, connect_finished, channel);
	if (!channel->handshake || !channel->connected || event_add(channel->connected, NULL) < 0) {
		channel_close(channel);
		goto no_memory;
	}
	return channel;
no_memory:
	(void)error_set(error, ENOMEM, NULL, "no memory for a connection");
	return NULL;
}

enum channel_state channel_state(const struct channel *channel)
{
	return channel->state;
}

bool channel_is_initiator(const struct channel *channel)
{
	return channel->initiator;
}

const struct endpoint *channel_remote(const struct channel *channel)
{
	return &channel->remote;
}

const uint8_t *channel_root(const struct channel *channel)
{
	return channel->root;
}

size_t channel_backlog(const struct channel *channel)
{
	return channel->stream ? evbuffer_get_length(bufferevent_get_output(channel->stream)) : 0;
}
