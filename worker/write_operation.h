/* SPDX-License-Identifier: MIT */
/*
 * The SQL of one write, inside a transaction that is somebody else's business (commit.c). Either
 * all of its effect is in the transaction afterwards or none, whatever it answers.
 */
#ifndef BULKHEAD_WRITE_OPERATION_H
#define BULKHEAD_WRITE_OPERATION_H

#include "worker/pool.h"

/* Statements of the write connection: commit.c has the first, this module those from here on. */
#define WRITE_STATEMENT_FIRST 4

/* Run it. DB_CODE_OK: *result says what came of it (also not found, version mismatch, replayed).
 * DB_CODE_CONSTRAINT: refused, *result too; the transaction is as it was before.
 * Anything else: the transaction must be rolled back, if SQLite has not done so already. */
enum db_code write_operation_run(struct connection *connection, struct write *write,
                                 enum store_result *result);

/* Forget what a run left in the results: its transaction came to nothing. */
void write_operation_forget(struct write *write);

#endif
