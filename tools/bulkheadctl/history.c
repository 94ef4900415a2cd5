/* SPDX-License-Identifier: MIT */
/*
 * history: what the console remembers, as a table, CSV or JSON. It is asked for over HTTP and not
 * read from metrics.db: the console's memory is the truth, also while the file cannot be written,
 * and one reader of that file less is one that cannot lock it.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/console.h"
#include "tools/bulkheadctl/server.h"
#include "tools/bulkheadctl/text.h"

/* What a table shows unless it is told. */
#define TABLE_SERIES                                                                  \
    "requests_per_s,refused_per_s,errors_per_s,p50_ms,p95_ms,p99_ms,db_up,wal_bytes," \
    "workers_ready"
#define TABLE_STEP "10"
#define PATH_SIZE  7168
#define LEAST_WIDE 8

static void put_parameter(char path[PATH_SIZE], const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-,";
    size_t length = strlen(path);
    if (!value)
        return;
    length += (size_t)snprintf(path + length, PATH_SIZE - length,
                               "%c%s=", strchr(path, '?') ? '&' : '?', name);
    for (; *value && length + 4 < PATH_SIZE; value++)
        length += (size_t)snprintf(path + length, PATH_SIZE - length,
                                   strchr(plain, *value) ? "%c" : "%%%02X", (unsigned char)*value);
}

/* ---- the table ----------------------------------------------------------------------------- */

static int width_of(const json_t *names, size_t column)
{
    int length = (int)strlen(json_string_value(json_array_get(names, column)));
    return length > LEAST_WIDE ? length : LEAST_WIDE;
}

static void print_head(const json_t *names)
{
    printf("%-20s", "time");
    for (size_t i = 0; i < json_array_size(names); i++)
        printf("  %*s", width_of(names, i), json_string_value(json_array_get(names, i)));
    putchar('\n');
}

static enum colour colour_of(const char *name, double value)
{
    if (value > 0 && (strstr(name, "error") || strstr(name, "lost") || strstr(name, "status_50")))
        return COLOUR_RED;
    if (strcmp(name, "db_up") == 0 && value < 1)
        return COLOUR_RED;
    return value > 0 && strstr(name, "refused") ? COLOUR_YELLOW : COLOUR_NONE;
}

static void print_row(const struct invocation *invocation, const json_t *names, const json_t *row)
{
    char when[32];
    struct tm tm;
    time_t seconds = (time_t)json_integer_value(json_array_get(row, 0));
    gmtime_r(&seconds, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    printf("%-20s", when);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *value = json_array_get(row, i + 1);
        double number = json_number_value(value);
        if (!json_is_number(value)) {
            printf("  %*s", width_of(names, i), "-");
            continue;
        }
        enum colour colour = colour_of(json_string_value(json_array_get(names, i)), number);
        text_colour(invocation->colour && colour != COLOUR_NONE, colour);
        printf("  %*.*f", width_of(names, i),
               json_is_integer(value) ? 0
               : number < 10          ? 3
                                      : 1,
               number);
        text_colour(invocation->colour && colour != COLOUR_NONE, COLOUR_NONE);
    }
    putchar('\n');
}

static int print_table(const struct invocation *invocation, const char *text)
{
    json_t *answer = json_loads(text, 0, NULL), *row;
    const json_t *names = json_object_get(answer, "series");
    json_int_t step = json_integer_value(json_object_get(answer, "step")), last = 0;
    size_t i;
    if (!answer)
        return complain(invocation, EXIT_TEMPORARY, "the console's answer is no JSON");
    print_head(names);
    json_array_foreach(json_object_get(answer, "rows"), i, row)
    {
        json_int_t time = json_integer_value(json_array_get(row, 0));
        if (i > 0 && time != last + step)
            printf("-- %" JSON_INTEGER_FORMAT " s without a row --\n", time - last - step);
        print_row(invocation, names, row);
        last = time;
    }
    json_decref(answer);
    return EXIT_ASKED;
}

/* ---- the command --------------------------------------------------------------------------- */

/* What the console finds wrong with the query, in its words. */
static int refused(const struct invocation *invocation, const struct console_answer *answer)
{
    json_t *problem = json_loads(answer->body, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    int code = complain(invocation, answer->status == 400 ? EXIT_CONFIGURATION : EXIT_TEMPORARY,
                        "%s%s", answer->status == 400 ? "--" : "the console: ",
                        detail ? detail : "an answer that is no problem and no history");
    json_decref(problem);
    return code;
}

int command_history(const struct invocation *invocation)
{
    struct server server;
    struct console_answer answer;
    bool table = !invocation->csv && !invocation->json;
    char path[PATH_SIZE];
    int code = server_open(&server, invocation);
    if (code)
        return code;
    snprintf(path, sizeof path, "/api/history%s", invocation->csv ? ".csv" : "");
    put_parameter(path, "from", invocation->from);
    put_parameter(path, "to", invocation->to);
    put_parameter(path, "step", invocation->step ? invocation->step : table ? TABLE_STEP : NULL);
    put_parameter(path, "series",
                  invocation->series ? invocation->series
                  : table            ? TABLE_SERIES
                                     : NULL);
    code = console_get(&server, invocation, path, &answer);
    if (code)
        return code;
    if (answer.status != 200)
        code = refused(invocation, &answer);
    else if (table)
        code = print_table(invocation, answer.body);
    else
        printf("%s%s", answer.body, invocation->csv ? "" : "\n");
    free(answer.body);
    return code;
}
