/* SPDX-License-Identifier: MIT */
/* The detector: its window against sorting, its scores against arithmetic done by hand, its alarms
 * on series whose truth is known; what alarms are worth against what was broken. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/anomaly/detector.h"
#include "tools/anomaly/evaluate.h"
#include "tools/anomaly/floors.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-4)

static const struct detector_metric plain = {0, false};

/* A small generator: the same on every machine. */
static uint64_t state = 1;
static double uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(state >> 11) / (double)(UINT64_C(1) << 53);
}
static double noise(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum - 6; /* mean 0, sd 1 */
}

static int setup(void **unused)
{
    (void)unused;
    state = 1;
    return 0;
}

/* ---- the window -------------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double sorted_median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void window_is_what_sorting_says(void **unused)
{
    (void)unused;
    static struct window window;
    static double all[3000], last[WINDOW_MAX];
    for (unsigned capacity = 1; capacity < 40; capacity++) {
        window_open(&window, capacity);
        for (unsigned i = 0; i < 300; i++) {
            /* Coarse values, so that many are equal. */
            all[i] = i % 50 < 10 ? 7 : floor(uniform() * 12) - 3;
            window_add(&window, all[i]);
            unsigned count = i + 1 < capacity ? i + 1 : capacity;
            double sum = 0, squares = 0;
            memcpy(last, all + i + 1 - count, count * sizeof *last);
            for (unsigned k = 0; k < count; k++)
                sum += last[k];
            for (unsigned k = 0; k < count; k++)
                squares += (last[k] - sum / count) * (last[k] - sum / count);
            NEAR(window_mean(&window), sum / count);
            NEAR(window_sd(&window), sqrt(squares / count));
            double median = sorted_median(last, count);
            NEAR(window_median(&window), median);
            for (unsigned k = 0; k < count; k++)
                last[k] = fabs(last[k] - median);
            NEAR(window_mad(&window), sorted_median(last, count));
        }
    }
}

static void window_by_hand(void **unused)
{
    (void)unused;
    static struct window window;
    window_open(&window, 5);
    NEAR(window_mean(&window) + window_sd(&window) + window_median(&window), 0);
    const double values[] = {100, 1, 2, 3, 4, 10}; /* 100 leaves */
    for (unsigned i = 0; i < 6; i++)
        window_add(&window, values[i]);
    NEAR(window_mean(&window), 4);      /* 20 / 5 */
    NEAR(window_median(&window), 3);    /* 1 2 3 4 10 */
    NEAR(window_mad(&window), 1);       /* distances 2 1 0 1 7, sorted 0 1 1 2 7 */
    NEAR(window_sd(&window), sqrt(10)); /* (9 + 4 + 1 + 0 + 36) / 5 = 10 */
}

static void window_keeps_its_sums_far_from_zero(void **unused)
{
    (void)unused;
    static struct window window;
    window_open(&window, 100);
    for (unsigned i = 0; i < 100000; i++)
        window_add(&window, 1e9 + i % 2);
    NEAR(window_sd(&window), 0.5);
    NEAR(window_mean(&window), 1e9 + 0.5);
    window_open(&window, 100);
    window_add(&window, 1e12); /* long gone, and what it did to the sums must be too */
    for (unsigned i = 0; i < 1000; i++)
        window_add(&window, i % 2);
    NEAR(window_sd(&window), 0.5);
}

/* ---- scores by hand ---------------------------------------------------------------------- */

static const struct detector_preset small = {
    .name = "small",
    .window = 4,
    .recent = 2,
    .threshold = 3,
    .needed = 1,
    .of = 1,
    .refractory = 3,
    .warm_up = 4,
    .clip = 2,
};

static struct detector detector;
static int64_t now_s;

static void begin(const struct detector_preset *preset, struct detector_metric metric)
{
    now_s = 1000000;
    detector_open(&detector, preset, metric, 1);
}

static struct detector_result take(double value)
{
    now_s += 1;
    return detector_take(&detector, now_s, value);
}

