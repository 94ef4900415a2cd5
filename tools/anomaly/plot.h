/* SPDX-License-Identifier: MIT */
/* The metrics that are watched as one SVG file, a panel each: the values, alarms as bands, what was
 * broken as grey ones. Self-contained, no script. */
#ifndef BULKHEAD_ANOMALY_PLOT_H
#define BULKHEAD_ANOMALY_PLOT_H

#include "tools/anomaly/problem.h"
#include "tools/anomaly/show.h"

/* 0, or -1 with the problem told. */
int plot_write(const char *path, const struct shown *shown, struct problem *problem);

#endif
