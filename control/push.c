/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/push.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "control/fence/fence.h"
#include "control/fence/switches.h"
#include "control/keys/keys.h"
#include "control/link/link.h"
#include "control/model/pointer.h"
#include "control/netlink/mirror.h"

/* Below this there is no room for a tenant's frames; IPv4's smallest is 576 (RFC 791). */
enum { PATH_MTU_MIN = 576 };

bool push_is_member(const struct control *control, uint32_t vni, uint16_t peer)
{
#ifdef PONT_MANUAL_KEYS
	for (size_t i = 0; i < control->lab_member_count; i++) {
		if (control->lab_members[i].vni == vni && control->lab_members[i].peer == peer)
			return true;
	}
#endif
	return keys_is_member(control->keys, vni, peer);
}

size_t push_followed(const struct control *control, const struct document *document, const struct document_peer *peer)
{
	const struct pont_address *source = &document->vtep[document_vtep_index(&peer->endpoint)];

	for (size_t i = 0; i < control->followed_count; i++) {
		if (memcmp(&control->followed[i].destination, &peer->endpoint, sizeof(peer->endpoint)) == 0 &&
			memcmp(&control->followed[i].source, source, sizeof(*source)) == 0)
			return i;
	}
	return SIZE_MAX;
}

int push_follow(struct control *control, const struct document *document, struct error *error)
{
	size_t count = document != NULL ? document->peer_count : 0;
	struct followed *followed = calloc(count + 1, sizeof(*followed));
	struct pont_address *sources = calloc(count + 1, sizeof(*sources));
	struct pont_address *destinations = calloc(count + 1, sizeof(*destinations));
	int result = -1;

	if (followed == NULL || sources == NULL || destinations == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		destinations[i] = document->peers[i].endpoint;
		sources[i] = document->vtep[document_vtep_index(&destinations[i])];
		followed[i] = (struct followed){.source = sources[i], .destination = destinations[i]};
	}
	result = mirror_follow(control->mirror, sources, destinations, count, error);
	if (result != 0)
		goto out;
	free(control->followed);
	control->followed = followed;
	control->followed_count = count;
	followed = NULL;
out:
	free(followed);
	free(sources);
	free(destinations);
	return result;
}

/* Number of the WAN port towards a peer: the one it names, or the one whose interface the route names. -1: none. */
static int wan_port(const struct pont_link_hello *hello, const struct document_peer *peer, uint32_t ifindex)
{
	for (int i = 0; i < hello->ports; i++) {
		if (hello->port[i].role != PONT_PORT_WAN)
			continue;
		if (peer->wan_port[0] != '\0' ? strcmp(hello->port[i].name, peer->wan_port) == 0
					      : hello->port[i].ifindex == ifindex)
			return i;
	}
	return -1;
}

/* The outer header towards a peer, as far as it is known now; peer 0 in the result: it is not. */
static void find_adjacency(const struct control *control, const struct document *document,
	const struct document_peer *peer, struct pont_link_adjacency *out)
{
	const struct pont_link_hello *hello = link_hello(control->link);
	size_t followed = push_followed(control, document, peer);
	struct mirror_next_hop hop;
	int port;

	memset(out, 0, sizeof(*out));
	if (followed == SIZE_MAX)
		return;
	mirror_next_hop(control->mirror, followed, &hop);
	port = hop.state == MIRROR_RESOLVED ? wan_port(hello, peer, hop.ifindex) : -1;
	if (port < 0)
		return;
	out->path_mtu = hop.mtu < hello->port[port].mtu ? hop.mtu : hello->port[port].mtu;
	if (out->path_mtu < PATH_MTU_MIN)
		return;
	if (out->path_mtu > UINT16_MAX)
		out->path_mtu = UINT16_MAX;
	out->peer = peer->number;
	out->port = (uint16_t)port;
	memcpy(out->source_mac, hop.source_mac, sizeof(out->source_mac));
	memcpy(out->destination_mac, hop.destination_mac, sizeof(out->destination_mac));
	out->source = document->vtep[document_vtep_index(&peer->endpoint)];
	out->destination = peer->endpoint;
}

