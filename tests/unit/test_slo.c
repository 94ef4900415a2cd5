/* SPDX-License-Identifier: MIT */
/* Objectives, budgets and burn rates, computed by hand. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "supervisor/console/slo.h"

#define NOW UINT64_C(1000)

static struct slo slo;
static struct slo_verdict verdict;

static int make(void **unused)
{
    (void)unused;
    memset(&slo, 0, sizeof slo);
    return 0;
}

/* The same in each of the seconds first … last. */
static void run(uint64_t first, uint64_t last, uint64_t requests, uint64_t failed, uint64_t slow)
{
    const struct slo_counts counts = {
        .requests = requests, .failed = failed, .timed = requests, .slow = slow};
    for (uint64_t second = first; second <= last; second++)
        slo_add(&slo, second, &counts);
}

static void judge(enum slo_objective objective)
{
    slo_judge(&slo, NOW, objective, &verdict);
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-9)
        fail_msg("%.12g, not %.12g", value, expected);
}

static void windows_are_those_of_the_workbook_at_the_scale(void **unused)
{
    (void)unused;
    static const unsigned longs[] = {5, 30, 120, 360}, shorts[] = {1, 3, 10, 30};
    static const double availability[] = {14.4, 6, 3, 1}, latency[] = {6, 3, 1.5, 1};
    for (unsigned i = 0; i < SLO_ALERTS; i++) {
        judge(SLO_AVAILABILITY);
        assert_int_equal(verdict.alert[i].long_s, longs[i]);
        assert_int_equal(verdict.alert[i].short_s, shorts[i]);
        assert_near(verdict.alert[i].burn, availability[i]);
        judge(SLO_LATENCY);
        assert_int_equal(verdict.alert[i].long_s, longs[i]);
        assert_near(verdict.alert[i].burn, latency[i]);
    }
}

static void nothing_asked_nothing_spent(void **unused)
{
    (void)unused;
    judge(SLO_AVAILABILITY);
    assert_int_equal(verdict.total, 0);
    assert_near(verdict.budget_left, 1);
    for (unsigned i = 0; i < SLO_ALERTS; i++)
        assert_false(verdict.alert[i].firing);
}

/* 360 s at 100/s, 3 of a hundred fail in the last 60 s: 180 of 36 000 are 0.5 %, half the budget.
 */
static void a_budget_is_spent_by_shares(void **unused)
{
    (void)unused;
    run(NOW - 359, NOW - 60, 100, 0, 0);
    run(NOW - 59, NOW, 100, 3, 0);
    judge(SLO_AVAILABILITY);
    assert_int_equal(verdict.total, 36000);
    assert_int_equal(verdict.good, 35820);
    assert_near(verdict.budget_left, 0.5);
    assert_near(verdict.alert[0].long_burn, 3);
    assert_near(verdict.alert[1].long_burn, 3);
    assert_near(verdict.alert[2].long_burn, 1.5); /* 180 of 12 000 */
    assert_near(verdict.alert[3].long_burn, 0.5);
    assert_near(verdict.alert[3].short_burn, 3);
    for (unsigned i = 0; i < SLO_ALERTS; i++)
        assert_false(verdict.alert[i].firing); /* 3 is not more than 3 */
}

/* An outage of 3 s at its end: 300 of 36 000. */
static void an_outage_fires_the_fast_ones_and_ends_with_them(void **unused)
{
    (void)unused;
    run(NOW - 359, NOW - 3, 100, 0, 0);
    run(NOW - 2, NOW, 100, 100, 0);
    judge(SLO_AVAILABILITY);
    assert_near(verdict.alert[0].long_burn, 60); /* 3 of 5 s */
    assert_near(verdict.alert[0].short_burn, 100);
    assert_true(verdict.alert[0].firing);
    assert_near(verdict.alert[1].long_burn, 10); /* 3 of 30 s */
    assert_true(verdict.alert[1].firing);
    assert_near(verdict.alert[2].long_burn, 2.5); /* 3 of 120 s */
    assert_false(verdict.alert[2].firing);
    assert_near(verdict.alert[3].long_burn, 300.0 / 360);
    assert_false(verdict.alert[3].firing);
    assert_near(verdict.budget_left, 1 - 300.0 / 360);
    run(NOW + 1, NOW + 1, 100, 0, 0);
    slo_judge(&slo, NOW + 1, SLO_AVAILABILITY, &verdict);
    assert_near(verdict.alert[0].long_burn, 60); /* it still matters, but is over */
    assert_near(verdict.alert[0].short_burn, 0);
    assert_false(verdict.alert[0].firing);
    assert_true(verdict.alert[1].firing); /* its short window is 3 s */
}

static void budgets_can_be_overspent_and_come_back(void **unused)
{
    (void)unused;
    run(NOW - 359, NOW - 350, 100, 100, 0); /* 10 s of 360: 2.8 % */
    run(NOW - 349, NOW, 100, 0, 0);
    judge(SLO_AVAILABILITY);
    assert_near(verdict.budget_left, 1 - 1000.0 / 36000 / 0.01);
    assert_true(verdict.budget_left < 0);
    run(NOW + 1, NOW + 10, 100, 0, 0);
    slo_judge(&slo, NOW + 10, SLO_AVAILABILITY, &verdict);
    assert_near(verdict.budget_left, 1);
}

static void latency_counts_what_was_timed(void **unused)
{
    (void)unused;
    const struct slo_counts counts = {.requests = 100, .failed = 50, .timed = 40, .slow = 10};
    slo_add(&slo, NOW, &counts);
    judge(SLO_LATENCY);
    assert_int_equal(verdict.total, 40);
    assert_int_equal(verdict.good, 30);
    assert_near(verdict.alert[0].short_burn, 5); /* a quarter, and a twentieth is allowed */
    assert_int_equal(verdict.threshold_ms, 200);
}

static void a_second_may_be_added_to_and_old_ones_are_gone(void **unused)
{
    (void)unused;
    run(NOW - SLO_RING, NOW - SLO_RING, 1000, 1000, 0); /* same place in the ring */
    run(NOW, NOW, 10, 1, 0);
    run(NOW, NOW, 10, 1, 0);
    judge(SLO_AVAILABILITY);
    assert_int_equal(verdict.total, 20);
    assert_int_equal(verdict.good, 18);
    run(NOW - 360, NOW - 360, 1000, 1000, 0); /* one too old */
    judge(SLO_AVAILABILITY);
    assert_int_equal(verdict.total, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(windows_are_those_of_the_workbook_at_the_scale, make),
        cmocka_unit_test_setup(nothing_asked_nothing_spent, make),
        cmocka_unit_test_setup(a_budget_is_spent_by_shares, make),
        cmocka_unit_test_setup(an_outage_fires_the_fast_ones_and_ends_with_them, make),
        cmocka_unit_test_setup(budgets_can_be_overspent_and_come_back, make),
        cmocka_unit_test_setup(latency_counts_what_was_timed, make),
        cmocka_unit_test_setup(a_second_may_be_added_to_and_old_ones_are_gone, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
