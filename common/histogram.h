/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of durations: 32 equal steps in every power of two, so a value read back
 * is at most 1/32 (3.1 %) wide and its middle at most 1.6 % off, from 1 µs to 134 s. Larger values
 * fall into the last bucket. The layout is the one of HdrHistogram with 5 sub-bucket bits.
 *
 * `struct histogram` is shared: any thread of its one process adds, anybody reads.
 * `struct histogram_sum` is private: sums, differences and percentiles are made there.
 */
#ifndef BULKHEAD_HISTOGRAM_H
#define BULKHEAD_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS    5
#define HISTOGRAM_SUB_BUCKETS (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_MAX_BITS    27 /* 2^27 µs = 134 s */
#define HISTOGRAM_BUCKETS     ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB_BUCKETS)

struct histogram {
    _Atomic uint64_t sum;
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
};

struct histogram_sum {
    uint64_t sum;
    uint64_t count;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

/* The bucket of a value, and the smallest and largest value of a bucket. */
unsigned histogram_bucket_of(uint64_t value);
uint64_t histogram_bucket_low(unsigned bucket);
uint64_t histogram_bucket_high(unsigned bucket);

/* Add one value (µs for durations, a plain number for sizes). Lock-free, relaxed. */
void histogram_record(struct histogram *histogram, uint64_t value);

/* Private adding, for programs that own their numbers. */
void histogram_sum_record(struct histogram_sum *sum, uint64_t value);

/* sum += histogram (a relaxed snapshot; buckets may be a few records apart). */
void histogram_sum_add(struct histogram_sum *sum, const struct histogram *histogram);

/* later -= earlier, never below zero: what happened between two snapshots. */
void histogram_sum_subtract(struct histogram_sum *later, const struct histogram_sum *earlier);

/* The value below which `percent` (0..100) of the records lie: the middle of its bucket.
 * 0 when nothing was recorded. */
uint64_t histogram_percentile(const struct histogram_sum *sum, double percent);

/* Records at or below `value`; the bucket that holds `value` counts as a whole, so an edge that is
 * no bucket boundary is read as the next boundary, at most 3.1 % above it. */
uint64_t histogram_count_to(const struct histogram_sum *sum, uint64_t value);

#endif
