/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control's end of the link to the dataplane (contract: pontlevis/link.h). Connects by itself, again and again, and
 * says when the dataplane is up or down. Transactions and queries are synchronous with a time limit: the dataplane's
 * main lcore answers within milliseconds, and a commit must not be answered before it is in force.
 */
#ifndef CONTROL_LINK_LINK_H
#define CONTROL_LINK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/link.h"

struct event_base;
struct link;

struct link_callbacks {
	void *context;
	void (*up)(void *context, const struct pont_link_hello *hello);
	void (*down)(void *context);
	void (*denied)(void *context, const struct pont_link_denied *denied);
	/* SAs have reached a limit. Comes in the midst of the functions below too: must not call them. May be NULL. */
	void (*notices)(void *context, const struct pont_link_sa_notices *notices);
};

/* path: Unix socket of the dataplane, retried every second while it is not there. */
struct link *link_start(
	struct event_base *base, const char *path, const struct link_callbacks *callbacks, struct error *error);
void link_stop(struct link *link);

/*
 * HELLO of the connected dataplane, NULL while there is none. The callback down() follows a loss from the event loop,
 * never from inside one of the functions below.
 */
const struct pont_link_hello *link_hello(const struct link *link);

/*
 * One transaction. link_send() takes a message whose header.type and length it fills in; fd is passed along (-1:
 * none). Errors of link_send() surface in link_commit(), which returns 0 once the dataplane has acknowledged and -1
 * with the dataplane's own words otherwise. ENOTCONN without a dataplane.
 */
void link_begin(struct link *link, uint32_t flags);
void link_send(struct link *link, enum pont_link_type type, void *message, uint16_t length, int fd);
int link_commit(struct link *link, struct error *error);
/* After a link_commit() that the dataplane refused: number of the message it named (BEGIN is 0), else UINT32_MAX. */
uint32_t link_refused_message(const struct link *link);

/*
 * One request; visit is called for every record. request: PONT_LINK_STATS_GET, _SAS_GET, _FDB_GET, _SNAPSHOT_GET.
 */
int link_query(struct link *link, enum pont_link_type request,
	void (*visit)(void *context, const struct pont_link_header *record), void *context, struct error *error);

/*
 * UDP source ports that a peer should use towards each of our workers, so that the NIC lands its packets there; 0 where
 * any will do. ports has PONT_WORKERS_MAX elements. On error all are 0.
 */
int link_source_ports(struct link *link, uint16_t peer, uint16_t *ports, struct error *error);

#endif
