/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sites say to each other once a session is up, and the SAs that come of it. The receiver of traffic makes
 * the SA: it installs the inbound side, then offers it; the sender installs the outbound side, which switches its
 * traffic over, then accepts; only then do the receiver's older SAs for that worker drain.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/schedule.h"
#include "control/keys/state.h"

enum {
	/* Inbound SAs of one tenant for one worker of a peer that exist at once, draining ones included. */
	GENERATIONS_MAX = 6,
	/* Waits for one of them to leave. */
	GENERATIONS_PAUSE_MS = 100,
	/* Attempts to find an SPI that the dataplane finds free, too. */
	SPI_ATTEMPTS = 8,
};

int offers_send(struct session *session, const struct message *message)
{
	size_t length;
	char *text = message_encode(message, &length);
	int result;

	/* A lost message would leave the two sites with different views; without memory, ending is all that helps. */
	if (!text) {
		channel_abandon(session->channel, "no memory for a message");
		return -1;
	}
	result = channel_send(session->channel, text, length);
	free(text);
	return result;
}

/* --- Tenants: who has what --- */

void offers_greet(struct session *session)
{
	struct keys *keys = session->keys;
	struct message *message = keys->message;

	memset(message, 0, sizeof(*message));
	message->type = MESSAGE_HELLO;
	message->hello.version = MESSAGE_VERSION;
	message->hello.boot_id = keys->facts.boot_id;
	message->hello.workers = keys->facts.workers;
	message->hello.lifetime_s = keys->lifetimes.session_s;
	memcpy(message->hello.site, keys->site_name, sizeof(message->hello.site));
	(void)offers_send(session, message);
	offers_send_tenants(session);
}

void offers_send_tenants(struct session *session)
{
	const struct peer *peer = session->peer;
	struct message *message = session->keys->message;
	size_t next = 0;

	do {
		memset(message, 0, sizeof(*message));
		message->type = MESSAGE_TENANTS;
		while (next < peer->member_count && message->count < MESSAGE_BATCH)
			message->vnis[message->count++] = peer->members[next++]->vni;
		message->more = next < peer->member_count;
		if (offers_send(session, message) < 0)
			return;
	} while (message->more);
}

void offers_send_withdraw(struct session *session, const uint32_t *vnis, size_t count)
{
	struct message *message = session->keys->message;

	while (count > 0) {
		memset(message, 0, sizeof(*message));
		message->type = MESSAGE_WITHDRAW;
		message->count = count < MESSAGE_BATCH ? count : MESSAGE_BATCH;
		memcpy(message->vnis, vnis, message->count * sizeof(*vnis));
		vnis += message->count;
		count -= message->count;
		if (offers_send(session, message) < 0)
			return;
	}
}

/* Takes an SA out at once. */
static void revoke(struct peer *peer, struct book_sa *sa, enum keys_reason reason)
{
	keys_tell_sa(peer->keys, KEYS_SA_REVOKED, reason, sa);
	sa->told = true;
	book_retire(&peer->keys->book, sa);
}

void offers_drop_member(struct peer *peer, struct member *member, enum keys_reason reason)
{
	struct keys *keys = peer->keys;
	struct book_sa *sa;

	if (member->remote)
		keys->members_changed = true;
	member->remote = false;
	member->wanted = 0;
	member->waiting = 0;
	while ((sa = LIST_FIRST(&member->sas)))
		revoke(peer, sa, reason);
	/* Those of a tenant that is not common any more need not drain. */
	while ((sa = LIST_FIRST(&member->draining))) {
		keys_tell_sa(keys, KEYS_SA_REVOKED, reason, sa);
		sa->told = true;
		book_hurry(&keys->book, sa);
	}
	keys_work_soon(keys, 0);
}

void offers_want(struct session *session, struct member *member, enum keys_reason reason)
{
	member->wanted = (uint16_t)((1u << session->hello.workers) - 1);
	member->waiting = 0;
	memset(member->why, reason, sizeof(member->why));
	session->cursor = 0;
	keys_work_soon(session->keys, 0);
}

void offers_want_one(struct session *session, struct member *member, uint16_t sender, enum keys_reason reason)
{
	uint16_t bit = (uint16_t)(1u << sender);

	/* One that is under way already will do. */
	if (!session->listed || !member->remote || sender >= session->hello.workers ||
		((member->wanted | member->waiting) & bit))
		return;
	member->wanted |= bit;
	member->why[sender] = (uint8_t)reason;
	session->cursor = 0;
	keys_work_soon(session->keys, 0);
}