static bool has_bit(const uint8_t *bits, unsigned int number)
{
	return (bits[number / 8] >> number % 8 & 1) != 0;
}

static void picture_free(struct picture *picture)
{
	free(picture->members);
	free(picture);
}

/* What adjacencies and members the dataplane should have. */
static struct picture *picture_make(const struct control *control, const struct document *document, struct error *error)
{
	struct picture *picture = calloc(1, sizeof(*picture));

	if (picture != NULL)
		picture->members = calloc(document != NULL ? document->tenant_count + 1 : 1, sizeof(*picture->members));
	if (picture == NULL || picture->members == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		free(picture);
		return NULL;
	}
	if (document == NULL)
		return picture;
	for (size_t i = 0; i < document->peer_count; i++) {
		const struct document_peer *peer = &document->peers[i];

		find_adjacency(control, document, peer, &picture->adjacency[peer->number]);
	}
	for (size_t i = 0; i < document->tenant_count; i++) {
		const struct document_tenant *tenant = &document->tenants[i];

		for (size_t j = 0; j < tenant->peer_count; j++) {
			uint16_t number = document->peers[tenant->peers[j]].number;

			if (push_is_member(control, tenant->vni, number))
				picture->members[i][number / 8] |= (uint8_t)(1u << number % 8);
		}
	}
	return picture;
}

static void picture_take(struct control *control, struct picture *picture)
{
	free(control->picture.members);
	control->picture = *picture;
	free(picture);
}

void push_forget(struct control *control)
{
	free(control->picture.members);
	memset(&control->picture, 0, sizeof(control->picture));
}

/*
 * A way through the messages of a transaction, twice if need be: first to send them; and if the dataplane refuses one
 * by its number, once more (link NULL) to find out what it stood for in the document.
 */
struct passage {
	struct link *link;
	uint32_t number; /* of the last message */
	uint32_t wanted;
	char *place; /* of the message wanted */
	size_t place_size;
};

static void emit(struct passage *passage, enum pont_link_type type, void *message, size_t length, int fd,
	const struct pointer *at)
{
	passage->number++;
	if (passage->link != NULL)
		link_send(passage->link, type, message, (uint16_t)length, fd);
	else if (passage->number == passage->wanted)
		pointer_text(at, passage->place, passage->place_size);
}

/* A policy never comes without the switches: who has the one can be locked by the other. */
static void emit_policy(struct passage *passage, int switches_fd, const struct fence_policy *policy)
{
	struct pointer at = pointer_name(NULL, "fence");
	struct pont_link_switches switches = {.size = FENCE_SWITCHES_SIZE};
	struct pont_link_fence message;

	if (policy == NULL)
		return;
	emit(passage, PONT_LINK_SWITCHES_SET, &switches, sizeof(switches), switches_fd, &at);
	message = (struct pont_link_fence){
		.policy_revision = fence_policy_revision(policy), .size = fence_policy_size(policy)};
	emit(passage, PONT_LINK_FENCE_SET, &message, sizeof(message), fence_policy_fd(policy), &at);
}

/* Number of a port by name; hello has it (check_ports()). */
static uint16_t port_number(const struct pont_link_hello *hello, const char *name)
{
	uint16_t number = 0;

	while (number < hello->ports && strcmp(hello->port[number].name, name) != 0)
		number++;
	return number;
}

static int check_ports(const struct document *document, const struct pont_link_hello *hello, struct error *error)
{
	for (size_t i = 0; i < document->tenant_count; i++) {
		const struct document_tenant *tenant = &document->tenants[i];

		for (size_t j = 0; j < tenant->circuit_count; j++) {
			char place[96];

			(void)snprintf(place, sizeof(place), "/tenants/%zu/circuits/%zu/port", i, j);
			if (port_number(hello, tenant->circuits[j].port) == hello->ports)
				return error_set(error, ENOENT, place, "the dataplane has no port \"%s\"",
					tenant->circuits[j].port);
		}
	}
	return 0;
}

