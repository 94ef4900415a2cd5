/* SPDX-License-Identifier: MIT */
/*
 * What the run comes to: is it valid, do the thresholds hold, what does the audit say, and so the
 * exit code. Pure. How it is shown is the summary's business.
 */
#ifndef BULKHEAD_LOADTEST_RESULT_H
#define BULKHEAD_LOADTEST_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/loadtest/audit.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/options.h"
#include "tools/loadtest/profile_result.h"
#include "tools/loadtest/statistics.h"

#define LAG_LIMIT_MS        5.0
#define CPU_LIMIT           0.9 /* of the one processor that its one thread for the load can use */
#define INVALID_REASONS     4
#define INVALID_REASON_SIZE 160

struct result {
    /* given */
    const struct options *options;
    const struct statistics *statistics;
    const struct profile_result *profile;
    const struct ledger *ledger;
    unsigned users;
    uint64_t start_wall_us;
    uint64_t sending_ns;  /* from the start until sending ended */
    double sending_s;     /* the same, for rates */
    double elapsed_s;     /* ... until the last answer */
    double cpu_share;     /* of one processor, used by this program while it sent */
    double starved_share; /* of the time, in which it could have run and had no processor */
    uint64_t unfinished;
    uint64_t connections_opened;
    bool load_interrupted;
    bool interrupted; /* the load, or what came after it */
    enum audit_state audit;
    struct outcome audit_failure; /* AUDIT_INCOMPLETE: the last question without an answer */
    bool list_complete;

    /* concluded */
    struct ledger_verdict verdict;
    char invalid[INVALID_REASONS][INVALID_REASON_SIZE];
    unsigned invalid_count;
    double value[THRESHOLD_LIMIT];  /* what each threshold was held against; NaN: not measured */
    double margin[THRESHOLD_LIMIT]; /* left until it breaks; negative when broken */
    bool holds[THRESHOLD_LIMIT];
    unsigned breaches;
    int exit_code;
};

/* Fill in the second half from the first. */
void result_conclude(struct result *result);

/* The gravest comes first: a broken promise, an interrupt, an audit without an answer (75), an
 * invalid run, a threshold. */
int result_exit_code(const struct result *result);

#endif
