/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: plain rte_eth ports of any driver, opened once at start. Access ports carry tenant frames, WAN ports carry
 * sealed packets (and, on the exception path, the appliance's own traffic).
 */
#ifndef DATAPLANE_PORT_PORT_H
#define DATAPLANE_PORT_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "dataplane/port/rss.h"
#include "pontlevis/limits.h"
#include "pontlevis/link.h"

/*
 * Private bytes in front of each buffer. They shift a received frame by as much, so that the first byte encrypted, 16
 * before the frame (OUTER_INNER_SIZE), starts a cache line and AES-GCM's wide accesses split none.
 */
enum { PORT_POOL_PRIVATE = 16 };

/* One --port option. */
struct port_option {
	char name[PONT_NAME_SIZE];
	enum pont_port_role role;
	char devargs[512];
	char twin[16]; /* kernel interface to create for the exception path, empty: none */
};

struct port {
	char name[PONT_NAME_SIZE];
	enum pont_port_role role;
	uint16_t ethdev; /* DPDK port number */
	uint16_t twin;   /* DPDK port number of the kernel twin, PORT_NO_TWIN: none */
	uint16_t queues; /* receive queues; worker w polls queue w if it exists */
	bool bifurcated; /* the kernel keeps the interface: our XDP program passes it what is not ours */
	uint8_t mac[6];
	uint32_t ifindex;
	uint32_t mtu;             /* largest IP packet in bytes */
	struct rss rss;           /* how it spreads packets over its queues */
	struct rte_mempool *pool; /* receive buffers, one segment each */
};
enum { PORT_NO_TWIN = UINT16_MAX };

struct port_set {
	unsigned int count;
	struct port port[PONT_PORTS_MAX];
};

/* Parses NAME:ROLE:DEVARGS. On error returns -1 with the reason in text. */
int port_option_parse(struct port_option *option, const char *argument, char *text, size_t size);

/*
 * Opens and starts a port. frame_max: longest tenant frame in bytes; buffers: mbufs of its pool. On error returns -1
 * and has said on stderr which port and why; the port is closed again.
 */
int port_open(struct port_set *ports, const struct port_option *option, unsigned int workers, uint32_t frame_max,
	uint32_t buffers);
void port_close_all(struct port_set *ports);

/* Fills the port's part of HELLO. */
void port_describe(const struct port *port, struct pont_link_port *out);

#endif
