/* SPDX-License-Identifier: MIT */
#include "worker/failure.h"

static const struct {
    enum problem problem;
    const char *detail;
    bool by_database; /* the state of the database is the cause */
} failures[] = {
    [STORE_OK] = {PROBLEM_INTERNAL_ERROR, NULL, false},
    [STORE_REPLAYED] = {PROBLEM_INTERNAL_ERROR, NULL, false},
    [STORE_NOT_FOUND] = {PROBLEM_NOT_FOUND, "There is no such item.", false},
    [STORE_VERSION_MISMATCH] = {PROBLEM_PRECONDITION_FAILED,
                                "The item has another version than If-Match asks for.", false},
    [STORE_KEY_REUSED] = {PROBLEM_KEY_REUSED, "This Idempotency-Key was used with another request.",
                          false},
    [STORE_FULL_COMPARTMENT] = {PROBLEM_BULKHEAD_FULL, NULL, false},
    [STORE_DEADLINE] = {PROBLEM_DEADLINE_EXCEEDED, NULL, false},
    [STORE_CIRCUIT_OPEN] = {PROBLEM_CIRCUIT_OPEN,
                            "The database failed too often here lately, so it was not asked; "
                            "nothing was changed.",
                            true},
    [STORE_UNAVAILABLE] = {PROBLEM_DATABASE_UNAVAILABLE,
                           "The database cannot be used now; nothing was changed.", true},
    [STORE_DISK_FULL] = {PROBLEM_STORAGE_FULL, "There is no room for writes; nothing was changed.",
                         true},
    [STORE_WAL_FULL] = {PROBLEM_WAL_FULL,
                        "The write-ahead log is full and a reader keeps it from being emptied; "
                        "nothing was changed.",
                        true},
    [STORE_READ_ONLY] = {PROBLEM_READ_ONLY,
                         "The database can only be read now; nothing was changed.", true},
    [STORE_LOCKED] = {PROBLEM_LOCKED, "Another program holds the database; nothing was changed.",
                      true},
    [STORE_REFUSED] = {PROBLEM_INTERNAL_ERROR, "The database refused the data.", false},
    [STORE_UNKNOWN] = {PROBLEM_WRITE_OUTCOME_UNKNOWN,
                       "The commit failed; the write may have happened or not. Read before you "
                       "repeat it, or repeat it with the same Idempotency-Key.",
                       true},
};

void failure_compartment_full(struct exchange *exchange)
{
    exchange->compartment_full = true;
    response_problem(exchange, PROBLEM_BULKHEAD_FULL,
                     "All that may run at once is running; try again a little later.");
}

void failure_deadline(struct exchange *exchange, enum stage stage)
{
    counter_increment(&exchange_metrics(exchange)->deadline_exceeded[stage][0]);
    response_problem(exchange, PROBLEM_DEADLINE_EXCEEDED,
                     "The time for this request is over; nothing was changed.");
}

void failure_of_store(struct exchange *exchange, enum store_result result)
{
    if (result == STORE_FULL_COMPARTMENT) {
        failure_compartment_full(exchange);
    } else if (result == STORE_DEADLINE) {
        /* A call that never got to the database waited for its turn. */
        failure_deadline(exchange, exchange->cost.db_us > 0 ? STAGE_DB : STAGE_QUEUE);
    } else {
        exchange->db_refused = failures[result].by_database;
        if (result == STORE_CIRCUIT_OPEN)
            exchange->retry_floor_ms = exchange->cost.retry_ms;
        response_problem(exchange, failures[result].problem, failures[result].detail);
    }
}
