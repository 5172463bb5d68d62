/* SPDX-License-Identifier: BSD-3-Clause */
/* pontlevis-control: arguments, the process' own precautions, the event loop. */
#include <argp.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/audit.h"
#include "control/control.h"
#include "control/fence/fence.h"
#include "control/fence/switches.h"
#include "control/keys/primitives.h"
#include "control/keys/secret.h"
#include "control/lock.h"
#include "control/notify.h"
#include "control/rpc/socket.h"

const char *argp_program_version = "pontlevis-control " PONT_VERSION;

enum {
	OPTION_SOCKET = 256,
	OPTION_DATAPLANE,
	OPTION_IDENTITY,
	OPTION_STATE,
	OPTION_BPFFS,
	OPTION_CGROUP,
	OPTION_AUDIT,
	OPTION_CLOSE_NEW_INTERFACES,
	OPTION_SOCKET_MODE,
	OPTION_READER_GROUP,
	OPTION_WRITER_GROUP,
	OPTION_RAISE_FENCE,
	OPTION_REMOVE_FENCE,
	OPTION_LOCK,
	OPTION_UNLOCK,
	OPTION_YES,
};

static const struct argp_option options[] = {
	{"socket", OPTION_SOCKET, "PATH", 0, "Controller socket (default /run/pontlevis/control.sock)", 1},
	{"dataplane", OPTION_DATAPLANE, "PATH", 0,
		"Link socket of pontlevis-dataplane (default /run/pontlevis/dataplane.sock)", 1},
	{"identity", OPTION_IDENTITY, "PATH", 0,
		"The site's identity, made by 'pontlevis key generate' (default /etc/pontlevis/identity)", 1},
	{"state", OPTION_STATE, "DIR", 0, "Committed configurations (default /var/lib/pontlevis)", 1},
	{"bpffs", OPTION_BPFFS, "DIR", 0,
		"Where the fence is pinned, on a BPF file system (default /sys/fs/bpf/pontlevis)", 1},
	{"cgroup", OPTION_CGROUP, "DIR", 0, "cgroup v2 to guard (default: the root of the hierarchy)", 1},
	{"close-new-interfaces", OPTION_CLOSE_NEW_INTERFACES, NULL, 0,
		"Let not one frame leave by an interface before the fence stands on it, or refuse to start (default: "
		"as "
		"far as this machine allows, see pontlevis-control(8))",
		1},
	{"audit", OPTION_AUDIT, "PATH", 0, "Audit log (default STATE/audit.jsonl)", 1},
	{"socket-mode", OPTION_SOCKET_MODE, "OCTAL", 0,
		"Mode of the controller socket (default 0600; 0660 with one of the groups below; 0666 with two, or "
		"when the "
		"configuration gives roles to anybody)",
		2},
	{"reader-group", OPTION_READER_GROUP, "GROUP", 0, "Its members have the role reader", 2},
	{"writer-group", OPTION_WRITER_GROUP, "GROUP", 0, "Its members have every role", 2},
	{"raise-fence", OPTION_RAISE_FENCE, NULL, 0,
		"Put the fence up and exit: the policy an earlier process left in force, or nothing may leave. Needs "
		"nothing "
		"else of the appliance, and does nothing while a control process runs",
		3},
	{"lock", OPTION_LOCK, NULL, 0,
		"Lock the fence and exit, as 'pontlevis fence lock' but without a running control process: nothing "
		"leaves any "
		"more, also after a restart",
		3},
	{"unlock", OPTION_UNLOCK, NULL, 0, "Unlock the fence and exit. Not while a control process runs", 3},
	{"remove-fence", OPTION_REMOVE_FENCE, NULL, 0,
		"Remove the fence from the kernel and exit: afterwards everything may leave. Needs --yes", 3},
	{"yes", OPTION_YES, NULL, 0, "Yes, really", 3},
	{0},
};

struct arguments {
	struct control_options control;
	char audit[PATH_MAX];
	bool yes;
	int task; /* OPTION_RAISE_FENCE, OPTION_LOCK, ...; 0: to run */
};

static mode_t parse_mode(const char *text, struct argp_state *state)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (text[0] == '\0' || *end != '\0' || mode > 0777)
		argp_error(state, "--socket-mode %s: not an octal mode up to 0777", text);
	return (mode_t)mode;
}