static void emit_tenant(struct passage *passage, const struct pont_link_hello *hello,
	const struct document_tenant *tenant, const struct pointer *at)
{
	struct pont_link_tenant message = {
		.vni = tenant->vni, .mac_limit = tenant->mac_limit, .mac_ageing_s = tenant->mac_ageing_s};
	struct pointer circuits = pointer_name(at, "circuits");

	memcpy(message.name, tenant->name, sizeof(message.name));
	emit(passage, PONT_LINK_TENANT_SET, &message, sizeof(message), -1, at);
	for (size_t i = 0; i < tenant->circuit_count; i++) {
		struct pont_link_circuit circuit = {.port = port_number(hello, tenant->circuits[i].port),
			.vlan = tenant->circuits[i].vlan,
			.vni = tenant->vni};
		struct pointer here = pointer_index(&circuits, i);

		emit(passage, PONT_LINK_CIRCUIT_SET, &circuit, sizeof(circuit), -1, &here);
	}
}

static void emit_peer(struct passage *passage, const struct document_peer *peer,
	const struct pont_link_adjacency *adjacency, const struct pointer *at)
{
	struct pont_link_peer message = {.peer = peer->number};
	struct pont_link_adjacency copy = *adjacency;

	memcpy(message.name, peer->name, sizeof(message.name));
	emit(passage, PONT_LINK_PEER_SET, &message, sizeof(message), -1, at);
	if (adjacency->peer != 0)
		emit(passage, PONT_LINK_ADJACENCY_SET, &copy, sizeof(copy), -1, at);
}

static void emit_members(struct passage *passage, const struct document_tenant *tenant, const uint8_t *members,
	const uint8_t *known, const struct pointer *at)
{
	for (unsigned int number = 1; number <= PONT_PEERS_MAX; number++) {
		struct pont_link_member message = {.vni = tenant->vni, .peer = (uint16_t)number};

		if (has_bit(members, number) && (known == NULL || !has_bit(known, number)))
			emit(passage, PONT_LINK_MEMBER_SET, &message, sizeof(message), -1, at);
	}
}

static void emit_all(struct passage *passage, const struct pont_link_hello *hello, int switches_fd,
	const struct document *document, const struct fence_policy *policy, const struct picture *picture)
{
	struct pointer site = pointer_name(NULL, "site"), peers = pointer_name(NULL, "peers");
	struct pointer tenants = pointer_name(NULL, "tenants");
	struct pont_link_site message = {0};

	emit_policy(passage, switches_fd, policy);
	if (document == NULL)
		return;
	message.vtep4 = document->vtep[0];
	message.vtep6 = document->vtep[1];
	emit(passage, PONT_LINK_SITE_SET, &message, sizeof(message), -1, &site);
	for (size_t i = 0; i < document->peer_count; i++) {
		struct pointer at = pointer_index(&peers, i);

		emit_peer(passage, &document->peers[i], &picture->adjacency[document->peers[i].number], &at);
	}
	for (size_t i = 0; i < document->tenant_count; i++) {
		struct pointer at = pointer_index(&tenants, i);

		emit_tenant(passage, hello, &document->tenants[i], &at);
		emit_members(passage, &document->tenants[i], picture->members[i], NULL, &at);
	}
}

int push_all(struct control *control, const struct document *document, const struct fence_policy *policy,
	struct error *error)
{
	const struct pont_link_hello *hello = link_hello(control->link);
	const int switches_fd = fence_switches_fd(control->fence);
	struct passage passage = {.link = control->link};
	struct picture *picture;

