/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/denials.h"

#include <event2/event.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "control/audit.h"
#include "control/events.h"
#include "control/fence/cgroup.h"
#include "control/fence/fence.h"
#include "control/fence/told.h"
#include "control/link/link.h"
#include "control/methods/values.h"
#include "control/model/address.h"

enum { KINDS_MAX = 1024 };

/* What makes two denials the same. Zeroed before it is filled in, as it is compared byte by byte. */
struct kind {
	uint64_t revision, who; /* process or cgroup */
	uint32_t ifindex, vni;
	uint16_t port, peer;
	uint8_t place, verdict, protocol, reserved;
	struct pont_address destination;
	char command[16];
	uint32_t reserved2; /* kinds are compared as bytes: no padding */
};
_Static_assert(sizeof(struct kind) == 72, "no padding");

struct folded {
	struct kind kind;
	struct pont_fence_event last; /* of the kernel's */
	uint64_t packets;             /* since the last event about it */
	bool quiet;                   /* nothing came in the last period: forgotten after the next */
};

struct denials {
	struct control *control;
	struct event *timer;
	size_t count;
	struct folded folded[KINDS_MAX];
};

/* --- one event --- */

/* What the policy says of the destination; one of another revision cannot be asked why any more. */
static json_t *explained(const struct control *control, const struct kind *kind)
{
	struct fence_explanation explanation;
	char address[ADDRESS_TEXT_SIZE];

	fence_policy_explain(kind->revision != 0 ? control->policy : NULL, &kind->destination, &explanation);
	address_text(&kind->destination, address);
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:o}", "place", fence_place_name(kind->place),
		"verdict", fence_verdict_name(kind->verdict), "destination", address, "policy_revision",
		(json_int_t)kind->revision, "location", audit_text(explanation.location), "operator",
		audit_text(explanation.operator_name), "jurisdiction", audit_text(explanation.jurisdiction), "rule",
		explanation.rule, "text", audit_text(explanation.text));
}

static json_t *kernel_details(const struct control *control, const struct pont_fence_event *event)
{
	struct pont_address source = {.family = event->family};
	char interface[IF_NAMESIZE] = "", command[sizeof(event->command) + 1] = "", cgroup[CGROUP_PATH_SIZE] = "";
	char address[ADDRESS_TEXT_SIZE];

	memcpy(source.bytes, event->source, event->family == PONT_FAMILY_IPV4 ? 4 : 16);
	if (memcmp(source.bytes, (const uint8_t[16]){0}, 16) == 0)
		source.family = PONT_FAMILY_NONE;
	address_text(&source, address);
	memcpy(command, event->command, sizeof(event->command));
	(void)if_indextoname(event->ifindex, interface);
	cgroup_path_of(fence_cgroup(control->fence), event->cgroup, cgroup);
	return json_pack("{s:I, s:o, s:o, s:s, s:s, s:i, s:i, s:i, s:i}", "pid", (json_int_t)event->pid, "command",
		audit_text(command), "cgroup", audit_text(cgroup), "interface", interface, "source", address,
		"source_port", (int)event->source_port, "protocol", (int)event->protocol, "port", (int)event->port,
		"length", (int)event->length);
}

static json_t *dataplane_details(const struct control *control, const struct kind *kind)
{
	json_t *tenant = value_tenant_name(control, kind->vni), *peer = value_peer_name(control, kind->peer);
	json_t *details = json_object();

	if (json_is_string(tenant))
		(void)json_object_set(details, "tenant", tenant);
	if (json_is_string(peer))
		(void)json_object_set(details, "peer", peer);
	json_decref(tenant);
	json_decref(peer);
	return details;
}

static void publish(struct denials *denials, struct folded *folded)
{
	struct control *control = denials->control;
	bool kernel = folded->kind.place != PONT_PLACE_DATAPLANE;
	json_t *members = explained(control, &folded->kind);
	json_t *details = kernel ? kernel_details(control, &folded->last) : dataplane_details(control, &folded->kind);

	if (members != NULL && details != NULL) {
		(void)json_object_update(members, details);
		(void)json_object_set_new(members, "packets", json_integer((json_int_t)folded->packets));
	}
	json_decref(details);
	if (kernel)
		fence_told_add(control->fence, folded->kind.place, folded->kind.verdict, folded->packets);
	folded->packets = 0;
	events_publish(control->events, "fence.denied", members);
}

/* --- folding --- */

/* The place of this kind: a new one if need be, the longest quiet one's if all are taken; never NULL. */
static struct folded *find(struct denials *denials, const struct kind *kind)
{
	struct folded *found = NULL;

