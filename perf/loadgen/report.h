/* SPDX-License-Identifier: BSD-3-Clause */
/* What a trial found, as JSON and in words. */
#ifndef PERF_LOADGEN_REPORT_H
#define PERF_LOADGEN_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "perf/loadgen/engine.h"

/* The trial that has ended, as an object that the caller owns; interrupted: it was ended before its time. */
json_t *report_json(const struct engine *engine, bool interrupted);
void report_print(const struct engine *engine, FILE *out);
/* One line about the trial under way. */
void report_progress(const struct engine *engine, FILE *out);
/* What was misdelivered, if anything. */
void report_alarms(const struct engine *engine, FILE *out);

#endif
