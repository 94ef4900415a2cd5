/* SPDX-License-Identifier: MIT */
/*
 * The child's side of the fault bench: at the points of fault_table.h it asks whether a fault of
 * the supervisor's table is meant for this process, counts it (fault_hits_total) and then strikes.
 * libc only. It owns no fault: which are active and for whom is the supervisor's word alone.
 *
 * Cost with none active: one relaxed load a point. With one active: a mutex and a look at the
 * process's own copy of the table, which is renewed when the supervisor changes it.
 */
#ifndef BULKHEAD_FAULT_H
#define BULKHEAD_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"

/* Once, when the region is mapped. Without it no point ever strikes. */
void fault_start(struct region *region, unsigned slot, uint32_t generation);

/* The word that says whether there is anything to look at; private to these inline functions. */
extern const _Atomic uint64_t *fault_active_word;

static inline bool fault_is_possible(void)
{
    return atomic_load_explicit(fault_active_word, memory_order_relaxed) != 0;
}

void fault_strike_active(enum fault_point point);
unsigned fault_request_active(unsigned class, unsigned endpoint);

/* A point that is no request and no call for a file: crash, hang, scribble, close_fds and slow. */
static inline void fault_strike(enum fault_point point)
{
    if (fault_is_possible())
        fault_strike_active(point);
}

/* A request is about to be handled. The status to answer instead (500, 503, 504); FAULT_NO_ANSWER:
 * reset the connection and handle nothing; or 0: handle it, perhaps somewhat later than you came.
 */
#define FAULT_NO_ANSWER 499
static inline unsigned fault_request(unsigned class, unsigned endpoint)
{
    return fault_is_possible() ? fault_request_active(class, endpoint) : 0;
}

/* A request was handled, and its answer is about to leave. What becomes of the answer. */
struct fault_answer {
    bool omitted; /* the connection is reset, nothing is sent */
    bool cut;     /* half of the body is sent, then the connection is closed */
    bool altered; /* a byte of the body is another one */
    uint64_t random;
};

/* has_body: there is something to cut; success: there is something a client would believe. */
struct fault_answer fault_answer_active(unsigned class, unsigned endpoint, bool has_body,
                                        bool success);

static inline struct fault_answer fault_answer(unsigned class, unsigned endpoint, bool has_body,
                                               bool success)
{
    return fault_is_possible() ? fault_answer_active(class, endpoint, has_body, success)
                               : (struct fault_answer){0};
}

/* Once a heartbeat: take descriptors and memory as faults of kind resource say, or give them back
 * when they are over. Bounded: a look takes some milliseconds at most. */
void fault_hold(void);

/* What a call for one of the database's files meets. */
struct fault_io {
    enum fault_op op; /* READ, WRITE, SYNC or BEGIN; ALL: none of them */
    bool again;       /* the same statement has tried it before: slow does not delay it once more */
    bool write_lock;  /* it is SQLite's lock for writers that is to be taken */
    bool wal;         /* of app.db-wal */
};
struct fault_io_effect {
    bool strikes;
    enum fault_db effect; /* the gravest; delays were waited for already */
    uint64_t random;
};

/* Waits for as long as slow and hanging faults say, then tells the effect. */
struct fault_io_effect fault_database_active(struct fault_io io);

static inline struct fault_io_effect fault_database(struct fault_io io)
{
    return fault_is_possible() ? fault_database_active(io) : (struct fault_io_effect){0};
}

#endif
