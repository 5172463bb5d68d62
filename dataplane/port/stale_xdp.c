/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port/stale_xdp.h"

#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* All our XDP programs are called so. */
#define STEER_PREFIX "steer_"

int stale_xdp_detach(const char *interface)
{
	struct bpf_prog_info info = {0};
	unsigned int size = sizeof(info), ifindex = if_nametoindex(interface);
	unsigned int id = 0;
	int fd, result;

	if (ifindex == 0 || bpf_xdp_query_id((int)ifindex, 0, &id) != 0 || id == 0)
		return 0;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -1;
	result = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	if (result != 0 || strncmp(info.name, STEER_PREFIX, strlen(STEER_PREFIX)) != 0)
		return -1;
	return bpf_xdp_detach((int)ifindex, 0, NULL);
}
