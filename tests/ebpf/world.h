/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world of one's own for the fence: network and mount namespace, a bpffs, a cgroup that the test lives in.
 *
 *	this process ── near (10.9.0.1/24, 2001:db8:9::1/64) ──veth── far: an AF_PACKET socket counts what arrives
 *
 * Everything has a static neighbour, so that nothing needs an answer.
 */
#ifndef TESTS_EBPF_WORLD_H
#define TESTS_EBPF_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "control/fence/fence.h"

/* Options for fence_start() in this world. */
extern struct fence_options world_options;

void world_open(void);
void world_close(void);

/* Runs a command line of the shell; fails the test if it fails. */
__attribute__((format(printf, 1, 2))) void world_run(const char *format, ...);

/* connect() of a UDP socket, or sendto() on an unconnected one: 0 or errno. */
int try_connect(const char *address, uint16_t port);
int try_sendto(const char *address, uint16_t port);
/* Sends a raw frame with this IPv4 or IPv6 destination out of an interface: 0 or errno. */
int try_raw(const char *interface, const char *address, uint16_t port);

/* The same in two steps, for many frames by one packet socket, and with the frame cut short if cut is not 0. */
int raw_open(void);
int raw_send(int fd, const char *interface, const char *address, uint16_t port, uint16_t cut);

/*
 * Listens to an interface; how many frames have come in there since the last call: those to an IP destination, or with
 * NULL all of them, among which may be what the kernel says by itself at a moment of its own choice.
 */
int tap_open(const char *interface);
unsigned int tap_count(int tap, const char *address);

/* Frames to this IP destination that arrived at the far end since the last call. */
unsigned int world_arrived(const char *address);

#endif
