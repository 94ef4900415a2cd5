/* SPDX-License-Identifier: MIT */
/* The benchmark's score, on rows whose worth is worked out by hand. */
#include "tests/unit/unit.h"

#include <math.h>

#include "tools/anomaly/nab_score.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-4)
#define ROWS       100
#define LARGEST    0.986614 /* 2 / (1 + e^-5) - 1 */

static const struct nab_profile standard = {"standard", 1.0, 0.11, 1.0};
static const struct nab_window windows[] = {{40, 49}, {70, 79}};

static int64_t time_s[ROWS];
static double scores[ROWS];
static struct nab_row rows[ROWS];
static double best[8];

/* Score a file whose row i has the time i, with these rows at score 1. */
static struct nab_result score(const unsigned *said, unsigned count)
{
    for (unsigned i = 0; i < ROWS; i++) {
        time_s[i] = i;
        scores[i] = 0;
    }
    for (unsigned i = 0; i < count; i++)
        scores[said[i]] = 1;
    size_t kept = nab_rows(time_s, scores, ROWS, windows, 2, 0, rows);
    assert_int_equal(kept, 85); /* 15 % of 100 do not count */
    return nab_optimise(&standard, rows, kept, 2, best);
}

static void the_sigmoid_is_the_papers(void **unused)
{
    (void)unused;
    NEAR(nab_sigmoid(-1), LARGEST);
    NEAR(nab_sigmoid(-0.5), 0.848284);
    NEAR(nab_sigmoid(0), 0);
    NEAR(nab_sigmoid(1), -LARGEST);
    NEAR(nab_sigmoid(3.01), -1);
}

static void probation_is_a_share_and_at_most_750_rows(void **unused)
{
    (void)unused;
    assert_int_equal(nab_probation(100), 15);
    assert_int_equal(nab_probation(4032), 604);
    assert_int_equal(nab_probation(22695), 750);
}

static void left_edges_are_perfect(void **unused)
{
    (void)unused;
    const unsigned said[] = {40, 70};
    /* Row 40 of a window of ten: -(49 - 40 + 1)/10 = -1, all of it. */
    struct nab_result result = score(said, 2);
    NEAR(result.normalised, 100);
    NEAR(result.raw, 2);
    assert_int_equal(result.found, 2);
}

static void the_best_in_a_window_counts_once(void **unused)
{
    (void)unused;
    const unsigned said[] = {45, 46, 47};
    /* -(49 - 45 + 1)/10 = -0.5: 0.848284 / 0.986614 = 0.859793. The other window is missed: -1.
     * Null -2, perfect 2: 100 * (0.859793 - 1 + 2) / 4 = 46.4948. */
    struct nab_result result = score(said, 3);
    NEAR(result.raw, -0.140207);
    NEAR(result.normalised, 46.4948);
    assert_int_equal(result.false_rows, 0);
}

static void false_ones_cost_by_their_distance(void **unused)
{
    (void)unused;
    const unsigned said[] = {20, 40, 51, 70, 3};
    /* 20, before any window: -0.11. 51, two rows after a window of ten: position 2/9,
     * 2/(1 + e^(10/9)) - 1 = -0.504667, * 0.11 = -0.0555134. 3 is in the probation.
     * 2 - 0.11 - 0.0555134 = 1.834487; (1.834487 + 2)/4 = 95.8622 %. */
    struct nab_result result = score(said, 5);
    NEAR(result.raw, 1.834487);
    NEAR(result.normalised, 95.8622);
    assert_int_equal(result.false_rows, 2);
}

static void silence_is_nought(void **unused)
{
    (void)unused;
    struct nab_result result = score(NULL, 0);
    /* Threshold 0 would say every row: both windows found, but all rows outside cost more. */
    NEAR(result.raw, -2);
    NEAR(result.normalised, 0);
    assert_true(isinf(result.threshold));
}

static void the_threshold_that_serves_best_is_found(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < ROWS; i++) {
        time_s[i] = i;
        scores[i] = i % 2 ? 0.2 : 0.1;
    }
    scores[40] = 0.9;
    scores[70] = 0.6;
    scores[60] = 0.5; /* outside: below both */
    size_t kept = nab_rows(time_s, scores, ROWS, windows, 2, 0, rows);
    struct nab_result result = nab_optimise(&standard, rows, kept, 2, best);
    NEAR(result.threshold, 0.6);
    NEAR(result.normalised, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sigmoid_is_the_papers),
        cmocka_unit_test(probation_is_a_share_and_at_most_750_rows),
        cmocka_unit_test(left_edges_are_perfect),
        cmocka_unit_test(the_best_in_a_window_counts_once),
        cmocka_unit_test(false_ones_cost_by_their_distance),
        cmocka_unit_test(silence_is_nought),
        cmocka_unit_test(the_threshold_that_serves_best_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
