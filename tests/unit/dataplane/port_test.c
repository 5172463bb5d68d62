/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port/port.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/snapshot/snapshot.h"
#include "rig.h"

static struct port_set ports;

static void set_up(void)
{
	cr_redirect_stderr();
	rig_eal();
}

TestSuite(port, .init = set_up, .timeout = 60);

/* Opens a port from an option as it stands on the command line. */
static int open_port(const char *argument, unsigned int workers, uint32_t frame_max, uint32_t buffers)
{
	struct port_option option;
	char text[256];

	cr_assert_eq(port_option_parse(&option, argument, text, sizeof(text)), 0, "%s", text);
	return port_open(&ports, &option, workers, frame_max, buffers);
}

/* What stderr says must hold this. */
static void expect_said(const char *part)
{
	FILE *file = cr_get_redirected_stderr();
	char said[4096];
	size_t length;

	(void)fflush(stderr);
	length = fread(said, 1, sizeof(said) - 1, file);
	said[length] = '\0';
	cr_expect_not_null(strstr(said, part), "it says: %s", said);
}

Test(port, opens_any_device_of_dpdk_and_describes_it)
{
	struct pont_link_port described;

	cr_assert_eq(open_port("access0:access:net_null0", 1, 1518, 1024), 0);
	cr_assert_eq(open_port("wan0:wan:net_ring0", 1, 1518, 1024), 0);
	cr_assert_eq(ports.count, 2);
	cr_expect_eq(ports.port[0].mtu, 1504);
	cr_expect_geq(ports.port[1].mtu, 1518 + OUTER_HEADER_MAX - OUTER_ETHER_SIZE + OUTER_TRAILER_MAX);
	memset(&described, 0xee, sizeof(described));
	port_describe(&ports.port[1], &described);
	cr_expect_str_eq(described.name, "wan0");
	cr_expect_eq(described.role, PONT_PORT_WAN);
	cr_expect_eq(described.bifurcated, 0);
	cr_expect_eq(described.mtu, ports.port[1].mtu);
	cr_expect_eq(described.queues, 1);
	cr_expect_eq(described.reserved, 0);
	cr_expect_arr_eq(described.mac, ports.port[1].mac, 6);
	port_close_all(&ports);
	cr_expect_eq(ports.count, 0);
}

Test(port, has_buffers_in_which_the_longest_frame_can_be_sealed_in_place)
{
	struct rte_mbuf *mbuf;

	cr_assert_eq(open_port("access0:access:net_null0", 1, PONT_FRAME_MAX, 1024), 0);
	mbuf = rte_pktmbuf_alloc(ports.port[0].pool);
	cr_assert_not_null(mbuf);
	cr_expect_not_null(rte_pktmbuf_append(mbuf, PONT_FRAME_MAX));
	cr_expect_not_null(rte_pktmbuf_append(mbuf, OUTER_TRAILER_MAX));
	cr_expect_not_null(rte_pktmbuf_prepend(mbuf, OUTER_HEADER_MAX));
	rte_pktmbuf_free(mbuf);
	port_close_all(&ports);
}

Test(port, says_that_a_device_is_not_there)
{
	cr_expect_eq(open_port("access0:access:net_af_xdp0,iface=nowhere7", 1, 1518, 1024), -1);
	expect_said("port access0: there is no network interface 'nowhere7'");
	port_close_all(&ports);
}

Test(port, says_that_the_interface_is_not_named)
{
	cr_expect_eq(open_port("access0:access:net_af_packet0,qpairs=1", 1, 1518, 1024), -1);
	expect_said("port access0: device arguments 'net_af_packet0,qpairs=1' name no interface (iface=NAME)");
	port_close_all(&ports);
}

Test(port, says_that_no_driver_takes_a_device)
{
	cr_expect_eq(open_port("access0:access:net_nonsense0", 1, 1518, 1024), -1);
	expect_said("port access0: cannot open device 'net_nonsense0'");
	port_close_all(&ports);
}

Test(port, says_that_there_is_no_room_for_its_buffers)
{
	cr_expect_eq(open_port("access0:access:net_null0", 1, PONT_FRAME_MAX, 1 << 20), -1);
	expect_said("port access0: no room for 1048576 buffers");
	port_close_all(&ports);
	/* It is closed: the name and the device can be used again. */
	cr_expect_eq(open_port("access0:access:net_null1", 1, 1518, 1024), 0);
	port_close_all(&ports);
}

Test(port, takes_names_as_long_as_they_may_be)
{
	cr_expect_eq(open_port("abcdefghijklmnopqrstuvwxyz01234:access:net_null0", 1, 1518, 1024), 0);
	cr_expect_eq(open_port("abcdefghijklmnopqrstuvwxyz01235:wan:net_null1", 1, 1518, 1024), 0);
	port_close_all(&ports);
}
