/* SPDX-License-Identifier: MIT */
/* What is made of a scrape: the history's series of a bulkhead server, by recipes, and one or two
 * series of each family that none of them is made of. */
#include "tools/anomaly/scrape.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum how { HOW_RATE, HOW_SHARE, HOW_QUANTILE, HOW_LEVEL, HOW_MOST, HOW_OPEN };

struct term {
    const char *metric, *labels;
};

struct recipe {
    const char *name;
    enum how how;
    struct term term, plus; /* plus.metric NULL: one term only */
    double number;          /* the share of a quantile; what a level is multiplied by */
};

#define REQUESTS "http_requests_total"
#define DURATION "http_request_duration_seconds"
#define LOST                        \
    {                               \
        "requests_lost_total", NULL \
    }
#define UNASKED   "class!=clean"
#define RATE(...) HOW_RATE, {__VA_ARGS__}, {NULL, NULL}, 0
#define SHARE(...)  \
    HOW_SHARE,      \
    {               \
        __VA_ARGS__ \
    }
#define TIMES(metric, labels, share) HOW_QUANTILE, {metric, labels}, {NULL, NULL}, share
#define LEVEL(...)                   HOW_LEVEL, {__VA_ARGS__}, {NULL, NULL}, 1

#define OF_CLASS(name)                                                          \
    {name "_requests_per_s", RATE(REQUESTS, "class=" name)},                    \
        {name "_errors_per_s", RATE(REQUESTS, "class=" name ",code=500|504")},  \
        {name "_refused_per_s", RATE(REQUESTS, "class=" name ",code=429|503")}, \
        {name "_p50_ms", TIMES(DURATION, "class=" name, 0.50)},                 \
        {name "_p95_ms", TIMES(DURATION, "class=" name, 0.95)},                 \
    {                                                                           \
        name "_p99_ms", TIMES(DURATION, "class=" name, 0.99)                    \
    }

#define REFUSED_FOR(name, reason)                                                   \
    {                                                                               \
        "refused_" name "_per_s", RATE("bulkhead_rejected_total", "reason=" reason) \
    }

/* The names and meanings of the HISTORY rows of common/metrics.def. Percentiles are coarser than
 * the console's: the text has 15 buckets where the region has 700. */
