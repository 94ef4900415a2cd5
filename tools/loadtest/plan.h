/* SPDX-License-Identifier: MIT */
/*
 * What is sent and when, decided before the run by seed, rate and mix alone: an open loop does not
 * look at answers. The plan is a sequence that is computed as it is read, in constant memory; two
 * plans with equal settings are equal. Pure.
 *
 * Times and kinds come from two random streams, so the kinds of a seed stay the same when the
 * arrivals change from even to Poisson.
 */
#ifndef BULKHEAD_LOADTEST_PLAN_H
#define BULKHEAD_LOADTEST_PLAN_H

#include <stdbool.h>
#include <stdint.h>

/* Kinds of requests that a load is mixed of. */
enum load_kind {
    LOAD_READ,
    LOAD_WRITE,
    LOAD_LIST,
    LOAD_LOGIN,
    LOAD_HEALTH,
    LOAD_GET, /* a path of any server (--get); not for --mix */
    LOAD_KINDS
};

enum arrivals {
    ARRIVALS_EVEN,    /* one every 1/rate */
    ARRIVALS_POISSON, /* independent: exponential gaps of mean 1/rate */
};

/* A stretch of time with one rate. */
struct plan_phase {
    double rate; /* requests per second, above 0 */
    uint64_t duration_ns;
};

struct plan_settings {
    enum arrivals arrivals;
    double rate; /* requests per second */
    uint64_t duration_ns;
    const struct plan_phase *phases; /* instead of one rate for all of duration_ns; NULL: none */
    unsigned phase_count;
    unsigned weight[LOAD_KINDS]; /* shares; the sum is above 0 */
    uint64_t seed;
};

struct arrival {
    uint64_t offset_ns; /* the intended send time, from the start of the run */
    enum load_kind kind;
    unsigned phase;  /* index of the phase it belongs to */
    uint64_t random; /* to choose an item or a user by */
};

struct plan {
    struct plan_settings settings;
    uint64_t times; /* random streams */
    uint64_t kinds;
    unsigned phase;
    uint64_t phase_start_ns;
    uint64_t index;  /* within the phase */
    double clock_ns; /* within the phase; Poisson: the time of the last arrival */
};

void plan_start(struct plan *plan, const struct plan_settings *settings);

/* The next arrival; false when the plan is at its end. */
bool plan_next(struct plan *plan, struct arrival *arrival);

/* The next kind and random number, without a time and without end (closed loops). */
void plan_draw(struct plan *plan, struct arrival *arrival);

/* "read=75,write=20,list=5" in any order; kinds left out weigh 0. 0 or -EINVAL. */
int plan_parse_mix(const char *text, unsigned weight[LOAD_KINDS]);

const char *load_kind_name(enum load_kind kind);

#endif
