/* SPDX-License-Identifier: MIT */
#include "common/series.h"

#include <math.h>
#include <string.h>

#include "common/clock.h"

#define RATE(count)          SERIES_RATE, COUNT_OF_##count, 0
#define SHARE(count, of)     SERIES_SHARE, COUNT_OF_##count, COUNT_OF_##of
#define PERCENTILE(times, p) SERIES_PERCENTILE, TIMES_OF_##times, p
#define MEAN(times)          SERIES_MEAN, TIMES_OF_##times, 0
#define LEVEL(level)         SERIES_LEVEL, LEVEL_OF_##level, 0
#define MOST(level)          SERIES_MOST, LEVEL_OF_##level, 0
#define LEAST(level)         SERIES_LEAST, LEVEL_OF_##level, 0

#define SLOT_COUNTER(id, name, d1, d2, spread, help)
#define SLOT_GAUGE(id, name, d1, spread, help)
#define SLOT_HISTOGRAM(id, name, d1, scale, help)
#define BOARD_COUNTER(id, name, d1, d2, help)
#define DERIVED(id, name, type, labels, help)
#define HISTORY(id, of, value, text) [SERIES_##id] = {#id, of, text, value},

const struct series series[SERIES_NUMBER] = {
#include "common/metrics.def"
};

static double growth(uint64_t before, uint64_t after)
{
    return after >= before ? (double)(after - before) : NAN;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static double value_between(const struct series *row, const struct series_look *before,
                            const struct series_look *after, double seconds)
{
    const uint64_t *then = before->count, *now = after->count;
    struct histogram_sum between;
    switch (row->how) {
    case SERIES_RATE:
        return growth(then[row->source], now[row->source]) / seconds;
    case SERIES_SHARE:
        return share(growth(then[row->source], now[row->source]),
                     growth(then[row->other], now[row->other]));
    case SERIES_PERCENTILE:
    case SERIES_MEAN:
        between = after->times[row->source];
        histogram_sum_subtract(&between, &before->times[row->source]);
        if (between.count == 0)
            return NAN;
        return row->how == SERIES_MEAN
                   ? (double)between.sum / (double)between.count
                   : (double)histogram_percentile(&between, row->other) / (double)US_PER_MS;
    case SERIES_LEVEL:
    case SERIES_MOST:
    case SERIES_LEAST:
        break;
    }
    return after->level[row->source];
}

bool series_between(const struct series_look *before, const struct series_look *after,
                    double values[SERIES_NUMBER])
{
    bool comparable = before->boot_id[0] == after->boot_id[0] &&
                      before->boot_id[1] == after->boot_id[1] && after->at_ns > before->at_ns;
    double seconds = (double)(after->at_ns - before->at_ns) / (double)NS_PER_S;
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        values[i] = comparable ? value_between(&series[i], before, after, seconds) : NAN;
    return comparable;
}

static bool is_level(const struct series *row)
{
    return row->how == SERIES_LEVEL || row->how == SERIES_MOST || row->how == SERIES_LEAST;
}

void series_levels_add(struct series_levels *levels, const double values[SERIES_NUMBER])
{
    for (unsigned i = 0; i < SERIES_NUMBER; i++) {
        double value = values[i];
        if (!is_level(&series[i]) || isnan(value))
            continue;
        bool first = levels->count[i]++ == 0;
        levels->sum[i] += value;
        if (first || value > levels->most[i])
            levels->most[i] = value;
        if (first || value < levels->least[i])
            levels->least[i] = value;
    }
}

void series_levels_put(const struct series_levels *levels, double values[SERIES_NUMBER])
{
    for (unsigned i = 0; i < SERIES_NUMBER; i++) {
        if (!is_level(&series[i]))
            continue;
        if (levels->count[i] == 0)
            values[i] = NAN;
        else if (series[i].how == SERIES_LEVEL)
            values[i] = levels->sum[i] / levels->count[i];
        else
            values[i] = series[i].how == SERIES_MOST ? levels->most[i] : levels->least[i];
    }
}

enum series_id series_find(const char *name, size_t length)
{
    unsigned i = 0;
    while (i < SERIES_NUMBER &&
           (strlen(series[i].name) != length || memcmp(series[i].name, name, length) != 0))
        i++;
    return (enum series_id)i;
}

void series_describe(FILE *out)
{
    fputs("| series | unit | meaning |\n|---|---|---|\n", out);
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        fprintf(out, "| `%s` | %s | %s |\n", series[i].name, series[i].unit, series[i].help);
}
