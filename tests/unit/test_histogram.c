/* SPDX-License-Identifier: MIT */
/* The histogram's promise: at most 3 % off from 1 µs to 120 s. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "common/histogram.h"

#define LARGEST_US 120000000u /* 120 s */

static void buckets_meet_without_gap_or_overlap(void **unused)
{
    (void)unused;
    for (unsigned b = 0; b + 1 < HISTOGRAM_BUCKETS; b++) {
        assert_int_equal(histogram_bucket_high(b) + 1, histogram_bucket_low(b + 1));
        assert_int_equal(histogram_bucket_of(histogram_bucket_low(b)), b);
        assert_int_equal(histogram_bucket_of(histogram_bucket_high(b)), b);
    }
}

static void the_error_is_bounded(void **unused)
{
    (void)unused;
    static struct histogram_sum sum;
    for (uint64_t value = 1; value <= LARGEST_US; value = value * 101 / 100 + 1) {
        memset(&sum, 0, sizeof sum);
        histogram_sum_record(&sum, value);
        double read = (double)histogram_percentile(&sum, 50);
        assert_true(fabs(read - (double)value) <= 0.03 * (double)value);
    }
}

static void too_large_is_kept_in_the_last(void **unused)
{
    (void)unused;
    assert_int_equal(histogram_bucket_of(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket_of(UINT64_C(1) << 27), HISTOGRAM_BUCKETS - 1);
}

static void percentiles_of_a_known_set(void **unused)
{
    (void)unused;
    static struct histogram_sum sum;
    memset(&sum, 0, sizeof sum);
    assert_int_equal(histogram_percentile(&sum, 50), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_sum_record(&sum, i * 1000); /* 1 … 1000 ms */
    static const double want[][2] = {{50, 500000}, {95, 950000}, {99, 990000}, {100, 1000000}};
    for (size_t i = 0; i < 4; i++) {
        double got = (double)histogram_percentile(&sum, want[i][0]);
        assert_true(fabs(got - want[i][1]) <= 0.03 * want[i][1]);
    }
    assert_int_equal(sum.sum, 500500000);
}

static void differences_never_fall_below_zero(void **unused)
{
    (void)unused;
    static struct histogram_sum later, earlier;
    memset(&later, 0, sizeof later);
    memset(&earlier, 0, sizeof earlier);
    histogram_sum_record(&earlier, 5);
    histogram_sum_record(&earlier, 5);
    histogram_sum_record(&later, 5);
    histogram_sum_record(&later, 9);
    histogram_sum_subtract(&later, &earlier);
    assert_int_equal(later.count, 1);
    assert_int_equal(later.bucket[9], 1);
    assert_int_equal(later.bucket[5], 0);
}

static void counts_up_to_an_edge(void **unused)
{
    (void)unused;
    static struct histogram shared;
    static struct histogram_sum sum;
    memset(&shared, 0, sizeof shared);
    memset(&sum, 0, sizeof sum);
    for (uint64_t ms = 1; ms <= 100; ms++)
        histogram_record(&shared, ms * 1000);
    histogram_sum_add(&sum, &shared);
    uint64_t to_50 = histogram_count_to(&sum, 50000);
    assert_in_range(to_50, 50, 51); /* the bucket of the edge counts whole */
    assert_int_equal(histogram_count_to(&sum, UINT64_MAX), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_meet_without_gap_or_overlap),
        cmocka_unit_test(the_error_is_bounded),
        cmocka_unit_test(too_large_is_kept_in_the_last),
        cmocka_unit_test(percentiles_of_a_known_set),
        cmocka_unit_test(differences_never_fall_below_zero),
        cmocka_unit_test(counts_up_to_an_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
