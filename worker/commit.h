/* SPDX-License-Identifier: MIT */
/*
 * Group commit: writes that wait at the same time share one transaction and one fsync.
 *
 * It owns the queue of operations, who leads, the transaction and the truth of the answers; not the
 * SQL of an operation (write_operation.c), not the gate (common/db/gate.h), not who is let in
 * (permits.h).
 *
 * Invariants
 *   - An operation lies on the stack of the thread that waits for it. Whoever moves its state by
 *     compare-and-swap decides: QUEUED -> LEFT is its owner's alone, QUEUED -> CLAIMED the
 * leader's. Once CLAIMED the owner waits for DONE, however late it is.
 *   - Nobody is told of success before COMMIT returned and the files were found to be the same.
 *   - An operation is in the batch of one transaction or in none; if that transaction is rolled
 * back it is run again alone, given back to the queue, or answered that nothing was done.
 *   - Whenever somebody is queued, somebody leads or has been woken to lead.
 */
#ifndef BULKHEAD_COMMIT_H
#define BULKHEAD_COMMIT_H

#include <pthread.h>
#include <sys/queue.h>

#include "worker/circuit.h"
#include "worker/pool.h"

struct operation;
TAILQ_HEAD(operations, operation);

struct committer {
    const struct database *database;
    struct circuit *circuit;
    struct pool writer; /* of one connection */
    pthread_mutex_t mutex;
    struct operations queue;
    bool led; /* some thread has the leadership */
};

void committer_init(struct committer *committer, const struct database *database,
                    struct circuit *circuit);

/* Queue the write, see it committed, say what became of it. Permits are the caller's business; the
 * circuit's is told when the operation is claimed: until then it waited for others.
 * Sets cost->queue_us (until it was claimed), db_us, error and excused. */
enum store_result commit_write(struct committer *committer, struct write *write,
                               struct breaker_permit permit, uint64_t deadline_ns,
                               struct store_cost *cost);

#endif
