/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/interface.h"

#include <bpf/libbpf.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The filter's place, always the same, so that it is found again. Priority 1: nobody answers before the fence. */
enum { FILTER_HANDLE = 0x504f4e54 /* "PONT" */, FILTER_PRIORITY = 1 };

#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif
#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823
#endif

static enum interface_kind kind_of_type(unsigned int type)
{
	switch (type) {
	case ARPHRD_LOOPBACK:
		return INTERFACE_LOOPBACK;
	case ARPHRD_ETHER:
		return INTERFACE_ETHERNET;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return INTERFACE_IP;
	default:
		return INTERFACE_CLOSED;
	}
}

int interface_kind(const char *name, enum interface_kind *kind, struct error *error)
{
	struct ifreq request = {0};
	int fd, result = -1;

	if (strlen(name) >= sizeof(request.ifr_name))
		return error_set(error, ENODEV, NULL, "fence: interface %.64s: name too long", name);
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request)) {
		(void)error_set(error, errno, NULL, "fence: interface %s: %s", name, strerror(errno));
		goto out;
	}
	*kind = kind_of_type(request.ifr_hwaddr.sa_family);
	result = 0;
out:
	if (fd >= 0)
		(void)close(fd);
	return result;
}

int interface_attach(uint32_t ifindex, const char *name, int program, struct error *error)
{
	struct bpf_tc_hook hook = {.sz = sizeof(hook), .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS};
	struct bpf_tc_opts filter = {.sz = sizeof(filter),
		.handle = FILTER_HANDLE,
		.priority = FILTER_PRIORITY,
		.prog_fd = program,
		.flags = BPF_TC_F_REPLACE};
	int code;

	code = bpf_tc_hook_create(&hook);
	if (code && code != -EEXIST)
		return error_set(error, -code, NULL, "fence: tc hook of interface %s: %s", name, strerror(-code));
	code = bpf_tc_attach(&hook, &filter);
	if (code)
		return error_set(error, -code, NULL, "fence: tc egress of interface %s: %s", name, strerror(-code));
	return 0;
}

int interface_detach(uint32_t ifindex, const char *name, struct error *error)
{
	struct bpf_tc_hook hook = {.sz = sizeof(hook), .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS};
	struct bpf_tc_opts filter = {.sz = sizeof(filter), .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY};
	int code = bpf_tc_detach(&hook, &filter);

	/* EINVAL: the interface has no clsact hook at all. */
	if (code && code != -ENOENT && code != -EINVAL && code != -ENODEV)
		return error_set(error, -code, NULL, "fence: tc egress of interface %s: %s", name, strerror(-code));
	return 0;
}
