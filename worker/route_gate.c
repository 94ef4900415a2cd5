/* SPDX-License-Identifier: MIT */
#include "worker/route_gate.h"

#include "common/clock.h"
#include "common/route_word.h"

static bool refuse(struct exchange *exchange)
{
    enum endpoint endpoint = exchange->request.route.endpoint;
    const struct board_words *words = &exchange->services->child->region->board.words;
    uint64_t until_ns =
        atomic_load_explicit(&words->route_until_ns[endpoint], memory_order_relaxed);
    exchange->compartment_full = true; /* so many lines are enough in the log */
    exchange->retry_floor_ms = (unsigned)clock_ms_until(until_ns, clock_now_ns(), 300 * 1000);
    counter_increment(
        &exchange_metrics(exchange)->refused[endpoint_class(endpoint)][REFUSAL_ROUTE_QUARANTINED]);
    response_problem(exchange, PROBLEM_ROUTE_QUARANTINED,
                     "Workers died of requests like this one; it is refused for a while.");
    return false;
}

bool route_gate_pass(struct exchange *exchange)
{
    const struct child *child = exchange->services->child;
    uint64_t word = atomic_load_explicit(
        &child->region->board.words.route[exchange->request.route.endpoint], memory_order_relaxed);
    if (route_word_state(word) == GUARD_OPEN)
        return true;
    if (route_word_state(word) != GUARD_TRIAL || route_word_slot(word) != child->slot_index)
        return refuse(exchange);
    exchange->trial = route_word_number(word);
    return true;
}

bool route_gate_enter(struct exchange *exchange)
{
    if (exchange->trial == 0)
        return true;
    _Atomic uint64_t *said =
        &exchange->services->child->slot->route_trial[exchange->request.route.endpoint];
    uint64_t before = atomic_load(said), taken = route_trial_taken(exchange->trial);
    while (before < taken)
        if (atomic_compare_exchange_weak(said, &before, taken))
            return exchange->on_trial = true;
    return refuse(exchange);
}

void route_gate_leave(struct exchange *exchange)
{
    if (!exchange->on_trial)
        return;
    _Atomic uint64_t *said =
        &exchange->services->child->slot->route_trial[exchange->request.route.endpoint];
    /* Not when a later trial was taken since: this one was given up. */
    uint64_t taken = route_trial_taken(exchange->trial);
    atomic_compare_exchange_strong(said, &taken, route_trial_answered(exchange->trial));
}