void offers_drain(struct keys *keys, struct member *member, struct book_sa *sa, enum keys_reason reason)
{
	sa->reason = (uint8_t)reason;
	book_drain(&keys->book, sa, &member->draining, keys->times.drain_ms);
	keys_work_soon(keys, keys->times.drain_ms);
}

static int receive_hello(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE])
{
	struct peer *peer = session->peer;

	if (session->greeted) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "a second hello");
		return -1;
	}
	if (message->hello.version != MESSAGE_VERSION) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE,
			"the peer speaks version %u of the channel, this site version %d", message->hello.version,
			MESSAGE_VERSION);
		return -1;
	}
	session->greeted = true;
	session->hello = message->hello;
	session_lifetime(session);
	memcpy(peer->remote_site, message->hello.site, sizeof(peer->remote_site));
	return 0;
}

static int compare_vnis(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* The peer's list is complete: it replaces the one before. */
static void apply_list(struct session *session)
{
	struct peer *peer = session->peer;
	bool first = !session->listed;
	size_t count = 0;

	qsort(session->list, session->list_count, sizeof(*session->list), compare_vnis);
	for (size_t i = 0; i < session->list_count; i++)
		if (count == 0 || session->list[count - 1] != session->list[i])
			session->list[count++] = session->list[i];
	free(peer->remote);
	peer->remote = session->list;
	peer->remote_count = count;
	session->list = NULL;
	session->list_count = 0;
	session->listed = true;

	for (size_t i = 0; i < peer->member_count; i++) {
		struct member *member = peer->members[i];
		bool had = member->remote;

		if (!peer_remote_has(peer, member->vni)) {
			offers_drop_member(peer, member, KEYS_BY_PEER);
			continue;
		}
		if (!had)
			session->keys->members_changed = true;
		member->remote = true;
		if (first || !had)
			offers_want(session, member, first ? KEYS_BY_SESSION : KEYS_BY_CONFIGURATION);
	}
	keys_work_soon(session->keys, 0);
}

static int receive_tenants(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE])
{
	if (!session->list)
		session->list = calloc(PONT_TENANTS_MAX, sizeof(*session->list));
	if (!session->list) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "no memory for the peer's tenants");
		return -1;
	}
	if (session->list_count + message->count > PONT_TENANTS_MAX) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "the peer names more than %d tenants", PONT_TENANTS_MAX);
		return -1;
	}
	memcpy(session->list + session->list_count, message->vnis, message->count * sizeof(*message->vnis));
	session->list_count += message->count;
	if (!message->more)
		apply_list(session);
	return 0;
}

static void forget_remote(struct peer *peer, uint32_t vni)
{
	for (size_t i = 0; i < peer->remote_count; i++) {
		if (peer->remote[i] != vni)
			continue;
		peer->remote_count--;
		memmove(&peer->remote[i], &peer->remote[i + 1], (peer->remote_count - i) * sizeof(*peer->remote));
		return;
	}
}

static int receive_withdraw(struct session *session, const struct message *message)
{
	struct peer *peer = session->peer;

	for (size_t i = 0; i < message->count; i++) {
		struct member *member = peer_member(peer, message->vnis[i]);

		forget_remote(peer, message->vnis[i]);
		if (member)
			offers_drop_member(peer, member, KEYS_BY_PEER);
	}
	return 0;
}

/* --- Inbound: this site offers --- */

static enum schedule_direction direction_to(const struct session *session, bool inbound)
{
	bool from_initiator = channel_is_initiator(session->channel) != inbound;

	return from_initiator ? SCHEDULE_FROM_INITIATOR : SCHEDULE_FROM_RESPONDER;
}

/* A part of a limit, in thousandths. */
static uint64_t share(uint64_t limit, uint32_t thousandths)
{
	uint64_t part = limit / 1000 * thousandths + limit % 1000 * thousandths / 1000;

	return part > 0 ? part : 1;
}

/* SAs made together must not be due together: soft limits are 75 to 80 % of the hard ones. */
static struct pont_link_lifetime lifetime(const struct keys *keys)
{
	const struct keys_lifetimes *hard = &keys->lifetimes;
	uint32_t soft = 750 + randombytes_uniform(51);

