/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

int address_parse(const char *text, struct pont_address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, address->bytes) == 1) {
		address->family = PONT_FAMILY_IPV4;
		return 0;
	}
	if (inet_pton(AF_INET6, text, address->bytes) == 1) {
		address->family = PONT_FAMILY_IPV6;
		return 0;
	}
	return -1;
}

void address_text(const struct pont_address *address, char text[ADDRESS_TEXT_SIZE])
{
	int family = address->family == PONT_FAMILY_IPV4 ? AF_INET : AF_INET6;

	if (address->family == PONT_FAMILY_NONE || inet_ntop(family, address->bytes, text, ADDRESS_TEXT_SIZE) == NULL)
		text[0] = '\0';
}

static const char *refuse_ipv4(const uint8_t *bytes)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (bytes[0] == 0)
		return "an unspecified address";
	if (bytes[0] == 127)
		return "a loopback address";
	if (bytes[0] >= 224 && bytes[0] < 240)
		return "a multicast address";
	if (memcmp(bytes, broadcast, sizeof(broadcast)) == 0)
		return "the broadcast address";
	if (bytes[0] >= 240)
		return "a reserved address";
	return NULL;
}

static const char *refuse_ipv6(const uint8_t *bytes)
{
	struct in6_addr in6;

	memcpy(&in6, bytes, sizeof(in6));
	if (IN6_IS_ADDR_UNSPECIFIED(&in6))
		return "an unspecified address";
	if (IN6_IS_ADDR_LOOPBACK(&in6))
		return "a loopback address";
	if (IN6_IS_ADDR_MULTICAST(&in6))
		return "a multicast address";
	if (IN6_IS_ADDR_LINKLOCAL(&in6))
		return "a link-local address";
	if (IN6_IS_ADDR_V4MAPPED(&in6) || IN6_IS_ADDR_V4COMPAT(&in6))
		return "an IPv4 address written as IPv6";
	return NULL;
}

const char *address_refuse_underlay(const struct pont_address *address)
{
	return address->family == PONT_FAMILY_IPV4 ? refuse_ipv4(address->bytes) : refuse_ipv6(address->bytes);
}

bool address_equal(const struct pont_address *a, const struct pont_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

void mac_text(const uint8_t mac[6], char text[MAC_TEXT_SIZE])
{
	(void)snprintf(
		text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}
