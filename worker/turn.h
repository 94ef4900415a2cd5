/* SPDX-License-Identifier: MIT */
/*
 * One holding of the gate: what a leader does with the queue while writers of all processes wait
 * for it. turn.c owns the transaction and the truth of each answer; commit.c owns the queue and
 * hands out operations.
 */
#ifndef BULKHEAD_TURN_H
#define BULKHEAD_TURN_H

#include "worker/commit.h"

enum operation_state { OPERATION_QUEUED, OPERATION_CLAIMED, OPERATION_DONE, OPERATION_LEFT };

/* Lies on the stack of the thread that waits in commit_write. */
struct operation {
    _Atomic uint32_t state; /* enum operation_state */
    struct write *write;
    struct breaker_permit permit;
    uint64_t deadline_ns, claimed_ns;
    enum store_result result;
    enum db_code error;
    bool excused; /* store_cost */
    pthread_cond_t changed;
    TAILQ_ENTRY(operation) link; /* in the queue, then in the leader's batch or answers */
};

struct turn {
    struct committer *committer;
    const struct database *database;
    struct slot *slot;
    struct connection *connection;
    uint64_t deadline_ns;      /* the leader's own */
    uint64_t hold_end_ns;      /* no operation begins after it */
    bool owner_died;           /* with the gate: its file locks may outlive it by some ms */
    struct operations answers; /* told to their owners when the gate is free again */
};

/* The gate is held: run what is queued, or refuse it. */
void turn_run(struct turn *turn);

/* The next operation whose client still waits, CLAIMED; NULL when there is none. */
struct operation *turn_claim(struct turn *turn);

/* Decide what a claimed operation is told. */
void turn_answer(struct turn *turn, struct operation *operation, enum store_result result,
                 enum db_code error);

/* Everybody who waits gets the same refusal; nothing was done for any of them. */
void turn_refuse_queue(struct turn *turn, enum store_result result, enum db_code error);

/* What a lost transaction left over goes back to the head of the queue, in its order. */
void turn_give_back(struct turn *turn, struct operations *batch);

#endif
