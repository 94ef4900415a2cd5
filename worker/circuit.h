/* SPDX-License-Identifier: MIT */
/*
 * A worker's circuit breaker for one dependency: the machine of common/breaker.h with what it needs
 * of the world: a mutex, a clock, the board's word, the slot.
 *
 * It speaks of local evidence, the board of shared evidence: while the board fences the dependency
 * the breaker is held open, and with the fence gone it is closed at once. What it is lies in the
 * slot, so that the supervisor sees it and the next process goes on with it.
 *
 * Logins and the worker's own read go past it, neither asking nor telling. They have two readers of
 * their own, so a database that fails costs them little; refusing them because items are slow to
 * read would carry a failure from one compartment to another, and a worker refused its own read
 * would take itself for broken and end.
 */
#ifndef BULKHEAD_CIRCUIT_H
#define BULKHEAD_CIRCUIT_H

#include <pthread.h>

#include "common/breaker.h"
#include "common/child.h"

struct circuit {
    pthread_mutex_t mutex;
    struct breaker breaker;
    enum dependency dependency;
    struct child *child;
    const _Atomic uint32_t *allowed; /* the board's word */
    _Atomic bool held;               /* as the breaker is, to be read without the mutex */
    uint64_t random;
    uint64_t since_wall_us; /* in this state */
};

/* Go on with what the process before left in the slot. `child` must outlive the circuit. */
void circuit_init(struct circuit *circuit, struct child *child, enum dependency dependency);

/* May a call be made? True: circuit_leave is owed. False: *retry_ms says when to ask again. */
bool circuit_enter(struct circuit *circuit, struct breaker_permit *permit, unsigned *retry_ms);

/* The call begins; what was before was waiting for others. */
void circuit_begin(struct circuit *circuit, struct breaker_permit permit);

void circuit_leave(struct circuit *circuit, struct breaker_permit permit,
                   enum breaker_result result);

/* What the code of a call that was made says of the dependency. */
enum breaker_result circuit_result_of(enum db_code code);

/* Be held or let go, as the board says. Costs two loads while nothing changes. */
void circuit_follow(struct circuit *circuit);

/* Every 100 ms: follow the board, count calls that run long, show the counts. */
void circuit_tick(struct circuit *circuit);

#endif
