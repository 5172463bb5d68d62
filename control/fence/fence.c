/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/fence.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <event2/event.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/fence/cgroup.h"
#include "control/fence/interface.h"
#include "control/fence/new_links.h"
#include "control/fence/on_link.h"
#include "control/fence/pins.h"
#include "control/fence/programs.h"
#include "control/fence/skeleton.h"
#include "control/fence/switches.h"

struct fence {
	struct fence_callbacks callbacks;
	char *cgroup;
	int cgroup_fd;
	struct egress_fence *programs;
	struct on_link *on_link;
	struct new_links *new_links;
	struct pont_fence_switches *switches; /* mapped */
	struct ring_buffer *ring;
	struct event *event;
	uint32_t *interfaces; /* numbers of those that k1 guards */
	size_t interface_count;
};

static int on_denied(void *context, void *data, size_t size)
{
	const struct fence *fence = context;

	if (size >= sizeof(struct pont_fence_event))
		fence->callbacks.denied(fence->callbacks.context, data);
	return 0;
}

static void on_events(evutil_socket_t fd, short what, void *context)
{
	struct fence *fence = context;

	(void)fd, (void)what;
	(void)ring_buffer__consume(fence->ring);
}

static int events_open(struct fence *fence, struct event_base *base, struct error *error)
{
	fence->ring = ring_buffer__new(bpf_map__fd(fence->programs->maps.events), on_denied, fence, NULL);
	if (!fence->ring)
		return error_set(error, errno, NULL, "fence: ring of denials: %s", strerror(errno));
	fence->event = event_new(base, ring_buffer__epoll_fd(fence->ring), EV_READ | EV_PERSIST, on_events, fence);
	if (!fence->event || event_add(fence->event, NULL))
		return error_set(error, ENOMEM, NULL, "fence: event of the ring of denials");
	return 0;
}

