/* SPDX-License-Identifier: MIT */
/* The charts: what the load tester, the looks at /health and the region showed, second by second.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/drill_page.h"
#include "tools/drill/words.h"
#include "tools/report/chart.h"

#define MOST_BANDS 40
#define SMALL_PX   120

struct course {
    FILE *out;
    const json_t *report;
    struct plot plot;
    struct plot_band bands[MOST_BANDS];
    size_t columns;
    double end_s; /* of the load; NaN: it was cut short */
};

typedef double value_of(const json_t *row, const void *argument);

static double by_key(const json_t *row, const void *key)
{
    return drill_number(row, key);
}

/* A value for each column; NaN where there is no row. Rows are placed by their time. */
static double *values_of(const struct course *course, const json_t *rows, value_of *of,
                         const void *argument)
{
    double *all = calloc(course->columns + 1, sizeof *all);
    if (!all)
        abort();
    for (size_t i = 0; i < course->columns; i++)
        all[i] = (double)NAN;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        double place = round(drill_number(row, "t_s") - course->plot.from_s);
        /* The last row may be the rest of a second, in which the load was over. */
        if (drill_number(row, "t_s") + 0.5 >= course->end_s)
            break;
        if (place >= 0 && place < (double)course->columns)
            all[(size_t)place] = of(row, argument);
    }
    return all;
}

static double *values(const struct course *course, const char *series, value_of *of,
                      const void *argument)
{
    const json_t *rows = json_object_get(json_object_get(course->report, "series"), series);
    return values_of(course, rows, of, argument);
}

static double largest(const struct course *course, const double *all)
{
    double most = 0;
    for (size_t i = 0; i < course->columns; i++)
        most = fmax(most, all[i]);
    return most;
}

static void draw(const struct course *course, const char *title, const char *unit,
                 struct chart chart)
{
    unsigned height_px = chart.plot.height_px;
    chart.plot = course->plot;
    chart.plot.height_px = height_px;
    chart.plot.title = title;
    chart.plot.unit = unit;
    chart.step_s = 1;
    chart.columns = course->columns;
    chart_write(course->out, &chart);
}

/* ---- what was broken when ------------------------------------------------------------------- */

static size_t add_band(struct course *course, size_t count, double from_s, double to_s,
                       const char *label, enum tone tone)
{
    if (count < MOST_BANDS && !isnan(from_s))
        course->bands[count++] =
            (struct plot_band){.from_s = from_s, .to_s = to_s, .label = label, .tone = tone};
    return count;
}

static void gather_bands(struct course *course)
{
    const json_t *bands = json_object_get(course->report, "bands");
    const json_t *phases = json_object_get(course->report, "phases");
    double clear_s = drill_number(phases, "clear_s");
    double recover_s = drill_number(course->report, "recover_s");
    size_t count = 0;
    if (isnan(drill_number(phases, "fault_s")))
        return; /* it never came to it */
    for (size_t i = 0; i < json_array_size(bands); i++) {
        const json_t *band = json_array_get(bands, i);
        count = add_band(course, count, drill_number(band, "from_s"), drill_number(band, "to_s"),
                         drill_text(band, "text"), TONE_BAD);
    }
    if (recover_s > 0.5)
        count = add_band(course, count, clear_s + recover_s, clear_s + recover_s, "recovered",
                         TONE_GOOD);
    course->plot.bands = course->bands;
    course->plot.band_count = count;
}

/* ---- the charts ------------------------------------------------------------------------------ */

static void draw_rate(const struct course *course)
{
    double *sent = values(course, "load", by_key, "sent");
    double *ok = values(course, "load", by_key, "ok");
    double *attempts = values(course, "load", by_key, "attempts");
    bool retried = false;
    for (size_t i = 0; i < course->columns; i++)
        retried = retried || attempts[i] > sent[i] * 1.001;
    const struct chart_series series[] = {
        {.name = "requests due", .values = sent, .colour = 0},
        {.name = "answered well", .values = ok, .colour = 3},
        {.name = "attempts, repeated ones included", .values = attempts, .colour = 1}};
    draw(course, "Requests", "per second, as the load tester saw them",
         (struct chart){.series = series, .series_count = retried ? 3 : 2});
    free(sent);
    free(ok);
    free(attempts);
}

