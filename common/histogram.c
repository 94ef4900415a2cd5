/* SPDX-License-Identifier: MIT */
#include "common/histogram.h"

#include <math.h>

unsigned histogram_bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_SUB_BUCKETS)
        return (unsigned)value;
    unsigned bits = 63u - (unsigned)__builtin_clzll(value);
    if (bits >= HISTOGRAM_MAX_BITS)
        return HISTOGRAM_BUCKETS - 1;
    unsigned shift = bits - HISTOGRAM_SUB_BITS;
    return (shift + 1) * HISTOGRAM_SUB_BUCKETS +
           ((unsigned)(value >> shift) - HISTOGRAM_SUB_BUCKETS);
}

uint64_t histogram_bucket_low(unsigned bucket)
{
    if (bucket < HISTOGRAM_SUB_BUCKETS)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_SUB_BUCKETS - 1;
    return (uint64_t)(HISTOGRAM_SUB_BUCKETS + bucket % HISTOGRAM_SUB_BUCKETS) << shift;
}

uint64_t histogram_bucket_high(unsigned bucket)
{
    return histogram_bucket_low(bucket + 1) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->bucket[histogram_bucket_of(value)], 1,
                              memory_order_relaxed);
}

void histogram_sum_record(struct histogram_sum *sum, uint64_t value)
{
    sum->sum += value;
    sum->count += 1;
    sum->bucket[histogram_bucket_of(value)] += 1;
}

void histogram_sum_add(struct histogram_sum *sum, const struct histogram *histogram)
{
    uint64_t values = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    /* Most histograms of a fleet are empty: a sum of 0 has nothing but zeros, in the first bucket.
     */
    unsigned count = values > 0 ? HISTOGRAM_BUCKETS : 1;
    sum->sum += values;
    for (unsigned i = 0; i < count; i++) {
        uint64_t n = atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        sum->bucket[i] += n;
        sum->count += n;
    }
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void histogram_sum_subtract(struct histogram_sum *later, const struct histogram_sum *earlier)
{
    later->sum = minus(later->sum, earlier->sum);
    later->count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        later->bucket[i] = minus(later->bucket[i], earlier->bucket[i]);
        later->count += later->bucket[i];
    }
}

uint64_t histogram_percentile(const struct histogram_sum *sum, double percent)
{
    if (sum->count == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(percent / 100.0 * (double)sum->count);
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += sum->bucket[i];
        if (seen >= rank)
            return (histogram_bucket_low(i) + histogram_bucket_high(i)) / 2;
    }
    return histogram_bucket_low(HISTOGRAM_BUCKETS - 1);
}

uint64_t histogram_count_to(const struct histogram_sum *sum, uint64_t value)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= histogram_bucket_of(value); i++)
        count += sum->bucket[i];
    return count;
}
