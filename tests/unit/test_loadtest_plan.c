/* SPDX-License-Identifier: MIT */
/* The load tester: what is sent and when. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "tools/loadtest/plan.h"

static struct plan_settings baseline(void)
{
    return (struct plan_settings){
        .arrivals = ARRIVALS_EVEN,
        .rate = 300,
        .duration_ns = 60 * NS_PER_S,
        .weight = {[LOAD_READ] = 75, [LOAD_WRITE] = 20, [LOAD_LIST] = 5},
        .seed = 1,
    };
}

static void even_arrivals_are_evenly_spaced(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    struct plan plan;
    struct arrival arrival;
    plan_start(&plan, &settings);
    uint64_t count = 0;
    while (plan_next(&plan, &arrival)) {
        uint64_t exact = count * NS_PER_S / 300;
        assert_in_range(arrival.offset_ns, exact > 0 ? exact - 1 : 0, exact + 1);
        count += 1;
    }
    assert_int_equal(count, 18000);
}

static void poisson_arrivals_have_the_rate_and_exponential_gaps(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    settings.arrivals = ARRIVALS_POISSON;
    struct plan plan;
    struct arrival arrival;
    plan_start(&plan, &settings);
    uint64_t count = 0, last = 0, longer_than_mean = 0;
    while (plan_next(&plan, &arrival)) {
        assert_true(arrival.offset_ns >= last);
        longer_than_mean += arrival.offset_ns - last > NS_PER_S / 300;
        last = arrival.offset_ns;
        count += 1;
    }
    /* 18000 ± 4 standard deviations; of exponential gaps e⁻¹ are longer than their mean. */
    assert_in_range(count, 18000 - 537, 18000 + 537);
    double share = (double)longer_than_mean / (double)count;
    assert_true(fabs(share - exp(-1)) < 0.02);
}

static void the_mix_is_kept(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    struct plan plan;
    struct arrival arrival;
    unsigned count[LOAD_KINDS] = {0};
    plan_start(&plan, &settings);
    while (plan_next(&plan, &arrival))
        count[arrival.kind] += 1;
    /* ± 4 standard deviations of the binomial distribution */
    assert_in_range(count[LOAD_READ], 13500 - 233, 13500 + 233);
    assert_in_range(count[LOAD_WRITE], 3600 - 215, 3600 + 215);
    assert_in_range(count[LOAD_LIST], 900 - 117, 900 + 117);
}

static void a_seed_is_a_plan(void **state)
{
    (void)state;
    struct plan_settings settings = baseline(), poisson = baseline(), other = baseline();
    poisson.arrivals = ARRIVALS_POISSON;
    other.seed = 2;
    struct plan a, b, c, d;
    struct arrival of_a, of_b, of_c, of_d;
    unsigned differences = 0;
    plan_start(&a, &settings);
    plan_start(&b, &settings);
    plan_start(&c, &poisson);
    plan_start(&d, &other);
    for (int i = 0; i < 1000; i++) {
        assert_true(plan_next(&a, &of_a) && plan_next(&b, &of_b) && plan_next(&c, &of_c) &&
                    plan_next(&d, &of_d));
        assert_int_equal(of_a.offset_ns, of_b.offset_ns);
        assert_int_equal(of_a.kind, of_b.kind);
        assert_int_equal(of_a.random, of_b.random);
        assert_int_equal(of_a.kind, of_c.kind); /* kinds do not depend on the arrivals */
        differences += of_a.random != of_d.random;
    }
    assert_int_equal(differences, 1000);
}

static void mixes_are_parsed(void **state)
{
    (void)state;
    unsigned weight[LOAD_KINDS];
    assert_int_equal(plan_parse_mix("list=1,read=2", weight), 0);
    assert_int_equal(weight[LOAD_READ], 2);
    assert_int_equal(weight[LOAD_WRITE], 0);
    assert_int_equal(weight[LOAD_LIST], 1);
    assert_int_equal(plan_parse_mix("login=3,health=4", weight), 0);
    assert_int_equal(weight[LOAD_LOGIN], 3);
    assert_int_equal(weight[LOAD_HEALTH], 4);
    assert_int_equal(plan_parse_mix("get=1", weight), -EINVAL);
    static const char *const bad[] = {"",        "read",       "read=",    "read=-1",     "read=1,",
                                      ",read=1", "reads=1",    "read=0",   "read=1x",     "read=1 ",
                                      "read= 1", "read=1;l=2", "update=1", "read=9999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(plan_parse_mix(bad[i], weight), -EINVAL);
}

static void phases_have_their_rates_and_follow_each_other(void **state)
{
    (void)state;
    static const struct plan_phase phases[] = {
        {300, 2 * NS_PER_S}, {1800, NS_PER_S}, {50, 4 * NS_PER_S}};
    const unsigned expected[] = {600, 1800, 200};
    const uint64_t start_s[] = {0, 2, 3, 7};
    struct plan_settings settings = baseline();
    settings.phases = phases;
    settings.phase_count = 3;
    for (int arrivals = ARRIVALS_EVEN; arrivals <= ARRIVALS_POISSON; arrivals++) {
        struct plan plan;
        struct arrival arrival;
        unsigned count[3] = {0};
        uint64_t last = 0;
        settings.arrivals = (enum arrivals)arrivals;
        plan_start(&plan, &settings);
        while (plan_next(&plan, &arrival)) {
            assert_true(arrival.phase < 3 && arrival.offset_ns >= last);
            assert_in_range(arrival.offset_ns, start_s[arrival.phase] * NS_PER_S,
                            start_s[arrival.phase + 1] * NS_PER_S - 1);
            last = arrival.offset_ns;
            count[arrival.phase] += 1;
        }
        for (int i = 0; i < 3; i++) {
            unsigned off = arrivals == ARRIVALS_EVEN ? 0 : (unsigned)(4 * sqrt(expected[i]));
            assert_in_range(count[i], expected[i] - off, expected[i] + off);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(even_arrivals_are_evenly_spaced),
        cmocka_unit_test(poisson_arrivals_have_the_rate_and_exponential_gaps),
        cmocka_unit_test(the_mix_is_kept),
        cmocka_unit_test(a_seed_is_a_plan),
        cmocka_unit_test(mixes_are_parsed),
        cmocka_unit_test(phases_have_their_rates_and_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
