/* SPDX-License-Identifier: MIT */
/*
 * Rows of values by time, the last `rows` steps of them: a row lies at its time modulo the size and
 * carries its time, so a time that was never sampled, or is too old, is simply not there. It owns
 * its memory and knows neither clock nor lock.
 */
#ifndef BULKHEAD_CONSOLE_RING_H
#define BULKHEAD_CONSOLE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    unsigned step; /* seconds; times are multiples of it */
    unsigned rows, columns;
    int64_t *time; /* of each row; RING_EMPTY */
    float *values; /* NAN: null */
};

#define RING_EMPTY INT64_MIN

/* False when there is no memory. */
bool ring_make(struct ring *ring, unsigned step, unsigned rows, unsigned columns);
void ring_free(struct ring *ring);

/* Where to write the row of a time, in place of whatever was there. */
float *ring_put(struct ring *ring, int64_t time);

/* The row of a time; NULL when there is none. */
const float *ring_get(const struct ring *ring, int64_t time);

/* Forget what lies after a time: the clock was set back. */
void ring_forget_after(struct ring *ring, int64_t time);

#endif
