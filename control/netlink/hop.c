/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/hop.h"

#include <stdlib.h>
#include <string.h>

#include "control/netlink/request.h"
#include "control/netlink/route.h"

static bool same_neighbour(const struct neighbour *a, const struct neighbour *b)
{
	return a->ifindex == b->ifindex && request_same_address(&a->address, &b->address);
}

static struct hop_neighbour *find_neighbour(
	struct hop_neighbour *neighbours, size_t count, const struct neighbour *neighbour)
{
	for (size_t i = 0; i < count; i++)
		if (same_neighbour(&neighbours[i].now, neighbour))
			return &neighbours[i];
	return NULL;
}

bool hops_need(const struct hops *hops, const struct neighbour *neighbour)
{
	return find_neighbour(hops->neighbours, hops->neighbour_count, neighbour);
}

static const struct hop_target *find_target(
	const struct hops *hops, const struct pont_address *source, const struct pont_address *destination)
{
	for (size_t i = 0; i < hops->count; i++)
		if (request_same_address(&hops->targets[i].source, source) &&
			request_same_address(&hops->targets[i].destination, destination))
			return &hops->targets[i];
	return NULL;
}

int hops_follow(struct hops *hops, const struct pont_address *sources, const struct pont_address *destinations,
	size_t count, struct error *error)
{
	/* Neighbours in use stand in the array until hops_refresh() has let go of them. */
	size_t places = count > hops->neighbour_count ? count : hops->neighbour_count;
	struct hop_neighbour *neighbours;
	struct hop_target *targets;

	targets = calloc(count + 1, sizeof(*targets));
	neighbours = calloc(places + 1, sizeof(*neighbours));
	if (!targets || !neighbours) {
		free(targets);
		free(neighbours);
		return error_set(error, ENOMEM, NULL, "netlink: out of memory for %zu destinations", count);
	}
	for (size_t i = 0; i < count; i++) {
		const struct hop_target *old = find_target(hops, &sources[i], &destinations[i]);

		targets[i].source = sources[i];
		targets[i].destination = destinations[i];
		if (old)
			targets[i].next = old->next;
	}
	if (hops->neighbour_count)
		memcpy(neighbours, hops->neighbours, hops->neighbour_count * sizeof(*neighbours));
	free(hops->targets);
	free(hops->neighbours);
	hops->targets = targets;
	hops->neighbours = neighbours;
	hops->count = count;
	return 0;
}

/* Brings the neighbour into the state in which the kernel keeps it resolved, and reads it. */
static int keep_neighbour(
	struct hop_neighbour *neighbour, struct request *request, enum hop_effort effort, struct error *error)
{
	uint32_t ifindex = neighbour->now.ifindex;
	struct pont_address address = neighbour->now.address;
	struct neighbour *now = &neighbour->now;

	if (neighbour_ask(request, ifindex, &address, now, error) < 0)
		return -1;
	if (now->present && now->permanent)
		return 0;
	if (!neighbour->unmanaged) {
		if (now->present && now->managed && !(now->failed && effort >= HOP_RETRY))
			return 0;
		/* Before Linux 5.16 the flag is refused, or ignored without a word. */
		if (neighbour_manage(request, ifindex, &address, error) < 0) {
			if (request_failed(error))
				return -1;
			now->managed = false;
		} else if (neighbour_ask(request, ifindex, &address, now, error) < 0) {
			return -1;
		}
		if (now->managed)
			return 0;
		neighbour->unmanaged = true;
		effort = HOP_RENEW;
	}
	if (effort < HOP_RENEW && !(effort >= HOP_RETRY && (!now->present || now->failed)))
		return 0;
	if (neighbour_use(request, ifindex, &address, error) < 0)
		return -1;
	return neighbour_ask(request, ifindex, &address, now, error);
}

/* Everything of the next hop but the neighbour. Returns false if there is no way. */
static bool describe_route(const struct route *route, const struct interfaces *interfaces, struct mirror_next_hop *next)
{
	const struct interface *interface;

	memset(next, 0, sizeof(*next));
	next->state = MIRROR_UNREACHABLE;
	if (!route->reachable)
		return false;
	interface = interfaces_find(interfaces, route->ifindex);
	if (!interface || !interface->up || !interface->ethernet)
		return false;
	next->state = MIRROR_UNRESOLVED;
	next->ifindex = route->ifindex;
	next->mtu = route->mtu && route->mtu < interface->mtu ? route->mtu : interface->mtu;
	next->via = route->via;
	memcpy(next->source_mac, interface->mac, sizeof(next->source_mac));
	return true;
}

/* One round of asking. The neighbours needed are collected anew, each is asked for once. */
struct round {
	struct hops *hops;
	struct request *request;
	const struct interfaces *interfaces;
	enum hop_effort effort;
	struct hop_neighbour *needed;
	size_t needed_count;
};

static struct hop_neighbour *need(struct round *round, const struct neighbour *wanted, bool *first)
{
	struct hop_neighbour *neighbour = find_neighbour(round->needed, round->needed_count, wanted);
	const struct hop_neighbour *old;