static void scores_by_hand(void **unused)
{
    (void)unused;
    struct detector_result result;
    begin(&small, plain);
    for (int i = 0; i < 4; i++) {
        result = take(i % 2 ? 12 : 10);
        assert_true(result.score <= 0 && !result.raised); /* warming up */
    }
    /* Before it: 10 12 10 12, mean 11, sd 1, 5 % of 11 = 0.55.   A = (20 - 11) / 1 = 9.
     * B's window ends two earlier: 10 12 10. Median 10, MAD median(0 2 0) = 0.
     * sd: mean 32/3, variance (100 + 144 + 100)/3 - (32/3)^2 = 0.8889, sd 0.9428, half 0.4714.
     * 5 % of 10 = 0.5 is the most. Mean of the last two (12 + 20)/2 = 16.
     * B = 6 * sqrt(2) / 0.5 = 16.9706; / 2.5 = 6.7882. */
    result = take(20);
    NEAR(result.point, 9);
    NEAR(result.level, 6.7882);
    NEAR(result.score, 9);
    NEAR(result.expected, 11);
    assert_true(result.anomalous && result.raised && result.under_way);
    /* 20 came in as 11 + 2 * 1 = 13. Now 12 10 12 13: mean 11.75.
     * A = 0. B: 10 12 10 12, median 11, MAD 1: 1.4826; sd 1: 0.5; 5 %: 0.55.
     * Mean of the last two (20 + 11.75)/2 = 15.875: the last points are not clipped.
     * B = 4.875 * 1.41421 / 1.4826 = 4.65016; / 2.5 = 1.86006. */
    result = take(11.75);
    NEAR(result.point, 0);
    NEAR(result.expected, 11.75);
    NEAR(result.level, 1.86006);
    assert_false(result.anomalous || result.under_way);
}

static void five_percent_of_the_mean_is_the_least_spread(void **unused)
{
    (void)unused;
    begin(&small, plain);
    for (int i = 0; i < 6; i++)
        take(200);
    /* sd 0, 5 % of 200 = 10: A = 25 / 10 = 2.5. B: (200 + 225)/2 = 212.5, 12.5 * 1.41421 / 10 =
     * 1.76777; / 2.5 = 0.70711. */
    struct detector_result result = take(225);
    NEAR(result.point, 2.5);
    NEAR(result.level, 0.70711);
}

static void constant_zero_without_a_step_scores_the_most(void **unused)
{
    (void)unused;
    begin(&small, plain);
    for (int i = 0; i < 6; i++)
        assert_true(take(0).score <= 0);
    NEAR(take(1e-9).score, DETECTOR_SCORE_MAX);
}

/* ---- least steps ------------------------------------------------------------------------- */

static void the_least_step_scores_just_the_threshold(void **unused)
{
    (void)unused;
    const struct detector_metric two = {2, false};
    /* Always 0, then a little less than the step for good: nothing. */
    begin(&detector_lab, two);
    for (int i = 0; i < 40; i++)
        take(0);
    for (int i = 0; i < 5; i++)
        assert_false(take(1.99).anomalous);
    /* The step itself: A = 2 / (2 / 4) = 4. */
    begin(&detector_lab, two);
    for (int i = 0; i < 40; i++)
        take(0);
    NEAR(take(2).score, 4);
    /* A little more for good: the third raises the alarm, though the first two, clipped to 1.5,
     * have moved the mean. */
    begin(&detector_lab, two);
    for (int i = 0; i < 40; i++)
        take(0);
    assert_false(take(2.5).raised);
    assert_false(take(2.5).raised);
    assert_true(take(2.5).raised);
}

static void one_point_is_no_alarm_where_three_are_asked_for(void **unused)
{
    (void)unused;
    begin(&detector_lab, (struct detector_metric){100, false});
    for (int i = 0; i < 60; i++)
        take(2 + noise());
    for (int spikes = 1; spikes <= 2; spikes++) {
        for (int i = 0; i < spikes; i++)
            assert_false(take(5000).raised);
        for (int i = 0; i < 20; i++)
            assert_false(take(2 + noise()).raised);
    }
    assert_false(take(5000).raised);
    assert_false(take(5000).raised);
    assert_true(take(5000).raised);
}