static const struct recipe recipes[] = {
    {"requests_per_s", RATE(REQUESTS, NULL)},
    {"served_per_s", RATE(REQUESTS, "code!=429|500|503|504")},
    {"refused_per_s", RATE(REQUESTS, "code=429|503")},
    {"errors_per_s", HOW_RATE, {REQUESTS, "code=500|504"}, LOST, 0},
    {"lost_per_s", RATE("requests_lost_total", NULL)},
    {"error_share", SHARE(REQUESTS, "code=500|504"), LOST, 0},
    {"refused_share", SHARE(REQUESTS, "code=429|503"), {NULL, NULL}, 0},
    {"p50_ms", TIMES(DURATION, "class=auth|read|write", 0.50)},
    {"p95_ms", TIMES(DURATION, "class=auth|read|write", 0.95)},
    {"p99_ms", TIMES(DURATION, "class=auth|read|write", 0.99)},
    OF_CLASS("auth"),
    OF_CLASS("read"),
    OF_CLASS("write"),
    OF_CLASS("health"),
    REFUSED_FOR("full", "full"),
    REFUSED_FOR("waited", "waited"),
    REFUSED_FOR("deadline", "deadline"),
    REFUSED_FOR("database", "database"),
    REFUSED_FOR("overloaded", "overloaded"),
    REFUSED_FOR("circuit_open", "circuit_open"),
    REFUSED_FOR("retry_budget", "retry_budget"),
    {"rate_limited_per_s", RATE("ratelimit_decisions_total", "result=limited")},
    {"deadline_exceeded_per_s", RATE("deadline_exceeded_total", NULL)},
    {"status_429_per_s", RATE(REQUESTS, "code=429")},
    {"status_500_per_s", RATE(REQUESTS, "code=500")},
    {"status_503_per_s", RATE(REQUESTS, "code=503")},
    {"status_504_per_s", RATE(REQUESTS, "code=504")},
    {"retries_per_s", RATE("http_attempts_total", "attempt=1|2|3+")},
    {"listen_queue_depth", LEVEL("listen_queue_depth", NULL)},
    {"listen_drops_per_s", RATE("listen_drops_total", NULL)},
    {"accepts_per_s", RATE("accepts_total", NULL)},
    {"door_parked", LEVEL("door_parked", NULL)},
    {"door_wait_p95_ms", TIMES("http_queue_seconds", NULL, 0.95)},
    {"http_inflight", LEVEL("http_inflight_requests", NULL)},
    {"bulkhead_inflight_auth", LEVEL("bulkhead_inflight", "class=auth")},
    {"bulkhead_inflight_read", LEVEL("bulkhead_inflight", "class=read")},
    {"bulkhead_inflight_write", LEVEL("bulkhead_inflight", "class=write")},
    {"bulkhead_queued_auth", LEVEL("bulkhead_queued", "class=auth")},
    {"bulkhead_queued_read", LEVEL("bulkhead_queued", "class=read")},
    {"bulkhead_queued_write", LEVEL("bulkhead_queued", "class=write")},
    {"db_up", LEVEL("db_up", NULL)},
    {"db_read_p95_ms", TIMES("db_query_duration_seconds", "op=read", 0.95)},
    {"db_write_p95_ms", TIMES("db_query_duration_seconds", "op=commit", 0.95)},
    {"commits_per_s", RATE("db_commits_total", NULL)},
    {"lock_wait_p95_ms", TIMES("db_lock_wait_seconds", NULL, 0.95)},
    {"wal_bytes", LEVEL("db_wal_bytes", NULL)},
    {"db_errors_per_s", RATE("db_errors_total", NULL)},
    {"breakers_open", HOW_OPEN, {"circuit_breaker_state", NULL}, {NULL, NULL}, 0},
    {"workers_ready", LEVEL("workers", "state=ready")},
    {"workers_degraded", LEVEL("workers", "state=degraded")},
    {"workers_restarting", LEVEL("workers", "state=starting|killing|dead|backoff")},
    {"workers_quarantined", LEVEL("workers", "state=quarantined")},
    {"deaths_per_s", RATE("worker_deaths_total", UNASKED)},
    {"restarts_per_s", RATE("worker_restarts_total", NULL)},
    {"heartbeat_age_max_ms", HOW_MOST, {"worker_heartbeat_age_seconds", NULL}, {NULL, NULL}, 1000},
    {"log_dropped_per_s", RATE("log_dropped_total", NULL)},
    {"faults_active", LEVEL("fault_active", NULL)},
    {"fault_hits_per_s", RATE("fault_hits_total", NULL)},
};
#define RECIPES (sizeof recipes / sizeof *recipes)

/* ---- the values of recipes --------------------------------------------------------------- */

/* How much a counter grew. It began again at 0 when it is less than it was. */
static double growth(const struct scrape *before, const struct scrape *after,
                     const struct term *term)
{
    double now = scrape_sum(after, term->metric, term->labels);
    double earlier = scrape_sum(before, term->metric, term->labels);
    return now < earlier ? now : now - earlier;
}

static double count_of(const struct recipe *recipe, const struct scrape *before,
                       const struct scrape *after)
{
    double count = growth(before, after, &recipe->term);
    return recipe->plus.metric ? count + growth(before, after, &recipe->plus) : count;
}

/* Breakers that are not closed: 1 open, 2 half-open, 3 forced open; 4 is disabled. */
static double open_breakers(const struct scrape *scrape, const char *metric)
{
    double open = NAN;
    for (size_t i = 0; i < scrape->sample_count; i++) {
        const struct scrape_sample *sample = &scrape->samples[i];
        if (strcmp(sample->name, metric) == 0)
            open = (isnan(open) ? 0 : open) + (sample->value >= 1 && sample->value <= 3);
    }
    return open;
}

static double share_of(const struct recipe *recipe, const struct scrape *before,
                       const struct scrape *after)
{
    const struct term all = {REQUESTS, NULL}, lost = LOST;
    double of = growth(before, after, &all) + growth(before, after, &lost);
    return of > 0 ? count_of(recipe, before, after) / of : NAN;
}

static double recipe_value(const struct recipe *recipe, const struct scrape *before,
                           const struct scrape *after)
{
    const struct term *term = &recipe->term;
    switch (recipe->how) {
    case HOW_RATE:
        return count_of(recipe, before, after) / (after->at_s - before->at_s);
    case HOW_SHARE:
        return share_of(recipe, before, after);
    case HOW_QUANTILE:
        return 1000 * scrape_quantile(before, after, term->metric, term->labels, recipe->number);
    case HOW_LEVEL:
        return recipe->number * scrape_sum(after, term->metric, term->labels);
    case HOW_MOST:
        return recipe->number * scrape_most(after, term->metric, term->labels);
    case HOW_OPEN:
        return open_breakers(after, term->metric);
    }
    return NAN;
}

