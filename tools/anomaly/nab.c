/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/nab.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"
#include "tools/anomaly/moment.h"
#include "tools/anomaly/nab_score.h"
#include "tools/anomaly/read_csv.h"

#define WINDOWS_MAX 32 /* of one file */
#define WRITTEN     1e12

static const struct nab_profile profiles[] = {
    {"standard", 1.0, 0.11, 1.0},
    {"reward_low_FP_rate", 1.0, 0.22, 1.0},
    {"reward_low_FN_rate", 1.0, 0.11, 2.0},
};
#define PROFILES (sizeof profiles / sizeof *profiles)

/* A detector gives every row of a file a score. A gap is not looked at and has none: 0, which the
 * threshold that serves best takes for no detection. */
typedef void scorer(const struct table *table, const struct detector_preset *preset,
                    double *scores);

static int64_t step_forward(const struct table *table, size_t row, int64_t last_s)
{
    return table->time_s[row] > last_s ? table->time_s[row] : last_s; /* summer time ends */
}

/* Ours: an alarm has its score, the anomalous points of its refractory time none. */
static void score_own(const struct table *table, const struct detector_preset *preset,
                      double *scores)
{
    struct detector *detector = malloc(sizeof *detector);
    if (!detector)
        abort();
    int64_t now_s = 0;
    detector_open(detector, preset, (struct detector_metric){0, false}, table_step_s(table));
    for (size_t row = 0; row < table->rows; row++) {
        double value = table_cell(table, row, 0);
        now_s = step_forward(table, row, now_s);
        scores[row] = 0;
        if (!isfinite(value))
            continue;
        struct detector_result result = detector_take(detector, now_s, value);
        scores[row] = result.anomalous && !result.raised ? 0 : result.score;
    }
    free(detector);
}

/* The points of these rows, both included. False with nothing changed: all are gaps. */
static bool normal_of(const struct table *table, size_t from, size_t to, double *mean, double *sd)
{
    double count = 0, sum = 0, squares = 0;
    for (size_t row = from; row <= to; row++) {
        double value = table_cell(table, row, 0);
        count += isfinite(value);
        sum += isfinite(value) ? value : 0;
    }
    if (count < 1)
        return false;
    *mean = sum / count;
    for (size_t row = from; row <= to; row++) {
        double distance = table_cell(table, row, 0) - *mean;
        squares += isfinite(distance) ? distance * distance : 0;
    }
    *sd = squares > 0 ? sqrt(squares / count) : 0.000001;
    return true;
}

/* The benchmark's own baseline, to see that the scorer is right. A normal distribution over 6400
 * points, moved on by 100 at a time. Scores have 12 digits, as those that were published had: with
 * more of them many are no longer 1, and the score is 40.13. */
static void score_gaussian(const struct table *table, const struct detector_preset *preset,
                           double *scores)
{
    enum { WINDOW = 6400, STEP = 100 };
    (void)preset;
    double mean = 0, sd = 1;
    bool known = false;
    for (size_t row = 0; row < table->rows; row++) {
        double distance = fabs(table_cell(table, row, 0) - mean);
        double likelihood = 1 - 0.5 * erfc(distance / sd / sqrt(2));
        scores[row] = known && isfinite(distance) ? round(likelihood * WRITTEN) / WRITTEN : 0;
        if (row >= WINDOW && (row + 1 - WINDOW) % STEP)
            continue;
        known |= normal_of(table, row >= WINDOW ? row + 1 - WINDOW : 0, row, &mean, &sd);
    }
}

struct corpus {
    const char *directory;
    json_t *labels;
    unsigned windows, files, skipped;
    struct nab_row *rows;
    size_t count, capacity;
};

static int read_windows(const json_t *list, const char *file, struct nab_window *out,
                        unsigned *count, struct problem *problem)
{
    size_t index;
    const json_t *pair;
    *count = 0;
    json_array_foreach(list, index, pair)
    {
        const char *from = json_string_value(json_array_get(pair, 0));
        const char *to = json_string_value(json_array_get(pair, 1));
        struct nab_window *window = &out[*count];
        if (*count == WINDOWS_MAX || !from || !to || moment_parse(from, &window->from_s) < 0 ||
            moment_parse(to, &window->to_s) < 0)
            return problem_set(problem, EXIT_CONFIGURATION,
                               "labels/combined_windows.json, %s: window %zu is not two times",
                               file, index);
        *count += 1;
    }
    return 0;
}