static void one_point_is_an_alarm_where_once_is_enough(void **unused)
{
    (void)unused;
    unsigned raised = 0;
    begin(&detector_lab, floors_of("deaths_per_s"));
    for (int i = 0; i < 60; i++)
        assert_false(take(0).raised);
    /* The mean of the last five is 0.2 for five points, a little less when the second was longer
     * than one: above the step all the same. The third raises it. */
    assert_true(take(0.9989).level > 4);
    assert_false(take(0).raised);
    assert_true(take(0).raised);
    for (int i = 0; i < 60; i++)
        raised += take(0).raised;
    assert_int_equal(raised, 0);
}

static void a_small_move_of_the_level_is_found_where_no_point_stands_out(void **unused)
{
    (void)unused;
    unsigned raised = 0;
    begin(&detector_batch, plain);
    for (int i = 0; i < 1000; i++)
        assert_false(take(1000 + 100 * noise()).raised);
    /* 3 sd higher: A is about 3 (at most 6), B about 3 * sqrt(12) = 10.4, / 2.5 = 4.2 of 7: not
     * yet. 6 sd: B about 20.8, / 2.5 = 8.3, and A about 6, under 7. */
    for (int i = 0; i < 12; i++) {
        struct detector_result result = take(1600 + 10 * noise());
        assert_true(result.point < 7);
        raised += result.raised;
    }
    assert_int_equal(raised, 1);
}

/* ---- alarms ------------------------------------------------------------------------------ */

static void an_outage_is_one_alarm_and_does_not_become_normal(void **unused)
{
    (void)unused;
    unsigned raised = 0;
    begin(&detector_lab, floors_of("served_per_s"));
    for (int i = 0; i < 120; i++)
        raised += take(300 + 3 * noise()).raised;
    assert_int_equal(raised, 0);
    for (int i = 0; i < 30; i++) {
        struct detector_result result = take(0);
        raised += result.raised;
        assert_true(i < 2 ? !result.under_way : result.under_way);
    }
    assert_int_equal(raised, 1);
    for (int i = 0; i < 300; i++) /* it comes back: that is no news */
        raised += take(300 + 3 * noise()).raised;
    assert_int_equal(raised, 1);
    for (int i = 0; i < 3; i++)
        raised += take(0).raised;
    assert_int_equal(raised, 2);
}

static void after_an_alarm_there_is_none_for_the_refractory_time(void **unused)
{
    (void)unused;
    begin(&small, plain);
    for (int i = 0; i < 8; i++)
        take(i % 2 ? 12 : 10);
    assert_true(take(100).raised);             /* point 8 */
    assert_true(take(11).under_way);           /* 9: the level of the last two holds 100 */
    assert_false(take(11).under_way);          /* 10 */
    struct detector_result result = take(100); /* 11: three points after */
    assert_true(result.anomalous);
    assert_false(result.raised || result.under_way);
    assert_true(take(11).raised); /* 12: the level again, and the time is over */
}

static void noise_alone_is_no_alarm(void **unused)
{
    (void)unused;
    begin(&detector_lab, plain);
    for (int i = 0; i < 20000; i++)
        assert_false(take(50 + 5 * noise()).raised);
    begin(&detector_lab, floors_of("error_share"));
    for (int i = 0; i < 20000; i++) /* one request of 300 fails now and then */
        assert_false(take(uniform() < 0.2 ? 1.0 / 300 : 0).raised);
}

static void a_gap_is_no_zero(void **unused)
{
    (void)unused;
    begin(&detector_lab, floors_of("served_per_s"));
    for (int i = 0; i < 60; i++)
        take(300 + noise());
    now_s += 40; /* nothing was read */
    for (int i = 0; i < 20; i++)
        assert_true(take(300 + noise()).score < 2);
    /* Two of three before a hole do not count with one after it. */
    take(0);
    take(0);
    now_s += 40;
    assert_false(take(0).raised);
    assert_false(take(0).raised);
    assert_true(take(0).raised);
}

/* ---- days -------------------------------------------------------------------------------- */

/* A busy noon and a quiet night, five minutes apart. */
static double day(unsigned i)
{
    return 100 - 90 * cos(2 * M_PI * (i % 288) / 288.0) + noise();
}

