/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of what goes on until somebody ends it. */
#ifndef CONTROL_CLI_INTERRUPT_H
#define CONTROL_CLI_INTERRUPT_H

/* From now on SIGINT and SIGTERM end the program at once, whatever it waits for, with STATUS_OK. */
void interrupt_ends(void);

#endif
