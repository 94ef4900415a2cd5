/* SPDX-License-Identifier: MIT */
#include "supervisor/console/ring.h"

#include <stdlib.h>

bool ring_make(struct ring *ring, unsigned step, unsigned rows, unsigned columns)
{
    *ring = (struct ring){.step = step, .rows = rows, .columns = columns};
    ring->time = malloc(rows * sizeof *ring->time);
    ring->values = malloc((size_t)rows * columns * sizeof *ring->values);
    for (unsigned i = 0; ring->time && i < rows; i++)
        ring->time[i] = RING_EMPTY;
    if (ring->time && ring->values)
        return true;
    ring_free(ring);
    return false;
}

void ring_free(struct ring *ring)
{
    free(ring->time);
    free(ring->values);
    *ring = (struct ring){0};
}

static size_t row_of(const struct ring *ring, int64_t time)
{
    int64_t rest = time / ring->step % ring->rows;
    return (size_t)(rest < 0 ? rest + ring->rows : rest);
}

float *ring_put(struct ring *ring, int64_t time)
{
    size_t row = row_of(ring, time);
    ring->time[row] = time;
    return ring->values + row * ring->columns;
}

const float *ring_get(const struct ring *ring, int64_t time)
{
    size_t row = row_of(ring, time);
    return ring->time[row] == time ? ring->values + row * ring->columns : NULL;
}

void ring_forget_after(struct ring *ring, int64_t time)
{
    for (unsigned i = 0; i < ring->rows; i++)
        if (ring->time[i] > time)
            ring->time[i] = RING_EMPTY;
}
