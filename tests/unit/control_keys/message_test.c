/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/message.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct message message, again;
static char why[MESSAGE_ERROR_SIZE];

static void round_trip(const char *expected)
{
	size_t length;
	char *text = message_encode(&message, &length), *text_again;

	cr_assert_not_null(text);
	cr_assert_leq(length, MESSAGE_SIZE_MAX);
	if (expected)
		cr_assert_str_eq(text, expected);
	cr_assert_eq(message_decode(text, length, &again, why), 0, "%s", why);
	text_again = message_encode(&again, &length);
	cr_assert_str_eq(text, text_again);
	free(text);
	free(text_again);
}

Test(message, says_hello)
{
	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_HELLO;
	message.hello.version = MESSAGE_VERSION;
	message.hello.workers = 16;
	message.hello.lifetime_s = 3600;
	message.hello.boot_id = UINT64_C(0xfedcba9876543210);
	strcpy(message.hello.site, "par1");
	round_trip("{\"type\":\"hello\",\"version\":2,\"site\":\"par1\",\"boot_id\":\"fedcba9876543210\","
		   "\"workers\":16,\"lifetime\":3600}");
}

Test(message, carries_full_batches_of_tenants)
{
	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_TENANTS;
	message.more = true;
	round_trip("{\"type\":\"tenants\",\"vnis\":[],\"more\":true}");
	message.more = false;
	message.count = MESSAGE_BATCH;
	for (uint32_t i = 0; i < MESSAGE_BATCH; i++)
		message.vnis[i] = PONT_VNI_MAX - i;
	round_trip(NULL);
	message.type = MESSAGE_WITHDRAW;
	round_trip(NULL);
}

Test(message, carries_full_batches_of_offers_and_their_acceptance)
{
	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_OFFERS;
	message.count = 1;
	message.offers[0] = (struct message_offer){.vni = 100, .spi = 4294705152u, .worker = 3, .source_port = 50000};
	round_trip("{\"type\":\"offers\",\"offers\":[{\"vni\":100,\"worker\":3,\"spi\":4294705152,\"port\":50000}]}");
	message.count = MESSAGE_BATCH;
	for (uint32_t i = 0; i < MESSAGE_BATCH; i++)
		message.offers[i] = (struct message_offer){.vni = PONT_VNI_MAX,
			.spi = UINT32_MAX - i,
			.worker = PONT_WORKERS_MAX - 1,
			.source_port = UINT16_MAX};
	round_trip(NULL);
	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_ACCEPTED;
	message.count = MESSAGE_BATCH;
	for (uint32_t i = 0; i < MESSAGE_BATCH; i++)
		message.spis[i] = UINT32_MAX - i;
	round_trip(NULL);
}

Test(message, carries_full_batches_of_sas)
{
	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_USING;
	message.more = true;
	message.count = 1;
	message.sas[0] = (struct message_sa){.vni = 100, .spi = 4294705152u, .worker = 3};
	round_trip("{\"type\":\"using\",\"sas\":[{\"vni\":100,\"worker\":3,\"spi\":4294705152}],\"more\":true}");
	message.count = MESSAGE_BATCH;
	for (uint32_t i = 0; i < MESSAGE_BATCH; i++)
		message.sas[i] =
			(struct message_sa){.vni = PONT_VNI_MAX, .spi = UINT32_MAX - i, .worker = PONT_WORKERS_MAX - 1};
	round_trip(NULL);
	message.type = MESSAGE_RENEW;
	message.more = false;
	round_trip(NULL);
}

#define HELLO(version, site, boot_id, workers)                                                                         \
	"{\"type\":\"hello\",\"version\":" version ",\"site\":" site ",\"boot_id\":" boot_id ",\"workers\":" workers   \
	",\"lifetime\":60}"
#define BOOT                    "\"0123456789abcdef\""
#define RENEW(vni, worker, spi) "{\"type\":\"renew\",\"sas\":[{\"vni\":" vni ",\"worker\":" worker ",\"spi\":" spi "}]}"
#define OFFER(vni, worker, spi, port)                                                                                  \
	"{\"type\":\"offers\",\"offers\":[{\"vni\":" vni ",\"worker\":" worker ",\"spi\":" spi ",\"port\":" port "}]}"

struct bad {
	char text[256];
};

