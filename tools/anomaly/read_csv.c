/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/read_csv.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"
#include "tools/anomaly/moment.h"

#define SET_BACK_S 3600

struct reader {
    const char *name;
    enum csv_order order;
    struct table *table;
    struct problem *problem;
    unsigned long line;
    bool ended; /* the line ends with a line end */
};

static bool is_time(const char *name)
{
    return strcmp(name, "time") == 0 || strcmp(name, "timestamp") == 0 || strcmp(name, "t") == 0;
}

/* The next cell of a line, its comma replaced by a NUL; NULL after the last. */
static char *next_cell(char **rest)
{
    char *cell = *rest;
    if (!cell)
        return NULL;
    char *comma = strchr(cell, ',');
    if (comma)
        *comma = '\0';
    *rest = comma ? comma + 1 : NULL;
    return cell;
}

static int read_header(struct reader *reader, char *line)
{
    char *rest = line, *cell = next_cell(&rest);
    if (!is_time(cell))
        return problem_set(reader->problem, EXIT_CONFIGURATION,
                           "%s: the header begins with \"%.40s\", not with time: expected "
                           "time,NAME,... as /api/history.csv writes it",
                           reader->name, cell);
    while ((cell = next_cell(&rest))) {
        int error = table_add_column(reader->table, cell, strlen(cell));
        if (error == -EEXIST)
            return problem_set(reader->problem, EXIT_CONFIGURATION, "%s: the header names %s twice",
                               reader->name, cell);
        if (error)
            return problem_set(reader->problem, EXIT_CONFIGURATION,
                               "%s: the header's column %u cannot be used: %s", reader->name,
                               reader->table->columns + 2, strerror(-error));
    }
    if (reader->table->columns == 0)
        return problem_set(reader->problem, EXIT_CONFIGURATION,
                           "%s: the header names a time and nothing else", reader->name);
    return 0;
}

static int read_number(struct reader *reader, const char *cell, unsigned column, double *number)
{
    char *end;
    if (*cell == '\0')
        return 0; /* stays a gap */
    *number = strtod(cell, &end);
    if (*end != '\0' || !isfinite(*number))
        return problem_set(reader->problem, EXIT_CONFIGURATION,
                           "%s, line %lu, %s: \"%.40s\" is no number (a gap is an empty cell)",
                           reader->name, reader->line, reader->table->names[column], cell);
    return 0;
}

static int short_line(struct reader *reader, unsigned cells)
{
    return problem_set(reader->problem, reader->ended ? EXIT_CONFIGURATION : EXIT_TEMPORARY,
                       reader->ended ? "%s, line %lu: %u cells, but the header has %u"
                                     : "%s, line %lu: %u cells of %u and no line end: the file is "
                                       "cut short; is it still being written?",
                       reader->name, reader->line, cells, reader->table->columns + 1);
}

/* Local time has an hour twice when summer ends; anything more is a file that is not sorted. */
static int check_order(struct reader *reader, const char *cell, int64_t time_s)
{
    struct table *table = reader->table;
    if (reader->order == CSV_AS_IT_IS || table->rows == 0 ||
        time_s > table->time_s[table->rows - 1])
        return 0;
    table->set_back += 1;
    if (time_s >= table->time_s[table->rows - 1] - SET_BACK_S)
        return 0;
    return problem_set(reader->problem, EXIT_CONFIGURATION,
                       "%s, line %lu: the time %s is long before the line before: sort the file",
                       reader->name, reader->line, cell);
}

static int read_row(struct reader *reader, char *line)
{
    struct table *table = reader->table;
    char *rest = line, *cell = next_cell(&rest);
    int64_t time_s;
    if (moment_parse(cell, &time_s) < 0)
        return reader->ended || rest
                   ? problem_set(reader->problem, EXIT_CONFIGURATION,
                                 "%s, line %lu: \"%.40s\" is no time: expected "
                                 "2026-01-31T23:59:59Z, 2026-01-31 23:59:59 or seconds since 1970",
                                 reader->name, reader->line, cell)
                   : short_line(reader, 1);
    if (check_order(reader, cell, time_s) < 0)
        return -1;
    if (!reader->ended && reader->order == CSV_ORDERED) {
        table->cut_short = true; /* 12 may be the beginning of 123 */
        unsigned cells = 1;
        while (next_cell(&rest))
            cells += 1;
        return cells == table->columns + 1 ? 0 : short_line(reader, cells);
    }
    double *row = table_add_row(table, time_s);
    if (!row)
        return problem_set(reader->problem, EXIT_TEMPORARY, "%s: too large for memory: cut it",
                           reader->name);
    unsigned column = 0;
    while ((cell = next_cell(&rest))) {
        if (column == table->columns)
            return short_line(reader, column + 2);
        if (read_number(reader, cell, column, &row[column]) < 0)
            return -1;
        column += 1;
    }
    return column < table->columns ? short_line(reader, column + 1) : 0;
}

int read_csv(FILE *file, const char *name, enum csv_order order, struct table *table,
             struct problem *problem)
{
    struct reader reader = {.name = name, .order = order, .table = table, .problem = problem};
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int result = 0;
    while (result == 0 && (length = getline(&line, &size, file)) > 0) {
        reader.line += 1;
        reader.ended = line[length - 1] == '\n';
        if (strlen(line) < (size_t)length)
            result = problem_set(problem, EXIT_CONFIGURATION, "%s, line %lu: this is no text", name,
                                 reader.line);
        line[strcspn(line, "\r\n")] = '\0';
        if (result == 0 && reader.line == 1)
            result = read_header(&reader, line);
        else if (result == 0 && *line != '\0')
            result = read_row(&reader, line);
    }
    free(line);
    if (result == 0 && ferror(file))
        result = problem_set(problem, errno == EISDIR ? EXIT_CONFIGURATION : EXIT_TEMPORARY,
                             "%s: %s", name, strerror(errno));
    if (result == 0 && reader.line == 0)
        result = problem_set(problem, EXIT_CONFIGURATION, "%s: the file is empty", name);
    if (result == 0 && table->rows == 0)
        result = problem_set(problem, EXIT_CONFIGURATION, "%s: a header and no row", name);
    return result;
}

int read_csv_file(const char *path, enum csv_order order, struct table *table,
                  struct problem *problem)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return problem_set(problem,
                           errno == ENOENT || errno == EACCES ? EXIT_CONFIGURATION : EXIT_TEMPORARY,
                           "%s: %s", path, strerror(errno));
    int result = read_csv(file, path, order, table, problem);
    fclose(file);
    return result;
}
