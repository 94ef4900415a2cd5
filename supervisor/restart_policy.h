/* SPDX-License-Identifier: MIT */
/*
 * When a dead slot is filled again. Pure: time and randomness are passed in.
 *
 * Only deaths that speak against the child are charged. A kill from outside to a child that served
 * is an operator or a drill at work: charging it would make a kill drill quarantine its own fleet.
 */
#ifndef BULKHEAD_RESTART_POLICY_H
#define BULKHEAD_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/labels.h"

#define RESTART_RING 101 /* restart.max_deaths is at most 100 */

struct restart_settings {
    unsigned max_deaths; /* more charged deaths than this … */
    uint64_t window_ns;  /* … within this quarantine the slot */
};

/* A slot's charged deaths. All zero is a clean record. */
struct restart_record {
    uint64_t death_ns[RESTART_RING];
    unsigned next;        /* place in the ring */
    unsigned total;       /* charged deaths ever */
    unsigned quarantines; /* in a row, for doubling */
    uint64_t quarantine_end_ns;
};

enum restart_verdict { RESTART_VERDICT_NOW, RESTART_VERDICT_WAIT, RESTART_VERDICT_QUARANTINE };

struct restart_decision {
    enum restart_verdict verdict;
    uint64_t until_ns; /* of the wait or the quarantine */
};

/* Whether a death of this class speaks against the child. */
bool restart_is_charged(enum death_class death);

/* Record the death and decide. uptime_ns: from spawn to death. */
struct restart_decision restart_decide(struct restart_record *record,
                                       const struct restart_settings *settings,
                                       enum death_class death, uint64_t uptime_ns, uint64_t now_ns,
                                       uint64_t random);

/* Take back the charge for the death recorded at this time, if there is one. */
void restart_forgive(struct restart_record *record, uint64_t death_ns);

/* The fleet forks at most 20 times a second, whatever dies: a bucket of forks. */
struct fork_budget {
    uint64_t next_ns; /* a fork is allowed from here on */
};
#define FORKS_PER_SECOND 20
#define FORK_BURST       8 /* forks that may come at once */

/* 0: fork now (and it is booked); else the time to try again. */
uint64_t fork_budget_take(struct fork_budget *budget, uint64_t now_ns);

#endif
