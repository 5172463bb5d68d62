/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of pontlevis-dataplane. */
#ifndef DATAPLANE_OPTIONS_H
#define DATAPLANE_OPTIONS_H

#include "dataplane/worker.h"

struct options {
	const char *link;
	struct port_option port[PONT_PORTS_MAX];
	unsigned int port_count;
	unsigned int workers; /* 0: one per EAL lcore but the main one */
	enum idle_mode idle;
	uint32_t frame_max;
	uint32_t macs;
	uint32_t sas;
	uint32_t buffers;
	bool print_path;
	int eal_argc; /* arguments behind "--", the program's name first */
	char **eal_argv;
};

/* Parses; exits with a message and status 2 on wrong usage, with 0 after --help and --version. */
void options_parse(struct options *options, int argc, char **argv);

#endif