static int switches_map(struct fence *fence, struct error *error)
{
	const int fd = bpf_map__fd(fence->programs->maps.switches);
	void *mapped = mmap(NULL, FENCE_SWITCHES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		return error_set(error, errno, NULL, "fence: mapping the switches: %s", strerror(errno));
	fence->switches = mapped;
	return 0;
}

static bool is_guarded(const struct fence *fence, uint32_t ifindex)
{
	for (size_t i = 0; i < fence->interface_count; i++)
		if (fence->interfaces[i] == ifindex)
			return true;
	return false;
}

/* Notes that an interface is guarded, which was not. */
static int interface_enter(struct fence *fence, uint32_t ifindex, struct error *error)
{
	uint32_t *grown = reallocarray(fence->interfaces, fence->interface_count + 1, sizeof(*grown));

	if (!grown)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	fence->interfaces = grown;
	fence->interfaces[fence->interface_count++] = ifindex;
	return 0;
}

/* Puts k1 there; *needless: nothing leaves the machine by it. */
static int filter_attach(
	const struct fence *fence, uint32_t ifindex, const char *name, bool *needless, struct error *error)
{
	const struct bpf_program *programs[INTERFACE_KINDS] = {
		[INTERFACE_ETHERNET] = fence->programs->progs.egress_ethernet,
		[INTERFACE_IP] = fence->programs->progs.egress_ip,
		[INTERFACE_CLOSED] = fence->programs->progs.egress_closed,
	};
	char current[IF_NAMESIZE];
	enum interface_kind kind;

	/* The name may have passed to another interface meanwhile; the number never does. */
	if (!if_indextoname(ifindex, current))
		return error_set(error, ENODEV, NULL, "fence: interface %s (number %u) is gone", name, ifindex);
	if (interface_kind(current, &kind, error))
		return -1;
	*needless = kind == INTERFACE_LOOPBACK;
	return *needless ? 0 : interface_attach(ifindex, current, bpf_program__fd(programs[kind]), error);
}

/* Guards every interface there is now; one that disappears meanwhile needs no guard. */
static int interfaces_attach(struct fence *fence, struct error *error)
{
	struct if_nameindex *all = if_nameindex(), *one;
	int result = 0;

	if (!all)
		return error_set(error, errno, NULL, "fence: list of interfaces: %s", strerror(errno));
	for (one = all; one->if_index && !result; one++) {
		bool needless = false;

		if (filter_attach(fence, one->if_index, one->if_name, &needless, error))
			result = error->code == ENODEV ? 0 : -1;
		else if (!needless)
			result = interface_enter(fence, one->if_index, error);
	}
	if_freenameindex(all);
	return result;
}

static int close_new_interfaces(struct fence *fence, struct error *error)
{
	return new_links_make(fence->new_links, fence->interfaces, fence->interface_count, error);
}

static void on_touched(void *context)
{
	struct fence *fence = context;
	struct error error = {0};

	(void)close_new_interfaces(fence, &error);
	if (fence->callbacks.touched)
		fence->callbacks.touched(fence->callbacks.context, &error);
}

struct fence *fence_start(struct event_base *base, const struct fence_options *options,
	const struct fence_callbacks *callbacks, struct error *error)
{

	struct fence *fence = calloc(1, sizeof(*fence));
	const struct new_links_callbacks new_links_callbacks = {.context = fence, .touched = on_touched};
	uint64_t cgroup_id;

	if (!fence) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return NULL;
	}
	fence->callbacks = *callbacks;
	fence->cgroup_fd = cgroup_open(options->cgroup, &fence->cgroup, &cgroup_id, error);
	if (fence->cgroup_fd < 0 || pins_open(options->pin_directory, error))
		goto undo;
	fence->programs = programs_load(options->pin_directory, error);
	if (!fence->programs)
		goto undo;
	if (switches_map(fence, error))
		goto undo;
	fence->on_link = on_link_start(base, bpf_map__fd(fence->programs->maps.on_link), error);
	if (!fence->on_link || events_open(fence, base, error))
		goto undo;
	fence->new_links = new_links_start(base, options->close_new_interfaces, &new_links_callbacks, error);
	if (!fence->new_links)
		goto undo;
	if (programs_guard_cgroup(fence->programs, options->pin_directory, fence->cgroup_fd, cgroup_id, error) ||
		interfaces_attach(fence, error) || close_new_interfaces(fence, error))
		goto undo;
	return fence;
undo:
	/* What is attached by now stays: a fence that is half up denies, it does not open. */
	fence_stop(fence);
	return NULL;
}

void fence_stop(struct fence *fence)
{
	if (!fence)
		return;
	if (fence->event)
		event_free(fence->event);
	ring_buffer__free(fence->ring);
	on_link_stop(fence->on_link);
	new_links_stop(fence->new_links);
	if (fence->switches)
		(void)munmap(fence->switches, FENCE_SWITCHES_SIZE);
	programs_close(fence->programs);
	if (fence->cgroup_fd >= 0)
		(void)close(fence->cgroup_fd);
	free(fence->cgroup);
	free(fence->interfaces);
	free(fence);
}

int fence_interface_attach(struct fence *fence, uint32_t ifindex, const char *name, struct error *error)
{
	bool needless = false;

	if (filter_attach(fence, ifindex, name, &needless, error))
		return -1;
	if (needless || is_guarded(fence, ifindex))
		return 0;
	/* Not before the filter stands. */
	return new_links_admit(fence->new_links, ifindex, error) ? -1 : interface_enter(fence, ifindex, error);
}

int fence_interface_gone(struct fence *fence, uint32_t ifindex, struct error *error)
{
	size_t i, kept = 0;

	for (i = 0; i < fence->interface_count; i++)
		if (fence->interfaces[i] != ifindex)
			fence->interfaces[kept++] = fence->interfaces[i];
	if (kept == fence->interface_count)
		return 0;
	fence->interface_count = kept;
	return new_links_dismiss(fence->new_links, ifindex, error);
}

