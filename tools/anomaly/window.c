/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

void window_open(struct window *window, unsigned capacity)
{
    CHECK(capacity >= 1 && capacity <= WINDOW_MAX);
    memset(window, 0, sizeof *window);
    window->capacity = capacity;
}

/* The first index of `sorted` whose number is not below value. */
static unsigned place_of(const struct window *window, double value)
{
    unsigned low = 0, high = window->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (window->sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void sums_make(struct window *window)
{
    window->origin = window->count ? window->ring[0] : 0;
    window->sum = window->sum_of_squares = 0;
    for (unsigned i = 0; i < window->count; i++) {
        double distance = window->ring[i] - window->origin;
        window->sum += distance;
        window->sum_of_squares += distance * distance;
    }
}

static void sums_move(struct window *window, double value, double sign)
{
    double distance = value - window->origin;
    window->sum += sign * distance;
    window->sum_of_squares += sign * distance * distance;
}

static void forget_oldest(struct window *window)
{
    double oldest = window->ring[window->next];
    unsigned place = place_of(window, oldest);
    memmove(&window->sorted[place], &window->sorted[place + 1],
            (window->count - place - 1) * sizeof *window->sorted);
    window->count -= 1;
    sums_move(window, oldest, -1);
}

void window_add(struct window *window, double value)
{
    CHECK(isfinite(value));
    if (window->count == window->capacity)
        forget_oldest(window);
    if (window->count == 0)
        window->origin = value;
    unsigned place = place_of(window, value);
    memmove(&window->sorted[place + 1], &window->sorted[place],
            (window->count - place) * sizeof *window->sorted);
    window->sorted[place] = value;
    window->count += 1;
    window->ring[window->next] = value;
    window->next = (window->next + 1) % window->capacity;
    sums_move(window, value, 1);
    if (window->next == 0)
        sums_make(window);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void window_replace(struct window *window, const double *values, unsigned count)
{
    CHECK(count <= window->capacity);
    memcpy(window->ring, values, count * sizeof *values);
    memcpy(window->sorted, values, count * sizeof *values);
    qsort(window->sorted, count, sizeof *window->sorted, compare);
    window->count = count;
    window->next = count % window->capacity;
    sums_make(window);
}

double window_mean(const struct window *window)
{
    return window->count ? window->origin + window->sum / window->count : 0;
}

double window_sd(const struct window *window)
{
    if (window->count == 0)
        return 0;
    double mean = window->sum / window->count;
    double variance = window->sum_of_squares / window->count - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

double window_median(const struct window *window)
{
    unsigned half = window->count / 2;
    if (window->count == 0)
        return 0;
    if (window->count % 2)
        return window->sorted[half];
    return (window->sorted[half - 1] + window->sorted[half]) / 2;
}

/* The rank-th smallest (from 0) of the distances |sorted[i] - centre|. `below` numbers lie left of
 * the centre; their distances grow leftwards, the others' rightwards: two sorted lists. Found by
 * halving on how many are taken from the left one. */
static double distance_of_rank(const struct window *window, double centre, unsigned below,
                               unsigned rank)
{
    const double *sorted = window->sorted;
    unsigned right_count = window->count - below, take = rank + 1;
    unsigned low = take > right_count ? take - right_count : 0;
    unsigned high = take < below ? take : below;
    while (low < high) {
        unsigned left = (low + high) / 2, right = take - left;
        /* Too few from the left: its next is nearer than the last one taken from the right. */
        if (right > 0 && centre - sorted[below - 1 - left] < sorted[below + right - 1] - centre)
            low = left + 1;
        else
            high = left;
    }
    double nearest_left = low > 0 ? centre - sorted[below - low] : -1;
    double nearest_right = take > low ? sorted[below + take - low - 1] - centre : -1;
    return nearest_left > nearest_right ? nearest_left : nearest_right;
}

double window_mad(const struct window *window)
{
    if (window->count == 0)
        return 0;
    double centre = window_median(window);
    unsigned below = place_of(window, centre), half = window->count / 2;
    double upper = distance_of_rank(window, centre, below, half);
    if (window->count % 2)
        return upper;
    return (distance_of_rank(window, centre, below, half - 1) + upper) / 2;
}
