/* SPDX-License-Identifier: MIT */
/* `anomaly --nab DIR`: the batch detector over a checkout of the Numenta benchmark, and its score.
 */
#ifndef BULKHEAD_ANOMALY_NAB_H
#define BULKHEAD_ANOMALY_NAB_H

#include "tools/anomaly/detector.h"
#include "tools/anomaly/problem.h"

/* Prints the scores. 0, or -1 with the problem told. */
int nab_run(const char *directory, const struct detector_preset *preset, struct problem *problem);

#endif
