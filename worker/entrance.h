/* SPDX-License-Identifier: MIT */
/*
 * What stands before the database, in this order: the board's fence, a permit of the compartment,
 * the circuit breaker. It counts who is refused; it asks the database nothing.
 */
#ifndef BULKHEAD_ENTRANCE_H
#define BULKHEAD_ENTRANCE_H

#include "worker/circuit.h"
#include "worker/permits.h"
#include "worker/pool.h"

/* The fence, then a permit. STORE_OK: a permit was taken. */
enum store_result entrance_take(const struct database *database, struct permits *permits,
                                enum db_role role, enum request_class class, uint64_t deadline_ns,
                                struct store_cost *cost);

/* The breaker, last before the database. STORE_OK: circuit_leave is owed. */
enum store_result entrance_ask(const struct database *database, struct circuit *circuit,
                               struct breaker_permit *permit, struct store_cost *cost);

#endif
