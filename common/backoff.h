/* SPDX-License-Identifier: MIT */
/*
 * Exponential backoff with full jitter: the n-th wait is uniform in [0, min(cap, base · 2ⁿ)], but
 * never below a floor. (M. Brooker, "Exponential Backoff And Jitter", 2015: of the jittered forms
 * it spreads a crowd best.) Pure: randomness is passed in.
 */
#ifndef BULKHEAD_BACKOFF_H
#define BULKHEAD_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t floor_ns; /* no wait is shorter */
    uint64_t base_ns;  /* the first wait is at most this */
    uint64_t cap_ns;   /* no wait is longer */
};

/* The wait before attempt n (0 for the first); random is 64 uniform bits. */
uint64_t backoff_wait_ns(const struct backoff *backoff, unsigned attempt, uint64_t random);

/* 64 random bits from a small generator (splitmix64); state is the caller's, seed it with anything.
 * Not for secrets. */
uint64_t random_next(uint64_t *state);

#endif
