/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An IP address, IPv4 or IPv6, as it stands in every message and record. Text form: RFC 5952 and dotted decimal.
 */
#ifndef PONTLEVIS_ADDRESS_H
#define PONTLEVIS_ADDRESS_H

#include <stdint.h>

enum pont_family {
	PONT_FAMILY_NONE = 0, /* no address; all other bytes are zero */
	PONT_FAMILY_IPV4 = 4,
	PONT_FAMILY_IPV6 = 6,
};

/* Bytes beyond the address proper are zero, so that two equal addresses are equal for memcmp(). */
struct pont_address {
	uint8_t family;      /* enum pont_family */
	uint8_t reserved[3]; /* zero */
	uint8_t bytes[16];   /* network byte order; IPv4 in the first four */
};
_Static_assert(sizeof(struct pont_address) == 20, "pont_address is part of the link contract");

#endif
