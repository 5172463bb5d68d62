/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses as text (dotted decimal, RFC 5952) and what they may be used for. */
#ifndef CONTROL_MODEL_ADDRESS_H
#define CONTROL_MODEL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

#include "pontlevis/address.h"

enum { ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN, MAC_TEXT_SIZE = 18 };

/* Reads an address, no zone and no prefix length; -1 if the text is none. */
int address_parse(const char *text, struct pont_address *address);
/* Writes the canonical text; "" for PONT_FAMILY_NONE. */
void address_text(const struct pont_address *address, char text[ADDRESS_TEXT_SIZE]);
/*
 * Why the address cannot be an underlay address of a site ("a multicast address", ...), NULL if it can: unicast, not
 * loopback, not unspecified, not link-local IPv6 (it would need a zone), not an IPv4 address written as IPv6.
 */
const char *address_refuse_underlay(const struct pont_address *address);
bool address_equal(const struct pont_address *a, const struct pont_address *b);
/* "02:00:00:00:00:01" */
void mac_text(const uint8_t mac[6], char text[MAC_TEXT_SIZE]);

#endif
