/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/threshold.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[METRIC_COUNT] = {
    [METRIC_P50] = "p50",
    [METRIC_P95] = "p95",
    [METRIC_P99] = "p99",
    [METRIC_MAX] = "max",
    [METRIC_ERROR_RATE] = "error_rate",
    [METRIC_DROPPED] = "dropped",
    [METRIC_REFUSED] = "refused",
    [METRIC_LOST] = "lost",
    [METRIC_DUPLICATE] = "duplicate",
};

static const char *const signs[] = {[BELOW] = "<", [AT_MOST] = "<=", [EQUAL] = "=="};

const char *metric_name(enum metric metric)
{
    return names[metric];
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " ");
}

static const char *parse_metric(const char *text, enum metric *metric)
{
    size_t length = strcspn(text, " <=");
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (strlen(names[i]) == length && strncmp(text, names[i], length) == 0) {
            *metric = (enum metric)i;
            return text + length;
        }
    }
    return NULL;
}

static const char *parse_comparison(const char *text, enum comparison *comparison)
{
    size_t length = strspn(text, "<=");
    for (int i = 0; i <= EQUAL; i++) {
        if (strlen(signs[i]) == length && strncmp(text, signs[i], length) == 0) {
            *comparison = (enum comparison)i;
            return text + length;
        }
    }
    return NULL;
}

int threshold_parse(const char *text, struct threshold *threshold)
{
    const char *rest = parse_metric(skip_blanks(text), &threshold->metric);
    if (rest)
        rest = parse_comparison(skip_blanks(rest), &threshold->comparison);
    if (!rest)
        return -EINVAL;
    rest = skip_blanks(rest);
    if (!isdigit((unsigned char)*rest) && *rest != '.')
        return -EINVAL;
    char *end;
    threshold->limit = strtod(rest, &end);
    if (end == rest || *skip_blanks(end) != '\0' || !isfinite(threshold->limit))
        return -EINVAL;
    return 0;
}

bool threshold_holds(const struct threshold *threshold, double value)
{
    switch (threshold->comparison) {
    case BELOW:
        return value < threshold->limit;
    case AT_MOST:
        return value <= threshold->limit;
    case EQUAL:
        return !(value < threshold->limit) && !(value > threshold->limit) && !isnan(value);
    }
    return false;
}

void threshold_text(const struct threshold *threshold, char out[THRESHOLD_TEXT])
{
    snprintf(out, THRESHOLD_TEXT, "%s%s%g", names[threshold->metric], signs[threshold->comparison],
             threshold->limit);
}
