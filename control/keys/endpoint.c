/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

socklen_t endpoint_to_socket(const struct endpoint *endpoint, struct sockaddr_storage *socket)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};

	memset(socket, 0, sizeof(*socket));
	switch (endpoint->address.family) {
	case PONT_FAMILY_IPV4:
		memcpy(&in4.sin_addr, endpoint->address.bytes, sizeof(in4.sin_addr));
		memcpy(socket, &in4, sizeof(in4));
		return sizeof(in4);
	case PONT_FAMILY_IPV6:
		memcpy(&in6.sin6_addr, endpoint->address.bytes, sizeof(in6.sin6_addr));
		memcpy(socket, &in6, sizeof(in6));
		return sizeof(in6);
	default:
		return 0;
	}
}

bool endpoint_from_socket(const struct sockaddr *socket, struct endpoint *endpoint)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	memset(endpoint, 0, sizeof(*endpoint));
	switch (socket->sa_family) {
	case AF_INET:
		memcpy(&in4, socket, sizeof(in4));
		endpoint->address.family = PONT_FAMILY_IPV4;
		endpoint->port = ntohs(in4.sin_port);
		memcpy(endpoint->address.bytes, &in4.sin_addr, sizeof(in4.sin_addr));
		return true;
	case AF_INET6:
		memcpy(&in6, socket, sizeof(in6));
		endpoint->port = ntohs(in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			endpoint->address.family = PONT_FAMILY_IPV4;
			memcpy(endpoint->address.bytes, in6.sin6_addr.s6_addr + 12, 4);
		} else {
			endpoint->address.family = PONT_FAMILY_IPV6;
			memcpy(endpoint->address.bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
		}
		return true;
	default:
		return false;
	}
}

const char *endpoint_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN] = "?";

	if (endpoint->address.family == PONT_FAMILY_IPV6) {
		(void)inet_ntop(AF_INET6, endpoint->address.bytes, address, sizeof(address));
		(void)snprintf(text, ENDPOINT_TEXT_SIZE, "[%s]:%u", address, (unsigned int)endpoint->port);
	} else {
		if (endpoint->address.family == PONT_FAMILY_IPV4)
			(void)inet_ntop(AF_INET, endpoint->address.bytes, address, sizeof(address));
		(void)snprintf(text, ENDPOINT_TEXT_SIZE, "%s:%u", address, (unsigned int)endpoint->port);
	}
	return text;
}
