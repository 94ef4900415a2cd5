/* SPDX-License-Identifier: MIT */
/*
 * Who is to blame when database calls fail? Pure: it is shown every worker's counters once a second
 * and says which worker's failures are its own.
 *
 * A database that is down for everybody is a state and nobody's fault: restarting workers would add
 * an outage to an outage. A worker is accused only when its calls fail, while the sentinel has
 * found the database up for as long and the other workers' calls succeed. Calls are judged together
 * and by operation: a worker whose every COMMIT fails is broken, however many reads go well.
 *
 * A worker whose circuit breaker is open is not judged by its calls: those that failed would be the
 * last it was allowed to make, however soon the fault was over. The breaker is the evidence then:
 * open for BLAME_BREAKER_SECONDS, a probe has failed meanwhile, and nobody else's is open.
 *
 * The counters were written by the accused: one that fell or leapt is no evidence.
 */
#ifndef BULKHEAD_BLAME_H
#define BULKHEAD_BLAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/labels.h"
#include "common/metrics.h"

#define BLAME_SECONDS         5
#define BLAME_BREAKER_SECONDS 10
#define BLAME_SAMPLE_NS       UINT64_C(1000000000)

/* Running totals of one worker. */
struct blame_counts {
    uint64_t calls[DB_OP_COUNT];
    uint64_t failed[DB_OP_COUNT][DB_CODE_COUNT];
};

/* One of its circuit breakers. */
struct blame_breaker {
    bool open;         /* or half-open, on evidence of its own */
    bool probe_failed; /* since it opened */
};

/* One worker as it is now. */
struct blame_sight {
    bool serves;         /* READY or DEGRADED */
    uint32_t generation; /* another process in the slot starts without a past */
    struct blame_counts counts;
    struct blame_breaker breaker[DEPENDENCY_COUNT];
};

struct blame_past {
    struct blame_counts ring[BLAME_SECONDS + 1]; /* the newest is at next - 1 */
    unsigned next, filled;
    unsigned open[DEPENDENCY_COUNT]; /* samples in a row in which a breaker was open */
    uint32_t generation;
};

/* All zero: nothing is known. */
struct blame {
    struct blame_past past[WORKER_SLOTS_MAX];
    uint64_t sample_ns;                    /* of the last sample */
    uint64_t accused_ns[WORKER_SLOTS_MAX]; /* ring of the last accusations */
    unsigned accusations;
};

/* What is asked once a second. */
struct blame_question {
    const struct blame_sight *sight; /* of slots 0 … slots - 1 */
    unsigned slots;
    unsigned workers; /* configured: at most half of them are accused in a minute */
    bool db_up;       /* the verdict, and since when */
    uint64_t db_since_ns;
};

/* Take in a sample and judge. The slot of the accused, and why in `evidence`; -1 nobody. */
int blame_judge(struct blame *blame, const struct blame_question *question, uint64_t now_ns,
                char *evidence, size_t evidence_size);

/* Whether a failure with this code can be the worker's own fault. Not: what the request itself
 * caused (constraint, a deadline's interrupt), what was never asked (unavailable), and what the
 * files and the disk do to everybody (identity, full, read-only). */
bool blame_is_evidence(enum db_code code);

#endif
