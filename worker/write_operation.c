/* SPDX-License-Identifier: MIT */
#include "worker/write_operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

enum statement {
    FIND_KEY = WRITE_STATEMENT_FIRST,
    KEEP_KEY,
    SAVEPOINT,
    ROLLBACK_TO,
    RELEASE,
    CREATE,
    UPDATE,
    DELETE,
    FIND_ITEM,
    STATEMENT_END,
};
_Static_assert(STATEMENT_END <= STATEMENTS_MOST, "a connection has room for all statements");

static const char *const sql[] = {
    [FIND_KEY] = "SELECT request_hash, status, item_id, answer FROM idempotency"
                 " WHERE user_id = ?1 AND key = ?2",
    [KEEP_KEY] = "INSERT INTO idempotency"
                 "(user_id, key, request_hash, status, item_id, created_us, answer)"
                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SAVEPOINT] = "SAVEPOINT operation",
    [ROLLBACK_TO] = "ROLLBACK TO operation",
    [RELEASE] = "RELEASE operation",
    [CREATE] = "INSERT INTO items(user_id, id, title, version, created_us, updated_us, body)"
               " VALUES(?1, ?2, ?3, 1, ?4, ?4, ?5)",
    /* One statement for PUT and PATCH; its answer comes from the row as it then is. */
    [UPDATE] = "UPDATE items SET title = CASE WHEN ?4 THEN ?5 ELSE title END,"
               " body = CASE WHEN ?6 THEN ?7 ELSE body END,"
               " version = version + 1, updated_us = ?8"
               " WHERE user_id = ?1 AND id = ?2 AND (?3 = 0 OR version = ?3)"
               " RETURNING title, body, version, created_us",
    [DELETE] = "DELETE FROM items"
               " WHERE user_id = ?1 AND id = ?2 AND (?3 = 0 OR version = ?3)",
    [FIND_ITEM] = "SELECT version FROM items WHERE user_id = ?1 AND id = ?2",
};

/* The statement, or NULL when it could not be prepared. */
static sqlite3_stmt *get(struct connection *connection, enum statement which)
{
    return connection_statement(connection, which, sql[which]);
}

static int last_code(struct connection *connection)
{
    return sqlite3_extended_errcode(connection->db);
}

/* Run a statement that answers nothing; SQLITE_DONE or the extended code. */
static int finish(struct connection *connection, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE)
        code = last_code(connection);
    statement_done(statement);
    return code;
}

static int run_plain(struct connection *connection, enum statement which)
{
    sqlite3_stmt *statement = get(connection, which);
    return statement ? finish(connection, statement) : last_code(connection);
}

static void bind_body(sqlite3_stmt *statement, int index, const struct write *write)
{
    if (write->has_body && write->body)
        sqlite3_bind_text(statement, index, write->body, (int)write->body_length, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, index);
}

/* Make write->answer; its size is guessed, the rare text full of escapes takes a second try. */
static enum db_code make_answer(struct write *write, const struct item *item)
{
    size_t size = 256 + item->title_length + item->body_length + item->body_length / 8;
    for (;; size *= 2) {
        char *text = malloc(size);
        if (!text)
            return DB_CODE_NOMEM;
        write->answer_length = item_json(item, true, text, size);
        if (write->answer_length > 0) {
            write->answer = text;
            write->version = item->version;
            return DB_CODE_OK;
        }
        free(text);
    }
}

static char *copy_column(sqlite3_stmt *statement, int column, size_t *length)
{
    const void *text = sqlite3_column_text(statement, column);
    *length = (size_t)sqlite3_column_bytes(statement, column);
    char *copy = text ? malloc(*length + 1) : NULL;
    if (copy) {
        memcpy(copy, text, *length);
        copy[*length] = '\0';
    }
    return copy;
}