	return (struct pont_link_lifetime){
		.soft_packets = share(hard->sa_packets, soft),
		.hard_packets = hard->sa_packets,
		.soft_bytes = share(hard->sa_bytes, soft),
		.hard_bytes = hard->sa_bytes,
		.soft_ms = hard->sa_s * soft,
		.hard_ms = hard->sa_s * 1000,
	};
}

static void derive_in(struct session *session, const struct book_sa *sa, struct pont_link_sa_in *out)
{
	const struct tenant *tenant = keys_tenant(session->keys, sa->vni);
	const struct schedule_sa which = {
		.vni = sa->vni,
		.direction = direction_to(session, true),
		.worker = sa->sender,
		.spi = sa->spi,
	};

	memset(out, 0, sizeof(*out));
	out->spi = sa->spi;
	out->vni = sa->vni;
	out->peer = sa->peer;
	out->worker = sa->worker;
	out->lifetime = lifetime(session->keys);
	schedule_derive(channel_root(session->channel), &which, tenant ? tenant->psk : NULL, out->key, out->salt);
}

static void derive_out(struct session *session, const struct message_offer *offer, struct pont_link_sa_out *out)
{
	const struct tenant *tenant = keys_tenant(session->keys, offer->vni);
	const struct schedule_sa which = {
		.vni = offer->vni,
		.direction = direction_to(session, false),
		.worker = offer->worker,
		.spi = offer->spi,
	};

	memset(out, 0, sizeof(*out));
	out->vni = offer->vni;
	out->peer = session->peer->number;
	out->worker = offer->worker;
	out->spi = offer->spi;
	out->source_port = offer->source_port;
	out->lifetime = lifetime(session->keys);
	schedule_derive(channel_root(session->channel), &which, tenant ? tenant->psk : NULL, out->key, out->salt);
}

/*
 * Whether there may be another inbound SA for this worker. If there are too many, the oldest one that has drained for
 * a while already makes room; if there is none, the new one has to wait.
 */
static bool room_for_one(struct keys *keys, struct member *member, uint16_t sender)
{
	uint64_t now = keys_now_ms();
	struct book_sa *sa, *oldest = NULL;
	unsigned int count = 0;

	LIST_FOREACH (sa, &member->sas, same)
		count += sa->direction == PONT_SA_IN && sa->sender == sender;
	LIST_FOREACH (sa, &member->draining, same) {
		if (sa->sender != sender)
			continue;
		count++;
		oldest = sa; /* the newest is first */
	}
	if (count < GENERATIONS_MAX)
		return true;
	if (!oldest || now - oldest->retired_ms < keys->times.drain_min_ms)
		return false;
	book_hurry(&keys->book, oldest);
	return true;
}

/* Enters a new inbound SA into the book, before it is installed; NULL if there is no free SPI or no memory. */
static struct book_sa *reserve(struct session *session, struct member *member, uint16_t sender)
{
	struct keys *keys = session->keys;
	struct book_sa values = {
		.direction = PONT_SA_IN,
		.peer = session->peer->number,
		.worker = (uint16_t)(keys->next_owner % keys->facts.workers),
		.sender = sender,
		.vni = member->vni,
		.spi = book_pick_spi(&keys->book),
		.reason = member->why[sender],
		.session = session->number,
		.installed_ms = keys_now_ms(),
	};
	struct book_sa *sa;

	if (values.spi == 0)
		return NULL;
	sa = book_add(&keys->book, &member->sas, &values);
	if (sa)
		keys->next_owner++;
	return sa;
}

/* One SA that the dataplane did not take among others; another SPI may suit it better. */
static struct book_sa *install_alone(
	struct session *session, struct member *member, uint16_t sender, struct error *error)
{
	struct keys *keys = session->keys;
	struct pont_link_sa_in *in = keys->scratch->in;
	const struct keys_sa_changes changes = {.in = in, .in_count = 1};

	for (unsigned int i = 0; i < SPI_ATTEMPTS && keys->dataplane; i++) {
		struct book_sa *sa = reserve(session, member, sender);
		int result;

		if (!sa) {
			error_set(error, ENOSPC, NULL, "no free SPI");
			return NULL;
		}
		derive_in(session, sa, in);
		result = keys_install(keys, &changes, error);
		sodium_memzero(in, sizeof(*in));
		if (result == 0)
			return sa;
		book_drop(&keys->book, sa);
		if (error->code != EEXIST)
			return NULL;
	}
	return NULL;
}

