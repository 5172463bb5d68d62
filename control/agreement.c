/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/agreement.h"

#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/audit.h"
#include "control/events.h"
#include "control/link/link.h"
#include "control/methods/values.h"
#include "control/push.h"
#include "control/revocation.h"

/* Between two summaries of what became of the SAs, in the audit log. */
enum { SA_SUMMARY_S = 60 };

_Static_assert((int)CONTROL_SA_STEPS == (int)KEYS_SESSION_STARTED, "steps of SAs come first");
_Static_assert((int)DOCUMENT_KEY_SIZE == (int)KEYS_PUBLIC_SIZE && (int)DOCUMENT_KEY_SIZE == (int)KEYS_PSK_SIZE,
	"one size of keys");

static bool is_revoked(const struct control *control, uint32_t vni, const struct document_peer *peer)
{
	const struct revoked what = {.vni = vni, .public_key = peer != NULL ? peer->public_key : NULL};

	return revocation_covers(control->revocation, &what);
}

static bool has_peer(const struct document *document, const struct document_peer *peer)
{
	const struct document_peer *same = document_peer_by_number(document, peer->number);

	return same != NULL && memcmp(same->public_key, peer->public_key, DOCUMENT_KEY_SIZE) == 0;
}

static void fill_peers(const struct control *control, const struct document *document, const struct document *only,
	struct keys_peer_config *peers, size_t *count)
{
	for (size_t i = 0; i < document->peer_count; i++) {
		const struct document_peer *peer = &document->peers[i];
		struct keys_peer_config *config = &peers[*count];

		if ((only != NULL && !has_peer(only, peer)) || is_revoked(control, 0, peer))
			continue;
		*config = (struct keys_peer_config){.peer = peer->number,
			.name = peer->name,
			.endpoint = peer->endpoint,
			.port = peer->keys_port,
			.psk = peer->psk};
		memcpy(config->public_key, peer->public_key, sizeof(config->public_key));
		(*count)++;
	}
}

/* numbers: room for the peers of all tenants. */
static void fill_tenants(const struct control *control, const struct document *document, const struct document *only,
	struct keys_tenant_config *tenants, size_t *count, uint16_t *numbers)
{
	for (size_t i = 0; i < document->tenant_count; i++) {
		const struct document_tenant *tenant = &document->tenants[i];
		struct keys_tenant_config *config = &tenants[*count];

		if ((only != NULL && document_tenant_by_vni(only, tenant->vni) == NULL) ||
			is_revoked(control, tenant->vni, NULL))
			continue;
		*config = (struct keys_tenant_config){.vni = tenant->vni, .psk = tenant->psk, .peers = numbers};
		for (size_t j = 0; j < tenant->peer_count; j++) {
			const struct document_peer *peer = &document->peers[tenant->peers[j]];

			if ((only == NULL || has_peer(only, peer)) && !is_revoked(control, tenant->vni, peer))
				numbers[config->peer_count++] = peer->number;
		}
		numbers += config->peer_count;
		(*count)++;
	}
}

static void adopt(void *context, const struct pont_link_header *record)
{
	keys_adopt(context, (const struct pont_link_sa_stats *)record);
}

bool agreement_dataplane(struct control *control)
{
	const struct pont_link_hello *hello = link_hello(control->link);
	struct error error;

	if (keys_has_dataplane(control->keys))
		return false;
	keys_dataplane(control->keys, hello);
	/* SAs of an earlier control process go on carrying traffic until new ones have taken their place. */
	if (hello->revision != 0 && link_query(control->link, PONT_LINK_SAS_GET, adopt, control->keys, &error) != 0)
		events_publish(control->events, "dataplane.sas_not_adopted",
			json_pack("{s:o}", "text", audit_text(error.text)));
	return true;
}

/* Key agreement knows no "nobody to talk to" once it was configured, so it starts afresh. */
static int start_anew(struct control *control, struct error *error)
{
	const struct keys_callbacks callbacks = agreement_callbacks(control);
	struct keys *keys = keys_start(control->base, control->identity, &callbacks, error);

	if (keys == NULL)
		return -1;
	keys_stop(control->keys);
	control->keys = keys;
	if (control->dataplane_in_force)
		(void)agreement_dataplane(control);
	return 0;
}

int agreement_apply(
	struct control *control, const struct document *document, const struct document *only, struct error *error)
{
	struct keys_peer_config *peers;
	struct keys_tenant_config *tenants;
	struct keys_config config;
	uint16_t *numbers;
	size_t number_count = 0;
	int result = -1;

	if (document == NULL)
		return start_anew(control, error);
	for (size_t i = 0; i < document->tenant_count; i++)
		number_count += document->tenants[i].peer_count;
	peers = calloc(document->peer_count + 1, sizeof(*peers));
	tenants = calloc(document->tenant_count + 1, sizeof(*tenants));
	numbers = calloc(number_count + 1, sizeof(*numbers));
	config = (struct keys_config){.revoking = control->revoking,
		.site_name = document->site,
		.vtep = {document->vtep[0], document->vtep[1]},
		.port = document->keys_port,
		.peers = peers,
		.tenants = tenants,
		.lifetimes = {.sa_packets = document->sa_packets,
			.sa_bytes = document->sa_bytes,
			.sa_s = document->sa_s,
			.session_s = document->session_s}};
	if (peers == NULL || tenants == NULL || numbers == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
	} else {
		fill_peers(control, document, only, peers, &config.peer_count);
		fill_tenants(control, document, only, tenants, &config.tenant_count, numbers);
		result = keys_configure(control->keys, &config, error);
	}
	free(peers);
	free(tenants);
	free(numbers);
	return result;
}

