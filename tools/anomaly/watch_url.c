/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/watch_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "tools/anomaly/http_get.h"
#include "tools/anomaly/read_csv.h"
#include "tools/anomaly/scrape.h"

#define CSV_LIMIT_MS    30000
#define SCRAPE_LIMIT_MS 2000
#define LONGEST_STEP_S  2.5 /* two scrapes further apart say nothing of one second */

bool url_is(const char *source)
{
    return strstr(source, "://") != NULL;
}

bool url_is_csv(const char *url)
{
    size_t length = strcspn(url, "?#");
    return length >= 4 && strncmp(url + length - 4, ".csv", 4) == 0;
}

int url_read_csv(const char *url, struct table *table, struct problem *problem)
{
    struct target target;
    const char *path;
    if (http_get_target(&target, url, &path, problem) < 0)
        return -1;
    char *body = http_get(&target, path, CSV_LIMIT_MS, problem);
    if (!body)
        return -1;
    size_t length = strlen(body);
    FILE *file = length ? fmemopen(body, length, "r") : NULL;
    int result = file ? read_csv(file, url, CSV_ORDERED, table, problem)
                      : problem_set(problem, EXIT_CONFIGURATION, "%s: the answer is empty", url);
    if (file)
        fclose(file);
    free(body);
    return result;
}

static int take_scrape(const struct target *target, const char *path, struct scrape *scrape,
                       struct problem *problem)
{
    char *body = http_get(target, path, SCRAPE_LIMIT_MS, problem);
    if (!body)
        return -1;
    return scrape_parse(scrape, body, (double)clock_now_ns() / (double)NS_PER_S, problem);
}

/* Until the wall clock shows the next whole second: samples of all watchers fall together. */
static void sleep_to_second(void)
{
    uint64_t rest_ns = NS_PER_S - clock_wall_ns() % NS_PER_S;
    struct timespec wait = clock_timespec(rest_ns);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL); /* a signal ends it: the caller looks */
}

static int add_row(const struct url_watcher *watcher, struct table *table, int64_t time_s,
                   const struct scrape *before, const struct scrape *after, struct problem *problem)
{
    if (after->at_s - before->at_s > LONGEST_STEP_S ||
        (table->rows > 0 && time_s <= table->time_s[table->rows - 1]))
        return 0;
    double *row = table_add_row(table, time_s);
    if (!row)
        return problem_set(problem, EXIT_TEMPORARY, "no memory for more rows");
    scrape_fill(before, after, table, row);
    return watcher->row(watcher->context, table->rows - 1);
}

/* Rows until the time is up. `before` is the first scrape; it is freed. */
static int watch_rows(const struct url_watcher *watcher, const struct target *target,
                      const char *path, struct scrape *before, struct table *table,
                      struct problem *problem)
{
    uint64_t end_ns = clock_now_ns() + watcher->for_s * NS_PER_S;
    int result = 0;
    while (result == 0 && !*watcher->asked && clock_now_ns() < end_ns) {
        sleep_to_second();
        struct scrape after = {0};
        struct problem missed = {0};
        int64_t time_s = (int64_t)(clock_wall_ns() / NS_PER_S);
        if (*watcher->asked)
            break;
        if (take_scrape(target, path, &after, &missed) < 0) {
            fprintf(stderr, "anomaly: a gap: %s\n", missed.text);
            scrape_free(&after);
            continue;
        }
        result = add_row(watcher, table, time_s, before, &after, problem);
        scrape_free(before);
        *before = after;
    }
    if (result == 0 && table->rows == 0)
        result = problem_set(problem, EXIT_TEMPORARY, "%s: nothing was read", watcher->url);
    return result;
}

int url_watch(const struct url_watcher *watcher, struct table *table, struct problem *problem)
{
    struct target target;
    struct scrape before = {0};
    const char *path;
    if (http_get_target(&target, watcher->url, &path, problem) < 0)
        return -1;
    int result = take_scrape(&target, path, &before, problem);
    if (result == 0 && scrape_columns(&before, table) < 0)
        result = problem_set(problem, EXIT_CONFIGURATION,
                             "%s: more metrics than fit, or a name that is too long", watcher->url);
    if (result == 0 && table->columns == 0)
        result = problem_set(problem, EXIT_CONFIGURATION,
                             "%s: no counter, gauge or histogram (are the TYPE lines missing?)",
                             watcher->url);
    if (result == 0)
        result = watcher->begin(watcher->context);
    if (result == 0)
        result = watch_rows(watcher, &target, path, &before, table, problem);
    scrape_free(&before);
    return result;
}