ParameterizedTestParameters(message, refuses_what_is_not_exactly_a_message)
{
	static struct bad all[] = {
		{""},
		{"null"},
		{"[]"},
		{"{}"},
		{"{\"type\":1}"},
		{"{\"type\":\"\"}"},
		{"{\"type\":\"ping\"}"},
		{"{\"type\":\"hello\"}"},
		{"{\"type\":\"hello\",\"version\":2,\"site\":\"par1\",\"boot_id\":" BOOT ",\"workers\":1}"},
		{"{\"type\":\"hello\",\"version\":2,\"site\":\"par1\",\"boot_id\":" BOOT
		 ",\"workers\":1,\"lifetime\":0}"},
		{"{\"type\":\"hello\",\"version\":2,\"site\":\"par1\",\"boot_id\":" BOOT
		 ",\"workers\":1,\"lifetime\":3601}"},
		{"{\"type\":\"using\",\"sas\":[]}"},
		{"{\"type\":\"using\",\"sas\":[1],\"more\":false}"},
		{"{\"type\":\"renew\",\"sas\":{}}"},
		{"{\"type\":\"renew\",\"sas\":[],\"more\":false}"},
		{RENEW("0", "0", "256")},
		{RENEW("16777216", "0", "256")},
		{RENEW("1", "-1", "256")},
		{RENEW("1", "16", "256")},
		{RENEW("1", "0", "255")},
		{RENEW("1", "0", "4294967296")},
		{"{\"type\":\"tenants\",\"vnis\":[100],\"more\":false"},
		{"{\"type\":\"tenants\",\"vnis\":[100],\"more\":false}{}"},
		{"{\"type\":\"tenants\",\"vnis\":[100],\"more\":false} x"},
		{"{\"type\":\"tenants\",\"vnis\":[100],\"more\":false,\"extra\":1}"},
		{"{\"type\":\"tenants\",\"vnis\":[100],\"vnis\":[101],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[100]}"},
		{"{\"type\":\"tenants\",\"vnis\":100,\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[0],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[16777216],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[4294967396],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[-1],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[100.0],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[\"100\"],\"more\":false}"},
		{"{\"type\":\"tenants\",\"vnis\":[100],\"more\":0}"},
		{"{\"type\":\"withdraw\",\"vnis\":[99999999999999999999]}"},
		{"{\"type\":\"withdraw\",\"vnis\":[1],\"more\":false}"},
		{"{\"type\":\"accepted\",\"spis\":[255]}"},
		{"{\"type\":\"accepted\",\"spis\":[4294967296]}"},
		{"{\"type\":\"offers\",\"offers\":{}}"},
		{"{\"type\":\"offers\",\"offers\":[1]}"},
		{"{\"type\":\"offers\",\"offers\":[{}]}"},
		{"{\"type\":\"offers\",\"offers\":[{\"vni\":1,\"worker\":0,\"spi\":256,\"port\":50000,\"key\":\"\"}]}"},
		{OFFER("0", "0", "256", "50000")},
		{OFFER("16777216", "0", "256", "50000")},
		{OFFER("1", "16", "256", "50000")},
		{OFFER("1", "-1", "256", "50000")},
		{OFFER("1", "65536", "256", "50000")},
		{OFFER("1", "0", "255", "50000")},
		{OFFER("1", "0", "4294967552", "50000")},
		{OFFER("1", "0", "256", "49151")},
		{OFFER("1", "0", "256", "65536")},
		{OFFER("1", "0", "256", "115536")},
		{HELLO("0", "\"par1\"", BOOT, "1")},
		{HELLO("4294967297", "\"par1\"", BOOT, "1")},
		{HELLO("2", "\"par1\"", BOOT, "0")},
		{HELLO("2", "\"par1\"", BOOT, "17")},
		{HELLO("2", "\"\"", BOOT, "1")},
		{HELLO("2", "\"PAR1\"", BOOT, "1")},
		{HELLO("2", "\"par1\\n\"", BOOT, "1")},
		{HELLO("2", "\"par\\u00001\"", BOOT, "1")},
		{HELLO("2", "\"abcdefghijklmnopqrstuvwxyz012345\"", BOOT, "1")},
		{HELLO("2", "\"par1\"", "\"0123456789abcde\"", "1")},
		{HELLO("2", "\"par1\"", "\"0123456789abcdef0\"", "1")},
		{HELLO("2", "\"par1\"", "\"0123456789ABCDEF\"", "1")},
		{HELLO("2", "\"par1\"", "1234567890123456", "1")},
		{"\xff\xfe"},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
	};

	return cr_make_param_array(struct bad, all, sizeof(all) / sizeof(all[0]), NULL);
}

ParameterizedTest(struct bad *bad, message, refuses_what_is_not_exactly_a_message)
{
	cr_assert_eq(message_decode(bad->text, strlen(bad->text), &message, why), -1, "%s", bad->text);
	cr_assert_gt(strlen(why), 0);
}

Test(message, accepts_the_samples_that_the_refused_ones_were_made_from)
{
	static const char *const good[] = {
		HELLO("2", "\"par1\"", BOOT, "1"),
		HELLO("7", "\"a\"", BOOT, "16"),
		"{\"type\":\"hello\",\"version\":3,\"colour\":\"blue\"}",
		OFFER("1", "0", "256", "50000"),
		RENEW("1", "0", "256"),
		"{\"type\":\"using\",\"sas\":[],\"more\":true}",
		"{\"type\":\"withdraw\",\"vnis\":[1]}",
		"{\"type\":\"accepted\",\"spis\":[256]}",
		"{\"type\":\"tenants\",\"vnis\":[100],\"more\":false} \n",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert_eq(message_decode(good[i], strlen(good[i]), &message, why), 0, "%s: %s", good[i], why);
}

Test(message, refuses_a_list_longer_than_a_batch)
{
	static char text[16 * MESSAGE_BATCH];
	size_t at = (size_t)sprintf(text, "{\"type\":\"accepted\",\"spis\":[256");

	for (unsigned int i = 0; i < MESSAGE_BATCH; i++)
		at += (size_t)sprintf(text + at, ",%u", 1000 + i);
	(void)sprintf(text + at, "]}");
	cr_assert_eq(message_decode(text, strlen(text), &message, why), -1);
	cr_assert_not_null(strstr(why, "500"));
}
