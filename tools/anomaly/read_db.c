/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/read_db.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"

#define BUSY_MS   2000
#define SQL_BYTES (TABLE_COLUMNS_MAX * (TABLE_NAME_MAX + 8))

struct reader {
    const char *path;
    sqlite3 *db;
    struct table *table;
    struct problem *problem;
    bool has_time, has_step, has_series, has_value;
};

static int failed(const struct reader *reader)
{
    int code = sqlite3_errcode(reader->db);
    bool passes = code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_IOERR;
    return problem_set(reader->problem, passes ? EXIT_TEMPORARY : EXIT_CONFIGURATION, "%s: %s%s",
                       reader->path, sqlite3_errmsg(reader->db),
                       code == SQLITE_NOTADB ? ": it is no metrics.db" : "");
}

static sqlite3_stmt *prepare(const struct reader *reader, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(reader->db, sql, -1, &statement, NULL) != SQLITE_OK)
        failed(reader);
    return statement;
}

static int add_column(struct reader *reader, const char *name)
{
    int error = table_add_column(reader->table, name, strlen(name));
    if (error == 0 || error == -EEXIST)
        return 0;
    return problem_set(reader->problem, EXIT_CONFIGURATION, "%s: the series %.40s: %s",
                       reader->path, name, strerror(-error));
}

/* One column of metrics_events: time, step, or a series. */
static int take_column(struct reader *reader, const char *name)
{
    reader->has_time |= strcmp(name, "t") == 0;
    reader->has_step |= strcmp(name, "step") == 0;
    reader->has_series |= strcmp(name, "series") == 0;
    reader->has_value |= strcmp(name, "value") == 0;
    if (strcmp(name, "t") == 0 || strcmp(name, "step") == 0 || strcmp(name, "series") == 0 ||
        strcmp(name, "value") == 0)
        return 0;
    return strchr(name, '"') ? 0 : add_column(reader, name);
}

/* Names from a column of a query. */
static int take_names(struct reader *reader, const char *sql, int column,
                      int (*take)(struct reader *, const char *))
{
    sqlite3_stmt *statement = prepare(reader, sql);
    if (!statement)
        return -1;
    int result = 0, code = SQLITE_DONE;
    while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, column);
        result = name ? take(reader, name) : 0;
    }
    if (result == 0 && code != SQLITE_DONE)
        result = failed(reader);
    sqlite3_finalize(statement);
    return result;
}

static int look_at_schema(struct reader *reader)
{
    if (take_names(reader, "PRAGMA table_info(" READ_DB_TABLE ")", 1, take_column) < 0)
        return -1;
    if (reader->has_time && reader->has_series && reader->has_value)
        return take_names(reader, "SELECT DISTINCT series FROM " READ_DB_TABLE " ORDER BY 1", 0,
                          add_column);
    if (reader->has_time && reader->table->columns > 0)
        return 0;
    return problem_set(reader->problem, EXIT_CONFIGURATION,
                       "%s: no table " READ_DB_TABLE " with t and series: it is no metrics.db of "
                       "the console",
                       reader->path);
}

/* The row of this time: the last one, or a new one. NULL: told. */
static double *row_at(struct reader *reader, int64_t time_s)
{
    struct table *table = reader->table;
    if (table->rows > 0 && table->time_s[table->rows - 1] == time_s)
        return &table->cells[(table->rows - 1) * table->columns];
    double *row = table_add_row(table, time_s);
    if (!row)
        problem_set(reader->problem, EXIT_TEMPORARY, "%s: too large for memory", reader->path);
    return row;
}

static double number_at(sqlite3_stmt *statement, int column)
{
    int type = sqlite3_column_type(statement, column);
    double number = sqlite3_column_double(statement, column);
    bool is_number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    return is_number && isfinite(number) ? number : NAN;
}

static int take_row(struct reader *reader, sqlite3_stmt *statement)
{
    double *row = row_at(reader, sqlite3_column_int64(statement, 0));
    if (!row)
        return -1;
    if (reader->has_series) {
        const char *name = (const char *)sqlite3_column_text(statement, 1);
        int column = name ? table_column(reader->table, name) : -1;
        if (column >= 0)
            row[column] = number_at(statement, 2);
        return 0;
    }
    for (unsigned column = 0; column < reader->table->columns; column++)
        row[column] = number_at(statement, (int)column + 1);
    return 0;
}

static int read_rows(struct reader *reader)
{
    char *sql = malloc(SQL_BYTES);
    if (!sql)
        return problem_set(reader->problem, EXIT_TEMPORARY, "no memory");
    size_t length = (size_t)snprintf(sql, SQL_BYTES, "SELECT t");
    if (reader->has_series)
        length += (size_t)snprintf(sql + length, SQL_BYTES - length, ", series, value");
    for (unsigned i = 0; !reader->has_series && i < reader->table->columns; i++)
        length +=
            (size_t)snprintf(sql + length, SQL_BYTES - length, ", \"%s\"", reader->table->names[i]);
    snprintf(sql + length, SQL_BYTES - length, " FROM " READ_DB_TABLE "%s ORDER BY t",
             reader->has_step ? " WHERE step = (SELECT min(step) FROM " READ_DB_TABLE ")" : "");
    sqlite3_stmt *statement = prepare(reader, sql);
    free(sql);
    if (!statement)
        return -1;
    int result = 0, code = SQLITE_DONE;
    while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
        result = take_row(reader, statement);
    if (result == 0 && code != SQLITE_DONE)
        result = failed(reader);
    sqlite3_finalize(statement);
    if (result == 0 && reader->table->rows == 0)
        result = problem_set(reader->problem, EXIT_CONFIGURATION, "%s: it holds no row yet",
                             reader->path);
    return result;
}

int read_db_file(const char *path, struct table *table, struct problem *problem)
{
    struct reader reader = {.path = path, .table = table, .problem = problem};
    int result;
    if (sqlite3_open_v2(path, &reader.db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        result = failed(&reader);
    } else {
        sqlite3_busy_timeout(reader.db, BUSY_MS);
        result = look_at_schema(&reader);
        if (result == 0)
            result = read_rows(&reader);
    }
    sqlite3_close(reader.db);
    return result;
}
