/* SPDX-License-Identifier: MIT */
/*
 * A drill file as a struct. Everything that can be wrong with one is said here, before anything is
 * started: `file:line: key: what; allowed: ...`. It knows no server and no clock. docs/drills.md
 * describes the keys for people; the tables in spec.c are what is allowed.
 */
#ifndef BULKHEAD_DRILL_SPEC_H
#define BULKHEAD_DRILL_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/drill/expression.h"

#define SPEC_PROBES    16
#define SPEC_STEPS     24
#define SPEC_OVERRIDES 16
#define SPEC_ANOMALIES 12
#define SPEC_TEXT      400
#define SPEC_SCOPE     8
#define SPEC_LOADS     2
#define SPEC_NOISE     2.0 /* factor on bounds of behaviour, unless the probe has its own */

/* Which drill of a file: as it stands, shortened, or the arm that must fail. */
enum spec_arm { ARM_FULL = 0, ARM_SHORT = 1 << 0, ARM_CONTROL = 1 << 1, ARM_NO_FAULT = 1 << 2 };

enum spec_window { DURING_FAULT, DURING_BEFORE, DURING_AFTER, DURING_ALL, DURING_COUNT };

struct spec_probe {
    struct expression value;
    unsigned op; /* enum comparison */
    double limit;
    double noise;        /* the limit asserted is limit * noise */
    bool continuous;     /* holds in every window of 1 s; else over the whole of `during` */
    bool should;         /* is reported, does not decide */
    unsigned during;     /* enum spec_window */
    double from_s, to_s; /* to_s > 0: this window instead, seconds since the fault began */
    char from_event[32], to_event[32]; /* or this: between the first two of these events */
};

/* One loadtest. "" and 0: what loadtest presets. */
struct spec_load {
    char profile[24], mix[64], arrivals[12], retry[16];
    double rps, timeout_s;
    unsigned attempts, connections, seed, users;
    bool no_audit, allow_429;
    char more[200]; /* further flags of loadtest, by words */
};

struct spec_override {
    char key[48], value[64];
};

struct spec_server {
    unsigned workers;
    bool faults;
    unsigned tmpfs_mib;   /* the data directory on a tmpfs of this size; 0: not */
    unsigned descriptors; /* RLIMIT_NOFILE of its processes; 0: as it is here */
    unsigned override_count;
    struct spec_override override[SPEC_OVERRIDES];
};

enum step_kind { STEP_FAULT, STEP_CLEAR, STEP_ACT };

enum act {
    ACT_SIGNAL,     /* a signal to a process */
    ACT_DB_MOVE,    /* app.db and its sidecars out of the directory */
    ACT_DB_RESTORE, /* and back */
    ACT_DB_REPLACE, /* a copy takes app.db's name, as a careless restore would */
    ACT_DB_DELETE,
    ACT_LOCK,    /* a foreign process takes the write lock */
    ACT_READER,  /* a foreign process takes a reader's lock: the log cannot be emptied */
    ACT_RELEASE, /* both let go */
    ACT_FILL,    /* a file takes what room is left */
    ACT_RELOAD,
    ACT_START_SUPERVISOR, /* a new one, after a kill */
    ACT_LOAD,             /* a second loadtest */
    ACT_COUNT
};

struct spec_step {
    enum step_kind kind;
    double end_s;       /* when its effect is over, since the method began */
    double at_s;        /* since the method began */
    char fault[256];    /* FAULT: words of `faults set` */
    char id[24];        /* FAULT, CLEAR: a name to clear it by; CLEAR: or "all" */
    double fault_end_s; /* FAULT: when it is over by itself, since at_s */
    unsigned act;       /* enum act */
    char target[24];    /* SIGNAL: worker:N any all gate supervisor sentinel keeper console */
    unsigned signal;
    double every_s, duration_s;
    unsigned times;
    unsigned keep_mib;     /* FILL: room that stays */
    struct spec_load load; /* LOAD, with duration_s */
};

struct spec_anomaly {
    char metric[64]; /* a series of the history */
    bool expected;
    double from_s;  /* since the method began: when it is first to be seen */
    char after[32]; /* or from the first event of this name then, if there is one; "" none */
};

struct spec {
    char file[256], name[64]; /* path; NN-name */
    char title[120], teaches[SPEC_TEXT];
    char loop[SPEC_TEXT], mitigation[SPEC_TEXT]; /* what feeds itself, and what stops it; "" */
    double warm_up_s, before_s, after_s;
    struct spec_load load;
    struct spec_server server;
    unsigned probe_count;
    struct spec_probe probe[SPEC_PROBES];
    unsigned step_count;
    struct spec_step step[SPEC_STEPS]; /* by at_s */
    /* expect */
    double detect_s, recover_s; /* 0: not asked */
    char detect_by[32];         /* degraded, verdict, breaker, or an event's name */
    double lost_acked;          /* < 0: not asked */
    unsigned scope_count;       /* the compartments meant to suffer */
    char scope[SPEC_SCOPE][16]; /* health auth read write worker:N worker:any */
    bool scope_given;
    bool integrity; /* the database is read through at the end, by `bulkheadctl backup` */
    double leakage; /* points of error share in all others */
    struct expression proof;
    bool has_proof, has_control, has_short;
    unsigned anomaly_count;
    struct spec_anomaly anomaly[SPEC_ANOMALIES];
    unsigned rollback_count;
    struct spec_step rollback[SPEC_STEPS];
    struct selectors selectors;
    double method_s; /* from the first step until the last one's effect is over */
    double watch_s;  /* for the recovery */
};

/* Read a file and make the drill of this arm (bits of enum spec_arm). 0; -1 with one line in
 * error. ARM_SHORT without a "short" is the whole drill. */
int spec_read(struct spec *spec, const char *path, unsigned arm, char *error, size_t error_size);

/* The same from text; `path` is for errors and the name. */
int spec_parse(struct spec *spec, const char *path, const char *text, unsigned arm, char *error,
               size_t error_size);

/* Seconds from the first request of the load to its last. */
double spec_load_s(const struct spec *spec);

/* Whether the method sets a fault: then the server must be told every few seconds to keep it. */
bool spec_has_faults(const struct spec *spec);

/* What can only be told with the server known: attached to one (`faults` and `workers` are that
 * server's) or not. 0; -1 with one line in error. */
int spec_check_server(const struct spec *spec, bool attached, unsigned workers, char *error,
                      size_t error_size);

const char *act_name(unsigned act);
const char *window_name(unsigned window);

#endif
