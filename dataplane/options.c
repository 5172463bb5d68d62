/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/options.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/command_line.h"
#include "dataplane/version.h"

const char *argp_program_version = "pontlevis-dataplane " PONT_VERSION;

enum key {
	KEY_LINK = 'l',
	KEY_PORT = 'p',
	KEY_WORKERS = 'w',
	KEY_TWIN = 256,
	KEY_IDLE,
	KEY_FRAME,
	KEY_MACS,
	KEY_SAS,
	KEY_BUFFERS,
	KEY_PATH,
};

static const struct argp_option option_table[] = {
	{"link", KEY_LINK, "SOCKET", 0, "Unix socket for the control process (default /run/pontlevis/dataplane.sock)",
		0},
	{"port", KEY_PORT, "NAME:ROLE:DEVARGS", 0,
		"Open a port: ROLE is access or wan, DEVARGS names a device as DPDK takes it, e.g. 0000:3b:00.0 or "
		"net_af_xdp0,iface=eth1,xdp_prog=/usr/lib/pontlevis/steer_wan.bpf.o (repeat, at most 16)",
		0},
	{"twin", KEY_TWIN, "NAME:INTERFACE", 0,
		"Make a tap INTERFACE as the kernel's end of WAN port NAME, for traffic of the appliance itself; "
		"needed "
		"where the driver takes the whole device from the kernel",
		0},
	{"workers", KEY_WORKERS, "N", 0, "Forwarding lcores (default: all EAL lcores but the main one)", 0},
	{"idle", KEY_IDLE, "MODE", 0, "What a worker without packets does: backoff (default) or poll", 0},
	{"max-frame", KEY_FRAME, "BYTES", 0, "Longest tenant frame, 64 to 9018 (default 1518)", 0},
	{"macs", KEY_MACS, "N", 0, "MAC addresses learnt at most, 16 to 1048576 (default 131072)", 0},
	{"sas", KEY_SAS, "N", 0, "Inbound SAs at most, a power of two from 64 to 131072 (default 8192)", 0},
	{"buffers", KEY_BUFFERS, "N", 0, "Packet buffers per port, 1024 to 1048576 (default 8192)", 0},
	{"print-path", KEY_PATH, NULL, 0, "Print the order of the stages and exit", 0},
	{0},
};

static void add_port(struct argp_state *state, struct options *options, const char *argument)
{
	struct port_option *port = &options->port[options->port_count];
	char text[768];

	if (options->port_count == PONT_PORTS_MAX)
		argp_error(state, "--port '%s': more than %d ports", argument, PONT_PORTS_MAX);
	if (port_option_parse(port, argument, text, sizeof(text)) != 0)
		argp_error(state, "%s", text);
	for (unsigned int i = 0; i < options->port_count; i++)
		if (strcmp(options->port[i].name, port->name) == 0)
			argp_error(state, "--port '%s': name %s is used twice", argument, port->name);
	options->port_count++;
}

static void add_twin(struct argp_state *state, struct options *options, const char *argument)
{
	const char *interface = strchr(argument, ':');
	size_t length = interface != NULL ? (size_t)(interface - argument) : 0;

	for (unsigned int i = 0; length != 0 && i < options->port_count; i++) {
		struct port_option *port = &options->port[i];

		if (strlen(port->name) != length || strncmp(port->name, argument, length) != 0)
			continue;
		if (port->role != PONT_PORT_WAN)
			argp_error(state, "--twin '%s': port %s is not a WAN port", argument, port->name);
		if (strlen(interface + 1) == 0 || strlen(interface + 1) >= sizeof(port->twin))
			argp_error(state, "--twin '%s': interface names have 1 to %zu characters", argument,
				sizeof(port->twin) - 1);
		(void)snprintf(port->twin, sizeof(port->twin), "%s", interface + 1);
		return;
	}
	argp_error(state, "--twin '%s': no --port of that name stands before it", argument);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_LINK:
		options->link = argument;
		return 0;
	case KEY_PORT:
		add_port(state, options, argument);
		return 0;
	case KEY_TWIN:
		add_twin(state, options, argument);
		return 0;
	case KEY_WORKERS:
		options->workers = (uint32_t)command_line_number(state, "workers", argument, 1, PONT_WORKERS_MAX);
		return 0;
	case KEY_IDLE:
		if (strcmp(argument, "poll") == 0)
			options->idle = IDLE_POLL;
		else if (strcmp(argument, "backoff") == 0)
			options->idle = IDLE_BACKOFF;
		else
			argp_error(state, "--idle '%s' is neither poll nor backoff", argument);
		return 0;
	case KEY_FRAME:
		options->frame_max = (uint32_t)command_line_number(state, "max-frame", argument, 64, PONT_FRAME_MAX);
		return 0;
	case KEY_MACS:
		options->macs = (uint32_t)command_line_number(state, "macs", argument, 16, PONT_MACS_MAX);
		return 0;
	case KEY_SAS:
		options->sas = (uint32_t)command_line_number(state, "sas", argument, 64, 1 << PONT_SPI_INDEX_BITS);
		if ((options->sas & (options->sas - 1)) != 0)
			argp_error(state, "--sas '%s' is not a power of two", argument);
		return 0;
	case KEY_BUFFERS:
		options->buffers = (uint32_t)command_line_number(state, "buffers", argument, 1024, 1 << 20);
		return 0;
	case KEY_PATH:
		options->print_path = true;
		return 0;
	case ARGP_KEY_ARG:
		command_line_take_eal(state, argument, &options->eal_argc, &options->eal_argv);
		return 0;
	case ARGP_KEY_END:
		if (!options->print_path && options->port_count == 0)
			argp_error(state, "no --port given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {.options = option_table,
	.parser = parse,
	.args_doc = "-- EAL-ARGUMENTS...",
	.doc = "Forwarding process of a Pontlevis appliance: DPDK workers that carry tenants' frames between sites, "
	       "sealed by ESP (AES-256-GCM) in VXLAN. It is configured by pontlevis-control over the link socket."
	       "\vWhat follows \"--\" goes to DPDK's EAL, e.g. -l 2,4,6 (the first lcore is the main one) or "
	       "--file-prefix NAME. Exit status: 0 after SIGTERM or SIGINT, 1 if it could not start, 2 on wrong "
	       "usage."};

void options_parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){.link = "/run/pontlevis/dataplane.sock",
		.idle = IDLE_BACKOFF,
		.frame_max = 1518,
		.macs = 131072,
		.sas = 8192,
		.buffers = 8192,
		.eal_argc = 1,
		.eal_argv = argv};
	argp_err_exit_status = 2;
	(void)argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, options);
}
