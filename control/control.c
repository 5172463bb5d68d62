/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/control.h"

#include <event2/event.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/access.h"
#include "control/agreement.h"
#include "control/audit.h"
#include "control/commit.h"
#include "control/compiler.h"
#include "control/denials.h"
#include "control/events.h"
#include "control/fence/fence.h"
#include "control/keys/identity.h"
#include "control/link/link.h"
#include "control/lock.h"
#include "control/methods/methods.h"
#include "control/model/address.h"
#include "control/model/revisions.h"
#include "control/model/schema.h"
#include "control/netlink/mirror.h"
#include "control/policy.h"
#include "control/push.h"
#include "control/revocation.h"
#include "control/rpc/server.h"
#include "control/rpc/socket.h"
#include "control/shadow.h"

enum { RETRY_S = 5 };

/* --- the fence --- */

static void on_kernel_denied(void *context, const struct pont_fence_event *event)
{
	const struct control *control = context;

	denials_kernel(control->denials, event);
}

static void on_fence_touched(void *context, const struct error *error)
{
	const struct control *control = context;

	events_publish(control->events, "fence.touched",
		json_pack("{s:b, s:o}", "restored", error->code == 0, "text",
			audit_text(error->code != 0 ? error->text
						    : "somebody changed the rules that close new interfaces; they "
						      "are as they were")));
}

static void on_dataplane_denied(void *context, const struct pont_link_denied *denied)
{
	const struct control *control = context;

	denials_dataplane(control->denials, denied);
}

/* --- the mirror --- */

static void on_link_added(void *context, uint32_t ifindex, const char *name)
{
	struct control *control = context;
	struct error error = {0};

	if (fence_interface_attach(control->fence, ifindex, name, &error) != 0)
		events_publish(control->events, "fence.incomplete",
			json_pack("{s:o, s:o}", "interface", audit_text(name), "text", audit_text(error.text)));
}

static void on_link_removed(void *context, uint32_t ifindex)
{
	struct control *control = context;
	struct error error = {0};

	if (fence_interface_gone(control->fence, ifindex, &error) != 0)
		audit_log("%s", error.text);
}

static void on_next_hop_changed(void *context)
{
	push_sync_later(context);
}

static void on_mirror_trouble(void *context, const struct error *error)
{
	(void)context;
	audit_log("%s", error->text);
}

/* --- the dataplane --- */

static json_t *describe_dataplane(const struct pont_link_hello *hello)
{
	char boot_id[24];

	(void)snprintf(boot_id, sizeof(boot_id), "%016llx", (unsigned long long)hello->boot_id);
	return json_pack("{s:I, s:s}", "pid", (json_int_t)hello->pid, "boot_id", boot_id);
}

static void on_dataplane_up(void *context, const struct pont_link_hello *hello)
{
	struct control *control = context;

	events_publish(control->events, "dataplane.up", describe_dataplane(hello));
	control->dataplane_in_force = false;
	control->dataplane_problem.code = 0;
	push_forget(control);
	commit_replay(control);
}

static void on_dataplane_down(void *context)
{
	struct control *control = context;

	events_publish(control->events, "dataplane.down", NULL);
	control->dataplane_in_force = false;
	control->dataplane_problem.code = 0;
	push_forget(control);
	keys_dataplane(control->keys, NULL);
}

static void on_notices(void *context, const struct pont_link_sa_notices *notices)
{
	struct control *control = context;

	keys_notices(control->keys, notices);
}

/* --- timers --- */

static void on_sync(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;
	struct error error = {0};

	(void)fd;
	(void)what;
	if (push_sync(control, &error) != 0 && link_hello(control->link) != NULL) {
		/* Refused: then what the dataplane has is not what it should have, and it is told everything again. */
		control->dataplane_in_force = false;
		control->dataplane_problem = error;
		events_publish(
			control->events, "dataplane.refused", json_pack("{s:o}", "text", audit_text(error.text)));
		control_retry_later(control);
	}
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	(void)fd;
	(void)what;
	if (!control->in_force)
		commit_restore(control);
	if (!control->dataplane_in_force)
		commit_replay(control);
}

void control_retry_later(struct control *control)
{
	struct timeval delay = {.tv_sec = RETRY_S};

	if (!evtimer_pending(control->retry, NULL))
		(void)evtimer_add(control->retry, &delay);
}

static void on_sa_summary(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	agreement_summarize(context);
}

static void on_compiled(void *context)
{
	const struct control *control = context;

	rpc_server_resume(control->server);
}

/* --- start and stop --- */