static int add_rows(struct corpus *corpus, const struct table *table, scorer *score,
                    const struct detector_preset *preset, const struct nab_window *windows,
                    unsigned window_count)
{
    if (corpus->count + table->rows > corpus->capacity) {
        corpus->capacity = 2 * corpus->capacity + table->rows;
        struct nab_row *rows = realloc(corpus->rows, corpus->capacity * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        corpus->rows = rows;
    }
    double *scores = calloc(table->rows + 1, sizeof *scores);
    if (!scores)
        return -ENOMEM;
    score(table, preset, scores);
    corpus->count += nab_rows(table->time_s, scores, table->rows, windows, window_count,
                              (int)corpus->windows, corpus->rows + corpus->count);
    corpus->windows += window_count;
    corpus->files += 1;
    free(scores);
    return 0;
}

/* One file of the corpus; one that is not there is named and left out. */
static int take_file(struct corpus *corpus, const char *file, const json_t *list, scorer *score,
                     const struct detector_preset *preset, struct problem *problem)
{
    char path[4096];
    struct table table = {0};
    struct nab_window windows[WINDOWS_MAX];
    unsigned window_count;
    snprintf(path, sizeof path, "%s/data/%s", corpus->directory, file);
    FILE *data = fopen(path, "re");
    if (!data) {
        fprintf(stderr, "anomaly: left out: %s: %s\n", path, strerror(errno));
        corpus->skipped += 1;
        return 0;
    }
    int result = read_csv(data, path, CSV_AS_IT_IS, &table, problem);
    fclose(data);
    if (result == 0)
        result = read_windows(list, file, windows, &window_count, problem);
    if (result == 0 && add_rows(corpus, &table, score, preset, windows, window_count) < 0)
        result = problem_set(problem, EXIT_TEMPORARY, "%s: no memory", path);
    table_free(&table);
    return result;
}

static int take_all(struct corpus *corpus, scorer *score, const struct detector_preset *preset,
                    struct problem *problem)
{
    const char *file;
    json_t *list;
    corpus->windows = corpus->files = corpus->skipped = 0;
    corpus->count = 0;
    json_object_foreach(corpus->labels, file, list)
    {
        if (take_file(corpus, file, list, score, preset, problem) < 0)
            return -1;
    }
    if (corpus->files == 0)
        return problem_set(problem, EXIT_CONFIGURATION, "%s/data: none of the labelled files",
                           corpus->directory);
    return 0;
}

static int score_detector(struct corpus *corpus, const char *name, scorer *score,
                          const struct detector_preset *preset, struct problem *problem)
{
    if (take_all(corpus, score, preset, problem) < 0)
        return -1;
    double *best = calloc(corpus->windows + 1, sizeof *best);
    if (!best)
        return problem_set(problem, EXIT_TEMPORARY, "no memory for the score");
    for (size_t i = 0; i < PROFILES; i++) {
        struct nab_result result =
            nab_optimise(&profiles[i], corpus->rows, corpus->count, corpus->windows, best);
        printf("%-10s %-20s %7.2f %9.2f %10.6g %6u/%u %8zu\n", name, profiles[i].name,
               result.normalised, result.raw, result.threshold, result.found, result.windows,
               result.false_rows);
    }
    free(best);
    return 0;
}

int nab_run(const char *directory, const struct detector_preset *preset, struct problem *problem)
{
    char path[4096];
    json_error_t error;
    struct corpus corpus = {.directory = directory};
    snprintf(path, sizeof path, "%s/labels/combined_windows.json", directory);
    corpus.labels = json_load_file(path, 0, &error);
    if (!json_is_object(corpus.labels)) {
        json_decref(corpus.labels);
        return problem_set(problem, EXIT_CONFIGURATION,
                           "%s: %s: --nab wants a checkout of the Numenta Anomaly Benchmark", path,
                           corpus.labels ? "no JSON object" : error.text);
    }
    printf("%-10s %-20s %7s %9s %10s %8s %8s\n", "detector", "profile", "score", "raw", "threshold",
           "windows", "false");
    int result = score_detector(&corpus, preset->name, score_own, preset, problem);
    if (result == 0)
        result = score_detector(&corpus, "gaussian", score_gaussian, preset, problem);
    if (result == 0)
        printf("%u files, %u left out, %zu rows after the first 15 %%; gaussian is the benchmark's "
               "windowed Gaussian, published with 39.65, 20.87 and 47.41\n",
               corpus.files, corpus.skipped, corpus.count);
    free(corpus.rows);
    json_decref(corpus.labels);
    return result;
}
