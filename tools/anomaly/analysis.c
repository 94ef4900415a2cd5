/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/analysis.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tools/anomaly/floors.h"

int analysis_watch(struct analysis *analysis, unsigned column, double least_step, double step_s)
{
    struct watched *all = realloc(analysis->watched, (analysis->watched_count + 1) * sizeof *all);
    if (!all)
        return -ENOMEM;
    analysis->watched = all;
    struct watched *own = &all[analysis->watched_count];
    struct detector_metric metric = {0, false};
    if (analysis->preset->floors)
        metric = floors_of(analysis->table->names[column]);
    if (least_step >= 0)
        metric.least_step = least_step;
    *own = (struct watched){.column = column};
    own->detector = malloc(sizeof *own->detector);
    if (!own->detector)
        return -ENOMEM;
    detector_open(own->detector, analysis->preset, metric, step_s);
    analysis->watched_count += 1;
    return 0;
}

void analysis_learn(struct analysis *analysis, const struct table *before)
{
    for (unsigned i = 0; i < analysis->watched_count; i++) {
        struct watched *own = &analysis->watched[i];
        int column = table_column(before, analysis->table->names[own->column]);
        for (size_t row = 0; column >= 0 && row < before->rows; row++) {
            double value = table_cell(before, row, (unsigned)column);
            int64_t time_s = before->time_s[row];
            own->last_s = time_s > own->last_s ? time_s : own->last_s;
            if (isfinite(value))
                detector_take(own->detector, own->last_s, value);
        }
    }
}

static int add_alarm(struct analysis *analysis, const struct alarm *alarm)
{
    if (analysis->alarm_count == analysis->alarm_capacity) {
        size_t capacity = analysis->alarm_capacity ? 2 * analysis->alarm_capacity : 64;
        struct alarm *alarms = realloc(analysis->alarms, capacity * sizeof *alarms);
        if (!alarms)
            return -ENOMEM;
        analysis->alarms = alarms;
        analysis->alarm_capacity = capacity;
    }
    analysis->watched[alarm->watched].alarm = analysis->alarm_count;
    analysis->alarms[analysis->alarm_count++] = *alarm;
    return 0;
}

static void follow(struct analysis *analysis, struct watched *own, int64_t time_s,
                   const struct detector_result *result)
{
    struct alarm *alarm = own->alarm < analysis->alarm_count ? &analysis->alarms[own->alarm] : NULL;
    if (!alarm || alarm->watched != (unsigned)(own - analysis->watched) || !alarm->under_way)
        return;
    alarm->under_way = result->under_way;
    if (!result->under_way)
        return;
    alarm->until_s = time_s;
    if (result->score > alarm->peak_score)
        alarm->peak_score = result->score;
}

int analysis_take(struct analysis *analysis, size_t row)
{
    const struct table *table = analysis->table;
    int64_t time_s = table->time_s[row];
    int raised = 0;
    for (unsigned i = 0; i < analysis->watched_count; i++) {
        struct watched *own = &analysis->watched[i];
        double value = table_cell(table, row, own->column);
        if (!isfinite(value)) {
            own->gaps += 1;
            continue;
        }
        own->points += 1;
        own->last_s = time_s > own->last_s ? time_s : own->last_s;
        struct detector_result result = detector_take(own->detector, own->last_s, value);
        follow(analysis, own, time_s, &result);
        if (!result.raised)
            continue;
        struct alarm alarm = {
            .metric = table->names[own->column],
            .watched = i,
            .from_s = time_s,
            .until_s = time_s,
            .value = value,
            .expected = result.expected,
            .score = result.score,
            .peak_score = result.score,
            .under_way = true,
        };
        if (add_alarm(analysis, &alarm) < 0)
            return -ENOMEM;
        raised += 1;
    }
    return raised;
}

void analysis_free(struct analysis *analysis)
{
    for (unsigned i = 0; i < analysis->watched_count; i++)
        free(analysis->watched[i].detector);
    free(analysis->watched);
    free(analysis->alarms);
}
