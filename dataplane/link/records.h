/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dataplane tells of itself over the link: HELLO, and the records that answer requests. */
#ifndef DATAPLANE_LINK_RECORDS_H
#define DATAPLANE_LINK_RECORDS_H

#include "dataplane/link/server.h"

void server_send(struct server *server, enum pont_link_type type, void *message, size_t length);

void records_hello(const struct server *server, struct pont_link_hello *hello);
/* Answers a request, whose length was checked to be that of its type, with all records and END. */
void records_send(struct server *server, const struct pont_link_request *request);
/* Of the fence policy in force, 0 if there is none. */
uint64_t records_policy_revision(const struct server *server);

#endif