static double error_of(const json_t *row, const void *cause)
{
    return drill_number(json_object_get(row, "errors"), cause);
}

/* A cause as a person says it; what is not known (http_500) stays. */
static const struct cause {
    const char *name, *says;
    unsigned colour;
} causes[] = {
    {"http_503", "refused by the server, with its cause (503)", 0},
    {"http_504", "given up by the server at its deadline (504)", 4},
    {"http_429", "limited (429)", 5},
    {"http_500", "error of the server (500)", 2},
    {"refused", "connection refused", 2},
    {"unreachable", "unreachable", 2},
    {"reset", "connection reset", 1},
    {"eof_before_response", "ended without an answer", 6},
    {"timeout", "timed out", 4},
    {"malformed", "malformed answer", 5},
    {"dropped", "found no free connection", 7},
    {"wrong", "wrong answer", 5},
};

static struct cause cause_of(const char *name)
{
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        if (strcmp(causes[i].name, name) == 0)
            return causes[i];
    return (struct cause){name, name, 3};
}

static bool is_known(const struct chart_series *series, size_t count, const char *says)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(series[i].name, says) == 0)
            return true;
    return false;
}

/* Whatever causes the rows name. */
static void draw_errors(const struct course *course)
{
    const json_t *rows = json_object_get(json_object_get(course->report, "series"), "load");
    struct chart_series series[CHART_SERIES];
    double *all[CHART_SERIES];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *errors = json_object_get(json_array_get(rows, i), "errors");
        for (void *at = json_object_iter(errors); at; at = json_object_iter_next(errors, at)) {
            struct cause cause = cause_of(json_object_iter_key(at));
            if (count == CHART_SERIES || !(json_number_value(json_object_iter_value(at)) > 0) ||
                is_known(series, count, cause.says))
                continue;
            all[count] = values(course, "load", error_of, cause.name);
            series[count] = (struct chart_series){
                .name = cause.says, .values = all[count], .colour = cause.colour};
            count++;
        }
    }
    if (count > 0)
        draw(course, "Attempts that did not succeed, by cause", "per second",
             (struct chart){.series = series, .series_count = count, .stacked = true});
    else
        document_paragraph(course->out, TONE_GOOD, "No attempt of the load failed.");
    while (count > 0)
        free(all[--count]);
}

static void draw_latency(const struct course *course)
{
    static const char *const keys[] = {"p50_ms", "p95_ms", "p99_ms"};
    static const char *const names[] = {"half of the requests", "95 %", "99 %"};
    static const unsigned colours[] = {3, 1, 2};
    struct chart_series series[3];
    double *all[3];
    for (size_t i = 0; i < 3; i++) {
        all[i] = values(course, "load", by_key, keys[i]);
        series[i] = (struct chart_series){.name = names[i], .values = all[i], .colour = colours[i]};
    }
    draw(course, "How long good answers took", "ms from when the request was due, logarithmic",
         (struct chart){.series = series, .series_count = 3, .logarithmic = true});
    for (size_t i = 0; i < 3; i++)
        free(all[i]);
}

static void draw_health(const struct course *course)
{
    double *p50 = values(course, "health", by_key, "p50_ms");
    double *p99 = values(course, "health", by_key, "p99_ms");
    double *failed = values(course, "health", by_key, "failed");
    double *unwell = values(course, "health", by_key, "not_healthy");
    const struct chart_series times[] = {{.name = "half of the looks", .values = p50, .colour = 3},
                                         {.name = "99 %", .values = p99, .colour = 4}};
    const struct chart_series said[] = {
        {.name = "said degraded or failing", .values = unwell, .colour = 1},
        {.name = "no answer", .values = failed, .colour = 2}};
    draw(course, "How long /health took", "ms, logarithmic; twenty looks a second",
         (struct chart){.series = times, .series_count = 2, .logarithmic = true});
    if (largest(course, failed) + largest(course, unwell) > 0)
        draw(course, "What /health said", "looks a second of twenty",
             (struct chart){.series = said, .series_count = 2, .stacked = true});
    free(p50);
    free(p99);
    free(failed);
    free(unwell);
}