	if (hello == NULL)
		return error_set(error, ENOTCONN, NULL, "the dataplane is not connected");
	if (document != NULL && check_ports(document, hello, error) != 0)
		return -1;
	picture = picture_make(control, document, error);
	if (picture == NULL)
		return -1;
	link_begin(control->link, PONT_BEGIN_FULL);
	emit_all(&passage, hello, switches_fd, document, policy, picture);
	if (link_commit(control->link, error) != 0) {
		struct passage again = {.wanted = link_refused_message(control->link),
			.place = error->pointer,
			.place_size = sizeof(error->pointer)};

		if (link_hello(control->link) != NULL)
			emit_all(&again, hello, switches_fd, document, policy, picture);
		picture_free(picture);
		return -1;
	}
	picture_take(control, picture);
	return 0;
}

int push_policy(struct control *control, const struct fence_policy *policy, struct error *error)
{
	struct passage passage = {.link = control->link};

	link_begin(control->link, 0);
	emit_policy(&passage, fence_switches_fd(control->fence), policy);
	return link_commit(control->link, error);
}

int push_shadow(struct control *control, const struct fence_policy *candidate, struct error *error)
{
	struct pont_link_shadow message = {0};

	if (candidate != NULL)
		message = (struct pont_link_shadow){
			.policy_revision = fence_policy_revision(candidate), .size = fence_policy_size(candidate)};
	link_begin(control->link, 0);
	link_send(control->link, PONT_LINK_SHADOW_SET, &message, sizeof(message),
		candidate != NULL ? fence_policy_fd(candidate) : -1);
	return link_commit(control->link, error);
}

/* What has to be done to get from one picture to the other. */
enum difference { SAME, ADDED, REMOVED };

static enum difference compare(const struct picture *now, const struct picture *wanted, size_t tenants)
{
	enum difference difference = SAME;

	for (size_t i = 1; i <= PONT_PEERS_MAX; i++) {
		if (now->adjacency[i].peer != 0 && wanted->adjacency[i].peer == 0)
			return REMOVED;
		if (memcmp(&now->adjacency[i], &wanted->adjacency[i], sizeof(now->adjacency[i])) != 0)
			difference = ADDED;
	}
	for (size_t i = 0; i < tenants; i++) {
		for (size_t j = 0; j < sizeof(now->members[i]); j++) {
			if ((now->members[i][j] & ~wanted->members[i][j]) != 0)
				return REMOVED;
			if (now->members[i][j] != wanted->members[i][j])
				difference = ADDED;
		}
	}
	return difference;
}

static int push_added(struct control *control, const struct picture *wanted, struct error *error)
{
	const struct document *document = control->document;
	struct passage passage = {.link = control->link};
	struct pointer nowhere = pointer_name(NULL, "peers");

	link_begin(control->link, 0);
	for (size_t i = 1; i <= PONT_PEERS_MAX; i++) {
		struct pont_link_adjacency adjacency = wanted->adjacency[i];

		if (adjacency.peer != 0 && memcmp(&adjacency, &control->picture.adjacency[i], sizeof(adjacency)) != 0)
			emit(&passage, PONT_LINK_ADJACENCY_SET, &adjacency, sizeof(adjacency), -1, &nowhere);
	}
	for (size_t i = 0; i < document->tenant_count; i++)
		emit_members(
			&passage, &document->tenants[i], wanted->members[i], control->picture.members[i], &nowhere);
	return link_commit(control->link, error);
}

int push_sync(struct control *control, struct error *error)
{
	struct picture *wanted;
	int result = 0;

	if (link_hello(control->link) == NULL || !control->dataplane_in_force || control->document == NULL)
		return 0;
	wanted = picture_make(control, control->document, error);
	if (wanted == NULL)
		return -1;
	switch (compare(&control->picture, wanted, control->document->tenant_count)) {
	case SAME:
		break;
	case ADDED:
		result = push_added(control, wanted, error);
		if (result != 0)
			break;
		picture_take(control, wanted);
		return 0;
	case REMOVED: /* only a FULL transaction takes something away */
		result = push_all(control, control->document, NULL, error);
		break;
	}
	picture_free(wanted);
	return result;
}

void push_sync_later(struct control *control)
{
	event_active(control->sync, EV_TIMEOUT, 0);
}
