/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/esp_sink.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pontlevis/limits.h"

static const struct pont_address none = {0};
/* Tests run side by side: each has addresses of its own. */
static const struct pont_address alone = {.family = PONT_FAMILY_IPV4, .bytes = {127, 0, 0, 76}};
static const struct pont_address first = {.family = PONT_FAMILY_IPV4, .bytes = {127, 0, 0, 77}};
static const struct pont_address second = {.family = PONT_FAMILY_IPV4, .bytes = {127, 0, 0, 78}};
static const struct pont_address loopback6 = {.family = PONT_FAMILY_IPV6, .bytes = {[15] = 1}};

/* What a sender learns of two packets to the port: 0, or the errno value of the ICMP error. */
static int error_of_sending(const struct pont_address *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PONT_UDP_PORT_ESP)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PONT_UDP_PORT_ESP)};
	bool ipv4 = address->family == PONT_FAMILY_IPV4;
	int fd = socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0), result = 0;

	memcpy(&in.sin_addr, address->bytes, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, address->bytes, sizeof(in6.sin6_addr));
	cr_assert_eq(
		connect(fd, ipv4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6, ipv4 ? sizeof(in) : sizeof(in6)),
		0);
	for (int i = 0; i < 100 && result == 0; i++)
		if (send(fd, "not for the kernel", 18, 0) < 0)
			result = errno;
	close(fd);
	return result;
}

Test(esp_sink, the_kernel_answers_nothing_to_a_port_that_is_held)
{
	const struct pont_address held[2] = {alone, loopback6};
	struct esp_sink sink;

	esp_sink_init(&sink);
	cr_assert_eq(error_of_sending(&alone), ECONNREFUSED);
	esp_sink_follow(&sink, held);
	cr_assert_eq(error_of_sending(&alone), 0);
	cr_assert_eq(error_of_sending(&loopback6), 0);
	esp_sink_close(&sink);
	cr_assert_eq(error_of_sending(&alone), ECONNREFUSED);
	cr_assert_eq(error_of_sending(&loopback6), ECONNREFUSED);
}

Test(esp_sink, follows_the_addresses_and_does_without_those_it_cannot_have)
{
	const struct pont_address before[2] = {first, none}, after[2] = {second, none};
	struct pont_address foreign[2] = {{.family = PONT_FAMILY_IPV4, .bytes = {192, 0, 2, 1}}, none};
	struct esp_sink sink;

	esp_sink_init(&sink);
	esp_sink_follow(&sink, before);
	esp_sink_follow(&sink, after);
	cr_assert_eq(error_of_sending(&first), ECONNREFUSED);
	cr_assert_eq(error_of_sending(&second), 0);
	esp_sink_follow(&sink, foreign);
	cr_assert_eq(sink.fd[0], -1);
	cr_assert_eq(error_of_sending(&second), ECONNREFUSED);
	esp_sink_close(&sink);
}
