/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "tools/loadtest/memory.h"

const char *error_class_name(enum error_class class)
{
    static const char *const names[ERROR_CLASSES] = {
        [ERROR_REFUSED] = "connection refused",
        [ERROR_BROKEN] = "connection reset or closed",
        [ERROR_TIMEOUT] = "timeout",
        [ERROR_DROPPED] = "dropped (no free connection)",
        [ERROR_WRONG] = "wrong answer",
        [ERROR_503] = "503",
        [ERROR_429] = "429",
        [ERROR_HTTP] = "other statuses",
    };
    return names[class];
}

struct timeline *timeline_open(void)
{
    struct timeline *timeline = memory_zeroed(1, sizeof *timeline);
    timeline->step_s = 1;
    timeline->columns = memory_zeroed(TIMELINE_COLUMNS, sizeof *timeline->columns);
    return timeline;
}

void timeline_close(struct timeline *timeline)
{
    free(timeline->columns);
    free(timeline);
}

static void add_histogram(struct histogram_sum *sum, const struct histogram_sum *more)
{
    if (more->count == 0)
        return;
    sum->sum += more->sum;
    sum->count += more->count;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->bucket[i] += more->bucket[i];
}

static void add_moment(struct moment *sum, const struct moment *more)
{
    sum->sent += more->sent;
    sum->ok += more->ok;
    sum->failed += more->failed;
    sum->attempts += more->attempts;
    for (int cause = 0; cause < ERROR_CLASSES; cause++)
        sum->errors[cause] += more->errors[cause];
    add_histogram(&sum->latency_us, &more->latency_us);
    add_histogram(&sum->probe_read_us, &more->probe_read_us);
    add_histogram(&sum->probe_health_us, &more->probe_health_us);
}

static void halve(struct timeline *timeline)
{
    for (size_t i = 0; i < TIMELINE_COLUMNS; i++) {
        if (i % 2 == 0)
            memmove(&timeline->columns[i / 2], &timeline->columns[i], sizeof *timeline->columns);
        else
            add_moment(&timeline->columns[i / 2], &timeline->columns[i]);
    }
    memset(&timeline->columns[TIMELINE_COLUMNS / 2], 0,
           TIMELINE_COLUMNS / 2 * sizeof *timeline->columns);
    timeline->count = (timeline->count + 1) / 2;
    timeline->step_s *= 2;
}

static void classify(struct moment *moment, const struct failures *failures)
{
    const uint64_t *cause = failures->cause, *status = failures->status;
    moment->errors[ERROR_REFUSED] += cause[CAUSE_REFUSED];
    moment->errors[ERROR_BROKEN] +=
        cause[CAUSE_UNREACHABLE] + cause[CAUSE_RESET] + cause[CAUSE_EOF];
    moment->errors[ERROR_TIMEOUT] += cause[CAUSE_TIMEOUT];
    moment->errors[ERROR_DROPPED] += cause[CAUSE_DROPPED];
    moment->errors[ERROR_WRONG] += cause[CAUSE_WRONG] + cause[CAUSE_MALFORMED];
    moment->errors[ERROR_503] += status[503];
    moment->errors[ERROR_429] += status[429];
    moment->errors[ERROR_HTTP] += cause[CAUSE_HTTP] - status[503] - status[429];
}

void timeline_add(struct timeline *timeline, uint64_t second, const struct statistics *statistics)
{
    const struct tally *tally = &statistics->second;
    while (second / timeline->step_s >= TIMELINE_COLUMNS)
        halve(timeline);
    size_t column = (size_t)(second / timeline->step_s);
    struct moment *moment = &timeline->columns[column];
    moment->sent += tally->sent;
    moment->ok += tally->ok;
    moment->failed += tally->failed;
    moment->attempts += tally->attempts;
    classify(moment, &tally->attempt_failures);
    add_histogram(&moment->latency_us, &tally->latency_us);
    add_histogram(&moment->probe_read_us, &statistics->probe_second[LOAD_READ].latency_us);
    add_histogram(&moment->probe_health_us, &statistics->probe_second[LOAD_HEALTH].latency_us);
    timeline->count = column + 1;
}
