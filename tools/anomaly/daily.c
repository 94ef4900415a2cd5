/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/daily.h"

#include <math.h>
#include <string.h>

#define DAY_S         86400
#define DAYS_TO_LEARN 3

void daily_open(struct daily *daily, double step_s)
{
    memset(daily, 0, sizeof *daily);
    double slots = step_s > 0 ? round(DAY_S / step_s) : 0;
    if (slots >= DAILY_SLOTS_MIN && slots <= DAILY_SLOTS_MAX)
        daily->slots = (unsigned)slots;
}

unsigned daily_slot(const struct daily *daily, int64_t time_s)
{
    int64_t second = (time_s % DAY_S + DAY_S) % DAY_S;
    return daily->slots ? (unsigned)(second * daily->slots / DAY_S) : 0;
}

static double mean_of(const double *values, unsigned count)
{
    double sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += values[i];
    return sum / count;
}

/* Pearson's r of the series and itself a day later. */
static double correlation_at(const double *values, unsigned count, unsigned lag)
{
    const double *later = values + lag;
    unsigned pairs = count - lag;
    double mean = mean_of(values, pairs), later_mean = mean_of(later, pairs);
    double both = 0, own = 0, other = 0;
    for (unsigned i = 0; i < pairs; i++) {
        double a = values[i] - mean, b = later[i] - later_mean;
        both += a * b;
        own += a * a;
        other += b * b;
    }
    return own > 0 && other > 0 ? both / sqrt(own * other) : 0;
}

void daily_learn(struct daily *daily, const double *values, const uint16_t *slots, unsigned count)
{
    daily->present = false;
    if (daily->slots == 0 || count < DAYS_TO_LEARN * daily->slots)
        return;
    daily->correlation = correlation_at(values, count, daily->slots);
    if (daily->correlation < DAILY_CORRELATION)
        return;
    unsigned seen[DAILY_SLOTS_MAX] = {0};
    double mean = mean_of(values, count);
    memset(daily->offset, 0, sizeof daily->offset);
    for (unsigned i = 0; i < count; i++) {
        daily->offset[slots[i]] += values[i] - mean;
        seen[slots[i]] += 1;
    }
    for (unsigned slot = 0; slot < daily->slots; slot++)
        daily->offset[slot] = seen[slot] ? daily->offset[slot] / seen[slot] : 0;
    daily->present = true;
}

double daily_offset(const struct daily *daily, unsigned slot)
{
    return daily->present ? daily->offset[slot] : 0;
}
