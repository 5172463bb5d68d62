/* SPDX-License-Identifier: BSD-3-Clause */
/* k1: the fence's filter at tc egress of one interface of the current network namespace. */
#ifndef CONTROL_FENCE_INTERFACE_H
#define CONTROL_FENCE_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/error.h"

/* What a frame of an interface begins with. */
enum interface_kind {
	INTERFACE_LOOPBACK, /* nothing leaves the machine here */
	INTERFACE_ETHERNET,
	INTERFACE_IP,     /* no link header */
	INTERFACE_CLOSED, /* a link header that the fence cannot read: everything is denied */
	INTERFACE_KINDS,
};

/* Finds out; -1 with ENODEV if there is no such interface (any more). */
int interface_kind(const char *name, enum interface_kind *kind, struct error *error);

/* Attaches the program, or puts it in the place of the fence's earlier one in one step. */
int interface_attach(uint32_t ifindex, const char *name, int program, struct error *error);

/* Detaches it; no error if it is not there. */
int interface_detach(uint32_t ifindex, const char *name, struct error *error);

#endif
