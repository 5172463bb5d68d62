/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SAs are replaced before their lives end. The receiver makes SAs, so it offers by itself when an inbound one is due,
 * and is asked when an outbound one is; either way what follows is an offer like any other. Whoever loses such a
 * message loses the session with it, and a new session brings new SAs for everything. The dataplane says again and
 * again which SAs are due, so nothing here is remembered.
 */
#include <string.h>

#include "control/keys/state.h"

static enum keys_reason reason_of(uint8_t cause)
{
	switch (cause) {
	case PONT_SA_BY_PACKETS:
		return KEYS_BY_PACKETS;
	case PONT_SA_BY_BYTES:
		return KEYS_BY_BYTES;
	default:
		return KEYS_BY_TIME;
	}
}

/* The SA of a notice, NULL if it is unknown or leaves already. */
static struct book_sa *find(const struct keys *keys, const struct pont_link_sa_notice *notice)
{
	const struct peer *peer = keys_peer(keys, notice->peer);
	const struct member *member = peer ? peer_member(peer, notice->vni) : NULL;
	struct book_sa *sa;

	if (!member)
		return NULL;
	LIST_FOREACH (sa, &member->sas, same)
		if (sa->direction == notice->direction && sa->spi == notice->spi && sa->worker == notice->worker)
			return sa;
	return NULL;
}

void keys_notices(struct keys *keys, const struct pont_link_sa_notices *notices)
{
	/* This may come in the midst of a transaction: only notes are taken. */
	for (uint32_t i = 0; i < notices->count; i++) {
		const struct pont_link_sa_notice *notice = &notices->notice[i];
		struct book_sa *sa = find(keys, notice);

		if (!sa)
			continue;
		sa->due = true;
		sa->expired = sa->expired || notice->expired;
		sa->reason = (uint8_t)reason_of(notice->cause);
		keys->due = true;
	}
	if (keys->due)
		keys_work_soon(keys, 0);
}

void rollover_all(struct keys *keys, uint32_t vni, uint16_t number, enum keys_reason reason)
{
	for (size_t i = 0; i < keys->peer_count; i++) {
		struct peer *peer = keys->peers[i];

		if (number != 0 && peer->number != number)
			continue;
		for (size_t j = 0; j < peer->member_count; j++) {
			struct book_sa *sa;

			if (vni != 0 && peer->members[j]->vni != vni)
				continue;
			LIST_FOREACH (sa, &peer->members[j]->sas, same) {
				sa->due = true;
				sa->reason = (uint8_t)reason;
				keys->due = true;
			}
		}
	}
	if (keys->due)
		keys_work_soon(keys, 0);
}

void keys_renew(struct keys *keys, uint32_t vni, uint16_t peer)
{
	rollover_all(keys, vni, peer, KEYS_BY_REQUEST);
}

/* --- What is due --- */

static bool can_send(const struct session *session)
{
	return session && session->listed && channel_state(session->channel) == CHANNEL_UP &&
	       channel_backlog(session->channel) <= OFFERS_BACKLOG_PAUSE;
}

static void expire(struct keys *keys, struct book_sa *sa)
{
	if (!sa->told)
		keys_tell_sa(keys, KEYS_SA_EXPIRED, sa->reason, sa);
	sa->told = true;
	/* Of an outbound one the dataplane keeps the name, so that its packets are dropped by their right name. */
	if (sa->direction == PONT_SA_IN)
		book_retire(&keys->book, sa);
}

/* One SA that is due. Adds an outbound one to the message; false if that is full. */
static bool look_after(struct peer *peer, struct member *member, struct book_sa *sa, struct message *message)
{
	struct session *session = peer->session;

	if (sa->direction == PONT_SA_OUT && can_send(session)) {
		if (message->count == MESSAGE_BATCH)
			return false;
		message->sas[message->count++] =
			(struct message_sa){.vni = sa->vni, .spi = sa->spi, .worker = sa->worker};
		sa->asked = true;
	}
	sa->due = false;
	if (sa->direction == PONT_SA_IN && session && sa->sender != BOOK_SENDER_UNKNOWN)
		offers_want_one(session, member, sa->sender, sa->reason);
	if (sa->expired)
		expire(peer->keys, sa);
	return true;
}

