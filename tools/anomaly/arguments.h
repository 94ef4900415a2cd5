/* SPDX-License-Identifier: MIT */
/* The command line of anomaly. What is wrong with it is told, and the program ends with 78. */
#ifndef BULKHEAD_ANOMALY_ARGUMENTS_H
#define BULKHEAD_ANOMALY_ARGUMENTS_H

#include <stdbool.h>

#include "tools/anomaly/detector.h"

#define ARGUMENTS_METRICS_MAX 128
#define ANOMALY_RAISED        99 /* exit code with --fail-on: as loadtest's for a threshold */

struct arguments {
    const char *source; /* a file or a URL; NULL with nab */
    const char *metrics[ARGUMENTS_METRICS_MAX];
    unsigned metric_count; /* 0: the usual ones, or all of a file that has none of them */
    const struct detector_preset *preset;
    double least_step; /* of all metrics; < 0: each its own */
    unsigned for_s;    /* how long a URL is polled */
    bool fail_on, json;
    const char *plot, *truth, *record, *nab;
    const char *learn; /* a CSV of what was before */
};

void arguments_parse(struct arguments *arguments, int argc, char **argv);

#endif
