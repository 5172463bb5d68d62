/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/report.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"

static const char stats[] =
	"{'tenants': [{'name': null, 'vni': 0, 'macs': 0, 'access_rx': {'packets': 0, 'bytes': 0}, 'wan_rx': {}, "
	"'drops':"
	" {'steer.unknown_spi': 2}, 'balance': {'received': 2, 'copies': 0, 'sent': 0, 'dropped': 2, 'difference': 0}},"
	" {'name': 'hopital', 'vni': 100, 'macs': 3, 'access_rx': {'packets': 10, 'bytes': 980}, 'wan_rx': {'packets': "
	"10,"
	" 'bytes': 1500}, 'access_tx': {'packets': 9, 'bytes': 900}, 'wan_tx': {'packets': 12, 'bytes': 1800},"
	" 'kernel_tx': {'packets': 0, 'bytes': 0}, 'copies': 2, 'drops': {'classify.runt': 0, 'open.auth_failed': 1,"
	" 'future.reason': 4}, 'balance': {'received': 20, 'copies': 2, 'sent': 21, 'dropped': 1, 'difference': 0}}],"
	" 'workers': [{'worker': 0, 'lcore': 1, 'loops': 5}], 'ports': [{'name': 'lan0', 'role': 'access', 'link_up':"
	" true, 'rx': {'packets': 1, 'bytes': 2}, 'tx': {'packets': 3, 'bytes': 4}}]}";

Test(report_traffic, of_stats_is_the_books_then_every_drop_that_happened)
{
	static const char *const expected[] = {
		"TENANT   VNI  MACS  RECEIVED  COPIES  SENT  DROPPED  DIFFERENCE\n"
		"-          0     0         2       0     0        2           0\n"
		"hopital  100     3        20       2    21        1           0\n",
		"hopital         10    980      12   1800      10   1500          9    900          0      0\n",
		"TENANT   DROP               PACKETS  MEANING\n"
		"-        steer.unknown_spi        2  no SA has this SPI\n"
		"hopital  open.auth_failed         1  integrity check value is wrong\n"
		"hopital  future.reason            4  \n",
		"WORKER  LCORE  LOOPS",
		"lan0  access  up     1         2   3         4",
	};
	char *text = capture(report_stats, stats);

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		cr_expect(strstr(text, expected[i]), "lacks:\n%s\nin:\n%s", expected[i], text);
	cr_expect(!strstr(text, "classify.runt"), "zero is not shown");
	free(text);
}

Test(report_traffic, of_stats_without_drops_says_so)
{
	char *text = capture(report_stats, "{'tenants': [{'name': 'a', 'drops': {'rx.oversized': 0}}]}");

	cr_expect(strstr(text, "no drops\n"));
	free(text);
}

Test(report_traffic, of_sas_shows_spi_as_captures_do)
{
	char *text = capture(report_sas,
		"{'sas': [{'direction': 'out', 'tenant': 'hopital', 'vni': 100, 'peer': 'par2', 'worker': 0, 'spi':"
		" 4660, 'source_port': 50123, 'age_ms': 5100, 'draining': false, 'known': true, 'packets': 10, 'bytes':"
		" 980, 'sequence': 10}, {'direction': 'in', 'tenant': 'hopital', 'peer': 'par2', 'worker': 0, 'spi':"
		" 4294967295, 'source_port': null, 'age_ms': 61000, 'draining': true, 'known': true}]}");

	cr_expect_str_eq(text,
		"TENANT   PEER  DIRECTION  WORKER  SPI         SOURCE PORT    AGE  STATE     PACKETS  BYTES  SEQUENCE\n"
		"hopital  par2  out             0  0x00001234        50123   5.1s  in use         10    980        10\n"
		"hopital  par2  in              0  0xffffffff            -  1m01s  draining        -      -         "
		"-\n",
		"%s", text);
	free(text);
}

Test(report_traffic, of_addresses_says_behind_what_and_when_there_are_more)
{
	char *text = capture(report_fdb,
		"{'total': 9, 'entries': [{'tenant': 't', 'mac': 'M1', 'peer': 'par2', 'port': null, 'vlan': null,"
		" 'age_s': 4}, {'tenant': 't', 'mac': 'M2', 'peer': null, 'port': 'lan0', 'vlan': 10, 'age_s': 0},"
		" {'tenant': 't', 'mac': 'M3', 'peer': null, 'port': 'lan1', 'vlan': null, 'age_s': 0}]}");

	cr_expect_str_eq(text,
		"TENANT  MAC  BEHIND     SEEN\n"
		"t       M1   site par2  4s ago\n"
		"t       M2   lan0:10    0s ago\n"
		"t       M3   lan1       0s ago\n"
		"3 of 9 shown, see --limit\n",
		"%s", text);
	free(text);
}
