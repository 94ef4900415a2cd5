/* SPDX-License-Identifier: MIT */
#include "worker/turn.h"

#include <time.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/liveness.h"
#include "worker/write_operation.h"

#define BATCH_MOST     64
#define BEGIN_LIMIT_NS (200 * NS_PER_MS) /* how long a foreign lock is waited for in the gate */
#define BUSY_RETRY_NS  (500 * NS_PER_US)
#define BYTES_PER_MIB  (UINT64_C(1) << 20)

enum statement { BEGIN, COMMIT, ROLLBACK, STATEMENT_END };
_Static_assert(STATEMENT_END <= WRITE_STATEMENT_FIRST, "statements of the two modules are apart");
static const char *const sql[] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

static void answer_batch(struct turn *turn, struct operations *batch, enum store_result result,
                         enum db_code error)
{
    struct operation *operation;
    while ((operation = TAILQ_FIRST(batch))) {
        TAILQ_REMOVE(batch, operation, link);
        turn_answer(turn, operation, result, error);
    }
}

static void pause_for_lock(void)
{
    const struct timespec pause = {.tv_nsec = (long)BUSY_RETRY_NS};
    nanosleep(&pause, NULL);
}

/* Run BEGIN or COMMIT, again while another process has SQLite's lock, until until_ns. */
static enum db_code run_patiently(struct turn *turn, enum statement which, enum db_op op,
                                  uint64_t until_ns)
{
    struct connection *connection = turn->connection;
    uint64_t start_ns = clock_now_ns();
    enum db_code code;
    for (;;) {
        sqlite3_stmt *statement = connection_statement(connection, which, sql[which]);
        code =
            db_code_of_call(connection->db, statement ? sqlite3_step(statement)
                                                      : sqlite3_extended_errcode(connection->db));
        statement_done(statement);
        if (code != DB_CODE_BUSY || clock_now_ns() + BUSY_RETRY_NS >= until_ns)
            break;
        pause_for_lock();
    }
    database_count_time(turn->database, op, start_ns);
    database_count_error(turn->database, op, code);
    return code;
}

/* Leave no transaction behind, and no connection that cannot be trusted. */
static void abandon(struct turn *turn, enum db_code code)
{
    struct connection *connection = turn->connection;
    if (connection->db && !sqlite3_get_autocommit(connection->db)) {
        sqlite3_stmt *statement = connection_statement(connection, ROLLBACK, sql[ROLLBACK]);
        sqlite3_step(statement);
        statement_done(statement);
    }
    if (failure_is_lasting(code) || (connection->db && !sqlite3_get_autocommit(connection->db)))
        connection_close(connection);
}

static bool files_are_the_same(const struct turn *turn)
{
    if (db_identity_check(&turn->database->paths, &turn->connection->identity) == IDENTITY_SAME)
        return true;
    database_count_error(turn->database, DB_OP_IDENTITY, DB_CODE_IDENTITY);
    return false;
}

/* Begin a transaction, waiting for a foreign lock until until_ns; otherwise there is none. After
 * EOWNERDEAD a BUSY of some ms is usual: the dead process's mutex goes before its file locks. */
static enum db_code begin(struct turn *turn, uint64_t until_ns)
{
    if (!files_are_the_same(turn))
        return DB_CODE_IDENTITY;
    enum db_code code = run_patiently(turn, BEGIN, DB_OP_BEGIN, until_ns);
    if (code != DB_CODE_OK)
        abandon(turn, code);
    return code;
}

/* COMMIT what the batch did, and tell its owners what they have in the end. */
static void commit(struct turn *turn, struct operations *batch, unsigned size)
{
    struct slot_metrics *numbers = turn->database->metrics;
    fault_strike(FAULT_POINT_IN_TRANSACTION);
    gate_mark_commit(turn->slot);
    liveness_stage(STAGE_COMMIT);
    fault_strike(FAULT_POINT_IN_COMMIT);
    enum db_code code = run_patiently(turn, COMMIT, DB_OP_COMMIT, turn->hold_end_ns);
    liveness_stage(STAGE_DB);
    if (code == DB_CODE_OK)
        fault_strike(FAULT_POINT_AFTER_COMMIT);
    if (code == DB_CODE_BUSY) {
        /* SQLite left the transaction open, so taking it back is certain. */
        abandon(turn, code);
        answer_batch(turn, batch, STORE_LOCKED, code);
        return;
    }
    if (code == DB_CODE_OK && !files_are_the_same(turn)) {
        /* Committed, but perhaps into a file that nobody will open again. The handle stays open: as
         * long as it lives the keeper can save what it holds. */
        answer_batch(turn, batch, STORE_UNKNOWN, DB_CODE_IDENTITY);
        return;
    }
    if (code != DB_CODE_OK) {
        log_warning("commit_failed", "%u writes have an unknown outcome: %s", size,
                    sqlite3_errmsg(turn->connection->db));
        abandon(turn, DB_CODE_IOERR); /* whatever it was, this handle is not used again */
        answer_batch(turn, batch, STORE_UNKNOWN, code);
        return;
    }
    counter_increment(&numbers->db_commits[0][0]);
    histogram_record(&numbers->db_commit_batch[0], size);
    struct operation *operation;
    while ((operation = TAILQ_FIRST(batch))) {
        TAILQ_REMOVE(batch, operation, link);
        turn_answer(turn, operation, operation->result, operation->error);
    }
}