struct batch {
	struct member *member[MESSAGE_BATCH];
	struct book_sa *sa[MESSAGE_BATCH];
	size_t count;
	bool full_book;                          /* it ends where the SPIs do */
	bool crowded;                            /* something has to wait until older SAs have drained */
	uint16_t source_ports[PONT_WORKERS_MAX]; /* by owner, 0: any */
};

static uint16_t any_source_port(void)
{
	return (uint16_t)(PONT_UDP_SOURCE_PORT_MIN +
			  randombytes_uniform(PONT_UDP_SOURCE_PORT_MAX - PONT_UDP_SOURCE_PORT_MIN + 1));
}

static void add_offer(struct session *session, struct message *message, const struct batch *batch,
	struct member *member, const struct book_sa *sa)
{
	uint16_t wanted = batch->source_ports[sa->worker];
	struct message_offer *offer = &message->offers[message->count++];

	offer->vni = sa->vni;
	offer->worker = sa->sender;
	offer->spi = sa->spi;
	offer->source_port = wanted >= PONT_UDP_SOURCE_PORT_MIN ? wanted : any_source_port();
	member->wanted &= (uint16_t) ~(1u << sa->sender);
	member->waiting |= (uint16_t)(1u << sa->sender);
	keys_tell_sa(session->keys, KEYS_SA_OFFERED, sa->reason, sa);
}

/* Reserves the next SAs to offer. */
static void collect(struct session *session, struct batch *batch)
{
	struct peer *peer = session->peer;

	for (; session->cursor < peer->member_count; session->cursor++) {
		struct member *member = peer->members[session->cursor];

		for (uint16_t worker = 0; worker < session->hello.workers; worker++) {
			struct book_sa *sa;

			if (!(member->wanted & 1u << worker))
				continue;
			if (batch->count == MESSAGE_BATCH)
				return;
			if (!room_for_one(session->keys, member, worker)) {
				batch->crowded = true;
				continue;
			}
			sa = reserve(session, member, worker);
			if (!sa) {
				batch->full_book = true;
				return;
			}
			batch->member[batch->count] = member;
			batch->sa[batch->count++] = sa;
		}
	}
}

/* Installs the batch and adds what was installed to the message; returns how many were refused. */
static size_t install_batch(struct session *session, struct batch *batch, struct message *message, struct error *error)
{
	struct keys *keys = session->keys;
	struct pont_link_sa_in *in = keys->scratch->in;
	const struct keys_sa_changes changes = {.in = in, .in_count = batch->count};
	size_t refused = 0;
	int result;

	for (size_t i = 0; i < batch->count; i++)
		derive_in(session, batch->sa[i], &in[i]);
	result = keys_install(keys, &changes, error);
	sodium_memzero(in, batch->count * sizeof(*in));
	if (result == 0) {
		for (size_t i = 0; i < batch->count; i++)
			add_offer(session, message, batch, batch->member[i], batch->sa[i]);
		return 0;
	}
	/* The batch was undone as a whole. Which one was it? */
	for (size_t i = 0; i < batch->count; i++) {
		uint16_t sender = batch->sa[i]->sender;

		book_drop(&keys->book, batch->sa[i]);
		batch->sa[i] = keys->dataplane ? install_alone(session, batch->member[i], sender, error) : NULL;
		if (batch->sa[i])
			add_offer(session, message, batch, batch->member[i], batch->sa[i]);
		else
			refused++;
	}
	return refused;
}

static void pause_offers(struct session *session)
{
	struct keys *keys = session->keys;

	session->pause_until = keys_now_ms() + keys->times.retry_ms;
	session->cursor = 0;
	keys_work_soon(keys, keys->times.retry_ms);
}

bool offers_pump(struct session *session)
{
	struct keys *keys = session->keys;
	struct peer *peer = session->peer;
	struct message *message = keys->message;
	struct batch batch = {.count = 0};
	struct error error;
	size_t refused;

	if (!session->listed || !session->used || !keys->dataplane || channel_state(session->channel) != CHANNEL_UP)
		return false;
	if (session->pause_until > keys_now_ms()) {
		keys_work_soon(keys, keys->times.retry_ms);
		return false;
	}
	/* The channel says when it has drained. */
	if (channel_backlog(session->channel) > OFFERS_BACKLOG_PAUSE)
		return false;
	collect(session, &batch);
	if (batch.count > 0) {
		memset(message, 0, sizeof(*message));
		message->type = MESSAGE_OFFERS;
		keys_source_ports(keys, peer->number, batch.source_ports);
		refused = install_batch(session, &batch, message, &error);
		if (message->count > 0) {
			keys_audit(keys, "sas_installed", peer, "%zu inbound", message->count);
			(void)offers_send(session, message);
		}
		if (refused > 0 && keys->dataplane) {
			keys_audit(keys, "sas_refused", peer, "%zu inbound: %s", refused, error.text);
			pause_offers(session);
			return false;
		}
	}
	if (batch.full_book) {
		keys_audit(keys, "spi_exhausted", peer, "all %u SPIs of the dataplane are in use", keys->book.slots);
		pause_offers(session);
		return false;
	}
	if (session->cursor < peer->member_count)
		return true;
	if (batch.crowded) {
		session->cursor = 0;
		keys_work_soon(keys, GENERATIONS_PAUSE_MS);
	}
	return false;
}

