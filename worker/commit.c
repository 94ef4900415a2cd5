/* SPDX-License-Identifier: MIT */
#include "worker/turn.h"

#include <errno.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/db/gate.h"
#include "worker/liveness.h"
#include "worker/write_operation.h"

#define HOLD_NS (250 * NS_PER_MS) /* no operation begins later than this after the gate */

void committer_init(struct committer *committer, const struct database *database,
                    struct circuit *circuit)
{
    *committer = (struct committer){.database = database, .circuit = circuit};
    pool_init(&committer->writer, database, DB_WRITER, 1);
    pthread_mutex_init(&committer->mutex, NULL);
    TAILQ_INIT(&committer->queue);
}

static bool move_state(struct operation *operation, enum operation_state from,
                       enum operation_state to)
{
    uint32_t expected = (uint32_t)from;
    return atomic_compare_exchange_strong(&operation->state, &expected, (uint32_t)to);
}

static bool in_state(const struct operation *operation, enum operation_state state)
{
    return atomic_load(&operation->state) == (uint32_t)state;
}

void turn_answer(struct turn *turn, struct operation *operation, enum store_result result,
                 enum db_code error)
{
    if (result != STORE_OK && result != STORE_REPLAYED)
        write_operation_forget(operation->write);
    operation->result = result;
    operation->error = error;
    operation->excused = turn->owner_died && error == DB_CODE_BUSY;
    TAILQ_INSERT_TAIL(&turn->answers, operation, link);
}

struct operation *turn_claim(struct turn *turn)
{
    struct committer *committer = turn->committer;
    struct operation *operation;
    uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&committer->mutex);
    while ((operation = TAILQ_FIRST(&committer->queue))) {
        TAILQ_REMOVE(&committer->queue, operation, link);
        CHECK(move_state(operation, OPERATION_QUEUED, OPERATION_CLAIMED));
        operation->claimed_ns = now_ns;
        circuit_begin(committer->circuit, operation->permit);
        if (now_ns < operation->deadline_ns)
            break;
        turn_answer(turn, operation, STORE_DEADLINE, DB_CODE_OK);
    }
    pthread_mutex_unlock(&committer->mutex);
    return operation;
}

void turn_refuse_queue(struct turn *turn, enum store_result result, enum db_code error)
{
    struct operation *operation;
    while ((operation = turn_claim(turn)))
        turn_answer(turn, operation, result, error);
}

void turn_give_back(struct turn *turn, struct operations *batch)
{
    struct committer *committer = turn->committer;
    struct operation *operation;
    pthread_mutex_lock(&committer->mutex);
    while ((operation = TAILQ_LAST(batch, operations))) {
        TAILQ_REMOVE(batch, operation, link);
        write_operation_forget(operation->write);
        TAILQ_INSERT_HEAD(&committer->queue, operation, link);
        CHECK(move_state(operation, OPERATION_CLAIMED, OPERATION_QUEUED));
        pthread_cond_signal(&operation->changed);
    }
    pthread_mutex_unlock(&committer->mutex);
}

/* Open the connection before the gate is taken, so that opening is nobody else's wait. It is not
 * kept meanwhile: the supervisor may want it closed. Where the database is slow for all it takes
 * longer than the deadline. */
static void warm_up(struct committer *committer)
{
    struct connection *connection;
    enum db_code code;
    liveness_stage(STAGE_DB);
    if (pool_take(&committer->writer, &connection, &code) == STORE_OK)
        pool_give(&committer->writer, connection);
}

