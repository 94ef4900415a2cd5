/* SPDX-License-Identifier: MIT */
/*
 * The faults of a running server: what each record says. The supervisor writes the table
 * (supervisor/faults.c), children read it (common/fault.c), and both take its words from text
 * through common/fault_spec.c.
 *
 * Life of a record: FREE -> SCHEDULED -> ACTIVE -> ENDED, then free for the next one.
 * A fault that is `once` names the processes it is meant for by slot and generation, so that what
 * takes the place of a process it ended is not struck as well. All others name slots.
 */
#ifndef BULKHEAD_FAULT_TABLE_H
#define BULKHEAD_FAULT_TABLE_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/labels.h"
#include "common/metrics.h"

#define FAULTS_MAX               32
#define FAULT_SLOTS_MAX          (WORKER_SLOTS_MAX + 4) /* SLOTS_MAX, which needs this file */
#define FAULT_DURATION_MAX_MS    600000
#define FAULT_DURATION_PRESET_MS 60000
#define FAULT_ALWAYS_PPM         1000000

#define FAULT_STATE_LIST(X)   \
    X(FREE, "free")           \
    X(SCHEDULED, "scheduled") \
    X(ACTIVE, "active")       \
    X(ENDED, "ended")

/* Why one ended. */
#define FAULT_END_LIST(X)           \
    X(NOT_YET, "")                  \
    X(EXPIRED, "expired")           \
    X(STRUCK, "struck")             \
    X(TARGET_GONE, "target_gone")   \
    X(CLEARED, "cleared")           \
    X(NO_HEARTBEAT, "no_heartbeat") \
    X(DISABLED, "disabled")

/* Where it strikes. DB_IO: inside SQLite's calls for its files; of kind db alone. HELD: all the
 * while; of kind resource alone. */
#define FAULT_POINT_LIST(X)             \
    X(NOW, "now")                       \
    X(START, "start")                   \
    X(REQUEST, "request")               \
    X(IN_TRANSACTION, "in_transaction") \
    X(IN_COMMIT, "in_commit")           \
    X(AFTER_COMMIT, "after_commit")     \
    X(ANSWER, "answer")                 \
    X(IN_CHECKPOINT, "in_checkpoint")   \
    X(DB_IO, "db_io")                   \
    X(HELD, "held")

/* Whom it strikes. HELPER: the one of that name, in `slot`. */
#define FAULT_TARGET_LIST(X) \
    X(WORKER, "worker")      \
    X(ANY, "any")            \
    X(ALL, "all")            \
    X(HELPER, "helper")      \
    X(DATABASE, "database")

/* The variants of each kind. */
#define FAULT_CRASH_LIST(X) X(KILL, "KILL") X(SEGV, "SEGV") X(ABRT, "ABRT")
#define FAULT_HANG_LIST(X)  X(STOP, "stop") X(SPIN, "spin") X(THREAD, "thread")
#define FAULT_INTO_LIST(X)  X(SLOT, "slot") X(GATE, "gate")
#define FAULT_OF_LIST(X)    X(FDS, "fds") X(MEMORY, "memory")
#define FAULT_DB_LIST(X)    \
    X(DOWN, "down")         \
    X(SLOW, "slow")         \
    X(FULL, "full")         \
    X(READONLY, "readonly") \
    X(LOCKED, "locked")     \
    X(IOERR, "ioerr")       \
    X(TORN, "torn")         \
    X(BITFLIP, "bitflip")   \
    X(HANG, "hang")
/* Calls for a file; BEGIN: the lock a read transaction takes first. ALL is READ, WRITE and SYNC. */
#define FAULT_OP_LIST(X) \
    X(ALL, "all") X(READ, "read") X(WRITE, "write") X(SYNC, "sync") X(BEGIN, "begin")

#define X(id, name) FAULT_STATE_##id,
enum fault_state { FAULT_STATE_LIST(X) FAULT_STATE_COUNT };
#undef X
#define X(id, name) FAULT_END_##id,
enum fault_end { FAULT_END_LIST(X) FAULT_END_COUNT };
#undef X
#define X(id, name) FAULT_POINT_##id,
enum fault_point { FAULT_POINT_LIST(X) FAULT_POINT_COUNT };
#undef X
#define X(id, name) FAULT_TARGET_##id,
enum fault_target { FAULT_TARGET_LIST(X) FAULT_TARGET_COUNT };
#undef X
#define X(id, name) FAULT_CRASH_##id,
enum fault_crash { FAULT_CRASH_LIST(X) FAULT_CRASH_COUNT };
#undef X
#define X(id, name) FAULT_HANG_##id,
enum fault_hang { FAULT_HANG_LIST(X) FAULT_HANG_COUNT };
#undef X
#define X(id, name) FAULT_INTO_##id,
enum fault_into { FAULT_INTO_LIST(X) FAULT_INTO_COUNT };
#undef X
#define X(id, name) FAULT_OF_##id,
enum fault_of { FAULT_OF_LIST(X) FAULT_OF_COUNT };
#undef X
#define X(id, name) FAULT_DB_##id,
enum fault_db { FAULT_DB_LIST(X) FAULT_DB_COUNT };
#undef X
#define X(id, name) FAULT_OP_##id,
enum fault_op { FAULT_OP_LIST(X) FAULT_OP_COUNT };
#undef X

/* What a filter of class or route says when there is none. */
#define FAULT_EVERY UINT32_MAX

struct fault {
    uint32_t id;              /* 1, 2, 3 … */
    uint32_t state;           /* enum fault_state */
    uint32_t end;             /* enum fault_end */
    uint32_t kind;            /* enum fault_kind */
    uint32_t point;           /* enum fault_point */
    uint32_t target;          /* enum fault_target */
    uint32_t slot;            /* of WORKER and HELPER */
    uint32_t class, endpoint; /* filters; FAULT_EVERY none */
    uint32_t repeat;          /* goes on striking; else, of kinds that strike, */
    uint32_t once;            /* each process it is meant for is struck once */
    uint32_t variant;         /* enum fault_crash, _hang, _into, _of or _db; an error's status */
    uint32_t op;              /* enum fault_op, of kind db */
    uint32_t per_second;      /* strikes of one process; 0: no such limit */
    uint32_t per_million;     /* chance of each occasion; FAULT_ALWAYS_PPM: every one */
    uint32_t after_ms, duration_ms;
    uint32_t delay_ms, jitter_ms; /* of slow */
    uint32_t percent, mib;        /* of resource: of the limit; what is touched */
    uint32_t ramp_ms;             /* until the full delay, share or chance is reached */
    uint32_t everybody;           /* while active: all workers (ALL) or all (DATABASE) */
    uint64_t seed;
    uint64_t event_id; /* of its fault_start */
    uint64_t begin_ns, end_ns;
    uint32_t generation[FAULT_SLOTS_MAX]; /* while active and not for everybody: 0 not meant */
};

struct fault_table {
    struct fault fault[FAULTS_MAX];
};

/* In the slot of whoever is struck, written just before: the fault in this place of the table, and
 * when it last struck. */
struct fault_mark {
    _Atomic uint64_t struck_ns;
    _Atomic uint32_t id;
};

#endif
