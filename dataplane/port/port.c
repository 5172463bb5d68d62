/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port/port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "dataplane/port/stale_xdp.h"
#include "dataplane/snapshot/snapshot.h"

enum { RX_DESCRIPTORS = 2048, TX_DESCRIPTORS = 2048, POOL_CACHE = 256 };

/*
 * The kernel takes AF_XDP buffers of at most one page, mempool and mbuf headers included, and keeps 256 bytes of it
 * before the frame.
 */
enum { AF_XDP_ELEMENT_MAX = 4096 };

int port_option_parse(struct port_option *option, const char *argument, char *text, size_t size)
{
	const char *role = strchr(argument, ':'), *devargs = role != NULL ? strchr(role + 1, ':') : NULL;

	memset(option, 0, sizeof(*option));
	if (devargs == NULL) {
		(void)snprintf(text, size, "--port '%s' is not NAME:ROLE:DEVARGS", argument);
		return -1;
	}
	if (role == argument || (size_t)(role - argument) >= sizeof(option->name)) {
		(void)snprintf(text, size, "--port '%s': the name has 1 to %zu characters", argument,
			sizeof(option->name) - 1);
		return -1;
	}
	memcpy(option->name, argument, (size_t)(role - argument));
	role++;
	if (strncmp(role, "access:", 7) == 0) {
		option->role = PONT_PORT_ACCESS;
	} else if (strncmp(role, "wan:", 4) == 0) {
		option->role = PONT_PORT_WAN;
	} else {
		(void)snprintf(text, size, "--port '%s': role '%.*s' is neither access nor wan", argument,
			(int)(devargs - role), role);
		return -1;
	}
	devargs++;
	if (*devargs == '\0' || strlen(devargs) >= sizeof(option->devargs)) {
		(void)snprintf(text, size, "--port '%s': the device arguments have 1 to %zu characters", argument,
			sizeof(option->devargs) - 1);
		return -1;
	}
	(void)snprintf(option->devargs, sizeof(option->devargs), "%s", devargs);
	return 0;
}

__attribute__((format(printf, 2, 3))) static int fail(const char *port, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "pontlevis-dataplane: port %s: ", port);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return -1;
}

/* The kernel interface named by iface= in AF_XDP and AF_PACKET devargs, which must exist; empty for other devices. */
static void kernel_interface(const char *devargs, char name[IF_NAMESIZE])
{
	const char *start = strstr(devargs, ",iface=");
	size_t length;

	name[0] = '\0';
	if (start == NULL)
		return;
	start += strlen(",iface=");
	length = strcspn(start, ",");
	if (length < IF_NAMESIZE) {
		memcpy(name, start, length);
		name[length] = '\0';
	}
}

/* Probes the device and finds its port number. */
static int probe(const struct port_option *option, uint16_t *ethdev)
{
	struct rte_dev_iterator iterator;
	char interface[IF_NAMESIZE];
	bool needs_interface = strncmp(option->devargs, "net_af_", 7) == 0;
	uint16_t found = RTE_MAX_ETHPORTS, id;

	kernel_interface(option->devargs, interface);
	if (needs_interface && interface[0] == '\0')
		return fail(option->name, "device arguments '%s' name no interface (iface=NAME)", option->devargs);
	if (needs_interface && if_nametoindex(interface) == 0)
		return fail(option->name, "there is no network interface '%s'", interface);
	if (strncmp(option->devargs, "net_af_xdp", 10) == 0 && stale_xdp_detach(interface) != 0)
		return fail(option->name, "interface '%s' has a foreign XDP program; detach it first", interface);
	if (rte_dev_probe(option->devargs) != 0)
		return fail(option->name, "cannot open device '%s': %s", option->devargs,
			rte_errno != 0 ? rte_strerror(rte_errno) : "no driver takes it");
	RTE_ETH_FOREACH_MATCHING_DEV(id, option->devargs, &iterator)
	{
		found = id;
		rte_eth_iterator_cleanup(&iterator);
		break;
	}
	if (found == RTE_MAX_ETHPORTS)
		return fail(option->name, "device '%s' has no Ethernet port", option->devargs);
	*ethdev = found;
	return 0;
}

/* Asks (SIOCGIFMTU) or tells (SIOCSIFMTU) the kernel the MTU of an interface: 0, or -1 with errno. */
static int kernel_mtu(unsigned long what, uint32_t ifindex, uint32_t *mtu)
{
	struct ifreq request = {.ifr_mtu = (int)*mtu};
	int fd, result;

	if (if_indextoname(ifindex, request.ifr_name) == NULL)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	result = ioctl(fd, what, &request);
	if (result == 0)
		*mtu = (uint32_t)request.ifr_mtu;
	close(fd);
	return result;
}

