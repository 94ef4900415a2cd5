/* SPDX-License-Identifier: MIT */
/*
 * What evidence says of a drill's hypothesis. Pure: it reads, counts and compares, and keeps every
 * number it compared, so that reports only print.
 *
 * Recovery is the end of the first window of 1 s with less than 1 % errors (and at least half the
 * usual rate) after the last fault is over. Bounds of behaviour are asserted with the probe's
 * factor for noise; both are kept.
 */
#ifndef BULKHEAD_DRILL_VERDICT_H
#define BULKHEAD_DRILL_VERDICT_H

#include "tools/drill/evidence.h"

#define VERDICT_LINES (SPEC_PROBES + 8)

enum drill_result {
    DRILL_PASS,
    DRILL_DEVIATED, /* a must does not hold */
    DRILL_INVALID,  /* the proof does not hold, or the load's numbers are worth nothing */
    DRILL_ABORTED,  /* it could not be carried out */
    DRILL_SKIPPED,  /* it cannot be carried out here */
    DRILL_INTERRUPTED,
    DRILL_RESULTS
};

/* How much is proven: that the fault struck, and that a must does not hold by a measured value. A
 * line that was not measured does not hold either, but shows nothing. */
enum drill_proof { PROOF_NONE, PROOF_STRUCK, PROOF_FELT };

struct verdict_line {
    char name[EXPRESSION_TEXT];
    char during[32];
    enum comparison op;
    double measured, limit, asserted;
    double margin;  /* of the asserted limit, as a share: 0.9 is far from it, negative beyond it */
    double worst_s; /* continuous: when it was worst, since the fault; else NaN */
    bool should, holds;
};

/* A compartment before and after the fault began. */
struct compartment {
    char name[24];
    bool targeted;
    double before, during; /* shares of failed requests; NaN: there were none */
    double requests;       /* in the fault */
    double expected;       /* at the rate before it; 0: not asked */
};

struct drill_verdict {
    enum drill_result result;
    char why[512]; /* one line */
    unsigned line_count;
    struct verdict_line line[VERDICT_LINES];
    char proof[400];
    enum drill_proof proven;
    /* seconds since the fault; NaN: did not speak */
    double detect_degraded_s, detect_verdict_s, detect_breaker_s, detect_event_s;
    double first_failure_s;
    double recover_s;   /* since the fault was over */
    double blast_share; /* of the data requests during the fault that failed */
    unsigned compartment_count;
    struct compartment compartment[CLASS_COUNT + WORKER_SLOTS_MAX];
    double leakage_points; /* the worst of those not targeted; NaN: one fell silent */
    char leakage_where[24];
    double lost, duplicate, corrupt; /* NaN: not audited, or not to the end */
    double lag_p99_ms;               /* of the later load tester */
};

void drill_judge(const struct evidence *evidence, struct drill_verdict *verdict);

/* Whether all is as it should be in the window: errors under 1 %, requests at all, healthy. */
bool drill_is_steady(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns, char *why,
                     size_t size);

const char *drill_result_name(enum drill_result result);

/* 0 pass, 1 deviated, 2 invalid, aborted or skipped, 3 interrupted. */
int drill_exit_code(enum drill_result result);

#endif
