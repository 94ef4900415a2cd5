/* SPDX-License-Identifier: MIT */
/* The restart policy through hours of deaths, in simulated time. */
#include "tests/unit/unit.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "supervisor/restart_policy.h"

static const struct restart_settings settings = {.max_deaths = 5, .window_ns = 10 * NS_PER_S};
static uint64_t seed = 1;

static struct restart_decision die(struct restart_record *record, enum death_class death,
                                   uint64_t uptime_ns, uint64_t now_ns)
{
    return restart_decide(record, &settings, death, uptime_ns, now_ns, random_next(&seed));
}

static void who_is_charged(void **unused)
{
    (void)unused;
    static const bool charged[DEATH_COUNT] = {[DEATH_SIGNAL] = true,         [DEATH_CORE] = true,
                                              [DEATH_ERROR] = true,          [DEATH_OOM] = true,
                                              [DEATH_HUNG] = true,           [DEATH_SANDBOX] = true,
                                              [DEATH_FAILED_TO_START] = true};
    for (unsigned i = 0; i < DEATH_COUNT; i++)
        assert_int_equal(restart_is_charged((enum death_class)i), charged[i]);
}

/* A kill drill: a kill every second for three hours never makes anybody wait. */
static void a_kill_drill_is_not_punished(void **unused)
{
    (void)unused;
    struct restart_record record = {0};
    for (uint64_t second = 0; second < 3 * 3600; second++) {
        struct restart_decision decision = die(&record, DEATH_KILLED, NS_PER_S, second * NS_PER_S);
        assert_int_equal(decision.verdict, RESTART_VERDICT_NOW);
    }
}

/* One crash now and then, each after a long life: always at once. */
static void rare_crashes_restart_at_once(void **unused)
{
    (void)unused;
    struct restart_record record = {0};
    for (uint64_t hour = 1; hour < 48; hour++) {
        struct restart_decision decision =
            die(&record, DEATH_CORE, 3600 * NS_PER_S, hour * 3600 * NS_PER_S);
        assert_int_equal(decision.verdict, RESTART_VERDICT_NOW);
    }
}

/* A child that dies right at its start, for two hours: waits within their bounds, quarantine after
 * the sixth death, doubling to five minutes; at the end hardly any forks an hour. */
static void a_crash_loop_is_slowed_and_quarantined(void **unused)
{
    (void)unused;
    struct restart_record record = {0};
    uint64_t now = NS_PER_S, end = now + 2 * 3600 * NS_PER_S, forks = 0, longest = 0;
    unsigned quarantines = 0, deaths_in_row = 0;
    while (now < end) {
        struct restart_decision decision = die(&record, DEATH_FAILED_TO_START, NS_PER_MS, now);
        forks++;
        deaths_in_row++;
        uint64_t wait = decision.until_ns - now;
        assert_int_not_equal(decision.verdict, RESTART_VERDICT_NOW);
        if (decision.verdict == RESTART_VERDICT_QUARANTINE) {
            assert_true(deaths_in_row > settings.max_deaths);
            assert_true(wait >= 30 * NS_PER_S && wait <= 300 * NS_PER_S);
            assert_true(wait >= longest || longest == 300 * NS_PER_S);
            longest = wait;
            quarantines++;
            deaths_in_row = 0;
        } else {
            assert_true(wait >= 100 * NS_PER_MS && wait <= 5 * NS_PER_S);
        }
        now = decision.until_ns + NS_PER_MS;
    }
    assert_true(quarantines >= 20);
    assert_int_equal(longest, 300 * NS_PER_S);
    assert_true(forks < 7200 / 30); /* less than one in 30 s over the two hours */
}

/* Exactly max_deaths within the window is still a wait; one more is quarantine. */
static void the_sixth_death_quarantines(void **unused)
{
    (void)unused;
    struct restart_record record = {0};
    uint64_t now = 100 * NS_PER_S;
    for (unsigned death = 1; death <= 5; death++)
        assert_int_equal(die(&record, DEATH_CORE, NS_PER_MS, now + death * NS_PER_S).verdict,
                         RESTART_VERDICT_WAIT);
    assert_int_equal(die(&record, DEATH_CORE, NS_PER_MS, now + 6 * NS_PER_S).verdict,
                     RESTART_VERDICT_QUARANTINE);
}

/* The same six deaths spread over more than the window are none of a loop. */
static void old_deaths_are_forgotten(void **unused)
{
    (void)unused;
    struct restart_record record = {0};
    for (unsigned death = 1; death <= 60; death++)
        assert_int_not_equal(die(&record, DEATH_CORE, 2 * NS_PER_S, death * 3 * NS_PER_S).verdict,
                             RESTART_VERDICT_QUARANTINE);
}

/* However many die at once, no second sees more than its share of forks. */
static void forks_are_bounded(void **unused)
{
    (void)unused;
    struct fork_budget budget = {0};
    uint64_t now = NS_PER_S, forks = 0;
    for (; now < 11 * NS_PER_S; now += NS_PER_MS)
        forks += fork_budget_take(&budget, now) == 0;
    assert_in_range(forks, 10 * FORKS_PER_SECOND, 10 * FORKS_PER_SECOND + FORK_BURST);
}

static void a_whole_fleet_may_start_at_once(void **unused)
{
    (void)unused;
    struct fork_budget budget = {0};
    for (int i = 0; i < FORK_BURST; i++)
        assert_int_equal(fork_budget_take(&budget, NS_PER_S), 0);
    uint64_t later = fork_budget_take(&budget, NS_PER_S);
    assert_int_equal(later, NS_PER_S + NS_PER_S / FORKS_PER_SECOND);
    assert_int_equal(fork_budget_take(&budget, later), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_charged),
        cmocka_unit_test(a_kill_drill_is_not_punished),
        cmocka_unit_test(rare_crashes_restart_at_once),
        cmocka_unit_test(a_crash_loop_is_slowed_and_quarantined),
        cmocka_unit_test(the_sixth_death_quarantines),
        cmocka_unit_test(old_deaths_are_forgotten),
        cmocka_unit_test(forks_are_bounded),
        cmocka_unit_test(a_whole_fleet_may_start_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