/* Largest MTU that the driver admits; frames count with their FCS in its max_rx_pktlen. */
static uint32_t driver_mtu(const struct rte_eth_dev_info *info)
{
	uint32_t mtu = info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;

	return info->max_mtu != 0 ? RTE_MIN(mtu, (uint32_t)info->max_mtu) : mtu;
}

/* Room of one buffer: headroom for the outer header, the frame, the trailer. */
static uint32_t data_room(bool af_xdp, uint32_t frame_max)
{
	uint32_t room = RTE_PKTMBUF_HEADROOM + frame_max + RTE_VLAN_HLEN + OUTER_HEADER_MAX + OUTER_TRAILER_MAX;
	uint32_t page = AF_XDP_ELEMENT_MAX - 2 * RTE_CACHE_LINE_SIZE - (uint32_t)sizeof(struct rte_mbuf);

	room = RTE_ALIGN_CEIL(RTE_MAX(room, (uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE), RTE_CACHE_LINE_SIZE);
	return af_xdp ? RTE_MIN(room, page) : room;
}

/*
 * Of one queue. Some drivers keep every descriptor filled, and that must leave buffers for packets under way: all
 * queues of a port together take a quarter of its pool at most, and those of its twin another one.
 */
static uint16_t receive_descriptors(const struct port *port, const struct rte_eth_dev_info *info)
{
	unsigned int most = rte_align32prevpow2(port->pool->size / 4 / port->queues);

	return (uint16_t)RTE_MIN(RTE_MIN((unsigned int)RX_DESCRIPTORS, most), (unsigned int)info->rx_desc_lim.nb_max);
}

static int configure(struct port *port, const struct rte_eth_dev_info *info, unsigned int workers, uint32_t mtu)
{
	struct rte_eth_conf conf = {0};
	int result;

	if (info->max_tx_queues < workers)
		return fail(port->name, "driver %s has %u transmit queues here, %u workers need one each",
			info->driver_name, info->max_tx_queues, workers);
	port->queues = (uint16_t)RTE_MIN(workers, (unsigned int)info->max_rx_queues);
	if (port->queues > 1 && info->flow_type_rss_offloads != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & info->flow_type_rss_offloads;
	}
	conf.rxmode.mtu = mtu;
	result = rte_eth_dev_configure(port->ethdev, port->queues, (uint16_t)workers, &conf);
	if (result != 0)
		return fail(port->name, "cannot be configured with %u receive and %u transmit queues, MTU %u: %s",
			port->queues, workers, mtu, rte_strerror(-result));
	for (uint16_t queue = 0; queue < port->queues; queue++) {
		result = rte_eth_rx_queue_setup(port->ethdev, queue, receive_descriptors(port, info),
			(unsigned int)rte_eth_dev_socket_id(port->ethdev), NULL, port->pool);
		if (result != 0)
			return fail(port->name,
				"receive queue %u: %s; the driver may need more than %u buffers (--buffers)", queue,
				rte_strerror(-result), port->pool->size);
	}
	for (unsigned int queue = 0; queue < workers; queue++) {
		result = rte_eth_tx_queue_setup(port->ethdev, (uint16_t)queue,
			(uint16_t)RTE_MIN((unsigned int)TX_DESCRIPTORS, (unsigned int)info->tx_desc_lim.nb_max),
			(unsigned int)rte_eth_dev_socket_id(port->ethdev), NULL);
		if (result != 0)
			return fail(port->name, "transmit queue %u: %s", queue, rte_strerror(-result));
	}
	result = rte_eth_dev_start(port->ethdev);
	if (result != 0)
		return fail(port->name, "cannot be started: %s", rte_strerror(-result));
	/* WAN and access ports alike take frames that are not addressed to their MAC. */
	(void)rte_eth_promiscuous_enable(port->ethdev);
	return 0;
}

/* A tap interface with the port's own MAC address: the kernel's end of the exception path. */
static int open_twin(struct port *port, const struct port_option *option, unsigned int workers)
{
	struct rte_eth_dev_info info;
	struct port twin = *port;
	struct port_option tap = {.role = PONT_PORT_WAN};
	uint32_t mtu = port->mtu;

	(void)snprintf(tap.name, sizeof(tap.name), "%.24s.twin", port->name);
	(void)snprintf(tap.devargs, sizeof(tap.devargs), "net_tap_twin_%s,iface=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x",
		option->name, option->twin, port->mac[0], port->mac[1], port->mac[2], port->mac[3], port->mac[4],
		port->mac[5]);
	(void)snprintf(twin.name, sizeof(twin.name), "%s", tap.name);
	if (probe(&tap, &twin.ethdev) != 0)
		return -1;
	port->twin = twin.ethdev;
	if (rte_eth_dev_info_get(twin.ethdev, &info) != 0)
		return fail(tap.name, "device does not describe itself");
	/* The driver says 1,522 bytes of itself, the kernel's tap takes what fits the buffers: those of the port. */
	if (configure(&twin, &info, workers, RTE_MIN(port->mtu, driver_mtu(&info))) != 0)
		return -1;
	port->ifindex = if_nametoindex(option->twin);
	if (kernel_mtu(SIOCSIFMTU, port->ifindex, &mtu) != 0)
		return fail(tap.name, "cannot have the port's MTU, %u: %s", mtu, strerror(errno));
	return 0;
}

int port_open(struct port_set *ports, const struct port_option *option, unsigned int workers, uint32_t frame_max,
	uint32_t buffers)
{
	struct port *port = &ports->port[ports->count];
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	char pool[RTE_MEMPOOL_NAMESIZE];
	bool af_xdp, kernel_owns;
	uint32_t mtu;
	int result;

	memset(port, 0, sizeof(*port));
	(void)snprintf(port->name, sizeof(port->name), "%s", option->name);
	port->role = option->role;
	port->twin = PORT_NO_TWIN;
	if (probe(option, &port->ethdev) != 0)
		return -1;
	/* From here on port_close_all() closes it. */
	ports->count++;
	result = rte_eth_dev_info_get(port->ethdev, &info);
	if (result != 0)
		return fail(port->name, "device does not describe itself: %s", rte_strerror(-result));
	af_xdp = strcmp(info.driver_name, "net_af_xdp") == 0;
	kernel_owns = af_xdp || strcmp(info.driver_name, "net_af_packet") == 0;
	port->bifurcated = kernel_owns || strncmp(info.driver_name, "mlx5", 4) == 0;
	port->ifindex = info.if_index;

	/* An interface that the kernel keeps is the operator's: its MTU stands. Others get what the largest frame
	 * needs. */
	mtu = frame_max - RTE_ETHER_HDR_LEN;
	if (port->role == PONT_PORT_WAN)
		mtu = frame_max + OUTER_HEADER_MAX - OUTER_ETHER_SIZE + OUTER_TRAILER_MAX;
	mtu = RTE_MIN(mtu, driver_mtu(&info));
	if (kernel_owns)
		(void)kernel_mtu(SIOCGIFMTU, port->ifindex, &mtu);
	/* Names of ports may be longer than those of pools. */
	(void)snprintf(pool, sizeof(pool), "port_%u", port->ethdev);
	port->pool = rte_pktmbuf_pool_create(pool, buffers, POOL_CACHE, PORT_POOL_PRIVATE,
		(uint16_t)data_room(af_xdp, RTE_MAX(frame_max, mtu)), rte_eth_dev_socket_id(port->ethdev));
	if (port->pool == NULL)
		return fail(port->name, "no room for %u buffers of %u bytes: %s; raise -m or the number of hugepages",
			buffers, data_room(af_xdp, RTE_MAX(frame_max, mtu)), rte_strerror(rte_errno));
	port->mtu = mtu;
	if (configure(port, &info, workers, kernel_owns ? 0 : mtu) != 0)
		return -1;
	result = rte_eth_macaddr_get(port->ethdev, &mac);
	if (result != 0)
		return fail(port->name, "has no MAC address: %s", rte_strerror(-result));
	memcpy(port->mac, &mac, sizeof(port->mac));
	rss_read(&port->rss, port->ethdev);
	if (option->twin[0] != '\0' && open_twin(port, option, workers) != 0)
		return -1;
	return 0;
}

void port_close_all(struct port_set *ports)
{
	for (unsigned int i = 0; i < ports->count; i++) {
		struct port *port = &ports->port[i];

		if (port->twin != PORT_NO_TWIN) {
			(void)rte_eth_dev_stop(port->twin);
			(void)rte_eth_dev_close(port->twin);
		}
		(void)rte_eth_dev_stop(port->ethdev);
		(void)rte_eth_dev_close(port->ethdev);
		rte_mempool_free(port->pool);
	}
	ports->count = 0;
}

void port_describe(const struct port *port, struct pont_link_port *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->name, port->name, sizeof(out->name));
	out->role = (uint8_t)port->role;
	out->bifurcated = port->bifurcated;
	memcpy(out->mac, port->mac, sizeof(out->mac));
	out->ifindex = port->ifindex;
	out->mtu = port->mtu;
	out->queues = port->queues;
}
