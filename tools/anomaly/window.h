/* SPDX-License-Identifier: MIT */
/*
 * The last points of a series, in the order they came, with what is asked of them at each new one:
 * mean and standard deviation (running sums) and median and MAD (the same points once more in
 * order). Pure; memory is the struct's own, so nothing is allocated for a point.
 *
 * Cost of a point: a memmove of at most `capacity` doubles. Mean and sd are O(1), the median O(1),
 * the MAD O(log n): the points left and right of the median are two sorted lists of distances.
 *
 * Invariants: `sorted` holds the same numbers as `ring`; numbers are finite. The sums are of
 * differences from `origin` and are made anew each time the ring has gone round, so rounding does
 * not add up.
 */
#ifndef BULKHEAD_ANOMALY_WINDOW_H
#define BULKHEAD_ANOMALY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

#define WINDOW_MAX 2016 /* a week of points, five minutes apart */

struct window {
    unsigned capacity, count;
    unsigned next; /* where the next point goes in `ring` */
    double origin, sum, sum_of_squares;
    double ring[WINDOW_MAX];
    double sorted[WINDOW_MAX];
};

/* capacity from 1 to WINDOW_MAX. */
void window_open(struct window *window, unsigned capacity);

/* Take a finite number; the oldest leaves when the window is full. */
void window_add(struct window *window, double value);

/* Replace all of them by these, oldest first; count up to the capacity. */
void window_replace(struct window *window, const double *values, unsigned count);

/* All 0 of an empty window. sd is that of the population (divided by n). */
double window_mean(const struct window *window);
double window_sd(const struct window *window);
double window_median(const struct window *window);

/* The median of the distances from the median; not scaled by 1.4826. */
double window_mad(const struct window *window);

#endif
