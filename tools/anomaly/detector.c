/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/detector.h"

#include <math.h>
#include <string.h>

#include "common/check.h"

#define LEVEL_WEIGHT   2.5    /* B counts as much as this many times less */
#define RELATIVE_FLOOR 0.05   /* of mean and median */
#define MAD_TO_SD      1.4826 /* of a normal distribution */
#define SD_SHARE       0.5    /* B's scale is never below half the sd */
#define ROUNDING       1e-9   /* a departure of just the least step scores the threshold */

const struct detector_preset detector_lab = {
    .name = "lab",
    .window = 120,
    .recent = 5,
    .threshold = 4,
    .needed = 3,
    .of = 5,
    .refractory = 15,
    .warm_up = 30,
    .clip = 3,
    .floors = true,
};

const struct detector_preset detector_batch = {
    .name = "batch",
    .window = 2016,
    .recent = 12,
    .threshold = 7,
    .needed = 1,
    .of = 1,
    .refractory = 72,
    .warm_up = 100,
    .clip = 10,
    .daily = true,
};

const struct detector_preset *detector_preset_named(const char *name)
{
    if (strcmp(name, detector_lab.name) == 0)
        return &detector_lab;
    return strcmp(name, detector_batch.name) == 0 ? &detector_batch : NULL;
}

void detector_open(struct detector *detector, const struct detector_preset *preset,
                   struct detector_metric metric, double step_s)
{
    CHECK(preset->recent >= 1 && preset->recent <= DETECTOR_RECENT_MAX);
    CHECK(preset->needed >= 1 && preset->needed <= preset->of && preset->of <= 32);
    memset(detector, 0, sizeof *detector);
    detector->preset = preset;
    detector->metric = metric;
    detector->step_s = step_s;
    window_open(&detector->near, preset->window);
    window_open(&detector->far, preset->window);
    daily_open(&detector->daily, preset->daily ? step_s : 0);
}

static double largest(double a, double b, double c)
{
    double most = a > b ? a : b;
    return most > c ? most : c;
}

static double ratio(double distance, double scale)
{
    if (distance <= 0)
        return 0;
    double score = scale > 0 ? distance / scale : DETECTOR_SCORE_MAX;
    return score < DETECTOR_SCORE_MAX ? score : DETECTOR_SCORE_MAX;
}

/* ---- the two scores ---------------------------------------------------------------------- */

static double point_scale(const struct detector *detector)
{
    return largest(window_sd(&detector->near), RELATIVE_FLOOR * fabs(window_mean(&detector->near)),
                   detector->metric.least_step / detector->preset->threshold);
}

/* The mean of the last points, as a distance from the median. */
static double level_distance(const struct detector *detector, double median, double scale)
{
    const struct detector_preset *preset = detector->preset;
    double count = detector->recent_count, distance = 0, most = INFINITY;
    if (preset->needed > 1 && !detector->metric.once)
        most = LEVEL_WEIGHT * preset->threshold * scale / sqrt(count) * count / preset->needed;
    for (unsigned i = 0; i < detector->recent_count; i++)
        distance += fmin(fmax(detector->recent[i] - median, -most), most) / count;
    return fabs(distance);
}

static double level_score(const struct detector *detector)
{
    const struct window *far = &detector->far;
    double median = window_median(far), root = sqrt(detector->recent_count);
    double spread = largest(MAD_TO_SD * window_mad(far), SD_SHARE * window_sd(far),
                            RELATIVE_FLOOR * fabs(median));
    double floor =
        detector->metric.least_step * root / (LEVEL_WEIGHT * detector->preset->threshold);
    double scale = spread > floor ? spread : floor;
    return ratio(level_distance(detector, median, scale) * root, scale) / LEVEL_WEIGHT;
}

/* ---- memory ------------------------------------------------------------------------------ */

static void recent_add(struct detector *detector, double value)
{
    detector->recent[detector->recent_next] = value;
    detector->recent_next = (detector->recent_next + 1) % detector->preset->recent;
    if (detector->recent_count < detector->preset->recent)
        detector->recent_count += 1;
}

/* B's window gets a point `recent` points after it came. */
static void windows_add(struct detector *detector, double value)
{
    window_add(&detector->near, value);
    if (detector->delayed_count == detector->preset->recent - 1) {
        if (detector->delayed_count == 0) {
            window_add(&detector->far, value);
            return;
        }
        window_add(&detector->far, detector->delayed[detector->delayed_next]);
    } else {
        detector->delayed_count += 1;
    }
    detector->delayed[detector->delayed_next] = value;
    detector->delayed_next = (detector->delayed_next + 1) % (detector->preset->recent - 1);
}