/* Look the idempotency key up. *result stays STORE_OK when it is new. */
static enum db_code find_key(struct connection *connection, struct write *write,
                             enum store_result *result)
{
    sqlite3_stmt *statement = get(connection, FIND_KEY);
    if (!statement)
        return db_code_of(last_code(connection));
    sqlite3_bind_int64(statement, 1, write->user_id);
    sqlite3_bind_text(statement, 2, write->idempotency_key, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    enum db_code answer = DB_CODE_OK;
    if (code == SQLITE_ROW) {
        const void *hash = sqlite3_column_blob(statement, 0);
        if (sqlite3_column_bytes(statement, 0) != (int)sizeof write->request_hash || !hash ||
            memcmp(hash, write->request_hash, sizeof write->request_hash) != 0) {
            *result = STORE_KEY_REUSED;
        } else {
            *result = STORE_REPLAYED;
            write->status = (unsigned)sqlite3_column_int(statement, 1);
            snprintf(write->id, sizeof write->id, "%s",
                     (const char *)sqlite3_column_text(statement, 2));
            write->version = 1; /* what a created item has */
            write->answer = copy_column(statement, 3, &write->answer_length);
            answer = write->answer ? DB_CODE_OK : DB_CODE_NOMEM;
        }
    } else if (code != SQLITE_DONE) {
        answer = db_code_of(last_code(connection));
    }
    statement_done(statement);
    return answer;
}

static int keep_key(struct connection *connection, const struct write *write, uint64_t now_us)
{
    sqlite3_stmt *statement = get(connection, KEEP_KEY);
    if (!statement)
        return last_code(connection);
    sqlite3_bind_int64(statement, 1, write->user_id);
    sqlite3_bind_text(statement, 2, write->idempotency_key, -1, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 3, write->request_hash, sizeof write->request_hash, SQLITE_STATIC);
    sqlite3_bind_int(statement, 4, (int)write->status);
    sqlite3_bind_text(statement, 5, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)now_us);
    sqlite3_bind_text(statement, 7, write->answer, (int)write->answer_length, SQLITE_STATIC);
    return finish(connection, statement);
}

static int insert_item(struct connection *connection, const struct write *write, uint64_t now_us)
{
    sqlite3_stmt *statement = get(connection, CREATE);
    if (!statement)
        return last_code(connection);
    sqlite3_bind_int64(statement, 1, write->user_id);
    sqlite3_bind_text(statement, 2, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, write->title, (int)write->title_length, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)now_us);
    bind_body(statement, 5, write);
    return finish(connection, statement);
}

/* Only an account that is gone breaks a foreign key: to its token nothing is there. */
static enum db_code refused(int code, enum store_result *result)
{
    *result = code == SQLITE_CONSTRAINT_FOREIGNKEY ? STORE_NOT_FOUND : STORE_REFUSED;
    return DB_CODE_CONSTRAINT;
}

/* The row, its answer, and the key that remembers both. */
static enum db_code create_item(struct connection *connection, struct write *write,
                                enum store_result *result)
{
    uint64_t now_us = clock_wall_us();
    uuid7_make(write->id); /* made here, so that ids follow the order of the commits */
    int code = insert_item(connection, write, now_us);
    if (code == SQLITE_DONE) {
        struct item item = {.title = (char *)write->title,
                            .title_length = write->title_length,
                            .body = write->has_body ? (char *)write->body : NULL,
                            .body_length = write->has_body ? write->body_length : 0,
                            .version = 1,
                            .created_us = now_us,
                            .updated_us = now_us};
        memcpy(item.id, write->id, sizeof item.id);
        write->status = 201;
        enum db_code made = make_answer(write, &item);
        if (made != DB_CODE_OK)
            return made;
        if (write->idempotency_key)
            code = keep_key(connection, write, now_us);
    }
    if (code == SQLITE_DONE)
        return DB_CODE_OK;
    enum db_code failure = db_code_of(code);
    return failure == DB_CODE_CONSTRAINT ? refused(code, result) : failure;
}

/* A create with a key writes twice, so a refusal of the second must take the first back. A failure
 * that ended the transaction took the savepoint too: then nothing may be said any more that would
 * begin a new one. */
static enum db_code create_with_key(struct connection *connection, struct write *write,
                                    enum store_result *result)
{
    enum db_code failure = find_key(connection, write, result);
    if (failure != DB_CODE_OK || *result != STORE_OK)
        return failure;
    int code = run_plain(connection, SAVEPOINT);
    if (code != SQLITE_DONE)
        return db_code_of(code);
    failure = create_item(connection, write, result);
    if (sqlite3_get_autocommit(connection->db))
        return failure;
    if (failure != DB_CODE_OK && (code = run_plain(connection, ROLLBACK_TO)) != SQLITE_DONE)
        return db_code_of(code);
    code = run_plain(connection, RELEASE);
    return code == SQLITE_DONE ? failure : db_code_of(code);
}

