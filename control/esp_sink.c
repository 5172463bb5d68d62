/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/esp_sink.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pontlevis/limits.h"

void esp_sink_init(struct esp_sink *sink)
{
	memset(sink, 0, sizeof(*sink));
	sink->fd[0] = sink->fd[1] = -1;
}

static int hold(const struct pont_address *address)
{
	const bool ipv4 = address->family == PONT_FAMILY_IPV4;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PONT_UDP_PORT_ESP)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PONT_UDP_PORT_ESP)};
	int fd = socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int smallest = 0, only_ipv6 = 1;

	if (fd < 0)
		return -1;
	memcpy(&in.sin_addr, address->bytes, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, address->bytes, sizeof(in6.sin6_addr));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest));
	if (!ipv4)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof(only_ipv6));
	if (bind(fd, ipv4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6, ipv4 ? sizeof(in) : sizeof(in6)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void esp_sink_follow(struct esp_sink *sink, const struct pont_address address[2])
{
	for (unsigned int i = 0; i < 2; i++) {
		if (sink->fd[i] >= 0 && memcmp(&sink->address[i], &address[i], sizeof(address[i])) == 0)
			continue;
		if (sink->fd[i] >= 0)
			close(sink->fd[i]);
		sink->fd[i] = address[i].family != PONT_FAMILY_NONE ? hold(&address[i]) : -1;
		sink->address[i] = address[i];
	}
}

void esp_sink_close(struct esp_sink *sink)
{
	const struct pont_address none[2] = {0};

	esp_sink_follow(sink, none);
}
