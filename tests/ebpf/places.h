/* SPDX-License-Identifier: BSD-3-Clause */
/* The fence's programs at hand without a network: under the kernel by BPF_PROG_TEST_RUN, and under librte_bpf. */
#ifndef TESTS_EBPF_PLACES_H
#define TESTS_EBPF_PLACES_H

#include <stdint.h>

#include "control/fence/fence.h"

/* Loads them in both worlds, or fails the test. Nothing is attached. */
void places_open(void);
void places_close(void);

/* Puts the policy in force in both worlds; NULL: none, only before the first one. */
void places_publish(const struct fence_policy *policy);

/*
 * Verdicts; PONT_VERDICT_COUNT if the kernel does not make such a short packet for a test run. IP: tc on an interface
 * without link header; packet starts with its IP header.
 */
enum pont_verdict kernel_ethernet(const uint8_t *frame, uint32_t length);
enum pont_verdict kernel_ip(const uint8_t *packet, uint32_t length);
/* tc on an interface whose link header is unknown. */
enum pont_verdict kernel_closed(const uint8_t *frame, uint32_t length);
enum pont_verdict kernel_cgroup(const uint8_t *frame, uint32_t length);
/* frame has 128 readable bytes. */
enum pont_verdict dpdk_ethernet(const uint8_t *frame, uint32_t length);

/* File descriptor of a kernel map by name. */
int places_map(const char *name);

/* Compiles a policy from a text of CSV lines (the header is added), allowing FR and DE, denying operator "Denied". */
struct fence_policy *policy_of(const char *lines, uint64_t revision);

#endif
