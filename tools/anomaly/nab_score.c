/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/nab_score.h"

#include <math.h>
#include <stdlib.h>

#define PROBATION      0.15
#define PROBATION_ROWS 5000
#define FAR_BEHIND     3.0
#define NOT_SEEN       (-INFINITY)

double nab_sigmoid(double position)
{
    return position > FAR_BEHIND ? -1.0 : 2 / (1 + exp(5 * position)) - 1;
}

size_t nab_probation(size_t rows)
{
    double share = floor(PROBATION * (double)rows), most = PROBATION * PROBATION_ROWS;
    return (size_t)(share < most ? share : most);
}

/* The first row of this time, or `rows`. */
static size_t row_of(const int64_t *time_s, size_t rows, int64_t wanted_s)
{
    size_t row = 0;
    while (row < rows && time_s[row] != wanted_s)
        row++;
    return row;
}

struct place {
    bool in_window, after_window;
    size_t right; /* the last row of the window that is or was */
    double width;
};

static double value_at(const struct place *place, size_t row)
{
    if (place->in_window)
        return nab_sigmoid(-((double)place->right - (double)row + 1) / place->width) /
               nab_sigmoid(-1);
    if (!place->after_window)
        return -1;
    return nab_sigmoid(((double)row - (double)place->right) / (place->width - 1));
}

size_t nab_rows(const int64_t *time_s, const double *scores, size_t rows,
                const struct nab_window *windows, unsigned window_count, int first_window,
                struct nab_row *out)
{
    struct place place = {0};
    unsigned entered = 0;
    size_t count = 0, probation = nab_probation(rows);
    for (size_t row = 0; row < rows; row++) {
        if (entered < window_count && time_s[row] == windows[entered].from_s) {
            size_t left = row_of(time_s, rows, windows[entered].from_s);
            place.right = row_of(time_s, rows, windows[entered].to_s);
            place.width = (double)place.right - (double)left + 1;
            place.in_window = true;
            entered += 1;
        }
        if (row >= probation)
            out[count++] = (struct nab_row){
                .score = scores[row],
                .inside = value_at(&place, row),
                .window = place.in_window ? first_window + (int)entered - 1 : -1,
            };
        if (place.in_window && time_s[row] == windows[entered - 1].to_s) {
            place.in_window = false;
            place.after_window = true;
            place.right = row;
        }
    }
    return count;
}

static int by_score_descending(const void *left, const void *right)
{
    double a = ((const struct nab_row *)left)->score, b = ((const struct nab_row *)right)->score;
    return (a < b) - (a > b);
}

struct nab_result nab_optimise(const struct nab_profile *profile, struct nab_row *rows,
                               size_t count, unsigned window_count, double *best)
{
    /* A window that lies in the probation of its file is in no row: it can be neither found nor
     * missed, yet the perfect score counts it, as the benchmark's does. */
    double found_value = 0, false_value = 0, missing = 0;
    for (unsigned window = 0; window < window_count; window++)
        best[window] = NOT_SEEN;
    for (size_t i = 0; i < count; i++)
        if (rows[i].window >= 0 && best[rows[i].window] == NOT_SEEN) {
            best[rows[i].window] = -profile->fn_weight;
            missing += profile->fn_weight;
        }
    double silent = -missing;
    struct nab_result result = {.raw = silent, .threshold = INFINITY, .windows = window_count};
    qsort(rows, count, sizeof *rows, by_score_descending);
    unsigned found = 0;
    size_t false_rows = 0;
    found_value = -missing;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].window < 0) {
            false_value += rows[i].inside * profile->fp_weight;
            false_rows += 1;
        } else {
            double *held = &best[rows[i].window], value = rows[i].inside * profile->tp_weight;
            found += *held < 0;
            found_value += value > *held ? value - *held : 0;
            *held = value > *held ? value : *held;
        }
        bool last_of_score = i + 1 == count || rows[i + 1].score < rows[i].score;
        if (last_of_score && found_value + false_value > result.raw) {
            result.raw = found_value + false_value;
            result.threshold = rows[i].score;
            result.found = found;
            result.false_rows = false_rows;
        }
    }
    double perfect = window_count * profile->tp_weight;
    result.normalised = 100 * (result.raw - silent) / (perfect - silent);
    return result;
}
