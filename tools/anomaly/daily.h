/* SPDX-License-Identifier: MIT */
/*
 * The daily profile of a series: what it usually is at this time of day, told from its last days.
 * Pure. Made anew once a day from points that are past; a series without one is left as it is.
 *
 * There is one when the autocorrelation at a lag of one day is at least DAILY_CORRELATION and three
 * days at least were seen. Then it is the mean of the points of each slot of the day, less the mean
 * of all: subtracting it keeps the level of the series.
 */
#ifndef BULKHEAD_ANOMALY_DAILY_H
#define BULKHEAD_ANOMALY_DAILY_H

#include <stdbool.h>
#include <stdint.h>

#define DAILY_SLOTS_MAX   672 /* a third of WINDOW_MAX: three days must fit into a window */
#define DAILY_SLOTS_MIN   12
#define DAILY_CORRELATION 0.5

struct daily {
    unsigned slots; /* points in a day; 0: too few or too many for a profile */
    bool present;
    double correlation; /* at the last look */
    double offset[DAILY_SLOTS_MAX];
};

/* step_s between two points; 0 when it is not known. */
void daily_open(struct daily *daily, double step_s);

/* The slot of a time in seconds since 1970 (UTC). */
unsigned daily_slot(const struct daily *daily, int64_t time_s);

/* Look at the last `count` points, oldest first, with the slot of each. */
void daily_learn(struct daily *daily, const double *values, const uint16_t *slots, unsigned count);

/* What to subtract from a point of this slot. 0 without a profile. */
double daily_offset(const struct daily *daily, unsigned slot);

#endif
