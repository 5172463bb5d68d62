/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small underlay for one test, gone with its process:
 *
 *	own namespace                      child's namespace
 *	wan0 192.0.2.1/24 ---- veth ---- far0 192.0.2.2/24, 192.0.2.3/24
 *	     2001:db8::1/64                   2001:db8::2/64, 2001:db8::3/64
 */
#ifndef TESTS_CONTROL_NETLINK_NAMESPACE_H
#define TESTS_CONTROL_NETLINK_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "pontlevis/address.h"

/* A new network namespace with only the loopback, up. Skips the test where that is not allowed. */
void namespace_enter(void);
/* The drawing above; also enters. */
void namespace_build(void);

/* Runs a command (printf format) here or in the child's namespace; the test fails if it does. */
__attribute__((format(printf, 1, 2))) void run(const char *format, ...);
__attribute__((format(printf, 1, 2))) void run_far(const char *format, ...);
/* Whether the command succeeds here. */
__attribute__((format(printf, 1, 2))) bool succeeds(const char *format, ...);

/* Text to address; the test fails if it is none. "" is family NONE. */
struct pont_address address(const char *text);
uint32_t ifindex(const char *name);

#endif
