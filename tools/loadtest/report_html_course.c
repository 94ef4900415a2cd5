/* SPDX-License-Identifier: MIT */
/* The charts of the report. */
#include "tools/loadtest/report_html.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "tools/loadtest/memory.h"
#include "tools/report/chart.h"
#include "tools/report/heatmap.h"

#define MOST_BANDS 200

struct course {
    FILE *out;
    const struct result *result;
    const struct timeline *timeline;
    struct plot plot; /* title and unit to be filled in */
    struct plot_band bands[MOST_BANDS];
};

/* The stretches of a spike, then the server's events. */
static void gather_bands(struct course *course, const struct report_events *events)
{
    const struct phases *phases = course->result->profile->phases;
    size_t count = 0;
    if (course->result->options->shape == SHAPE_SPIKE) {
        const struct phase *spike = &phases->all[SPIKE_ITSELF];
        course->bands[count++] =
            (struct plot_band){.from_s = phase_from_s(spike),
                               .to_s = phase_from_s(spike) + phase_duration_s(spike),
                               .label = "spike",
                               .tone = TONE_PLAIN};
    }
    for (size_t i = 0; i < events->band_count && count < MOST_BANDS; i++)
        course->bands[count++] = events->bands[i];
    course->plot.bands = course->bands;
    course->plot.band_count = count;
}

static double *column_values(const struct course *course)
{
    return memory_zeroed(course->timeline->count + 1, sizeof(double));
}

/* Columns are as wide as a step, but for the last: it ends with the run. */
static double column_seconds(const struct course *course, size_t column)
{
    double from_s = (double)column * course->timeline->step_s;
    return fmax(fmin(course->timeline->step_s, course->result->elapsed_s - from_s), 0.05);
}

static void draw(const struct course *course, const char *title, const char *unit,
                 struct chart chart)
{
    chart.plot = course->plot;
    chart.plot.title = title;
    chart.plot.unit = unit;
    chart.step_s = course->timeline->step_s;
    chart.columns = course->timeline->count;
    chart_write(course->out, &chart);
}

static void draw_rate(const struct course *course)
{
    double *sent = column_values(course), *ok = column_values(course);
    double *attempts = column_values(course);
    bool retried = course->result->options->retry.kind != RETRY_NONE;
    for (size_t i = 0; i < course->timeline->count; i++) {
        const struct moment *moment = &course->timeline->columns[i];
        double seconds = column_seconds(course, i);
        sent[i] = (double)moment->sent / seconds;
        ok[i] = (double)moment->ok / seconds;
        attempts[i] = (double)moment->attempts / seconds;
    }
    const struct chart_series series[] = {{.name = "offered", .values = sent, .colour = 0},
                                          {.name = "goodput", .values = ok, .colour = 3},
                                          {.name = "attempts", .values = attempts, .colour = 1}};
    draw(course, "Rate", "requests/s",
         (struct chart){.series = series, .series_count = retried ? 3 : 2});
    free(sent);
    free(ok);
    free(attempts);
}

/* Limits on p95 and p99 become lines. */
static size_t latency_limits(const struct course *course, struct plot_limit limits[2],
                             char labels[2][THRESHOLD_TEXT])
{
    const struct options *options = course->result->options;
    size_t count = 0;
    for (unsigned i = 0; i < options->threshold_count && count < 2; i++) {
        const struct threshold *threshold = &options->thresholds[i];
        if ((threshold->metric != METRIC_P95 && threshold->metric != METRIC_P99) ||
            threshold->limit <= 0)
            continue;
        threshold_text(threshold, labels[count]);
        limits[count] = (struct plot_limit){.value = threshold->limit, .label = labels[count]};
        count += 1;
    }
    return count;
}

static void draw_latency(const struct course *course)
{
    static const double percents[] = {50, 95, 99};
    double *values[3];
    char labels[2][THRESHOLD_TEXT];
    struct plot_limit limits[2];
    for (size_t p = 0; p < 3; p++) {
        values[p] = column_values(course);
        for (size_t i = 0; i < course->timeline->count; i++)
            values[p][i] =
                statistics_percentile_ms(&course->timeline->columns[i].latency_us, percents[p]);
    }
    const struct chart_series series[] = {{.name = "p50", .values = values[0], .colour = 3},
                                          {.name = "p95", .values = values[1], .colour = 1},
                                          {.name = "p99", .values = values[2], .colour = 2}};
    draw(course, "Latency of successful requests", "ms from the intended time, logarithmic",
         (struct chart){.series = series,
                        .series_count = 3,
                        .logarithmic = true,
                        .limits = limits,
                        .limit_count = latency_limits(course, limits, labels)});
    for (size_t p = 0; p < 3; p++)
        free(values[p]);
}