/* One batch of what is due with a peer; true if there is more. */
static bool look_after_peer(struct peer *peer)
{
	struct message *message = peer->keys->message;
	bool more = false;

	memset(message, 0, sizeof(*message));
	message->type = MESSAGE_RENEW;
	for (size_t i = 0; i < peer->member_count && !more; i++) {
		struct member *member = peer->members[i];
		struct book_sa *sa, *next;

		for (sa = LIST_FIRST(&member->sas); sa && !more; sa = next) {
			next = LIST_NEXT(sa, same);
			if (sa->due && !look_after(peer, member, sa, message))
				more = true;
		}
	}
	if (message->count > 0)
		(void)offers_send(peer->session, message);
	return more;
}

void rollover_work(struct keys *keys)
{
	if (!keys->due)
		return;
	keys->due = false;
	for (size_t i = 0; i < keys->peer_count; i++)
		while (look_after_peer(keys->peers[i]))
			;
}

int rollover_receive_renew(struct session *session, const struct message *message)
{
	const struct keys *keys = session->keys;

	for (size_t i = 0; i < message->count; i++) {
		const struct message_sa *named = &message->sas[i];
		struct member *member = peer_member(session->peer, named->vni);
		const struct book_sa *sa = book_find_in(&keys->book, named->spi);

		/* One that drains was replaced already: the question and the offer have crossed. */
		if (member && !(sa && sa->gone))
			offers_want_one(session, member, named->worker, KEYS_BY_PEER);
	}
	return 0;
}

/* --- What the peer uses, at the start of a session --- */

void rollover_tell_using(struct session *session)
{
	const struct peer *peer = session->peer;
	struct message *message = session->keys->message;

	while (!session->told_used && channel_state(session->channel) == CHANNEL_UP &&
		channel_backlog(session->channel) <= OFFERS_BACKLOG_PAUSE) {
		memset(message, 0, sizeof(*message));
		message->type = MESSAGE_USING;
		/* A member has at most one for each worker. */
		while (session->using_cursor < peer->member_count &&
			message->count + PONT_WORKERS_MAX <= MESSAGE_BATCH) {
			const struct member *member = peer->members[session->using_cursor++];
			const struct book_sa *sa;

			LIST_FOREACH (sa, &member->sas, same)
				if (sa->direction == PONT_SA_OUT && !sa->expired && message->count < MESSAGE_BATCH)
					message->sas[message->count++] = (struct message_sa){
						.vni = sa->vni, .spi = sa->spi, .worker = sa->worker};
		}
		message->more = session->using_cursor < peer->member_count;
		session->told_used = !message->more;
		if (offers_send(session, message) < 0)
			return;
	}
}

/* Whatever was made for the peer in earlier sessions and is not in use now never will be. */
static void drain_unused(struct session *session)
{
	struct keys *keys = session->keys;
	struct peer *peer = session->peer;

	for (size_t i = 0; i < peer->member_count; i++) {
		struct member *member = peer->members[i];
		struct book_sa *sa, *next;

		for (sa = LIST_FIRST(&member->sas); sa; sa = next) {
			next = LIST_NEXT(sa, same);
			if (sa->direction == PONT_SA_IN && sa->session != session->number)
				offers_drain(keys, member, sa, KEYS_BY_SESSION);
		}
	}
}

int rollover_receive_using(struct session *session, const struct message *message, char why[CHANNEL_TEXT_SIZE])
{
	struct keys *keys = session->keys;

	if (session->used) {
		(void)snprintf(why, CHANNEL_TEXT_SIZE, "a second list of SAs in use");
		return -1;
	}
	for (size_t i = 0; i < message->count; i++) {
		const struct message_sa *named = &message->sas[i];
		struct book_sa *sa = book_find_in(&keys->book, named->spi);

		if (!sa || sa->gone || sa->peer != session->peer->number || sa->vni != named->vni)
			continue;
		sa->accepted = true;
		sa->sender = named->worker;
		sa->session = session->number;
	}
	if (message->more)
		return 0;
	session->used = true;
	drain_unused(session);
	keys_work_soon(keys, 0);
	return 0;
}
