/* SPDX-License-Identifier: BSD-3-Clause */
/* An address and a TCP port, between the contract's form, the socket's and text. */
#ifndef CONTROL_KEYS_ENDPOINT_H
#define CONTROL_KEYS_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "pontlevis/address.h"

/* "[", an IPv6 address, "]:", a port and NUL. */
enum { ENDPOINT_TEXT_SIZE = 56 };

struct endpoint {
	struct pont_address address;
	uint16_t port; /* host byte order */
};

/* Fills in a socket address and returns its size; 0 if the address has no family. */
socklen_t endpoint_to_socket(const struct endpoint *endpoint, struct sockaddr_storage *socket);
/* The reverse; false if the family is neither IPv4 nor IPv6. An IPv4-mapped IPv6 address becomes IPv4. */
bool endpoint_from_socket(const struct sockaddr *socket, struct endpoint *endpoint);
/* "192.0.2.1:4501" or "[2001:db8::1]:4501". Returns text. */
const char *endpoint_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_SIZE]);

#endif
