/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/request.h"

#include <criterion/criterion.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "namespace.h"

static int count_message(const struct nlmsghdr *message, void *data)
{
	int *count = data;

	if (message->nlmsg_type == RTM_NEWLINK)
		(*count)++;
	return MNL_CB_OK;
}

static struct nlmsghdr *put_getlink(char *buffer, uint16_t flags, int number)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = flags;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_index = number;
	return message;
}

Test(request, reads_a_dump_longer_than_one_datagram_to_its_end_and_can_ask_again)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct request *request;
	struct error error;
	int count = 0;

	namespace_enter();
	for (int i = 0; i < 32; i++)
		run("ip link add d%d type veth peer name e%d", i, i);
	request = request_open(NETLINK_ROUTE, &error);
	cr_assert(request);
	cr_assert_eq(request_run(request, put_getlink(buffer, NLM_F_DUMP, 0), count_message, &count, &error), 0);
	cr_expect_eq(count, 65);
	count = 0;
	cr_assert_eq(request_run(request, put_getlink(buffer, 0, 1), count_message, &count, &error), 0);
	cr_expect_eq(count, 1);
	request_close(request);
}

Test(request, gives_the_kernels_own_error_code)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct request *request;
	struct error error = {0};
	int count = 0;

	namespace_enter();
	request = request_open(NETLINK_ROUTE, &error);
	cr_assert(request);
	cr_expect_eq(request_run(request, put_getlink(buffer, 0, 99999), count_message, &count, &error), -1);
	cr_expect_eq(error.code, ENODEV);
	cr_expect(strstr(error.text, "netlink"));
	cr_expect(!request_failed(&error));
	cr_expect_eq(count, 0);
	request_close(request);
}

Test(request, takes_addresses_only_of_the_right_length)
{
	static const uint8_t bytes[16] = {192, 0, 2, 1};
	struct pont_address out, expected = address("192.0.2.1");

	cr_expect_eq(request_get_address(AF_INET, bytes, 4, &out), 0);
	cr_expect(request_same_address(&out, &expected));
	cr_expect_eq(request_get_address(AF_INET6, bytes, 16, &out), 0);
	cr_expect_eq(out.family, PONT_FAMILY_IPV6);
	cr_expect_eq(request_get_address(AF_INET, bytes, 3, &out), -1);
	cr_expect_eq(request_get_address(AF_INET, bytes, 16, &out), -1);
	cr_expect_eq(request_get_address(AF_INET6, bytes, 4, &out), -1);
	cr_expect_eq(request_get_address(AF_UNIX, bytes, 4, &out), -1);
}