/* A message with a key in it is copied for link_send(), which writes the header, and erased at once. */
static void send_secret(struct link *link, enum pont_link_type type, const void *message, size_t length)
{
	_Alignas(8) uint8_t copy[sizeof(struct pont_link_sa_out)]; /* the largest */

	memcpy(copy, message, length);
	link_send(link, type, copy, (uint16_t)length, -1);
	sodium_memzero(copy, length);
}

/* Receive SAs before those that make the peer's answer possible, and nothing old goes before the new is there. */
static int install(void *context, const struct keys_sa_changes *changes, struct error *error)
{
	struct control *control = context;
	struct link *link = control->link;

	if (link == NULL || !control->dataplane_in_force)
		return error_set(error, ENOTCONN, NULL, "the dataplane is not ready for SAs");
	link_begin(link, 0);
	for (size_t i = 0; i < changes->in_del_count; i++)
		send_secret(link, PONT_LINK_SA_IN_DEL, &changes->in_del[i], sizeof(changes->in_del[i]));
	for (size_t i = 0; i < changes->in_count; i++)
		send_secret(link, PONT_LINK_SA_IN_SET, &changes->in[i], sizeof(changes->in[i]));
	for (size_t i = 0; i < changes->out_del_count; i++)
		send_secret(link, PONT_LINK_SA_OUT_DEL, &changes->out_del[i], sizeof(changes->out_del[i]));
	for (size_t i = 0; i < changes->out_count; i++)
		send_secret(link, PONT_LINK_SA_OUT_SET, &changes->out[i], sizeof(changes->out[i]));
	return link_commit(link, error);
}

/* Where the dataplane does not say, any port will do: workers hand over what lands on the wrong one. */
static void source_ports(void *context, uint16_t peer, uint16_t *ports)
{
	struct control *control = context;
	struct error error;

	(void)link_source_ports(control->link, peer, ports, &error);
}

static void members_changed(void *context)
{
	push_sync_later(context);
}

/* What key agreement calls it, and the kind of event it is; NULL: on_step() hears of it and knows more. */
static const char *event_kind(const char *event)
{
	static const struct {
		const char *event, *kind;
	} kinds[] = {
		{"session_up", NULL},
		{"session_down", NULL},
		{"handshake_failed", "handshake.failed"},
		{"peer_unknown", "handshake.unknown"},
		{"sas_installed", NULL},
		{"sas_refused", "sa.refused"},
		{"sas_delete_failed", "sa.not_deleted"},
		{"spi_exhausted", "sa.no_spi"},
		{"dataplane_unusable", "dataplane.unusable"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].event, event) == 0)
			return kinds[i].kind;
	}
	return event;
}

static void record(void *context, const char *event, const char *peer, const char *text)
{
	const char *kind = event_kind(event);
	struct control *control = context;
	json_t *members;

	if (kind == NULL)
		return;
	members = json_object();
	if (peer != NULL)
		(void)json_object_set_new(members, "peer", audit_text(peer));
	if (text != NULL && text[0] != '\0')
		(void)json_object_set_new(members, "text", audit_text(text));
	events_publish(control->events, kind, members);
}

static void publish_session(struct control *control, const struct keys_event *event)
{
	events_publish(control->events, event->step == KEYS_SESSION_STARTED ? "session.up" : "session.down",
		json_pack("{s:o, s:s, s:o}", "peer", audit_text(event->peer), "reason", keys_reason_name(event->reason),
			"text", audit_text(event->text != NULL ? event->text : "")));
}

static void publish_sa(struct control *control, const struct keys_event *event)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "sa.%s", keys_step_name(event->step));
	events_publish(control->events, name,
		json_pack("{s:o, s:s, s:s, s:o, s:I, s:i, s:I}", "peer", audit_text(event->peer), "reason",
			keys_reason_name(event->reason), "direction", event->direction == PONT_SA_IN ? "in" : "out",
			"tenant", value_tenant_name(control, event->vni), "vni", (json_int_t)event->vni, "worker",
			(int)event->worker, "spi", (json_int_t)event->spi));
}

/* SAs come and go by the thousand: the journal has each step, the audit log a sum now and then. */
static void on_step(void *context, const struct keys_event *event)
{
	const struct timeval delay = {.tv_sec = SA_SUMMARY_S};
	struct control *control = context;

	if (event->step >= KEYS_SESSION_STARTED) {
		publish_session(control, event);
		return;
	}
	publish_sa(control, event);
	control->sa_steps[event->step]++;
	if (!evtimer_pending(control->sa_summary, NULL))
		(void)evtimer_add(control->sa_summary, &delay);
}

void agreement_summarize(struct control *control)
{
	json_t *members = json_object();
	uint64_t sum = 0;

	for (unsigned int step = 0; step < CONTROL_SA_STEPS; step++) {
		(void)json_object_set_new(
			members, keys_step_name(step), json_integer((json_int_t)control->sa_steps[step]));
		sum += control->sa_steps[step];
		control->sa_steps[step] = 0;
	}
	if (sum != 0)
		events_publish(control->events, "sa.summary", members);
	else
		json_decref(members);
}

struct keys_callbacks agreement_callbacks(struct control *control)
{
	return (struct keys_callbacks){.context = control,
		.install = install,
		.source_ports = source_ports,
		.members_changed = members_changed,
		.audit = record,
		.event = on_step};
}