static void parse_group(const char *text, bool *has_group, gid_t *group, struct argp_state *state)
{
	struct error error;

	if (credentials_group(text, has_group, group, &error) != 0)
		argp_error(state, "%s", error.text);
}

/* What follows from the groups when no mode is given: the file lets in whom the roles may let in. */
static void default_mode(struct arguments *arguments)
{
	const struct rpc_roles *roles = &arguments->control.roles;
	bool one = roles->has_reader_group != roles->has_writer_group ||
		   (roles->has_reader_group && roles->reader_group == roles->writer_group);

	arguments->control.socket_group = (gid_t)-1;
	if (one)
		arguments->control.socket_group = roles->has_writer_group ? roles->writer_group : roles->reader_group;
	if (arguments->control.socket_mode_given)
		return;
	if (one)
		arguments->control.socket_mode = 0660;
	else
		arguments->control.socket_mode = roles->has_reader_group ? 0666 : 0600;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct control_options *control = &arguments->control;

	switch (key) {
	case OPTION_SOCKET:
		control->socket = text;
		break;
	case OPTION_DATAPLANE:
		control->dataplane = text;
		break;
	case OPTION_IDENTITY:
		control->identity = text;
		break;
	case OPTION_STATE:
		control->state = text;
		break;
	case OPTION_BPFFS:
		control->bpffs = text;
		break;
	case OPTION_CGROUP:
		control->cgroup = text;
		break;
	case OPTION_CLOSE_NEW_INTERFACES:
		control->close_new_interfaces = true;
		break;
	case OPTION_AUDIT:
		control->audit = text;
		break;
	case OPTION_SOCKET_MODE:
		control->socket_mode = parse_mode(text, state);
		control->socket_mode_given = true;
		break;
	case OPTION_READER_GROUP:
		parse_group(text, &control->roles.has_reader_group, &control->roles.reader_group, state);
		break;
	case OPTION_WRITER_GROUP:
		parse_group(text, &control->roles.has_writer_group, &control->roles.writer_group, state);
		break;
	case OPTION_RAISE_FENCE:
	case OPTION_REMOVE_FENCE:
	case OPTION_LOCK:
	case OPTION_UNLOCK:
		if (arguments->task != 0 && arguments->task != key)
			argp_error(state, "one of --raise-fence, --lock, --unlock and --remove-fence at a time");
		arguments->task = key;
		break;
	case OPTION_YES:
		arguments->yes = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", text);
		break;
	case ARGP_KEY_END:
		if (arguments->yes && arguments->task != OPTION_REMOVE_FENCE)
			argp_error(state, "--yes goes with --remove-fence");
		if (control->audit == NULL) {
			(void)snprintf(arguments->audit, sizeof(arguments->audit), "%s/audit.jsonl", control->state);
			control->audit = arguments->audit;
		}
		default_mode(arguments);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {.options = options,
	.parser = parse_option,
	.doc = "Control process of a Pontlevis site: controller socket, key agreement, egress fence.\v"
	       "It runs in the foreground and logs to standard error. SIGTERM and SIGINT end it; the fence stays in "
	       "force, and the dataplane goes on forwarding."};

/* Nothing secret is touched before this: memory that keeps secrets, and primitives that give the right answers. */
static int get_ready(void)
{
	const struct primitive *wrong;

	(void)umask(077);
	if (secret_keep_process() != 0) {
		audit_log("cannot keep secrets out of swap and core dumps (RLIMIT_MEMLOCK, CAP_IPC_LOCK): %s; refusing "
			  "to start",
			strerror(errno));
		return -1;
	}
	if (sodium_init() < 0) {
		audit_log("libsodium does not start; refusing to start");
		return -1;
	}
	wrong = primitives_check();
	if (wrong != NULL) {
		audit_log("self-test of %s (%s) failed; refusing to start", wrong->name, wrong->standard);
		return -1;
	}
	return 0;
}

static struct fence_options fence_options(const struct arguments *arguments)
{
	return (struct fence_options){.pin_directory = arguments->control.bpffs,
		.cgroup = arguments->control.cgroup,
		.close_new_interfaces = arguments->control.close_new_interfaces};
}

/* --remove-fence: never while a control process runs, it would put the fence back. */
static int remove_fence(const struct arguments *arguments)
{
	const struct fence_options fence = fence_options(arguments);
	struct guarded_socket *guarded;
	struct error error = {0};
	int result;

	if (!arguments->yes) {
		audit_log("--remove-fence opens everything: afterwards all may leave. Add --yes if that is meant");
		return EXIT_FAILURE;
	}
	guarded = guarded_socket_claim(arguments->control.socket, &error);
	result = guarded != NULL ? fence_remove(&fence, &error) : -1;
	guarded_socket_release(guarded);
	audit_log("%s", result == 0 ? "the fence is removed" : error.text);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --lock works at any time; --unlock is the control process' while there is one, whose note would be wrong. */
static int lock_fence(const struct arguments *arguments)
{
	const bool locked = arguments->task == OPTION_LOCK;
	struct guarded_socket *guarded = NULL;
	struct error error = {0};
	int result = -1;

	if (!locked)
		guarded = guarded_socket_claim(arguments->control.socket, &error);
	if (locked || guarded != NULL)
		result = lock_offline(&arguments->control, "by hand", locked, &error);
	guarded_socket_release(guarded);
	audit_log("%s", result != 0 ? error.text : locked ? "the fence is locked" : "the fence is unlocked");
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void ignore_denial(void *context, const struct pont_fence_event *event)
{
	(void)context;
	(void)event;
}

/* --raise-fence: programs, links and the lock, nothing else. What is pinned stays in force. */
static int raise_fence(struct event_base *base, const struct arguments *arguments)
{
	const struct fence_options where = fence_options(arguments);
	const struct fence_callbacks callbacks = {.denied = ignore_denial};
	struct guarded_socket *guarded;
	struct fence *fence = NULL;
	struct error error = {0};

	guarded = guarded_socket_claim(arguments->control.socket, &error);
	if (guarded == NULL && error.code == EBUSY) {
		audit_log("a control process runs, and the fence with it");
		return EXIT_SUCCESS;
	}
	if (guarded != NULL)
		fence = fence_start(base, &where, &callbacks, &error);
	if (fence != NULL && lock_is_noted(arguments->control.state))
		fence_lock(fence, true);
	audit_log("%s", fence != NULL ? "the fence is up" : error.text);
	fence_stop(fence);
	guarded_socket_release(guarded);
	return fence != NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	(void)what;
	audit_log("%s: stopping", strsignal((int)number));
	(void)event_base_loopbreak(context);
}

static int run(struct event_base *base, const struct control_options *control_options)
{
	struct event *terminate = evsignal_new(base, SIGTERM, on_signal, base);
	struct event *interrupt = evsignal_new(base, SIGINT, on_signal, base);
	static struct control control;
	struct error error = {0};
	int result = EXIT_FAILURE;

	if (terminate == NULL || interrupt == NULL || evsignal_add(terminate, NULL) != 0 ||
		evsignal_add(interrupt, NULL) != 0) {
		audit_log("cannot handle signals");
	} else if (control_start(&control, base, control_options, &error) != 0) {
		audit_log("%s%s%s", error.pointer, error.pointer[0] != '\0' ? ": " : "", error.text);
	} else {
		notify("READY=1");
		result = event_base_dispatch(base) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		notify("STOPPING=1");
		control_stop(&control);
	}
	if (terminate != NULL)
		event_free(terminate);
	if (interrupt != NULL)
		event_free(interrupt);
	return result;
}

int main(int argc, char *argv[])
{
	static struct arguments arguments = {.control = {.socket = "/run/pontlevis/control.sock",
						     .dataplane = "/run/pontlevis/dataplane.sock",
						     .identity = "/etc/pontlevis/identity",
						     .state = "/var/lib/pontlevis",
						     .bpffs = "/sys/fs/bpf/pontlevis"}};
	struct event_base *base;
	int result;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	(void)signal(SIGPIPE, SIG_IGN);
	if (get_ready() != 0)
		return EXIT_FAILURE;
	if (arguments.task == OPTION_REMOVE_FENCE)
		return remove_fence(&arguments);
	if (arguments.task == OPTION_LOCK || arguments.task == OPTION_UNLOCK)
		return lock_fence(&arguments);
	base = event_base_new();
	if (base == NULL) {
		audit_log("out of memory");
		return EXIT_FAILURE;
	}
	result = arguments.task == OPTION_RAISE_FENCE ? raise_fence(base, &arguments) : run(base, &arguments.control);
	event_base_free(base);
	return result;
}
