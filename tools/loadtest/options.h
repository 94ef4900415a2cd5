/* SPDX-License-Identifier: MIT */
/*
 * The command line. Everything that can be wrong with it is said here, before anything is sent.
 */
#ifndef BULKHEAD_LOADTEST_OPTIONS_H
#define BULKHEAD_LOADTEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/http/target.h"
#include "tools/loadtest/plan.h"
#include "tools/loadtest/profile.h"
#include "tools/loadtest/retry.h"
#include "tools/loadtest/slow_clients.h"
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
#define PHASE_LIMIT     256

struct options {
    const char *url;
    struct target target; /* parsed, not resolved */
    const char *get;      /* a path of any server: no login, no items, no audit; else NULL */
    const char *user;
    bool password_stdin, credentials_stdin;
    unsigned users; /* 0: as many as there are lines */
    const char *profile;
    enum shape shape;
    bool closed;                            /* shape is SHAPE_CLOSED */
    double step_rate, step_s, spike_factor; /* ramp, spike */
    struct plan_settings plan;
    struct plan_phase phases[PHASE_LIMIT]; /* what plan.phases points to */
    double probe_rate[LOAD_KINDS];         /* requests/s measured apart, 0: none */
    unsigned slow[SLOW_KINDS];
    unsigned connections;
    uint64_t timeout_ns;
    struct retry_policy retry;
    struct threshold thresholds[THRESHOLD_LIMIT];
    unsigned threshold_count;
    const char *out;          /* directory, or NULL */
    const char *events;       /* file of NDJSON, or NULL */
    const char *before_audit; /* command, or NULL */
    bool json, audit, allow_429;
};

/* Parse the command line into a struct that stays where it is. Ends the process after --help and
 * --version, and with 78 and one line when something is wrong. */
void options_parse(struct options *options, int argc, char **argv);

/* What --help prints. */
extern const char options_help[];

/* True when requests need items of ours: reads are of what this program wrote. */
bool options_need_items(const struct options *options);

#endif
