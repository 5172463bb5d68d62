/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane's end of the link (contract: pontlevis/link.h): one listening SOCK_SEQPACKET socket, one connection.
 * Whoever may open the socket may configure the dataplane, so its mode is 0600. Main lcore only.
 */
#ifndef DATAPLANE_LINK_SERVER_H
#define DATAPLANE_LINK_SERVER_H

#include <stdint.h>

#include "dataplane/snapshot/transaction.h"

struct server {
	char path[108];
	int lock_fd;   /* of PATH.lock, held while the process lives */
	int listen_fd; /* -1: none */
	int client_fd; /* -1: none */
	uint64_t boot_id;
	struct configuration *configuration;
	/* Reading of an erroneous transaction goes on to its COMMIT, without effect. */
	bool skipping;
	uint32_t message_number;
	uint64_t transaction_revision;
	/* Denials that workers had noted when control was last told. */
	uint64_t denials_seen[PONT_WORKERS_MAX];
};

/*
 * Takes the lock and listens. -1, with the reason on stderr, if another process has the socket or it cannot be made.
 * A stale socket file is replaced, a live one never.
 */
int server_start(struct server *server, const char *path, struct configuration *configuration);
void server_stop(struct server *server);

/* Waits up to timeout_ms for the sockets and signal_fd, and serves what came; true once the signal came. */
bool server_poll(struct server *server, int signal_fd, int timeout_ms);
/* Tells control of SAs that have reached a limit, as far as it has room for the news; never waits. */
void server_tell_notices(struct server *server);
/* Tells control of denials at the fence, at most once a second. */
void server_tell_denials(struct server *server);

#endif