int fence_new_interfaces(
	const struct fence *fence, struct fence_new_interfaces out[FENCE_NEW_INTERFACES_KINDS], struct error *error)
{
	static const char *const names[] = {
		[NEW_LINKS_IP] = "ip", [NEW_LINKS_BRIDGE] = "bridge", [NEW_LINKS_FRAMES] = "frames"};
	_Static_assert((int)FENCE_NEW_INTERFACES_KINDS == (int)NEW_LINKS_KINDS, "one entry for each kind");

	for (enum new_links_kind kind = 0; kind < NEW_LINKS_KINDS; kind++) {
		out[kind].kind = names[kind];
		out[kind].missing = new_links_missing(fence->new_links, kind);
		if (new_links_dropped(fence->new_links, kind, &out[kind].dropped, error))
			return -1;
	}
	return 0;
}

int fence_publish(struct fence *fence, const struct fence_policy *policy, struct error *error)
{
	const int fd = fence_policy_fd(policy);
	const uint32_t zero = 0;

	/* The kernel returns when no program can still be using the old one. */
	if (bpf_map_update_elem(bpf_map__fd(fence->programs->maps.policy), &zero, &fd, BPF_ANY))
		return error_set(error, errno, NULL, "fence: publishing policy revision %llu: %s",
			(unsigned long long)fence_policy_revision(policy), strerror(errno));
	return 0;
}

uint64_t fence_revision(const struct fence *fence)
{
	return programs_policy_revision(fence->programs);
}

int fence_counters_read(const struct fence *fence, struct fence_counters *out, struct error *error)
{
	const int map = bpf_map__fd(fence->programs->maps.counters), cpus = libbpf_num_possible_cpus();
	uint32_t index;
	uint64_t *values;
	int cpu, result = -1;

	memset(out, 0, sizeof(*out));
	if (cpus < 0)
		return error_set(error, -cpus, NULL, "fence: number of CPUs: %s", strerror(-cpus));
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	for (index = 0; index < PONT_PLACE_COUNT * PONT_VERDICT_COUNT; index++) {
		if (bpf_map_lookup_elem(map, &index, values)) {
			(void)error_set(error, errno, NULL, "fence: reading counters: %s", strerror(errno));
			goto out;
		}
		for (cpu = 0; cpu < cpus; cpu++)
			out->packets[index / PONT_VERDICT_COUNT][index % PONT_VERDICT_COUNT] += values[cpu];
	}
	result = 0;
out:
	free(values);
	return result;
}

void fence_interfaces(
	const struct fence *fence, void (*visit)(void *context, uint32_t ifindex, const char *name), void *context)
{
	char name[IF_NAMESIZE];
	size_t i;

	for (i = 0; i < fence->interface_count; i++)
		if (if_indextoname(fence->interfaces[i], name))
			visit(context, fence->interfaces[i], name);
}

int fence_map(const struct fence *fence, const char *name)
{
	return bpf_object__find_map_fd_by_name(fence->programs->obj, name);
}

struct pont_fence_switches *fence_switches(const struct fence *fence)
{
	return fence->switches;
}

const char *fence_cgroup(const struct fence *fence)
{
	return fence->cgroup;
}

int fence_remove(const struct fence_options *options, struct error *error)
{
	struct if_nameindex *all = if_nameindex(), *one;
	int result = 0;

	if (!all)
		return error_set(error, errno, NULL, "fence: list of interfaces: %s", strerror(errno));
	for (one = all; one->if_index; one++)
		if (interface_detach(one->if_index, one->if_name, error))
			result = -1;
	if_freenameindex(all);
	if (new_links_remove(error))
		result = -1;
	/* A link goes with its pin, and its program and maps with the last link. */
	if (pins_remove(options->pin_directory, error))
		result = -1;
	return result;
}