	*first = !neighbour;
	if (neighbour)
		return neighbour;
	neighbour = &round->needed[round->needed_count++];
	old = find_neighbour(round->hops->neighbours, round->hops->neighbour_count, wanted);
	if (old)
		*neighbour = *old;
	else
		neighbour->now = *wanted;
	return neighbour;
}

static int ask_target(struct round *round, struct hop_target *target, struct error *error)
{
	struct hop_neighbour *neighbour;
	struct mirror_next_hop next;
	struct neighbour wanted = {0};
	struct route route;
	bool first;
	int result = 0;

	if (route_ask(round->request, &target->source, &target->destination, &route, error) < 0) {
		/* The answer stays, and so must its neighbour. */
		wanted.ifindex = target->next.ifindex;
		wanted.address = target->next.via;
		if (target->next.state != MIRROR_UNREACHABLE)
			(void)need(round, &wanted, &first);
		return -1;
	}
	if (!describe_route(&route, round->interfaces, &next)) {
		target->next = next;
		return 0;
	}
	wanted.ifindex = next.ifindex;
	wanted.address = next.via;
	neighbour = need(round, &wanted, &first);
	if (first)
		result = keep_neighbour(neighbour, round->request, round->effort, error);
	if (neighbour->now.present && neighbour->now.resolved) {
		next.state = MIRROR_RESOLVED;
		memcpy(next.destination_mac, neighbour->now.mac, sizeof(next.destination_mac));
	} else {
		round->hops->unsettled = true;
	}
	target->next = next;
	return result;
}

static bool same_next_hop(const struct mirror_next_hop *a, const struct mirror_next_hop *b)
{
	return a->state == b->state && a->ifindex == b->ifindex && a->mtu == b->mtu &&
	       request_same_address(&a->via, &b->via) &&
	       memcmp(a->source_mac, b->source_mac, sizeof(a->source_mac)) == 0 &&
	       memcmp(a->destination_mac, b->destination_mac, sizeof(a->destination_mac)) == 0;
}

int hops_refresh(struct hops *hops, struct request *request, const struct interfaces *interfaces,
	enum hop_effort effort, bool *changed, struct error *error)
{
	struct round round = {.hops = hops, .request = request, .interfaces = interfaces, .effort = effort};
	struct error first_error = {0}, another;
	int result = 0;

	*changed = false;
	hops->unsettled = false;
	round.needed = calloc(hops->count + 1, sizeof(*round.needed));
	if (!round.needed) {
		hops->unsettled = true;
		return error_set(error, ENOMEM, NULL, "netlink: out of memory for neighbours");
	}
	for (size_t i = 0; i < hops->count; i++) {
		struct mirror_next_hop before = hops->targets[i].next;

		if (ask_target(&round, &hops->targets[i], result ? &another : &first_error) < 0)
			result = -1;
		if (!same_next_hop(&before, &hops->targets[i].next))
			*changed = true;
	}
	for (size_t i = 0; i < hops->neighbour_count; i++) {
		const struct neighbour *old = &hops->neighbours[i].now;

		if (!find_neighbour(round.needed, round.needed_count, old) &&
			neighbour_remove(request, old->ifindex, &old->address, result ? &another : &first_error) < 0)
			result = -1;
	}
	free(hops->neighbours);
	hops->neighbours = round.needed;
	hops->neighbour_count = round.needed_count;
	if (result < 0) {
		hops->unsettled = true;
		*error = first_error;
	}
	return result;
}

/* Neighbours found in a dump; they are removed after it, as the socket answers one question at a time. */
struct sweep {
	const struct hops *hops;
	struct neighbour *left;
	size_t count;
	size_t capacity;
	bool out_of_memory;
};

static void collect(void *context, const struct neighbour *neighbour)
{
	struct sweep *sweep = context;

	if (neighbour->protocol != NEIGHBOUR_PROTOCOL || hops_need(sweep->hops, neighbour))
		return;
	if (sweep->count == sweep->capacity) {
		size_t capacity = sweep->capacity ? 2 * sweep->capacity : 16;
		struct neighbour *left = reallocarray(sweep->left, capacity, sizeof(*left));

		if (!left) {
			sweep->out_of_memory = true;
			return;
		}
		sweep->left = left;
		sweep->capacity = capacity;
	}
	sweep->left[sweep->count++] = *neighbour;
}

int hops_sweep(const struct hops *hops, struct request *request, struct error *error)
{
	struct sweep sweep = {.hops = hops};
	int result = neighbour_dump(request, collect, &sweep, error);

	if (sweep.out_of_memory)
		result = error_set(error, ENOMEM, NULL, "netlink: out of memory for neighbours");
	for (size_t i = 0; i < sweep.count && result == 0; i++)
		result = neighbour_remove(request, sweep.left[i].ifindex, &sweep.left[i].address, error);
	free(sweep.left);
	return result;
}

void hops_release(struct hops *hops, struct request *request)
{
	struct error error;

	for (size_t i = 0; i < hops->neighbour_count; i++)
		(void)neighbour_remove(
			request, hops->neighbours[i].now.ifindex, &hops->neighbours[i].now.address, &error);
	free(hops->targets);
	free(hops->neighbours);
	memset(hops, 0, sizeof(*hops));
}