	for (size_t i = 0; i < denials->count; i++)
		if (memcmp(&denials->folded[i].kind, kind, sizeof(*kind)) == 0)
			return &denials->folded[i];
	if (denials->count < KINDS_MAX) {
		found = &denials->folded[denials->count++];
	} else {
		for (size_t i = 0; i < KINDS_MAX && (found == NULL || found->packets != 0); i++)
			if (found == NULL || denials->folded[i].packets < found->packets)
				found = &denials->folded[i];
		if (found->packets != 0)
			publish(denials, found);
	}
	memset(found, 0, sizeof(*found));
	found->kind = *kind;
	return found;
}

static void take(
	struct denials *denials, const struct kind *kind, const struct pont_fence_event *event, uint64_t packets)
{
	struct folded *folded = find(denials, kind);
	bool first = folded->last.time_ns == 0 && folded->packets == 0;

	if (event != NULL)
		folded->last = *event;
	else
		folded->last.time_ns = 1;
	folded->packets += packets;
	folded->quiet = false;
	if (first)
		publish(denials, folded);
}

void denials_kernel(struct denials *denials, const struct pont_fence_event *event)
{
	struct kind kind;

	if (event->place >= PONT_PLACE_COUNT || event->verdict >= PONT_VERDICT_COUNT)
		return;
	memset(&kind, 0, sizeof(kind));
	kind.revision = event->revision;
	kind.who = event->pid != 0 ? event->pid : event->cgroup;
	kind.ifindex = event->ifindex;
	kind.port = event->port;
	kind.place = event->place;
	kind.verdict = event->verdict;
	kind.protocol = event->protocol;
	kind.destination.family = event->family;
	if (event->family == PONT_FAMILY_IPV4 || event->family == PONT_FAMILY_IPV6)
		memcpy(kind.destination.bytes, event->destination, event->family == PONT_FAMILY_IPV4 ? 4 : 16);
	memcpy(kind.command, event->command, sizeof(kind.command));
	take(denials, &kind, event, 1);
}

void denials_dataplane(struct denials *denials, const struct pont_link_denied *denied)
{
	struct kind kind;

	memset(&kind, 0, sizeof(kind));
	kind.revision = denied->policy_revision;
	kind.vni = denied->vni;
	kind.peer = denied->peer;
	kind.place = PONT_PLACE_DATAPLANE;
	kind.verdict = denied->reason < PONT_VERDICT_COUNT ? (uint8_t)denied->reason : PONT_VERDICT_DENY;
	kind.destination = denied->destination;
	take(denials, &kind, NULL, denied->packets);
}

/* What the kernel's counters have and no event has told. */
static void publish_more(struct denials *denials)
{
	struct control *control = denials->control;
	struct fence_counters counters, told;
	struct error error;

	if (fence_counters_read(control->fence, &counters, &error) != 0 || fence_told_read(control->fence, &told) != 0)
		return;
	for (unsigned int place = 0; place < PONT_PLACE_COUNT; place++) {
		for (unsigned int verdict = PONT_VERDICT_DENY; verdict < PONT_VERDICT_COUNT; verdict++) {
			uint64_t counted = counters.packets[place][verdict], known = told.packets[place][verdict];

			/* An event may be told that was counted after the counters were read. */
			if (counted <= known)
				continue;
			fence_told_add(control->fence, place, verdict, counted - known);
			events_publish(control->events, "fence.denied_more",
				json_pack("{s:s, s:s, s:I}", "place", fence_place_name(place), "verdict",
					fence_verdict_name(verdict), "packets", (json_int_t)(counted - known)));
		}
	}
}

void denials_publish(struct denials *denials)
{
	size_t kept = 0;

	for (size_t i = 0; i < denials->count; i++) {
		struct folded *folded = &denials->folded[i];

		if (folded->packets != 0)
			publish(denials, folded);
		else if (folded->quiet)
			continue;
		else
			folded->quiet = true;
		denials->folded[kept++] = *folded;
	}
	denials->count = kept;
	publish_more(denials);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	denials_publish(context);
}

struct denials *denials_start(struct control *control, struct error *error)
{
	struct denials *denials = calloc(1, sizeof(*denials));
	struct timeval period = {.tv_sec = DENIALS_FOLD_S};

	if (denials != NULL) {
		denials->control = control;
		denials->timer = event_new(control->base, -1, EV_PERSIST, on_timer, denials);
	}
	if (denials == NULL || denials->timer == NULL || event_add(denials->timer, &period) != 0) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		if (denials != NULL && denials->timer != NULL)
			event_free(denials->timer);
		free(denials);
		return NULL;
	}
	return denials;
}

void denials_stop(struct denials *denials)
{
	if (denials == NULL)
		return;
	denials_publish(denials);
	event_free(denials->timer);
	free(denials);
}