static unsigned night_alarms(const struct detector_preset *preset)
{
    unsigned raised = 0;
    detector_open(&detector, preset, plain, 300);
    for (unsigned i = 0; i < 288 * 8 + 20; i++) {
        /* The eighth night has an hour that would be nothing at noon. */
        bool odd = i >= 288 * 8 && i < 288 * 8 + 12;
        raised += detector_take(&detector, (int64_t)i * 300, odd ? 120 : day(i)).raised;
    }
    return raised;
}

static void a_day_is_known_after_three(void **unused)
{
    (void)unused;
    struct detector_preset blind = detector_batch;
    blind.daily = false;
    assert_int_equal(night_alarms(&blind), 0);
    assert_int_equal(night_alarms(&detector_batch), 1);
    assert_true(detector.daily.present);
    assert_true(detector.daily.correlation > 0.9);
}

static void the_windows_are_made_anew_when_a_day_is_known(void **unused)
{
    (void)unused;
    detector_open(&detector, &detector_batch, plain, 300);
    for (unsigned i = 0; i < 288 * 3; i++) {
        assert_false(detector.daily.present);
        detector_take(&detector, (int64_t)i * 300, day(i));
    }
    assert_true(detector.daily.present);
    assert_true(window_sd(&detector.near) < 2 && window_sd(&detector.far) < 2); /* it was 64 */
    assert_int_equal(detector.near.count, 288 * 3);
    assert_int_equal(detector.far.count, 288 * 3 - 11);
    assert_true(detector_take(&detector, 288 * 3 * 300, day(288 * 3)).score < 4);
}

static void noise_has_no_day(void **unused)
{
    (void)unused;
    detector_open(&detector, &detector_batch, plain, 300);
    for (unsigned i = 0; i < 288 * 6; i++)
        detector_take(&detector, (int64_t)i * 300, 5 + noise());
    assert_false(detector.daily.present);
    assert_true(fabs(detector.daily.correlation) < 0.2);
}

/* ---- what is known of a metric ----------------------------------------------------------- */

static void a_worker_that_stands_still_for_two_seconds_is_noticed(void **unused)
{
    (void)unused;
    unsigned raised = 0;
    begin(&detector_lab, floors_of("heartbeat_age_max_ms"));
    for (int i = 0; i < 120; i++)
        assert_false(take(5 + i % 95).raised);
    /* Recorded: it was stopped just before a sample and replaced just before the third. */
    const double seen[] = {118.5, 1121.6, 27.8, 22.7, 98.5, 99, 90.6};
    for (unsigned i = 0; i < sizeof seen / sizeof *seen; i++)
        raised += take(seen[i]).raised && i <= 4;
    assert_int_equal(raised, 1);
}

static void steps_follow_the_unit(void **unused)
{
    (void)unused;
    NEAR(floors_of("deaths_per_s").least_step, 0.15);
    assert_true(floors_of("read_errors_per_s").once && floors_of("status_503_per_s").once);
    assert_false(floors_of("p95_ms").once);
    NEAR(floors_of("write_p95_ms").least_step, 100);
    NEAR(floors_of("write_p99_ms").least_step, 200);
    NEAR(floors_of("refused_share").least_step, 0.02);
    NEAR(floors_of("value").least_step, 0);
    for (const char *const *name = floors_default_metrics; *name; name++)
        assert_true(floors_of(*name).least_step > 0);
}

/* ---- evaluation -------------------------------------------------------------------------- */

static void alarms_are_held_against_truths(void **unused)
{
    (void)unused;
    struct truth truths[] = {
        {"kill", "deaths", 100, 110, 10, .expected = true},
        {"kill", "db_up", 100, 110, 10, .expected = false},
        {"away", "db_up", 200, 210, 10, .expected = true},
        {"away", "errors", 200, 210, 10, .expected = true},
    };
    const struct raised_alarm alarms[] = {
        {"deaths", 103},  /* true, 3 s late */
        {"p95", 104},     /* nobody says anything of p95 */
        {"db_up", 105},   /* false: expected to be quiet */
        {"errors", 105},  /* in time only for a fault that says nothing of errors */
        {"deaths", 108},  /* false: it was told before */
        {"errors", 150},  /* false: nothing was broken */
        {"db_up", 199.5}, /* true: a second early is the clock's */
        {"errors", 221},  /* false: 11 s after the end */
    };
    struct evaluation result = evaluate(truths, 4, alarms, 8);
    assert_int_equal(result.expected, 3);
    assert_int_equal(result.found, 2); /* errors of `away` was not found in time */
    assert_false(truths[3].found);
    assert_true(truths[1].found);
    assert_int_equal(result.true_alarms, 2);
    assert_int_equal(result.false_alarms, 4);
    assert_int_equal(result.unjudged, 2);
    NEAR(result.recall, 2.0 / 3);
    NEAR(result.precision, 2.0 / 6);
    NEAR(result.worst_delay_s, 3);
    NEAR(result.mean_delay_s, 1.5); /* 3 and 0 */
}