/* Red for what a client meets as a broken connection, grey for what is this program's own. */
static const unsigned error_colours[ERROR_CLASSES] = {
    [ERROR_REFUSED] = 2, [ERROR_BROKEN] = 1, [ERROR_TIMEOUT] = 4, [ERROR_DROPPED] = 7,
    [ERROR_WRONG] = 6,   [ERROR_503] = 0,    [ERROR_429] = 5,     [ERROR_HTTP] = 3};

static void draw_errors(const struct course *course)
{
    struct chart_series series[ERROR_CLASSES];
    double *values[ERROR_CLASSES];
    size_t count = 0;
    for (unsigned cause = 0; cause < ERROR_CLASSES; cause++) {
        double *rates = column_values(course), sum = 0;
        for (size_t i = 0; i < course->timeline->count; i++) {
            rates[i] =
                (double)course->timeline->columns[i].errors[cause] / column_seconds(course, i);
            sum += rates[i];
        }
        if (!(sum > 0)) {
            free(rates);
            continue;
        }
        values[count] = rates;
        series[count++] = (struct chart_series){.name = error_class_name((enum error_class)cause),
                                                .values = rates,
                                                .colour = error_colours[cause]};
    }
    if (count > 0)
        draw(course, "Failed attempts by cause", "1/s",
             (struct chart){.series = series, .series_count = count, .stacked = true});
    else
        document_paragraph(course->out, TONE_GOOD, "No attempt failed.");
    while (count > 0)
        free(values[--count]);
}

static void draw_probes(const struct course *course)
{
    const double *rate = course->result->options->probe_rate;
    double *read = column_values(course), *health = column_values(course);
    for (size_t i = 0; i < course->timeline->count; i++) {
        const struct moment *moment = &course->timeline->columns[i];
        read[i] = statistics_percentile_ms(&moment->probe_read_us, 95);
        health[i] = statistics_percentile_ms(&moment->probe_health_us, 99);
    }
    struct chart_series series[2];
    size_t count = 0;
    if (rate[LOAD_READ] > 0)
        series[count++] = (struct chart_series){.name = "reads p95", .values = read, .colour = 0};
    if (rate[LOAD_HEALTH] > 0)
        series[count++] =
            (struct chart_series){.name = "/health p99", .values = health, .colour = 4};
    if (count > 0)
        draw(course, "Probes beside the load", "ms, logarithmic",
             (struct chart){.series = series, .series_count = count, .logarithmic = true});
    free(read);
    free(health);
}

/* Upper edges of the heatmap's rows, in milliseconds; above the last is a row of its own. */
static const double edges_ms[] = {0.1, 0.2, 0.3, 0.5,  0.7,  1,    1.5,  2,    3,    5,
                                  7,   10,  15,  20,   30,   50,   70,   100,  150,  200,
                                  300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10000};
#define ROWS (sizeof edges_ms / sizeof *edges_ms + 1)

static void draw_heatmap(const struct course *course)
{
    static char names[ROWS][16];
    const char *row_names[ROWS];
    uint64_t *counts = memory_zeroed(course->timeline->count * ROWS + 1, sizeof *counts);
    for (size_t row = 0; row < ROWS; row++) {
        bool last = row == ROWS - 1;
        snprintf(names[row], sizeof names[row], "%s%g", last ? ">" : "≤",
                 edges_ms[last ? row - 1 : row]);
        row_names[row] = names[row];
    }
    for (size_t column = 0; column < course->timeline->count; column++) {
        const struct histogram_sum *latency_us = &course->timeline->columns[column].latency_us;
        uint64_t below = 0;
        for (size_t row = 0; row < ROWS; row++) {
            uint64_t to =
                row == ROWS - 1
                    ? latency_us->count
                    : histogram_count_to(latency_us, (uint64_t)(edges_ms[row] * (double)US_PER_MS));
            counts[column * ROWS + row] = to - below;
            below = to;
        }
    }
    struct heatmap heatmap = {.plot = course->plot,
                              .step_s = course->timeline->step_s,
                              .columns = course->timeline->count,
                              .rows = ROWS,
                              .counts = counts,
                              .row_names = row_names};
    heatmap.plot.title = "Latency heatmap";
    heatmap.plot.unit = "ms; the stronger, the more requests";
    heatmap_write(course->out, &heatmap);
    free(counts);
}

void report_html_course(FILE *out, const struct result *result, const struct timeline *timeline,
                        const struct report_events *events)
{
    struct course *course = memory_zeroed(1, sizeof *course);
    *course = (struct course){.out = out, .result = result, .timeline = timeline};
    course->plot.to_s = (double)timeline->count * timeline->step_s;
    gather_bands(course, events);
    document_section(out, "The course of it",
                     timeline->step_s > 1
                         ? "Every column is several seconds of a long run."
                         : "Every column is a second. Events count in the second in "
                           "which they happened.");
    draw_rate(course);
    draw_latency(course);
    draw_errors(course);
    draw_heatmap(course);
    draw_probes(course);
    free(course);
}
