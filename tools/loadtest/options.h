/* SPDX-License-Identifier: MIT */
/*
 * The command line. Everything that can be wrong with it is said here, before anything is sent.
 */
#ifndef BULKHEAD_LOADTEST_OPTIONS_H
#define BULKHEAD_LOADTEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/loadtest/plan.h"
#include "tools/loadtest/retry.h"
#include "tools/loadtest/target.h"
#include "tools/loadtest/threshold.h"

/* Exit codes of this program besides EXIT_TEMPORARY (75) and EXIT_CONFIGURATION (78). */
enum loadtest_exit {
    LOADTEST_OK = 0,
    LOADTEST_AUDIT_FAILED = 1, /* LOST, DUPLICATE or CORRUPT */
    LOADTEST_INVALID = 2,      /* the numbers do not describe the server */
    LOADTEST_INTERRUPTED = 3,
    LOADTEST_BREACHED = 99, /* a threshold does not hold */
};

#define THRESHOLD_LIMIT 32

struct options {
    const char *url;
    struct target target; /* parsed, not resolved */
    const char *user;
    bool password_stdin, credentials_stdin;
    unsigned users; /* 0: as many as there are lines */
    const char *profile;
    bool closed; /* the next request is sent when the answer came */
    struct plan_settings plan;
    unsigned connections;
    uint64_t timeout_ns;
    struct retry_policy retry;
    struct threshold thresholds[THRESHOLD_LIMIT];
    unsigned threshold_count;
    const char *out; /* directory, or NULL */
    bool json, audit, allow_429;
};

/* Parse the command line. Ends the process after --help and --version, and with 78 and one line
 * when something is wrong. */
void options_parse(struct options *options, int argc, char **argv);

#endif
