/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet's way, both directions. This is the only file that joins stages: there is no edge from an access port to
 * the WAN that does not pass seal and fence.
 */
#include "dataplane/path.h"

void path_forwarded(struct worker *worker)
{
	if (worker->wan.count != 0) {
		stage_encap(worker, &worker->wan);
		stage_seal(worker, &worker->wan);
		stage_fence(worker, &worker->wan);
		stage_tx_wan(worker, &worker->wan);
		worker->wan.count = 0;
	}
	if (worker->local.count != 0) {
		stage_tx_access(worker, &worker->local);
		worker->local.count = 0;
	}
}

void path_outbound(struct worker *worker, const struct port *port)
{
	stage_classify(worker, &worker->in, port);
	stage_forward(worker, &worker->in);
	path_forwarded(worker);
}

void path_inbound(struct worker *worker, const struct port *port)
{
	stage_steer(worker, &worker->in, port);
	path_handed_over(worker);
}

void path_handed_over(struct worker *worker)
{
	stage_open(worker, &worker->in);
	stage_decap(worker, &worker->in);
	stage_forward(worker, &worker->in);
	path_forwarded(worker);
}

void path_kernel(struct worker *worker, const struct port *port)
{
	exception_from_kernel(worker, &worker->in, port);
}

void path_print(FILE *file)
{
	fputs("outbound: rx -> classify -> forward -> encap -> seal -> fence -> tx (WAN)\n"
	      "                                \\-> tx (access, same site)\n"
	      "inbound:  rx -> steer -> open -> decap -> forward -> tx (access)\n"
	      "                     \\-> handover -> open (on the worker that owns the SA)\n"
	      "                     \\-> exception (traffic of the appliance itself, to its kernel)\n"
	      "kernel:   exception -> fence -> tx (WAN)\n",
		file);
}
