/* SPDX-License-Identifier: MIT */
/*
 * The tables of app.db, their version (PRAGMA user_version), and the two questions about them:
 * make them, are they there. Only set-up makes them; every process that writes asks.
 */
#ifndef BULKHEAD_SCHEMA_H
#define BULKHEAD_SCHEMA_H

#include "common/db/db.h"

#define SCHEMA_VERSION 1

/* Make all tables in an empty database, in one transaction, and write app_id into table meta.
 * 0, or -1 and *error (DB_CODE_OTHER when the database is not empty); nothing is changed then.
 * The caller holds the gate or is the only one that has the database open. */
int schema_create(sqlite3 *db, const char *app_id, struct db_error *error);

/* 0 when the database is of this version; -1 and *error when it is not or cannot be read. */
int schema_check(sqlite3 *db, struct db_error *error);

#endif
