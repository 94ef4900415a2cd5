/* SPDX-License-Identifier: MIT */
#include "worker/entrance.h"

#include "common/clock.h"
#include "worker/liveness.h"

/* The board refuses: nobody is asked. */
static enum store_result fenced(const struct database *database, enum db_role role,
                                enum request_class class, enum store_result fence,
                                struct store_cost *cost)
{
    cost->error = DB_CODE_UNAVAILABLE;
    counter_increment(&database->metrics->refused[class][REFUSAL_DATABASE]);
    database_count_error(database, role == DB_READER ? DB_OP_READ : DB_OP_WRITE,
                         DB_CODE_UNAVAILABLE);
    return fence;
}

enum store_result entrance_take(const struct database *database, struct permits *permits,
                                enum db_role role, enum request_class class, uint64_t deadline_ns,
                                struct store_cost *cost)
{
    uint64_t start_ns = clock_now_ns();
    *cost = (struct store_cost){0};
    if (start_ns >= deadline_ns)
        return STORE_DEADLINE;
    enum store_result fence = database_fence(database, role);
    if (fence != STORE_OK)
        return fenced(database, role, class, fence, cost);
    liveness_stage_at(STAGE_QUEUE, start_ns);
    enum permit_result permit = permits_take(permits, deadline_ns);
    cost->queue_us = (clock_now_ns() - start_ns) / NS_PER_US;
    if (permit == PERMIT_TAKEN)
        return STORE_OK;
    liveness_stage(STAGE_HANDLE);
    return permit == PERMIT_DEADLINE ? STORE_DEADLINE : STORE_FULL_COMPARTMENT;
}

enum store_result entrance_ask(const struct database *database, struct circuit *circuit,
                               struct breaker_permit *permit, struct store_cost *cost)
{
    bool reads = circuit->dependency == DEPENDENCY_DB_READ;
    enum db_role role = reads ? DB_READER : DB_WRITER;
    enum request_class class = reads ? CLASS_READ : CLASS_WRITE;
    if (circuit_enter(circuit, permit, &cost->retry_ms))
        return STORE_OK;
    enum store_result fence = database_fence(database, role);
    if (fence != STORE_OK) /* since we looked */
        return fenced(database, role, class, fence, cost);
    cost->dependency = circuit->dependency;
    counter_increment(&database->metrics->refused[class][REFUSAL_CIRCUIT_OPEN]);
    return STORE_CIRCUIT_OPEN;
}