/*
 * The peer seals with this one now: its predecessors need only what is under way. A successor is not offered before
 * (offers_want_one).
 */
static void accept_one(struct session *session, uint32_t spi)
{
	struct keys *keys = session->keys;
	struct book_sa *accepted = book_find_in(&keys->book, spi);
	struct book_sa *sa, *next;
	struct member *member;

	/* Withdrawn meanwhile, or replaced: nothing follows from it. */
	if (!accepted || accepted->gone || accepted->peer != session->peer->number)
		return;
	member = peer_member(session->peer, accepted->vni);
	if (!member || accepted->sender == BOOK_SENDER_UNKNOWN)
		return;
	if (!accepted->accepted)
		keys_tell_sa(keys, KEYS_SA_SWITCHED, accepted->reason, accepted);
	accepted->accepted = true;
	member->waiting &= (uint16_t) ~(1u << accepted->sender);
	for (sa = LIST_FIRST(&member->sas); sa; sa = next) {
		next = LIST_NEXT(sa, same);
		if (sa->direction == PONT_SA_IN && sa->sender == accepted->sender && sa != accepted)
			offers_drain(keys, member, sa, accepted->reason);
	}
}

static int receive_accepted(struct session *session, const struct message *message)
{
	for (size_t i = 0; i < message->count; i++)
		accept_one(session, message->spis[i]);
	keys_work_soon(session->keys, 0);
	return 0;
}

/* --- Outbound: the peer offers --- */

/* Offers that the two sites must never disagree on: one that is wrong ends the session. */
static int check_offers(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE])
{
	for (size_t i = 0; i < message->count; i++) {
		const struct message_offer *offer = &message->offers[i];

		if (offer->worker >= session->keys->facts.workers) {
			(void)snprintf(why, CHANNEL_TEXT_SIZE, "an offer for worker %u, this site has %u",
				offer->worker, session->keys->facts.workers);
			return -1;
		}
		for (size_t j = 0; j < i; j++) {
			if (message->offers[j].vni == offer->vni && message->offers[j].worker == offer->worker) {
				(void)snprintf(why, CHANNEL_TEXT_SIZE, "two offers at once for worker %u of VNI %u",
					offer->worker, offer->vni);
				return -1;
			}
		}
	}
	return 0;
}

/* Keeps the offers for common tenants that may be installed; -1 if the session has to end. */
static int choose_offers(
	struct session *session, struct message *message, struct member **member, char why[CHANNEL_TEXT_SIZE])
{
	size_t count = 0;

	for (size_t i = 0; i < message->count; i++) {
		struct message_offer offer = message->offers[i];

		member[count] = peer_member(session->peer, offer.vni);
		/* The peer has not heard yet that the tenant is gone, or this site has withdrawn it meanwhile. */
		if (!member[count] || !member[count]->remote)
			continue;
		switch (seen_add(&session->seen, offer.vni, offer.worker, offer.spi)) {
		case SEEN_NEW:
			break;
		case SEEN_BEFORE:
			(void)snprintf(why, CHANNEL_TEXT_SIZE, "SPI 0x%08x was offered twice for worker %u of VNI %u",
				offer.spi, offer.worker, offer.vni);
			return -1;
		case SEEN_FULL:
			(void)snprintf(why, CHANNEL_TEXT_SIZE, "the session has seen too many offers");
			return -1;
		}
		message->offers[count++] = offer;
	}
	message->count = count;
	return 0;
}

/* Why the peer has made a new one: the first of a session is the session's, others follow when one was due. */
static enum keys_reason reason_out(const struct session *session, const struct book_sa *previous)
{
	if (!previous || previous->session != session->number)
		return KEYS_BY_SESSION;
	return previous->asked ? previous->reason : KEYS_BY_PEER;
}