static void take_gate(struct turn *turn)
{
    struct slot_metrics *numbers = turn->database->metrics;
    struct gate *gate = &turn->database->child->region->gate;
    uint64_t start_ns = clock_now_ns();
    liveness_stage(STAGE_GATE);
    int taken = gate_lock(gate, turn->slot, turn->deadline_ns);
    uint64_t now_ns = clock_now_ns();
    histogram_record(&numbers->db_lock_wait[0], (now_ns - start_ns) / NS_PER_US);
    if (taken == -ETIMEDOUT)
        return; /* our deadline has passed; the others' may not have */
    if (taken < 0) {
        turn_refuse_queue(turn, STORE_UNAVAILABLE, DB_CODE_OTHER);
        return;
    }
    turn->owner_died = taken == 1;
    if (taken == 1)
        counter_increment(&numbers->gate_owner_died[0][0]);
    turn->hold_end_ns = now_ns + HOLD_NS;
    turn_run(turn);
    gate_unlock(gate, turn->slot);
}

/* Do one turn for everybody who waits. The committer's mutex is held, but not while it works. */
static void lead(struct committer *committer, const struct operation *self)
{
    struct turn turn = {
        .committer = committer,
        .database = committer->database,
        .slot = committer->database->child->slot,
        .deadline_ns = self->deadline_ns,
        .answers = TAILQ_HEAD_INITIALIZER(turn.answers),
    };
    struct operation *operation;
    committer->led = true;
    pthread_mutex_unlock(&committer->mutex);
    warm_up(committer);
    take_gate(&turn);
    liveness_stage(STAGE_QUEUE);
    pthread_mutex_lock(&committer->mutex);
    while ((operation = TAILQ_FIRST(&turn.answers))) {
        TAILQ_REMOVE(&turn.answers, operation, link);
        CHECK(move_state(operation, OPERATION_CLAIMED, OPERATION_DONE));
        pthread_cond_signal(&operation->changed);
    }
    committer->led = false;
}

/* Wait until something changed or the deadline passed. */
static void wait_for_change(struct committer *committer, struct operation *own, bool *late)
{
    struct timespec deadline = clock_timespec(own->deadline_ns);
    if (*late) {
        pthread_cond_wait(&own->changed, &committer->mutex);
    } else if (pthread_cond_clockwait(&own->changed, &committer->mutex, CLOCK_MONOTONIC,
                                      &deadline) == ETIMEDOUT &&
               in_state(own, OPERATION_CLAIMED)) {
        *late = true;
        liveness_stage(STAGE_COMMIT); /* past its time, and not this thread's fault */
    }
}

enum store_result commit_write(struct committer *committer, struct write *write,
                               struct breaker_permit permit, uint64_t deadline_ns,
                               struct store_cost *cost)
{
    struct operation own = {.write = write, .permit = permit, .deadline_ns = deadline_ns};
    uint64_t start_ns = clock_now_ns();
    bool late = false;
    liveness_stage(STAGE_QUEUE);
    pthread_cond_init(&own.changed, NULL);
    pthread_mutex_lock(&committer->mutex);
    TAILQ_INSERT_TAIL(&committer->queue, &own, link);
    while (!in_state(&own, OPERATION_DONE)) {
        if (in_state(&own, OPERATION_QUEUED) && clock_now_ns() >= deadline_ns) {
            CHECK(move_state(&own, OPERATION_QUEUED, OPERATION_LEFT));
            TAILQ_REMOVE(&committer->queue, &own, link);
            own.result = STORE_DEADLINE;
            break;
        }
        if (in_state(&own, OPERATION_QUEUED) && !committer->led)
            lead(committer, &own);
        else
            wait_for_change(committer, &own, &late);
    }
    /* Whoever goes sees to it that somebody leads. */
    struct operation *next = committer->led ? NULL : TAILQ_FIRST(&committer->queue);
    if (next)
        pthread_cond_signal(&next->changed);
    pthread_mutex_unlock(&committer->mutex);
    pthread_cond_destroy(&own.changed);

    uint64_t end_ns = clock_now_ns();
    uint64_t claimed_ns = own.claimed_ns ? own.claimed_ns : end_ns;
    cost->queue_us += (claimed_ns - start_ns) / NS_PER_US;
    cost->db_us += (end_ns - claimed_ns) / NS_PER_US;
    cost->error = own.error;
    cost->excused = own.excused;
    return own.result;
}
