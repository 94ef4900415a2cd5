/* SPDX-License-Identifier: MIT */
/*
 * Rows of numbers over time, in memory: what every source is turned into. Owns its memory.
 * A cell that is absent is NAN: a gap, never a zero.
 */
#ifndef BULKHEAD_ANOMALY_TABLE_H
#define BULKHEAD_ANOMALY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS_MAX 512
#define TABLE_NAME_MAX    160 /* bytes of a column's name, with its NUL */
#define TABLE_CELLS_MAX   (UINT64_C(256) << 20)

struct table {
    unsigned columns;
    char (*names)[TABLE_NAME_MAX];
    size_t rows, capacity;
    int64_t *time_s; /* of each row */
    double *cells;   /* rows × columns */
    size_t set_back; /* rows whose time is not after the one before */
    bool cut_short;  /* the last line had no line end and was left out */
};

void table_free(struct table *table);

/* A column more, before the first row. 0, -E2BIG, -EEXIST or -ENAMETOOLONG. */
int table_add_column(struct table *table, const char *name, size_t length);

/* A row more, all gaps; NULL when there is no memory for it. Valid until the next call. */
double *table_add_row(struct table *table, int64_t time_s);

/* The column of this name, or -1. */
int table_column(const struct table *table, const char *name);

static inline double table_cell(const struct table *table, size_t row, unsigned column)
{
    return table->cells[row * table->columns + column];
}

/* The usual time between two rows: the median of the first ones. 0 with fewer than two rows. */
double table_step_s(const struct table *table);

#endif
