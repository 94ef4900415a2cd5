/* SPDX-License-Identifier: MIT */
/*
 * The detector: one point of one series in, a score and perhaps an alarm out. Pure, past data only;
 * the state is the struct, nothing is allocated, a point costs a memmove of the window at most.
 *
 *   score = max(A, B / 2.5)
 *   A = |x - mean| / max(sd, 5 % of |mean|, floor A)         the window: the points before x
 *   B = |mean of the last n - median| * sqrt(n)
 *         / max(1.4826 * MAD, 0.5 * sd, 5 % of |median|, floor B)   the window: ends n earlier
 *
 * A finds a point that stands out, B a level that moved, which no single point shows. A constant
 * series has no spread to measure by: the floors say how far a point must be from it to matter.
 * They follow from `least_step`, in the series' own unit: a departure of less than that, by one
 * point or by the mean of the last n, never scores the threshold (floors.h has the steps).
 *
 * Where an alarm needs several points (lab), one point must not be an alarm through B, whose mean
 * holds it for n points: a point counts in that mean at most as far from the median as `needed`
 * such points would have to lie to score the threshold. Not so for a metric where once is enough
 * (a death, a burst of errors): there a point counts as it is.
 *
 * An alarm is raised when `needed` of the last `of` points scored the threshold and none is under
 * way, and not within `refractory` points of the one before. It is under way until fewer than
 * `needed` do. Points that score the threshold enter the windows clipped to mean +- `clip` scales,
 * so an outage does not become the new normal at once; one that lasts longer than the window does.
 *
 * Gaps are no zeros: a missing point is not given to the detector. After a hole longer than `n`
 * points the last points are forgotten, and the windows stay.
 */
#ifndef BULKHEAD_ANOMALY_DETECTOR_H
#define BULKHEAD_ANOMALY_DETECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/anomaly/daily.h"
#include "tools/anomaly/window.h"

#define DETECTOR_RECENT_MAX 16
#define DETECTOR_SCORE_MAX  1000.0 /* of a constant series that moves, without a floor */

struct detector_preset {
    const char *name;
    unsigned window;     /* points in a window, at most WINDOW_MAX */
    unsigned recent;     /* n of B, at most DETECTOR_RECENT_MAX */
    double threshold;    /* score of an anomalous point */
    unsigned needed, of; /* anomalous points among the last, for an alarm; of <= 32 */
    unsigned refractory; /* points after an alarm in which there is no second */
    unsigned warm_up;    /* points that are not scored, because there is nothing to compare with */
    double clip;         /* scales from the mean to which an anomalous point is moved */
    bool daily;          /* remove the daily profile when there is one */
    bool floors;         /* least steps apply by default */
};

/* lab: samples a second apart, minutes of them. batch: five minutes apart, weeks of them. */
extern const struct detector_preset detector_lab, detector_batch;

/* NULL when there is no preset of this name. */
const struct detector_preset *detector_preset_named(const char *name);

/* What is known of a metric beforehand. */
struct detector_metric {
    double least_step; /* in its unit; 0: none */
    bool once;         /* one point may be an alarm */
};

struct detector {
    const struct detector_preset *preset;
    struct detector_metric metric;
    double step_s;
    int64_t last_time_s;
    uint64_t points;       /* taken so far */
    uint64_t raised_point; /* the point of the last alarm */
    bool raised_before, under_way;
    uint32_t over; /* bit i: the point i ago scored the threshold */
    unsigned recent_count, recent_next;
    double recent[DETECTOR_RECENT_MAX];  /* the last points less their daily profile */
    double delayed[DETECTOR_RECENT_MAX]; /* clipped, on their way into B's window */
    unsigned delayed_count, delayed_next;
    struct window near, far; /* of A and of B */
    struct daily daily;
    unsigned since_learnt;
    double raw[WINDOW_MAX]; /* clipped, with the profile: what it is learnt from */
    uint16_t slot[WINDOW_MAX];
    unsigned raw_count, raw_next;
};

struct detector_result {
    double score, point, level; /* point is A, level is B / 2.5; 0 while warming up */
    double expected;            /* the mean A compares with, the daily profile added */
    bool anomalous;             /* this point scored the threshold */
    bool raised;                /* an alarm begins here */
    bool under_way;             /* an alarm lasts */
};

/* step_s between two points, 0 when not known (then there are no gaps and no daily profile). The
 * preset must outlive the detector. */
void detector_open(struct detector *detector, const struct detector_preset *preset,
                   struct detector_metric metric, double step_s);

/* One point; times do not go back, the value is finite. */
struct detector_result detector_take(struct detector *detector, int64_t time_s, double value);

#endif
