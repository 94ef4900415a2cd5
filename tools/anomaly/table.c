/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_FIRST   1024
#define STEPS_LOOKED_AT 255

void table_free(struct table *table)
{
    free(table->names);
    free(table->time_s);
    free(table->cells);
    memset(table, 0, sizeof *table);
}

int table_add_column(struct table *table, const char *name, size_t length)
{
    if (table->columns == TABLE_COLUMNS_MAX)
        return -E2BIG;
    if (length == 0 || length >= TABLE_NAME_MAX)
        return -ENAMETOOLONG;
    if (!table->names)
        table->names = calloc(TABLE_COLUMNS_MAX, sizeof *table->names);
    if (!table->names)
        return -ENOMEM;
    char *own = table->names[table->columns];
    memcpy(own, name, length);
    own[length] = '\0';
    if (table_column(table, own) >= 0)
        return -EEXIST;
    table->columns += 1;
    return 0;
}

static int grow(struct table *table)
{
    size_t capacity = table->capacity ? 2 * table->capacity : ROWS_AT_FIRST;
    if (capacity * table->columns > TABLE_CELLS_MAX)
        return -ENOMEM;
    int64_t *time_s = realloc(table->time_s, capacity * sizeof *time_s);
    if (time_s)
        table->time_s = time_s;
    double *cells = realloc(table->cells, capacity * table->columns * sizeof *cells);
    if (cells)
        table->cells = cells;
    if (!time_s || !cells)
        return -ENOMEM;
    table->capacity = capacity;
    return 0;
}

double *table_add_row(struct table *table, int64_t time_s)
{
    if (table->rows == table->capacity && grow(table) < 0)
        return NULL;
    double *row = &table->cells[table->rows * table->columns];
    for (unsigned column = 0; column < table->columns; column++)
        row[column] = NAN;
    table->time_s[table->rows] = time_s;
    table->rows += 1;
    return row;
}

int table_column(const struct table *table, const char *name)
{
    for (unsigned column = 0; column < table->columns; column++)
        if (strcmp(table->names[column], name) == 0)
            return (int)column;
    return -1;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

double table_step_s(const struct table *table)
{
    int64_t steps[STEPS_LOOKED_AT];
    size_t count = 0;
    for (size_t row = 1; row < table->rows && count < STEPS_LOOKED_AT; row++)
        steps[count++] = table->time_s[row] - table->time_s[row - 1];
    if (count == 0)
        return 0;
    qsort(steps, count, sizeof *steps, compare);
    int64_t middle_s = steps[count / 2];
    return (double)middle_s;
}
