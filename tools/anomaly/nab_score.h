/* SPDX-License-Identifier: MIT */
/*
 * The score of the Numenta Anomaly Benchmark (A. Lavin, S. Ahmad, "Evaluating Real-Time Anomaly
 * Detection Algorithms", 2015, arXiv:1510.03336, and the code published with it). Pure.
 *
 * A detection inside a labelled window earns more the earlier it is: a scaled sigmoid that is
 * 2 / (1 + e^(5x)) - 1 with x from -1 at the window's left edge to 0 at its right; the best one
 * counts, once a window. A window without one costs fnWeight. A detection outside costs fpWeight
 * times the same sigmoid, x in widths of the window before it, and -1 when there is none or x is
 * above 3. The first 15 % of a file (of 5000 rows at most) count for nothing. One threshold serves
 * all files of the corpus: the one that scores best, as the benchmark's own optimiser does.
 * 0 is a detector that says nothing, 100 one that says all windows at their left edge.
 */
#ifndef BULKHEAD_ANOMALY_NAB_SCORE_H
#define BULKHEAD_ANOMALY_NAB_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nab_profile {
    const char *name;
    double tp_weight, fp_weight, fn_weight;
};

struct nab_window {
    int64_t from_s, to_s; /* times of rows, both inclusive */
};

/* One row of the corpus, on the scale of all. */
struct nab_row {
    double score;  /* the detector's */
    double inside; /* the sigmoid, > 0 in a window, < 0 outside; weights not applied */
    int window;    /* number in the corpus, -1 outside */
};

struct nab_result {
    double raw, normalised, threshold;
    unsigned windows, found;
    size_t false_rows; /* rows outside of windows that score the threshold */
};

double nab_sigmoid(double position);

/* Rows of a file that count for nothing. */
size_t nab_probation(size_t rows);

/* The rows of one file that count, appended to `out` (room for `rows`); windows are numbered from
 * first_window. Returns how many were appended. */
size_t nab_rows(const int64_t *time_s, const double *scores, size_t rows,
                const struct nab_window *windows, unsigned window_count, int first_window,
                struct nab_row *out);

/* The best threshold over all files and what it earns. Sorts the rows. `window_count` of the whole
 * corpus, which is what a perfect detector finds. `best` is a scratch of that many doubles. */
struct nab_result nab_optimise(const struct nab_profile *profile, struct nab_row *rows,
                               size_t count, unsigned window_count, double *best);

#endif