static void draw_fleet(const struct course *course)
{
    double *ready = values(course, "server", by_key, "ready");
    double *quarantined = values(course, "server", by_key, "quarantined");
    double *breakers = values(course, "server", by_key, "breakers");
    struct chart_series series[3] = {{.name = "workers ready", .values = ready, .colour = 3}};
    size_t count = 1;
    if (largest(course, quarantined) > 0)
        series[count++] = (struct chart_series){
            .name = "workers quarantined", .values = quarantined, .colour = 2};
    if (largest(course, breakers) > 0)
        series[count++] =
            (struct chart_series){.name = "breakers open", .values = breakers, .colour = 1};
    draw(course, "The fleet", "at the end of each second; a gap: nobody to ask",
         (struct chart){.series = series, .series_count = count});
    free(ready);
    free(quarantined);
    free(breakers);
}

struct of_class {
    const char *class, *key;
};

static double by_class(const json_t *row, const void *argument)
{
    const struct of_class *of = argument;
    return drill_number(json_object_get(json_object_get(row, "classes"), of->class), of->key);
}

/* Failures of each class: the picture of containment. */
static void draw_classes(const struct course *course)
{
    static const char *const names[] = {"auth", "read", "write", "health"};
    static const unsigned colours[] = {4, 0, 1, 2};
    struct chart_series series[4];
    double *all[4], most = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct of_class of = {names[i], "failures_per_s"};
        all[i] = values(course, "server", by_class, &of);
        most = fmax(most, largest(course, all[i]));
        series[i] = (struct chart_series){.name = names[i], .values = all[i], .colour = colours[i]};
    }
    if (most > 0)
        draw(course, "Answers with an error (5xx) by class",
             "per second, as the server counts them",
             (struct chart){.series = series, .series_count = 4});
    for (size_t i = 0; i < 4; i++)
        free(all[i]);
}

/* What the probes and the proof are about; what stayed 0 is not drawn. */
static void draw_metrics(const struct course *course)
{
    const json_t *all = json_object_get(json_object_get(course->report, "series"), "metrics");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        const char *metric = drill_text(one, "metric");
        char words[400];
        double *rows = values_of(course, json_object_get(one, "rows"), by_key, "value");
        words_of_expression(metric, words, sizeof words);
        const struct chart_series series[] = {{.name = metric, .values = rows, .colour = 5}};
        if (largest(course, rows) > 0)
            draw(course, words,
                 json_is_true(json_object_get(one, "gauge")) ? "at the end of each second"
                                                             : "per second",
                 (struct chart){.plot.height_px = SMALL_PX, .series = series, .series_count = 1});
        free(rows);
    }
}

void drill_page_course(FILE *out, const json_t *report)
{
    const json_t *series = json_object_get(report, "series");
    const json_t *rows = json_object_get(series, "load");
    const json_t *looks = json_object_get(series, "health");
    size_t columns = json_array_size(rows) > json_array_size(looks) ? json_array_size(rows)
                                                                    : json_array_size(looks);
    if (columns == 0)
        return;
    struct course *course = calloc(1, sizeof *course);
    if (!course)
        return;
    *course = (struct course){
        .out = out,
        .report = report,
        .columns = columns,
        .end_s = drill_number(json_object_get(report, "phases"), "end_s"),
    };
    course->plot.from_s =
        drill_number(json_array_get(json_array_size(rows) > 0 ? rows : looks, 0), "t_s");
    course->plot.to_s = course->plot.from_s + (double)columns;
    gather_bands(course);
    document_section(
        out, "The course of it",
        "Every column is a second; 0 s is the beginning of the fault. Shaded: what was "
        "broken. Point at a column to read its values.");
    if (json_array_size(rows) > 0) {
        draw_rate(course);
        draw_errors(course);
        draw_latency(course);
    }
    draw_health(course);
    draw_classes(course);
    draw_fleet(course);
    draw_metrics(course);
    free(course);
}
