/* SPDX-License-Identifier: MIT */
#include "supervisor/console/history_query.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/console/history.h"

#define PRESET_S   300
#define TIME_LIMIT INT64_C(100000000000) /* the year 5138: what is beyond is a mistake in units */
#define VALUE_SIZE 4096                  /* all names, commas as %2C, fit in */

static const struct {
    const char *name;
    unsigned bit;
} parameters[] = {
    {"from", QUERY_FROM}, {"to", QUERY_TO}, {"step", QUERY_STEP}, {"series", QUERY_SERIES}};
#define PARAMETERS (sizeof parameters / sizeof parameters[0])

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Undo %-encoding (RFC 3986, section 2.1). False when it is none, holds a NUL or is too long. */
static bool decode(const char *text, size_t length, char out[VALUE_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < length ? digit_of(text[i + 1]) : -1;
            int low = i + 2 < length ? digit_of(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || used + 1 >= VALUE_SIZE)
            return false;
        out[used++] = (char)c;
    }
    out[used] = '\0';
    return true;
}

static int refuse(char error[QUERY_ERROR_SIZE], const char *name, const char *what)
{
    snprintf(error, QUERY_ERROR_SIZE, "%s: %s", name, what);
    return -1;
}

static int parse_time(const char *name, const char *text, int64_t now, int64_t *time,
                      char error[QUERY_ERROR_SIZE])
{
    char *end;
    errno = 0;
    const char *digits = text + (*text == '-');
    long long number = strtoll(text, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || errno || number > TIME_LIMIT ||
        number < -TIME_LIMIT)
        return refuse(error, name,
                      "a whole number of seconds since 1970, or negative for before now");
    *time = number < 0 ? now + number : number;
    return 0;
}

static int parse_step(const char *text, unsigned *step, char error[QUERY_ERROR_SIZE])
{
    *step = strcmp(text, "1") == 0 ? 1 : strcmp(text, "10") == 0 ? HISTORY_COARSE_STEP_S : 0;
    return *step ? 0 : refuse(error, "step", "1 or 10 (seconds)");
}

static int parse_series(const char *text, struct history_query *parsed,
                        char error[QUERY_ERROR_SIZE])
{
    bool taken[SERIES_NUMBER] = {false};
    parsed->series_count = 0;
    for (;; text++) {
        size_t length = strcspn(text, ",");
        enum series_id id = series_find(text, length);
        if (id == SERIES_NUMBER || taken[id]) {
            char what[128];
            snprintf(what, sizeof what, "%s \"%.*s\"; docs/metrics.md has the names",
                     id == SERIES_NUMBER ? "there is none named" : "given twice:",
                     (int)(length < 40 ? length : 40), text);
            return refuse(error, "series", what);
        }
        taken[id] = true;
        parsed->series[parsed->series_count++] = id;
        text += length;
        if (*text == '\0')
            return 0;
    }
}

static int parse_one(unsigned bit, const char *value, int64_t now, struct history_query *parsed,
                     char error[QUERY_ERROR_SIZE])
{
    switch (bit) {
    case QUERY_FROM:
        return parse_time("from", value, now, &parsed->from, error);
    case QUERY_TO:
        return parse_time("to", value, now, &parsed->to, error);
    case QUERY_STEP:
        return parse_step(value, &parsed->step, error);
    default:
        return parse_series(value, parsed, error);
    }
}

/* One name=value of the query. */
static int take_pair(const char *pair, size_t length, int64_t now, unsigned *allowed,
                     struct history_query *parsed, char error[QUERY_ERROR_SIZE])
{
    char value[VALUE_SIZE] = "", name[32];
    size_t name_length = 0;
    while (name_length < length && pair[name_length] != '=')
        name_length++;
    snprintf(name, sizeof name, "%.*s", (int)(name_length < 31 ? name_length : 31), pair);
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (strcmp(name, parameters[i].name) != 0)
            continue;
        if (!(*allowed & parameters[i].bit))
            return refuse(error, name, "not known here, or given twice");
        *allowed &= ~parameters[i].bit;
        size_t begin = name_length + (name_length < length);
        if (!decode(pair + begin, length - begin, value))
            return refuse(error, name, "its %-encoding is wrong, or it is too long");
        return parse_one(parameters[i].bit, value, now, parsed, error);
    }
    return refuse(error, name, "there is no such parameter; from, to, step and series are known");
}

/* Into what can be remembered: later than now is now, earlier than all is the oldest. */
static void bound(struct history_query *parsed, int64_t now)
{
    int64_t rows = parsed->step == 1 ? HISTORY_FINE_ROWS : HISTORY_COARSE_ROWS;
    int64_t oldest = now - rows * parsed->step + 1;
    if (parsed->to > now)
        parsed->to = now;
    if (parsed->from < oldest)
        parsed->from = oldest;
    if (parsed->to < parsed->from)
        parsed->to = parsed->from; /* all of it is too old: an empty answer, of one time */
}

int history_query_parse(const char *query, int64_t now, unsigned allowed,
                        struct history_query *parsed, char error[QUERY_ERROR_SIZE])
{
    *parsed = (struct history_query){.from = now - PRESET_S, .to = now, .step = 1};
    parsed->series_count = SERIES_NUMBER;
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        parsed->series[i] = (enum series_id)i;
    while (query && *query) {
        size_t length = strcspn(query, "&");
        if (length > 0 && take_pair(query, length, now, &allowed, parsed, error) < 0)
            return -1;
        query += length + (query[length] == '&');
    }
    if (parsed->from > parsed->to || parsed->from > now)
        return refuse(error, "from", "later than to, or than now");
    bound(parsed, now);
    return 0;
}