/* ---- families without a recipe ----------------------------------------------------------- */

static bool has_recipe(const char *family)
{
    for (size_t i = 0; i < RECIPES; i++)
        if (strcmp(recipes[i].term.metric, family) == 0)
            return true;
    return false;
}

/* The name of a family's series: ending "_per_s", "_p50", "_p95", or "". */
static size_t series_name(char *out, size_t size, const char *family, const char *ending)
{
    size_t length = strlen(family);
    if (strcmp(ending, "_per_s") == 0 && length > 6 && strcmp(family + length - 6, "_total") == 0)
        length -= 6;
    int written = snprintf(out, size, "%.*s%s", (int)length, family, ending);
    return written > 0 && (size_t)written < size ? (size_t)written : 0;
}

static int add_series(struct table *table, const char *family, const char *ending)
{
    char name[TABLE_NAME_MAX];
    size_t length = series_name(name, sizeof name, family, ending);
    int error = length ? table_add_column(table, name, length) : 0;
    return error == -EEXIST ? 0 : error;
}

static int add_family(struct table *table, const struct scrape_family *family)
{
    int error;
    switch (family->type) {
    case SCRAPE_COUNTER:
        return add_series(table, family->name, "_per_s");
    case SCRAPE_GAUGE:
        return add_series(table, family->name, "");
    case SCRAPE_HISTOGRAM:
        error = add_series(table, family->name, "_p50");
        return error ? error : add_series(table, family->name, "_p95");
    default:
        return 0;
    }
}

static void fill_series(const struct scrape *before, const struct scrape *after,
                        const struct scrape_family *family, const char *ending,
                        const struct table *table, double *row)
{
    char name[TABLE_NAME_MAX];
    int column =
        series_name(name, sizeof name, family->name, ending) ? table_column(table, name) : -1;
    if (column < 0)
        return;
    const struct term term = {family->name, NULL};
    if (family->type == SCRAPE_COUNTER)
        row[column] = growth(before, after, &term) / (after->at_s - before->at_s);
    else if (family->type == SCRAPE_GAUGE)
        row[column] = scrape_sum(after, family->name, NULL);
    else
        row[column] = scrape_quantile(before, after, family->name, NULL,
                                      strcmp(ending, "_p50") == 0 ? 0.50 : 0.95);
}

/* ---- both -------------------------------------------------------------------------------- */

int scrape_columns(const struct scrape *scrape, struct table *table)
{
    int error = 0;
    bool is_bulkhead = !isnan(scrape_sum(scrape, REQUESTS, NULL)) &&
                       !isnan(scrape_sum(scrape, "worker_generation", NULL));
    for (size_t i = 0; is_bulkhead && i < RECIPES && error == 0; i++)
        error = table_add_column(table, recipes[i].name, strlen(recipes[i].name));
    for (size_t i = 0; i < scrape->family_count && error == 0; i++)
        if (!is_bulkhead || !has_recipe(scrape->families[i].name))
            error = add_family(table, &scrape->families[i]);
    return error;
}

void scrape_fill(const struct scrape *before, const struct scrape *after, const struct table *table,
                 double *row)
{
    static const char *const endings[] = {"_per_s", "", "_p50", "_p95"};
    bool is_bulkhead =
        table_column(table, recipes[0].name) >= 0 && table_column(table, recipes[1].name) >= 0;
    for (size_t i = 0; is_bulkhead && i < RECIPES; i++)
        row[table_column(table, recipes[i].name)] = recipe_value(&recipes[i], before, after);
    for (size_t i = 0; i < after->family_count; i++) {
        const struct scrape_family *family = &after->families[i];
        if (is_bulkhead && has_recipe(family->name))
            continue;
        if (family->type == SCRAPE_COUNTER || family->type == SCRAPE_GAUGE)
            fill_series(before, after, family, endings[family->type == SCRAPE_GAUGE], table, row);
        if (family->type == SCRAPE_HISTOGRAM) {
            fill_series(before, after, family, endings[2], table, row);
            fill_series(before, after, family, endings[3], table, row);
        }
    }
}
