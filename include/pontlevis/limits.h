/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes, ranges and lifetimes that more than one program has to agree on. A limit stands here with its unit and
 * its reason; nothing else in the tree repeats its value (the JSON Schema is compared with this file by a test).
 */
#ifndef PONTLEVIS_LIMITS_H
#define PONTLEVIS_LIMITS_H

#include <stdint.h>

enum {
	/* Names of sites, tenants, peers and ports, in bytes, the terminating NUL included. */
	PONT_NAME_SIZE = 32,

	/* Ports of one appliance, access and WAN together. */
	PONT_PORTS_MAX = 16,
	/* Forwarding lcores of one dataplane. */
	PONT_WORKERS_MAX = 16,
	/* Tenants of one appliance. */
	PONT_TENANTS_MAX = 4096,
	/* Other sites. */
	PONT_PEERS_MAX = 255,

	/* VXLAN network identifier, 24 bit (RFC 7348 section 5); 0 is not used. */
	PONT_VNI_MIN = 1,
	PONT_VNI_MAX = 0xffffff,
	/* 802.1Q VLAN identifier; 0 stands for "untagged", 4095 is reserved by the standard. */
	PONT_VLAN_UNTAGGED = 0,
	PONT_VLAN_MAX = 4094,

	/* Largest tenant frame in bytes, Ethernet header included, FCS excluded. */
	PONT_FRAME_MAX = 9018,

	/* Learnt MAC addresses: of the whole appliance, and of one tenant (range and default). */
	PONT_MACS_MAX = 1 << 20,
	PONT_TENANT_MACS_MAX = 1 << 20,
	PONT_TENANT_MACS_DEFAULT = 8192,
	/* Seconds after which a MAC address not seen again is forgotten (IEEE 802.1Q: 10 to 1,000,000, default 300). */
	PONT_MAC_AGEING_S_MIN = 10,
	PONT_MAC_AGEING_S_MAX = 1000000,
	PONT_MAC_AGEING_S_DEFAULT = 300,

	/* UDP ports, host byte order: ESP-in-UDP (RFC 3948), VXLAN (RFC 7348), dynamic range for our source ports. */
	PONT_UDP_PORT_ESP = 4500,
	PONT_UDP_PORT_VXLAN = 4789,
	PONT_UDP_SOURCE_PORT_MIN = 49152,
	PONT_UDP_SOURCE_PORT_MAX = 65535,
	/* TCP port of the key agreement between control processes, unless the configuration names another. */
	PONT_TCP_PORT_KEYS = 4501,

	/* AES-256-GCM as ESP carries it (RFC 4106): key, salt, explicit IV and ICV, in bytes. */
	PONT_SA_KEY_SIZE = 32,
	PONT_SA_SALT_SIZE = 4,
	PONT_ESP_IV_SIZE = 8,
	PONT_ESP_ICV_SIZE = 16,

	/* Width of the anti-replay window in packets; never zero (RFC 4303 section 3.4.3, ANSSI IPsec DR). */
	PONT_REPLAY_WINDOW = 2048,

	/*
	 * An SPI is {random upper bits, index of the SA array in the lower PONT_SPI_INDEX_BITS}. The values 0 to 255
	 * are reserved (RFC 4303 section 2.1), so the random part is never zero.
	 */
	PONT_SPI_INDEX_BITS = 17,

	/*
	 * Seconds that a replaced inbound SA still opens packets which were under way when the peer switched; on a
	 * metropolitan path those are milliseconds. If SAs are replaced faster, the oldest give way after _MIN.
	 */
	PONT_SA_DRAIN_S = 10,
	PONT_SA_DRAIN_MIN_S = 1,

	/* Life of one session, after which a fresh handshake must have replaced it: range and default, seconds. */
	PONT_SESSION_S_MIN = 1,
	PONT_SESSION_S_MAX = 3600,

	/* Life of one SA: the shortest that can be configured, in each measure. */
	PONT_SA_PACKETS_MIN = 4,
	PONT_SA_BYTES_MIN = 65536,
	PONT_SA_S_MIN = 1,
};

/*
 * Hard lifetime of one SA, at most: ANSSI's note on IPsec (DAT-NT-003) asks for fresh keys every hour and every 100 GB
 * (decimal). 2^48 packets are far below the 2^64 of ESN. It also bounds how long forwarding goes on without the
 * control process. The configuration may only lower these.
 */
#define PONT_SA_HARD_PACKETS (UINT64_C(1) << 48)
#define PONT_SA_HARD_BYTES   UINT64_C(100000000000)
#define PONT_SA_HARD_S       3600

#endif
