/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/address.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct reading {
	char text[64];
	char canonical[ADDRESS_TEXT_SIZE]; /* "": is none */
};

ParameterizedTestParameters(address, text_is_read_and_written_in_canonical_form)
{
	static struct reading readings[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"2001:DB8:0:0::1", "2001:db8::1"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		{"192.0.2", ""},
		{"192.0.2.256", ""},
		{"192.0.2.01", ""},
		{"fe80::1%eth0", ""},
		{"2001:db8::/32", ""},
		{":::", ""},
		{"", ""},
		{"....", ""},
	};

	return cr_make_param_array(struct reading, readings, sizeof(readings) / sizeof(readings[0]));
}

ParameterizedTest(struct reading *reading, address, text_is_read_and_written_in_canonical_form)
{
	struct pont_address address;
	char text[ADDRESS_TEXT_SIZE];
	int result = address_parse(reading->text, &address);

	cr_assert_eq(result, reading->canonical[0] != '\0' ? 0 : -1, "%s", reading->text);
	if (result == 0) {
		address_text(&address, text);
		cr_assert_str_eq(text, reading->canonical);
	}
}

ParameterizedTestParameters(address, what_cannot_be_an_underlay_address_is_refused)
{
	static struct reading readings[] = {
		{"0.0.0.0", "an unspecified address"},
		{"127.0.0.1", "a loopback address"},
		{"224.0.0.1", "a multicast address"},
		{"239.255.255.255", "a multicast address"},
		{"255.255.255.255", "the broadcast address"},
		{"240.0.0.1", "a reserved address"},
		{"::", "an unspecified address"},
		{"::1", "a loopback address"},
		{"ff02::1", "a multicast address"},
		{"fe80::1", "a link-local address"},
		{"::ffff:192.0.2.1", "an IPv4 address written as IPv6"},
		{"192.0.2.1", ""},
		{"10.0.0.1", ""},
		{"fd00::1", ""},
		{"2001:db8::1", ""},
	};

	return cr_make_param_array(struct reading, readings, sizeof(readings) / sizeof(readings[0]));
}

ParameterizedTest(struct reading *reading, address, what_cannot_be_an_underlay_address_is_refused)
{
	struct pont_address address;
	const char *refused;

	cr_assert_eq(address_parse(reading->text, &address), 0);
	refused = address_refuse_underlay(&address);
	cr_assert_str_eq(refused != NULL ? refused : "", reading->canonical, "%s", reading->text);
}

Test(address, bytes_beyond_an_ipv4_address_are_zero)
{
	struct pont_address a, b;

	memset(&a, 0xff, sizeof(a));
	memset(&b, 0x55, sizeof(b));
	cr_assert_eq(address_parse("192.0.2.1", &a), 0);
	cr_assert_eq(address_parse("192.0.2.1", &b), 0);
	cr_assert(address_equal(&a, &b));
}

Test(address, mac_is_written_with_colons)
{
	static const uint8_t mac[6] = {0x02, 0, 0, 0xab, 0xcd, 0xef};
	char text[MAC_TEXT_SIZE];

	mac_text(mac, text);
	cr_assert_str_eq(text, "02:00:00:ab:cd:ef");
}
