/* SPDX-License-Identifier: MIT */
#include "tools/report/axis.h"

#include <math.h>
#include <stdio.h>

#define LINEAR_TICKS 5.0 /* about as many as fit */
#define TIME_TICKS   7.0

/* The smallest of 1, 2, 5 times a power of ten that is not below `value`. */
static double round_up(double value)
{
    double power = pow(10, floor(log10(value)));
    double digit = value / power;
    return (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10) * power;
}

static double linear_step(double largest)
{
    return round_up(largest / LINEAR_TICKS);
}

struct axis axis_linear(double largest)
{
    if (!(largest > 0) || !isfinite(largest))
        largest = 1;
    double step = linear_step(largest);
    return (struct axis){.low = 0, .high = ceil(largest / step - 1e-9) * step};
}

struct axis axis_logarithmic(double smallest, double largest)
{
    if (!(smallest > 0) || !isfinite(largest) || largest < smallest)
        return axis_linear(largest);
    double low = pow(10, floor(log10(smallest))), high = pow(10, ceil(log10(largest)));
    return (struct axis){.low = low, .high = high > low ? high : 10 * low, .logarithmic = true};
}

double axis_place(const struct axis *axis, double value)
{
    double place = axis->logarithmic
                       ? log10(fmax(value, axis->low) / axis->low) / log10(axis->high / axis->low)
                       : (value - axis->low) / (axis->high - axis->low);
    return fmin(fmax(place, 0), 1);
}

size_t axis_ticks(const struct axis *axis, double ticks[AXIS_TICKS])
{
    size_t count = 0;
    double step = axis->logarithmic ? 10 : linear_step(axis->high);
    for (double tick = axis->low; tick <= axis->high * (1 + 1e-9) && count < AXIS_TICKS;) {
        ticks[count++] = tick;
        tick = axis->logarithmic ? tick * step : axis->low + (double)count * step;
    }
    return count;
}

size_t axis_time_ticks(double from_s, double to_s, double ticks[AXIS_TICKS])
{
    static const double steps[] = {1,   2,   5,    10,   15,   30,    60,    120,  300,
                                   600, 900, 1800, 3600, 7200, 14400, 43200, 86400};
    size_t i = 0, count = 0;
    while (i + 1 < sizeof steps / sizeof *steps && (to_s - from_s) / steps[i] > TIME_TICKS)
        i++;
    double step = fmax(steps[i], round_up((to_s - from_s) / AXIS_TICKS));
    for (double tick = ceil(from_s / step) * step; tick <= to_s && count < AXIS_TICKS; tick += step)
        ticks[count++] = tick;
    return count;
}

void axis_label(double value, char out[AXIS_LABEL])
{
    if (fabs(value) >= 1e6)
        snprintf(out, AXIS_LABEL, "%gM", value / 1e6);
    else if (fabs(value) >= 1e4)
        snprintf(out, AXIS_LABEL, "%gk", value / 1e3);
    else
        snprintf(out, AXIS_LABEL, "%.4g", value);
}

void axis_time_label(double seconds, char out[AXIS_LABEL])
{
    long s = lround(fabs(seconds));
    const char *sign = seconds < 0 ? "-" : "";
    if (s < 60)
        snprintf(out, AXIS_LABEL, "%s%ld s", sign, s);
    else if (s < 3600)
        snprintf(out, AXIS_LABEL, "%s%ld:%02ld", sign, s / 60, s % 60);
    else
        snprintf(out, AXIS_LABEL, "%s%ld:%02ld:%02ld", sign, s / 3600, s / 60 % 60, s % 60);
}
