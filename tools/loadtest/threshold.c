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
    [METRIC_READ_P95] = "read_p95",
    [METRIC_WRITE_P95] = "write_p95",
    [METRIC_LOGIN_P95] = "login_p95",
    [METRIC_HEALTH_P99] = "health_p99",
    [METRIC_GOODPUT] = "goodput",
    [METRIC_KNEE] = "knee",
    [METRIC_RECOVERY] = "recovery",
};

static const char *const signs[] = {
    [BELOW] = "<", [AT_MOST] = "<=", [EQUAL] = "==", [ABOVE] = ">", [AT_LEAST] = ">="};

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
    size_t length = strcspn(text, " <=>");
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
    size_t length = strspn(text, "<=>");
    for (int i = 0; i <= AT_LEAST; i++) {
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
    case ABOVE:
        return value > threshold->limit;
    case AT_LEAST:
        return value >= threshold->limit;
    }
    return false;
}

double threshold_margin(const struct threshold *threshold, double value)
{
    double below = threshold->limit - value;
    switch (threshold->comparison) {
    case ABOVE:
    case AT_LEAST:
        return -below;
    case EQUAL:
        return -fabs(below);
    default:
        return below;
    }
}

const char *metric_unit(enum metric metric)
{
    switch (metric) {
    case METRIC_P50:
    case METRIC_P95:
    case METRIC_P99:
    case METRIC_MAX:
    case METRIC_READ_P95:
    case METRIC_WRITE_P95:
    case METRIC_LOGIN_P95:
    case METRIC_HEALTH_P99:
        return "ms";
    case METRIC_GOODPUT:
    case METRIC_KNEE:
        return "/s";
    case METRIC_RECOVERY:
        return "s";
    default:
        return "";
    }
}

void threshold_text(const struct threshold *threshold, char out[THRESHOLD_TEXT])
{
    snprintf(out, THRESHOLD_TEXT, "%s%s%g", names[threshold->metric], signs[threshold->comparison],
             threshold->limit);
}
