/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holds UDP port 4500 of the VTEP addresses, and never reads. While no dataplane takes ESP-in-UDP (it is being started
 * again, say) the packets reach the kernel, which would answer each with an ICMP error that quotes it; to a port that
 * somebody holds it answers nothing. What does not fit the smallest receive buffer the kernel drops.
 */
#ifndef CONTROL_ESP_SINK_H
#define CONTROL_ESP_SINK_H

#include "pontlevis/address.h"

/* One socket for each VTEP address, -1: none. */
struct esp_sink {
	int fd[2];
	struct pont_address address[2];
};

void esp_sink_init(struct esp_sink *sink);
/*
 * Holds the port of these addresses (family NONE where absent) and lets go of others. An address that cannot be had is
 * left alone: either somebody else holds its port, which serves as well, or it is tried at the next call.
 */
void esp_sink_follow(struct esp_sink *sink, const struct pont_address address[2]);
void esp_sink_close(struct esp_sink *sink);

#endif
