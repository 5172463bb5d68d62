/* SPDX-License-Identifier: BSD-3-Clause */
/* The XDP programs on stored frames, without and with a socket in xsks_map. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/ebpf/frame.h"

enum {
	PASS = 2 /* XDP_PASS */,
	DROP = 1 /* XDP_DROP */,
	REDIRECT = 4 /* XDP_REDIRECT */,
	IPV4 = 0x0800,
	IPV6 = 0x86dd,
	TAG = 0x8100,
	UDP = 17
};

static struct bpf_object *object_load(const char *name, struct bpf_program **program)
{
	const char *directory = getenv("PONTLEVIS_EBPF");
	char path[4096];
	struct bpf_object *object;

	cr_assert_not_null(directory, "PONTLEVIS_EBPF names the directory of the objects");
	(void)snprintf(path, sizeof(path), "%s/%s.bpf.o", directory, name);
	object = bpf_object__open_file(path, NULL);
	cr_assert_not_null(object, "%s: %s", path, strerror(errno));
	*program = bpf_object__next_program(object, NULL);
	cr_assert_not_null(*program, "%s has no program", path);
	cr_assert_eq(bpf_object__load(object), 0, "%s: %s", path, strerror(errno));
	cr_assert_geq(bpf_object__find_map_fd_by_name(object, "xsks_map"), 0, "%s has no xsks_map", path);
	return object;
}

static int run(const struct bpf_program *program, const uint8_t *frame, uint32_t length)
{
	struct bpf_test_run_opts options = {
		.sz = sizeof(options), .data_in = frame, .data_size_in = length, .repeat = 1};

	cr_assert_eq(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0, "test run: %s", strerror(errno));
	return (int)options.retval;
}

/* UDP with its length and the first four bytes of its payload. */
static void put_udp(struct frame *frame, uint32_t at, uint16_t port, uint16_t payload, uint32_t spi)
{
	uint8_t *udp = frame->bytes + at;

	udp[2] = (uint8_t)(port >> 8);
	udp[3] = (uint8_t)port;
	udp[4] = (uint8_t)((payload + 8) >> 8);
	udp[5] = (uint8_t)(payload + 8);
	memcpy(udp + 8, &spi, 4);
}

struct steer_case {
	const char *name;
	struct frame_description frame;
	uint32_t udp; /* offset of the UDP header */
	uint16_t port, payload;
	uint32_t spi;
	int to_dataplane;
};

static const struct steer_case cases[] = {
	{"ESP in IPv4", {{IPV4}, "10.1.0.1", UDP, 64}, 34, 4500, 56, 0x01020304, 1},
	{"ESP in IPv6", {{IPV6}, "2001:db8::1", UDP, 64}, 54, 4500, 56, 0x01020304, 1},
	{"DF is no fragment", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_fragment = 0x4000}, 34, 4500, 56, 1, 1},
	{"IPv4 options", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_header = 7}, 42, 4500, 56, 1, 1},
	{"IKE marker", {{IPV4}, "10.1.0.1", UDP, 64}, 34, 4500, 56, 0, 0},
	{"IKE marker in IPv6", {{IPV6}, "2001:db8::1", UDP, 64}, 54, 4500, 56, 0, 0},
	{"keepalive", {{IPV4}, "10.1.0.1", UDP, 64}, 34, 4500, 1, 0xff, 0},
	{"payload of eight bytes", {{IPV4}, "10.1.0.1", UDP, 64}, 34, 4500, 8, 1, 0},
	{"other port", {{IPV4}, "10.1.0.1", UDP, 64}, 34, 4501, 56, 1, 0},
	{"other protocol", {{IPV4}, "10.1.0.1", 6, 64}, 34, 4500, 56, 1, 0},
	{"first fragment", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_fragment = 0x2000}, 34, 4500, 56, 1, 0},
	{"later fragment", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_fragment = 0x0001}, 34, 4500, 56, 1, 0},
	{"IPv6 extension header", {{IPV6}, "2001:db8::1", 60, 64}, 54, 4500, 56, 1, 0},
	{"tagged", {{TAG, IPV4}, "10.1.0.1", UDP, 64}, 38, 4500, 56, 1, 0},
	{"ARP", {{0x0806}}, 40, 4500, 56, 1, 0},
	{"cut in the UDP header", {{IPV4}, "10.1.0.1", UDP, 64, .cut = 14 + 20 + 7}, 34, 4500, 56, 1, 0},
	{"cut in the SPI", {{IPV4}, "10.1.0.1", UDP, 64, .cut = 14 + 20 + 8 + 3}, 34, 4500, 56, 1, 0},
	{"cut in the IPv6 header", {{IPV6}, "2001:db8::1", UDP, 64, .cut = 14 + 39}, 54, 4500, 56, 1, 0},
	{"bad header length", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_header = 4}, 34, 4500, 56, 1, 0},
};

/* Puts a socket that is ready to receive into the map's first slot, as the dataplane does. */
static int socket_enter(const struct bpf_object *object)
{
	const int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), ring = 64;
	const uint32_t queue = 0;

	cr_assert_geq(fd, 0, "AF_XDP: %s", strerror(errno));
	cr_assert_eq(setsockopt(fd, SOL_XDP, XDP_RX_RING, &ring, sizeof(ring)), 0, "%s", strerror(errno));
	cr_assert_eq(bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "xsks_map"), &queue, &fd, BPF_ANY), 0,
		"%s", strerror(errno));
	return fd;
}

static void build(const struct steer_case *test, struct frame *frame)
{
	frame_build(&test->frame, frame);
	put_udp(frame, test->udp, test->port, test->payload, test->spi);
}

Test(steer, takes_only_esp_in_udp_from_a_wan_port, .timeout = 30)
{
	struct bpf_program *program;
	struct bpf_object *object = object_load("steer_wan", &program);
	struct frame frame;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&cases[i], &frame);
		cr_expect_eq(run(program, frame.bytes, frame.length), cases[i].to_dataplane ? DROP : PASS,
			"%s, nobody listens", cases[i].name);
	}
	fd = socket_enter(object);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&cases[i], &frame);
		cr_expect_eq(run(program, frame.bytes, frame.length), cases[i].to_dataplane ? REDIRECT : PASS, "%s",
			cases[i].name);
	}
	(void)close(fd);
	bpf_object__close(object);
}

Test(steer, takes_every_frame_from_an_access_port_and_gives_none_to_the_kernel, .timeout = 30)
{
	struct bpf_program *program;
	struct bpf_object *object = object_load("steer_access", &program);
	struct frame frame;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&cases[i], &frame);
		cr_expect_eq(run(program, frame.bytes, frame.length), DROP, "%s, nobody listens", cases[i].name);
	}
	fd = socket_enter(object);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&cases[i], &frame);
		cr_expect_eq(run(program, frame.bytes, frame.length), REDIRECT, "%s", cases[i].name);
	}
	(void)close(fd);
	bpf_object__close(object);
}
