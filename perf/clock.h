/* SPDX-License-Identifier: BSD-3-Clause */
/* The processor's time stamp counter in seconds. */
#ifndef PERF_CLOCK_H
#define PERF_CLOCK_H

#include <stdint.h>

/*
 * Ticks of the time stamp counter in a second of CLOCK_MONOTONIC, right to some parts in a million; takes 0.1 s.
 * Not rte_get_tsc_hz(): where the processor does not tell its frequency that one is rounded to 10 MHz, which makes
 * every latency and rate wrong by up to 0.3 %.
 */
uint64_t clock_tsc_hz(void);

#endif