static int start_parts(struct control *control, struct error *error)
{
	const struct control_options *options = control->options;
	const struct fence_options fence_options = {.pin_directory = options->bpffs,
		.cgroup = options->cgroup,
		.close_new_interfaces = options->close_new_interfaces};
	const struct fence_callbacks fence_callbacks = {
		.context = control, .denied = on_kernel_denied, .touched = on_fence_touched};
	const struct mirror_callbacks mirror_callbacks = {.context = control,
		.link_added = on_link_added,
		.link_removed = on_link_removed,
		.changed = on_next_hop_changed,
		.trouble = on_mirror_trouble};
	const struct keys_callbacks keys_callbacks = agreement_callbacks(control);

	control->sync = evtimer_new(control->base, on_sync, control);
	control->retry = evtimer_new(control->base, on_retry, control);
	control->sa_summary = evtimer_new(control->base, on_sa_summary, control);
	if (control->sync == NULL || control->retry == NULL || control->sa_summary == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	control->socket = guarded_socket_claim(options->socket, error);
	if (control->socket == NULL)
		return -1;
	control->revisions = revisions_open(options->state, error);
	if (control->revisions == NULL)
		return -1;
	control->revocation = revocation_open(options->state, error);
	if (control->revocation == NULL)
		return -1;
	control->audit = audit_open(options->audit, AUDIT_FILE_MAX, error);
	if (control->audit == NULL)
		return -1;
	control->events = events_new(control->audit, error);
	if (control->events == NULL)
		return -1;
	control->fence = fence_start(control->base, &fence_options, &fence_callbacks, error);
	if (control->fence == NULL)
		return -1;
	if (lock_restore(control, error) != 0)
		return -1;
	control->compiler = compiler_start(control->base, on_compiled, control, error);
	if (control->compiler == NULL)
		return -1;
	control->denials = denials_start(control, error);
	if (control->denials == NULL)
		return -1;
	shadow_forget(control);
	control->identity = identity_load(options->identity, error);
	if (control->identity == NULL)
		return -1;
	control->schema = schema_published(error);
	if (control->schema == NULL)
		return -1;
	control->mirror = mirror_start(control->base, &mirror_callbacks, error);
	if (control->mirror == NULL)
		return -1;
	control->keys = keys_start(control->base, control->identity, &keys_callbacks, error);
	return control->keys != NULL ? 0 : -1;
}

static void on_events(void *context)
{
	rpc_server_news(context);
}

/* The auditor hears of revisions that are not there any more. */
static void report_damage(const struct control *control)
{
	json_t *one;
	size_t i;

	json_array_foreach (revisions_damage(control->revisions), i, one)
		events_publish(control->events, "config.damaged", json_incref(one));
}

static int start_sockets(struct control *control, struct error *error)
{
	const struct control_options *options = control->options;
	const struct link_callbacks link_callbacks = {.context = control,
		.up = on_dataplane_up,
		.down = on_dataplane_down,
		.denied = on_dataplane_denied,
		.notices = on_notices};
	struct rpc_server_config config = {.roles = options->roles,
		.registry = {.tables = methods_all, .context = control, .refused = access_refused}};

	control->link = link_start(control->base, options->dataplane, &link_callbacks, error);
	if (control->link == NULL)
		return -1;
	events_publish(control->events, "control.start",
		json_pack("{s:s, s:i}", "version", PONT_VERSION, "pid", (int)getpid()));
	report_damage(control);
	commit_restore(control);
	config.roles.grants = control->grants;
	config.roles.grant_count = control->grant_count;
	config.fd = guarded_socket_listen(control->socket, access_socket_mode(control), options->socket_group, error);
	if (config.fd < 0)
		return -1;
	control->server = rpc_server_start(control->base, &config, error);
	if (control->server == NULL)
		return -1;
	events_watch(control->events, on_events, control->server);
	return 0;
}

int control_start(
	struct control *control, struct event_base *base, const struct control_options *options, struct error *error)
{
	memset(control, 0, sizeof(*control));
	control->base = base;
	control->options = options;
	esp_sink_init(&control->esp_sink);
	if (start_parts(control, error) == 0 && start_sockets(control, error) == 0)
		return 0;
	control_stop(control);
	return -1;
}

void control_stop(struct control *control)
{
	if (control->server != NULL)
		events_publish(control->events, "control.stop",
			json_pack("{s:s, s:i}", "version", PONT_VERSION, "pid", (int)getpid()));
	if (control->events != NULL)
		events_watch(control->events, NULL, NULL);
	rpc_server_stop(control->server);
	if (control->keys != NULL)
		keys_stop(control->keys);
	if (control->events != NULL)
		agreement_summarize(control);
	link_stop(control->link);
	esp_sink_close(&control->esp_sink);
	mirror_stop(control->mirror);
	schema_free(control->schema);
	if (control->identity != NULL)
		identity_free(control->identity);
	denials_stop(control->denials);
	compiler_stop(control->compiler);
	fence_stop(control->fence);
	lock_stop(control);
	fence_policy_free(control->candidate);
	fence_policy_free(control->policy);
	document_free(control->document);
	free(control->grants);
	push_forget(control);
	free(control->followed);
	events_free(control->events);
	audit_close(control->audit);
	revocation_close(control->revocation);
	revisions_close(control->revisions);
	guarded_socket_release(control->socket);
	if (control->sync != NULL)
		event_free(control->sync);
	if (control->retry != NULL)
		event_free(control->retry);
	if (control->sa_summary != NULL)
		event_free(control->sa_summary);
	if (control->confirm.timer != NULL)
		event_free(control->confirm.timer);
	memset(control, 0, sizeof(*control));
}