/* The record of an outbound SA that is in use now, in place of its predecessor. */
static void record_out(struct session *session, struct member *member, const struct message_offer *offer)
{
	struct keys *keys = session->keys;
	struct book_sa values = {
		.direction = PONT_SA_OUT,
		.peer = session->peer->number,
		.worker = offer->worker,
		.sender = offer->worker,
		.source_port = offer->source_port,
		.vni = offer->vni,
		.spi = offer->spi,
		.session = session->number,
		.installed_ms = keys_now_ms(),
	};
	struct book_sa *sa, *next, *previous = NULL;

	LIST_FOREACH (sa, &member->sas, same)
		if (sa->direction == PONT_SA_OUT && sa->worker == offer->worker)
			previous = sa;
	values.reason = (uint8_t)reason_out(session, previous);
	for (sa = LIST_FIRST(&member->sas); sa; sa = next) {
		next = LIST_NEXT(sa, same);
		if (sa->direction != PONT_SA_OUT || sa->worker != offer->worker)
			continue;
		if (!sa->told)
			keys_tell_sa(keys, KEYS_SA_DRAINED, values.reason, sa);
		book_drop(&keys->book, sa);
	}
	sa = book_add(&keys->book, &member->sas, &values);
	if (sa)
		keys_tell_sa(keys, KEYS_SA_SWITCHED, sa->reason, sa);
}

static int receive_offers(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE])
{
	struct keys *keys = session->keys;
	struct pont_link_sa_out *out = keys->scratch->out;
	struct member *member[MESSAGE_BATCH];
	/* Decoded into keys->message, which the answer needs as well. */
	struct message offers = *message;
	struct message *answer = keys->message;
	struct keys_sa_changes changes = {.out = out};
	struct error error;
	size_t refused = 0;
	int result;

	if (check_offers(session, &offers, why) < 0 || choose_offers(session, &offers, member, why) < 0)
		return -1;
	if (offers.count == 0)
		return 0;
	for (size_t i = 0; i < offers.count; i++)
		derive_out(session, &offers.offers[i], &out[i]);
	memset(answer, 0, sizeof(*answer));
	answer->type = MESSAGE_ACCEPTED;
	changes.out_count = offers.count;
	result = keys_install(keys, &changes, &error);
	for (size_t i = 0; i < offers.count; i++) {
		if (result < 0) {
			/* The batch was undone as a whole: one by one, so that the others do not suffer. */
			const struct keys_sa_changes one = {.out = &out[i], .out_count = 1};

			if (!keys->dataplane || keys_install(keys, &one, &error) < 0) {
				refused++;
				continue;
			}
		}
		record_out(session, member[i], &offers.offers[i]);
		answer->spis[answer->count++] = offers.offers[i].spi;
	}
	sodium_memzero(out, offers.count * sizeof(*out));
	if (answer->count > 0) {
		keys_audit(keys, "sas_installed", session->peer, "%zu outbound", answer->count);
		(void)offers_send(session, answer);
	}
	if (refused == 0)
		return 0;
	/* The key of a refused offer is used up: only a fresh session brings another. */
	keys_audit(keys, "sas_refused", session->peer, "%zu outbound: %s", refused, error.text);
	(void)snprintf(why, CHANNEL_TEXT_SIZE, "the dataplane refused %zu outbound SAs: %.80s", refused, error.text);
	return -1;
}

int offers_receive(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE])
{
	if (!session->greeted && message->type != MESSAGE_HELLO) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "the first message is not a hello");
		return -1;
	}
	if (!session->listed && message->type != MESSAGE_HELLO && message->type != MESSAGE_TENANTS &&
		message->type != MESSAGE_WITHDRAW) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "SAs before the list of tenants");
		return -1;
	}
	switch (message->type) {
	case MESSAGE_HELLO:
		return receive_hello(session, message, why);
	case MESSAGE_TENANTS:
		return receive_tenants(session, message, why);
	case MESSAGE_WITHDRAW:
		return receive_withdraw(session, message);
	case MESSAGE_OFFERS:
		return receive_offers(session, message, why);
	case MESSAGE_ACCEPTED:
		return receive_accepted(session, message);
	case MESSAGE_USING:
		return rollover_receive_using(session, message, why);
	case MESSAGE_RENEW:
		return rollover_receive_renew(session, message);
	}
	(void)snprintf(why, CHANNEL_TEXT_SIZE, "unknown message");
	return -1;
}