/* Nothing was touched: because there is no such item, or because it has another version? */
static enum db_code why_untouched(struct connection *connection, const struct write *write,
                                  enum store_result *result)
{
    sqlite3_stmt *statement = get(connection, FIND_ITEM);
    if (!statement)
        return db_code_of(last_code(connection));
    sqlite3_bind_int64(statement, 1, write->user_id);
    sqlite3_bind_text(statement, 2, write->id, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    enum db_code answer = DB_CODE_OK;
    if (code == SQLITE_ROW)
        *result = STORE_VERSION_MISMATCH;
    else if (code == SQLITE_DONE)
        *result = STORE_NOT_FOUND;
    else
        answer = db_code_of(last_code(connection));
    statement_done(statement);
    return answer;
}

static void bind_target(sqlite3_stmt *statement, const struct write *write)
{
    sqlite3_bind_int64(statement, 1, write->user_id);
    sqlite3_bind_text(statement, 2, write->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)write->if_match_version);
}

static enum db_code answer_from_row(sqlite3_stmt *statement, struct write *write, uint64_t now_us)
{
    struct item item = {.version = (uint64_t)sqlite3_column_int64(statement, 2),
                        .created_us = (uint64_t)sqlite3_column_int64(statement, 3),
                        .updated_us = now_us};
    memcpy(item.id, write->id, sizeof item.id);
    item.title = (char *)sqlite3_column_text(statement, 0);
    item.title_length = (size_t)sqlite3_column_bytes(statement, 0);
    item.body = (char *)sqlite3_column_text(statement, 1);
    item.body_length = (size_t)sqlite3_column_bytes(statement, 1);
    write->status = 200;
    return item.title ? make_answer(write, &item) : DB_CODE_NOMEM;
}

static enum db_code update_item(struct connection *connection, struct write *write,
                                enum store_result *result)
{
    bool all = write->kind == WRITE_PUT; /* a PUT without body is an item without body */
    uint64_t now_us = clock_wall_us();
    sqlite3_stmt *statement = get(connection, UPDATE);
    if (!statement)
        return db_code_of(last_code(connection));
    bind_target(statement, write);
    sqlite3_bind_int(statement, 4, all || write->has_title);
    sqlite3_bind_text(statement, 5, write->title, (int)write->title_length, SQLITE_STATIC);
    sqlite3_bind_int(statement, 6, all || write->has_body);
    bind_body(statement, 7, write);
    sqlite3_bind_int64(statement, 8, (sqlite3_int64)now_us);
    int code = sqlite3_step(statement);
    bool found = code == SQLITE_ROW;
    enum db_code failure = DB_CODE_OK;
    if (found) {
        failure = answer_from_row(statement, write, now_us);
        code = sqlite3_step(statement);
    }
    if (code != SQLITE_DONE) {
        code = last_code(connection);
        failure = db_code_of(code);
    }
    statement_done(statement);
    if (failure == DB_CODE_CONSTRAINT)
        return refused(code, result);
    return failure == DB_CODE_OK && !found ? why_untouched(connection, write, result) : failure;
}

static enum db_code delete_item(struct connection *connection, struct write *write,
                                enum store_result *result)
{
    sqlite3_stmt *statement = get(connection, DELETE);
    if (!statement)
        return db_code_of(last_code(connection));
    bind_target(statement, write);
    int code = finish(connection, statement);
    if (code != SQLITE_DONE) {
        enum db_code failure = db_code_of(code);
        return failure == DB_CODE_CONSTRAINT ? refused(code, result) : failure;
    }
    if (sqlite3_changes(connection->db) == 0)
        return why_untouched(connection, write, result);
    write->status = 204;
    return DB_CODE_OK;
}

enum db_code write_operation_run(struct connection *connection, struct write *write,
                                 enum store_result *result)
{
    *result = STORE_OK;
    switch (write->kind) {
    case WRITE_CREATE:
        return write->idempotency_key ? create_with_key(connection, write, result)
                                      : create_item(connection, write, result);
    case WRITE_PUT:
    case WRITE_PATCH:
        return update_item(connection, write, result);
    case WRITE_DELETE:
        return delete_item(connection, write, result);
    }
    return DB_CODE_OTHER;
}

void write_operation_forget(struct write *write)
{
    free(write->answer);
    write->answer = NULL;
    write->answer_length = 0;
    write->status = 0;
    write->version = 0;
}
