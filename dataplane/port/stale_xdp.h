/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dataplane that was killed leaves its XDP steering program on the interface, and the driver refuses to attach over
 * it. Until the next start that program is what keeps access frames out of the kernel, so it is taken off only then.
 */
#ifndef DATAPLANE_PORT_STALE_XDP_H
#define DATAPLANE_PORT_STALE_XDP_H

/* Takes our own program off an interface; 0 also if there is none, -1 if there is somebody else's. */
int stale_xdp_detach(const char *interface);

#endif