/* Run one operation inside the transaction. False when the transaction is lost: its failure is in
 * operation->error then. A refusal of its data is its own affair and disturbs nobody. */
static bool run_one(struct turn *turn, struct operation *operation)
{
    uint64_t start_ns = clock_now_ns();
    operation->error = write_operation_run(turn->connection, operation->write, &operation->result);
    database_count_time(turn->database, DB_OP_WRITE, start_ns);
    database_count_error(turn->database, DB_OP_WRITE, operation->error);
    return (operation->error == DB_CODE_OK || operation->error == DB_CODE_CONSTRAINT) &&
           !sqlite3_get_autocommit(turn->connection->db);
}

/* The failure an operation ended its transaction with is its own answer. */
static void answer_failure(struct turn *turn, struct operation *operation)
{
    enum db_code code = operation->error;
    abandon(turn, code);
    /* A refusal that rolled everything back (RAISE(ROLLBACK)) has its result already. */
    turn_answer(turn, operation,
                code == DB_CODE_OK           ? STORE_UNAVAILABLE
                : code == DB_CODE_CONSTRAINT ? operation->result
                                             : store_result_of(code),
                code);
}

/* One claimed operation in a transaction of its own. */
static void run_alone(struct turn *turn, struct operation *operation)
{
    struct operations batch = TAILQ_HEAD_INITIALIZER(batch);
    enum db_code code = DB_CODE_OK;
    write_operation_forget(operation->write);
    if (!turn->connection->db)
        code = connection_open(turn->connection, DB_WRITER);
    if (code == DB_CODE_OK)
        code = begin(turn, turn->hold_end_ns);
    if (code != DB_CODE_OK) {
        turn_answer(turn, operation, store_result_of(code), code);
    } else if (!run_one(turn, operation)) {
        answer_failure(turn, operation);
    } else {
        TAILQ_INSERT_TAIL(&batch, operation, link);
        commit(turn, &batch, 1);
    }
}

/* The transaction was rolled back under these: each gets its own, as long as the turn lasts. */
static void run_each_alone(struct turn *turn, struct operations *batch)
{
    struct operation *operation;
    while ((operation = TAILQ_FIRST(batch))) {
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= operation->deadline_ns) {
            TAILQ_REMOVE(batch, operation, link);
            turn_answer(turn, operation, STORE_DEADLINE, DB_CODE_OK);
        } else if (now_ns >= turn->hold_end_ns) {
            turn_give_back(turn, batch);
        } else {
            TAILQ_REMOVE(batch, operation, link);
            run_alone(turn, operation);
        }
    }
}

/* Claim and run what is queued, also what arrives meanwhile, in one transaction that has begun. */
static void run_together(struct turn *turn)
{
    struct operations batch = TAILQ_HEAD_INITIALIZER(batch);
    struct operation *operation;
    unsigned size = 0;
    while (size < BATCH_MOST && (size == 0 || clock_now_ns() < turn->hold_end_ns) &&
           (operation = turn_claim(turn))) {
        if (!run_one(turn, operation)) {
            answer_failure(turn, operation);
            run_each_alone(turn, &batch);
            return;
        }
        TAILQ_INSERT_TAIL(&batch, operation, link);
        size++;
    }
    if (size > 0)
        commit(turn, &batch, size);
    else
        abandon(turn, DB_CODE_OK); /* everybody had left */
}

/* A reader pins the log and nothing can empty it. The verdict comes with the sentinel's next looks;
 * this bounds what is written until then to one batch. */
static bool log_is_full(const struct turn *turn)
{
    uint64_t most_bytes = turn->database->child->config.wal_ceiling_mib * BYTES_PER_MIB;
    return most_bytes > 0 && db_wal_bytes(&turn->database->paths) >= most_bytes;
}

void turn_run(struct turn *turn)
{
    struct pool *writer = &turn->committer->writer;
    enum db_code code;
    liveness_stage(STAGE_DB);
    enum store_result result = pool_take(writer, &turn->connection, &code);
    if (result != STORE_OK) {
        turn_refuse_queue(turn, result, code);
        return;
    }
    if (log_is_full(turn)) {
        turn_refuse_queue(turn, STORE_WAL_FULL, DB_CODE_FULL);
        pool_give(writer, turn->connection);
        return;
    }
    uint64_t limit_ns = clock_now_ns() + BEGIN_LIMIT_NS;
    bool own_time = turn->deadline_ns < limit_ns;
    code = begin(turn, own_time ? turn->deadline_ns : limit_ns);
    if (code == DB_CODE_OK)
        run_together(turn);
    else if (code != DB_CODE_BUSY ||
             !own_time) /* whose own time is up leaves the rest to the next */
        turn_refuse_queue(turn, store_result_of(code), code);
    pool_give(writer, turn->connection);
}
