/* SPDX-License-Identifier: MIT */
/*
 * How soon a server is itself again: the end of the first second, by intended times, in which fewer
 * than 1 % of the requests failed and p95 is within a limit. One second is the least there is.
 * Owns its numbers, in slots of a tenth of a second; no I/O.
 */
#ifndef BULKHEAD_LOADTEST_RECOVERY_H
#define BULKHEAD_LOADTEST_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#define RECOVERY_P95_MS     200.0
#define RECOVERY_ERROR_RATE 0.01

struct recovery;

struct recovery *recovery_open(uint64_t duration_ns);
void recovery_close(struct recovery *recovery);

/* A request that was intended at this offset has its end. */
void recovery_note(struct recovery *recovery, uint64_t offset_ns, bool failed, uint64_t latency_ns);

/* True when there is a second to look at between the two: less says nothing either way. */
bool recovery_measured(uint64_t after_ns, uint64_t until_ns);

/* Seconds from after_ns to the end of the first good second; NaN when none ends by until_ns, when
 * sending ended. A second in which nothing was asked is no good one. */
double recovery_time_s(const struct recovery *recovery, uint64_t after_ns, uint64_t until_ns);

#endif
