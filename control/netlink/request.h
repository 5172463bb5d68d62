/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions and orders to the kernel over netlink, one at a time: the kernel answers while it takes the message, so
 * asking blocks for microseconds only. Notifications arrive elsewhere (notifications.h).
 */
#ifndef CONTROL_NETLINK_REQUEST_H
#define CONTROL_NETLINK_REQUEST_H

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/address.h"

/* Bytes for one received datagram: the kernel's dumps use at most 32 KiB. */
enum { REQUEST_BUFFER_SIZE = 32768 };

/* Bytes for one message that we send; the longest has a header of 12 bytes and seven small attributes. */
enum { REQUEST_MESSAGE_SIZE = 512 };

struct request;

/* bus: NETLINK_ROUTE or NETLINK_NETFILTER. NULL with the error set. */
struct request *request_open(int bus, struct error *error);
void request_close(struct request *request);

/*
 * Sends the message (made with mnl_nlmsg_put_header(); type, flags and payload set) and calls visit for every answer,
 * NULL: the acknowledgement alone is of interest. Returns 0, or -1 with the kernel's own code in the error;
 * ETIMEDOUT when the kernel did not answer.
 */
int request_run(struct request *request, struct nlmsghdr *message, mnl_cb_t visit, void *data, struct error *error);

/*
 * Sends several messages as one: NETLINK_NETFILTER takes what stands between NFNL_MSG_BATCH_BEGIN and _END as a whole
 * or not at all. size: bytes of all of them; flags and payload are set. Returns 0, or -1 with the kernel's first
 * complaint in the error.
 */
int request_run_batch(struct request *request, void *messages, size_t size, struct error *error);

/* Number that the kernel knows the socket by: notifications of what it did have it as sender (nlmsg_pid). */
uint32_t request_port(const struct request *request);

/* Whether only the asking failed (time limit, memory, rights): the error then says nothing about the kernel's state. */
bool request_failed(const struct error *error);

/* AF_INET, AF_INET6, or AF_UNSPEC for no address. */
uint8_t request_family(const struct pont_address *address);
/* Appends an address as attribute; nothing for family NONE. */
void request_put_address(struct nlmsghdr *message, uint16_t type, const struct pont_address *address);
/* The reverse: -1 if the family is no IP or the attribute has not its length. */
int request_get_address(uint8_t family, const void *bytes, size_t length, struct pont_address *out);
bool request_same_address(const struct pont_address *a, const struct pont_address *b);

#endif