static void one_alarm_finds_one_truth(void **unused)
{
    (void)unused;
    struct truth truths[] = {
        {"first", "db_up", 100, 110, 10, .expected = true},
        {"second", "db_up", 115, 125, 10, .expected = true},
    };
    const struct raised_alarm once[] = {{"db_up", 118}};
    assert_int_equal(evaluate(truths, 2, once, 1).found, 1);
    const struct raised_alarm both[] = {{"db_up", 103}, {"db_up", 118}};
    struct evaluation result = evaluate(truths, 2, both, 2);
    assert_int_equal(result.found, 2);
    assert_int_equal(result.false_alarms, 0);
    NEAR(result.worst_delay_s, 3);
}

/* What else the same fault still denies does not excuse an alarm that comes late, or too soon. */
static void a_fault_that_speaks_of_a_metric_does_not_excuse_its_alarms(void **unused)
{
    (void)unused;
    struct truth truths[] = {
        {"kill", "deaths", 104, 110, 10, .expected = true},
        {"kill", "db_up", 100, 110, 60, .expected = false},
    };
    const struct raised_alarm alarms[] = {{"deaths", 101}, {"p95", 130}, {"deaths", 140}};
    struct evaluation result = evaluate(truths, 2, alarms, 3);
    assert_int_equal(result.found, 0);
    assert_int_equal(result.false_alarms, 2);
    assert_int_equal(result.unjudged, 1);
}

static void nothing_to_find_is_found(void **unused)
{
    (void)unused;
    struct evaluation result = evaluate(NULL, 0, NULL, 0);
    NEAR(result.recall, 1);
    NEAR(result.precision, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(window_is_what_sorting_says, setup),
        cmocka_unit_test(window_by_hand),
        cmocka_unit_test(window_keeps_its_sums_far_from_zero),
        cmocka_unit_test(scores_by_hand),
        cmocka_unit_test(five_percent_of_the_mean_is_the_least_spread),
        cmocka_unit_test(constant_zero_without_a_step_scores_the_most),
        cmocka_unit_test(the_least_step_scores_just_the_threshold),
        cmocka_unit_test_setup(one_point_is_no_alarm_where_three_are_asked_for, setup),
        cmocka_unit_test(one_point_is_an_alarm_where_once_is_enough),
        cmocka_unit_test_setup(a_small_move_of_the_level_is_found_where_no_point_stands_out, setup),
        cmocka_unit_test_setup(an_outage_is_one_alarm_and_does_not_become_normal, setup),
        cmocka_unit_test(after_an_alarm_there_is_none_for_the_refractory_time),
        cmocka_unit_test_setup(noise_alone_is_no_alarm, setup),
        cmocka_unit_test_setup(a_gap_is_no_zero, setup),
        cmocka_unit_test_setup(a_day_is_known_after_three, setup),
        cmocka_unit_test_setup(the_windows_are_made_anew_when_a_day_is_known, setup),
        cmocka_unit_test_setup(noise_has_no_day, setup),
        cmocka_unit_test(a_worker_that_stands_still_for_two_seconds_is_noticed),
        cmocka_unit_test(steps_follow_the_unit),
        cmocka_unit_test(alarms_are_held_against_truths),
        cmocka_unit_test(one_alarm_finds_one_truth),
        cmocka_unit_test(a_fault_that_speaks_of_a_metric_does_not_excuse_its_alarms),
        cmocka_unit_test(nothing_to_find_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