static void raw_add(struct detector *detector, double value, unsigned slot)
{
    detector->raw[detector->raw_next] = value;
    detector->slot[detector->raw_next] = (uint16_t)slot;
    detector->raw_next = (detector->raw_next + 1) % detector->preset->window;
    if (detector->raw_count < detector->preset->window)
        detector->raw_count += 1;
}

/* The windows and the last points as if these, oldest first, had come. */
static void remember_anew(struct detector *detector, const double *values, unsigned count)
{
    unsigned recent = detector->preset->recent, waiting = count < recent - 1 ? count : recent - 1;
    window_replace(&detector->near, values, count);
    window_replace(&detector->far, values, count - waiting);
    for (unsigned i = 0; i < waiting; i++)
        detector->delayed[i] = values[count - waiting + i];
    detector->delayed_count = waiting;
    detector->delayed_next = recent > 1 ? waiting % (recent - 1) : 0;
    detector->recent_count = detector->recent_next = 0;
    for (unsigned i = count - (count < recent ? count : recent); i < count; i++)
        recent_add(detector, values[i]);
}

/* Once a day: the profile anew. */
static void learn_day(struct detector *detector)
{
    double values[WINDOW_MAX] = {0};
    uint16_t slots[WINDOW_MAX] = {0};
    unsigned count = detector->raw_count, window = detector->preset->window;
    bool before = detector->daily.present;
    for (unsigned i = 0; i < count; i++) {
        unsigned place = (detector->raw_next + window - count + i) % window;
        values[i] = detector->raw[place];
        slots[i] = detector->slot[place];
    }
    daily_learn(&detector->daily, values, slots, count);
    if (!before && !detector->daily.present)
        return;
    for (unsigned i = 0; i < count; i++)
        values[i] -= daily_offset(&detector->daily, slots[i]);
    remember_anew(detector, values, count);
}

static void notice_gap(struct detector *detector, int64_t time_s)
{
    CHECK(detector->points == 0 || time_s >= detector->last_time_s);
    double away_s = (double)(time_s - detector->last_time_s);
    if (detector->points > 0 && detector->step_s > 0 &&
        away_s > detector->step_s * detector->preset->recent) {
        detector->recent_count = detector->recent_next = 0;
        detector->over = 0;
        detector->under_way = false;
    }
    detector->last_time_s = time_s;
}

/* ---- alarms ------------------------------------------------------------------------------ */

static bool judge(struct detector *detector, bool anomalous)
{
    const struct detector_preset *preset = detector->preset;
    uint32_t mask = preset->of == 32 ? UINT32_MAX : (UINT32_C(1) << preset->of) - 1;
    detector->over = (detector->over << 1 | anomalous) & mask;
    bool holds = (unsigned)__builtin_popcount(detector->over) >= preset->needed;
    bool rests =
        detector->raised_before && detector->points - detector->raised_point <= preset->refractory;
    bool raised = holds && !detector->under_way && !rests;
    if (raised) {
        detector->raised_before = true;
        detector->raised_point = detector->points;
    }
    detector->under_way = raised || (holds && detector->under_way);
    return raised;
}

struct detector_result detector_take(struct detector *detector, int64_t time_s, double value)
{
    CHECK(isfinite(value));
    const struct detector_preset *preset = detector->preset;
    struct detector_result result = {0};
    notice_gap(detector, time_s);
    unsigned slot = daily_slot(&detector->daily, time_s);
    double offset = daily_offset(&detector->daily, slot), rest = value - offset;
    double mean = window_mean(&detector->near), scale = point_scale(detector);
    recent_add(detector, rest);
    result.expected = mean + offset;
    if (detector->points >= preset->warm_up) {
        result.point = ratio(fabs(rest - mean), scale);
        result.level = level_score(detector);
        result.score = result.point > result.level ? result.point : result.level;
    }
    result.anomalous = result.score >= preset->threshold * (1 - ROUNDING);
    result.raised = judge(detector, result.anomalous);
    result.under_way = detector->under_way;
    double kept = rest;
    if (result.anomalous)
        kept = fmin(fmax(rest, mean - preset->clip * scale), mean + preset->clip * scale);
    windows_add(detector, kept);
    raw_add(detector, kept + offset, slot);
    detector->points += 1;
    detector->since_learnt += 1;
    if (detector->daily.slots && detector->since_learnt >= detector->daily.slots) {
        detector->since_learnt = 0;
        learn_day(detector);
    }
    return result;
}
