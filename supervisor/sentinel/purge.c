/* SPDX-License-Identifier: MIT */
/*
 * Answers kept for an Idempotency-Key are dropped after 24 h, a few at a time: at most PURGE_ROWS
 * in one transaction and one of them a second, so that writers never wait for housekeeping.
 */
#include "common/clock.h"
#include "common/db/gate.h"
#include "supervisor/sentinel/keeper.h"

#define KEPT_US    (UINT64_C(24) * 3600 * US_PER_S)
#define PURGE_ROWS 200
/* One read a second is nothing; it still has to end. */
#define READ_LIMIT_NS (100 * NS_PER_MS)

/* Run one statement with two numbers as ?1 and ?2. Its result code (ROW, DONE or an error). */
static int run(sqlite3 *db, const char *sql, int64_t first, int64_t second)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 1, first);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 1)
        code = sqlite3_bind_int64(statement, 2, second);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code;
}

static bool something_is_old(struct keeper *keeper, int64_t before_us)
{
    uint64_t start_ns = clock_now_ns();
    keeper->handle.stop_at_ns = start_ns + READ_LIMIT_NS;
    keeper->handle.busy_until_ns = start_ns;
    int code = run(keeper->handle.db, "SELECT 1 FROM idempotency WHERE created_us < ?1 LIMIT 1",
                   before_us, 0);
    keeper->handle.stop_at_ns = 0;
    handle_count(&keeper->handle, DB_OP_READ, db_code_of(code), start_ns);
    return code == SQLITE_ROW;
}

/* One statement of the transaction, counted. */
static bool step(struct keeper *keeper, enum db_op op, int code, uint64_t start_ns)
{
    handle_count(&keeper->handle, op, db_code_of(code), start_ns);
    return db_code_of(code) == DB_CODE_OK;
}

static void purge_in_gate(struct keeper *keeper, int64_t before_us)
{
    sqlite3 *db = keeper->handle.db;
    struct slot *slot = keeper->handle.child->slot;
    uint64_t start_ns = clock_now_ns();
    if (!step(keeper, DB_OP_BEGIN, db_exec(db, "BEGIN IMMEDIATE"), start_ns))
        return;
    start_ns = clock_now_ns();
    int code = run(db,
                   "DELETE FROM idempotency WHERE (user_id, key) IN (SELECT user_id, key"
                   " FROM idempotency WHERE created_us < ?1 ORDER BY created_us LIMIT ?2)",
                   before_us, PURGE_ROWS);
    bool good = step(keeper, DB_OP_WRITE, code, start_ns) &&
                db_identity_check(&keeper->handle.paths, &keeper->board.identity) == IDENTITY_SAME;
    if (good) {
        start_ns = clock_now_ns();
        gate_mark_commit(slot);
        if (step(keeper, DB_OP_COMMIT, db_exec(db, "COMMIT"), start_ns))
            counter_increment(&slot->metrics.db_commits[0][0]);
    }
    if (!sqlite3_get_autocommit(db))
        db_exec(db, "ROLLBACK");
}

void keeper_purge(struct keeper *keeper)
{
    int64_t before_us = (int64_t)(clock_wall_us() - KEPT_US);
    if (!something_is_old(keeper, before_us) || !keeper_enter_gate(keeper))
        return;
    purge_in_gate(keeper, before_us);
    keeper_leave_gate(keeper);
}
