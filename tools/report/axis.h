/* SPDX-License-Identifier: MIT */
/*
 * A scale: values to places from 0 to 1, the round values between, and how they are written. Pure.
 */
#ifndef BULKHEAD_REPORT_AXIS_H
#define BULKHEAD_REPORT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define AXIS_TICKS 12 /* the most that axis_ticks makes */
#define AXIS_LABEL 24

struct axis {
    double low, high; /* low < high; above 0 when logarithmic */
    bool logarithmic;
};

/* An axis that ends on round values and shows everything from 0 (logarithmic: from the power of ten
 * at or below `smallest`, which must be above 0) to `largest`. */
struct axis axis_linear(double largest);
struct axis axis_logarithmic(double smallest, double largest);

/* The place of a value, held within 0 to 1. */
double axis_place(const struct axis *axis, double value);

/* Round values on the axis, smallest first. Returns their number. */
size_t axis_ticks(const struct axis *axis, double ticks[AXIS_TICKS]);

/* Round moments for an axis of time from `from_s` to `to_s`: steps of 1, 2, 5, 10, 15, 30 s, ... */
size_t axis_time_ticks(double from_s, double to_s, double ticks[AXIS_TICKS]);

/* 1.5, 20, 3k, 2M; and 45 s, 2:30, 1:00:00. */
void axis_label(double value, char out[AXIS_LABEL]);
void axis_time_label(double seconds, char out[AXIS_LABEL]);

#endif
