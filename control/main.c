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
#include "control/keys/primitives.h"
#include "control/keys/secret.h"
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
	OPTION_SOCKET_MODE,
	OPTION_READER_GROUP,
	OPTION_WRITER_GROUP,
	OPTION_RAISE,
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
	{"audit", OPTION_AUDIT, "PATH", 0, "Audit log (default STATE/audit.jsonl)", 1},
	{"socket-mode", OPTION_SOCKET_MODE, "OCTAL", 0,
		"Mode of the controller socket (default 0600; 0660 with one of the groups below, 0666 with two)", 2},
	{"reader-group", OPTION_READER_GROUP, "GROUP", 0, "Its members may ask, but change nothing", 2},
	{"writer-group", OPTION_WRITER_GROUP, "GROUP", 0, "Its members may do everything", 2},
	{"raise", OPTION_RAISE, NULL, 0,
		"Remove the fence from the kernel and exit: afterwards everything may leave. Needs --yes", 3},
	{"yes", OPTION_YES, NULL, 0, "Yes, really", 3},
	{0},
};

struct arguments {
	struct control_options control;
	char audit[PATH_MAX];
	bool has_mode, raise, yes;
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
	if (arguments->has_mode)
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
	case OPTION_AUDIT:
		control->audit = text;
		break;
	case OPTION_SOCKET_MODE:
		control->socket_mode = parse_mode(text, state);
		arguments->has_mode = true;
		break;
	case OPTION_READER_GROUP:
		parse_group(text, &control->roles.has_reader_group, &control->roles.reader_group, state);
		break;
	case OPTION_WRITER_GROUP:
		parse_group(text, &control->roles.has_writer_group, &control->roles.writer_group, state);
		break;
	case OPTION_RAISE:
		arguments->raise = true;
		break;
	case OPTION_YES:
		arguments->yes = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", text);
		break;
	case ARGP_KEY_END:
		if (arguments->yes && !arguments->raise)
			argp_error(state, "--yes goes with --raise");
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

/* --raise: never while a control process runs, it would put the fence back. */
static int raise_fence(const struct arguments *arguments)
{
	const struct fence_options fence = {
		.pin_directory = arguments->control.bpffs, .cgroup = arguments->control.cgroup};
	struct guarded_socket *guarded;
	struct error error = {0};
	int result;

	if (!arguments->yes) {
		audit_log("--raise removes the fence: afterwards everything may leave. Add --yes if that is meant");
		return EXIT_FAILURE;
	}
	guarded = guarded_socket_claim(arguments->control.socket, &error);
	result = guarded != NULL ? fence_remove(&fence, &error) : -1;
	guarded_socket_release(guarded);
	audit_log("%s", result == 0 ? "the fence is removed" : error.text);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
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
	if (arguments.raise)
		return raise_fence(&arguments);
	base = event_base_new();
	if (base == NULL) {
		audit_log("out of memory");
		return EXIT_FAILURE;
	}
	result = run(base, &arguments.control);
	event_base_free(base);
	return result;
}
