/* SPDX-License-Identifier: MIT */
/*
 * A file that says what was broken when, and which metrics should have shown it:
 *
 *   {"faults": [{"fault": "kill storm", "from": "2026-11-26T00:50:00Z", "to": 1795653690.5,
 *                "grace_s": 10, "anomaly": [{"metric": "deaths_per_s", "expected": true}]}]}
 *
 * Times are seconds since 1970 or RFC 3339. Until grace_s after `to`, 10 unless said, an alarm is
 * in time. `anomaly` is what a drill file has under that name.
 */
#ifndef BULKHEAD_ANOMALY_TRUTH_FILE_H
#define BULKHEAD_ANOMALY_TRUTH_FILE_H

#include <stddef.h>

#include "tools/anomaly/evaluate.h"
#include "tools/anomaly/problem.h"

#define TRUTH_GRACE_S 10.0

struct truth_list {
    struct truth *all; /* owned */
    size_t count;
};

/* 0, or -1 with the problem told; free list->all in any case. */
int truth_file_read(const char *path, struct truth_list *list, struct problem *problem);

#endif
