/* SPDX-License-Identifier: MIT */
/* Which route a death is blamed on, and when a route is shut, tried and opened. */
#include "tests/unit/unit.h"

#include <string.h>

#include "supervisor/restart_policy.h"
#include "supervisor/route_guard.h"

#define FIRST (30 * NS_PER_S)
#define T0    (1000 * NS_PER_S)

/* ---- blame --------------------------------------------------------------------------------- */

static void who_is_blamed(void **unused)
{
    (void)unused;
    static const struct {
        const char *what;
        uint32_t fatal, hung;
        struct {
            uint32_t endpoint, in_request;
        } thread[3];
        unsigned blamed;
    } rows[] = {
        {"the thread that crashed, whatever else is in flight",
         1,
         0,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_LOGIN, 1}, {ENDPOINT_ITEM_GET, 1}},
         ENDPOINT_LOGIN},
        {"the thread that is stuck",
         2,
         1,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_LOGIN, 1}, {ENDPOINT_ITEM_PUT, 1}},
         ENDPOINT_ITEM_PUT},
        {"nobody, when it was between requests",
         1,
         0,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_LOGIN, 0}, {ENDPOINT_ITEM_GET, 1}},
         ENDPOINT_COUNT},
        {"nobody, when several routes are in flight",
         NO_CELL,
         0,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_LOGIN, 1}, {ENDPOINT_ITEM_GET, 1}},
         ENDPOINT_COUNT},
        {"nobody, when health is in flight too",
         NO_CELL,
         0,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_HEALTH, 1}, {ENDPOINT_ITEM_GET, 0}},
         ENDPOINT_COUNT},
        {"the only route in flight",
         NO_CELL,
         0,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_LOGIN, 0}, {ENDPOINT_ITEM_GET, 1}},
         ENDPOINT_ITEM_GET},
        {"nobody, when the whole process hangs",
         NO_CELL,
         1,
         {{ENDPOINT_ITEM_GET, 1}, {ENDPOINT_ITEM_GET, 1}, {ENDPOINT_ITEM_GET, 1}},
         ENDPOINT_COUNT},
        {"nobody, when nothing is in flight", NO_CELL, 0, {{0, 0}}, ENDPOINT_COUNT},
        {"never health", 0, 0, {{ENDPOINT_HEALTH, 1}}, ENDPOINT_COUNT},
        {"never health, the only one in flight",
         NO_CELL,
         0,
         {{ENDPOINT_OPENAPI, 1}},
         ENDPOINT_COUNT},
        {"never what matched no route", 0, 0, {{ENDPOINT_UNMATCHED, 1}}, ENDPOINT_COUNT},
        {"no endpoint that is none", 0, 0, {{ENDPOINT_COUNT, 1}}, ENDPOINT_COUNT},
        {"no endpoint out of range", NO_CELL, 0, {{UINT32_MAX, 1}}, ENDPOINT_COUNT},
        {"no cell that is not there", 77, 0, {{ENDPOINT_LOGIN, 1}}, ENDPOINT_COUNT},
    };
    static struct death_report report;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(&report, 0, sizeof report);
        report.fatal_cell = rows[i].fatal;
        report.hung = rows[i].hung;
        report.thread_count = 3;
        for (unsigned n = 0; n < 3; n++)
            report.thread[n] = (struct death_thread){.cell = n,
                                                     .endpoint = rows[i].thread[n].endpoint,
                                                     .in_request = rows[i].thread[n].in_request};
        if (route_guard_blame(&report) != rows[i].blamed)
            fail_msg("%s: blamed %u", rows[i].what, route_guard_blame(&report));
    }
    report = (struct death_report){.fatal_cell = NO_CELL,
                                   .thread_count = 1,
                                   .thread = {{.endpoint = ENDPOINT_ITEM_GET, .in_request = 1}}};
    report.class = DEATH_SIGNAL;
    assert_int_equal(route_guard_blame(&report), ENDPOINT_ITEM_GET);
    report.class = DEATH_FAILED_TO_START; /* its own read was late, not this one */
    assert_int_equal(route_guard_blame(&report), ENDPOINT_COUNT);
    report.fatal_cell = 0; /* but who crashes before it serves did crash */
    assert_int_equal(route_guard_blame(&report), ENDPOINT_ITEM_GET);
    report.thread_count = UINT32_MAX;
    route_guard_blame(&report); /* reads no further than there are cells */
}

/* ---- the states ---------------------------------------------------------------------------- */

/* Three deaths a second apart, the last at `at`. */
static struct route_guard shut_at(uint64_t at)
{
    struct route_guard guard = {0};
    assert_int_equal(route_guard_death(&guard, 0, FIRST, at - 2 * NS_PER_S), GUARD_UNCHANGED);
    assert_int_equal(route_guard_death(&guard, 1, FIRST, at - NS_PER_S), GUARD_UNCHANGED);
    assert_int_equal(route_guard_death(&guard, 0, FIRST, at), GUARD_NOW_SHUT);
    return guard;
}

static struct route_guard on_trial(uint64_t at)
{
    struct route_guard guard = shut_at(at - FIRST);
    assert_true(route_guard_wants_trial(&guard, at));
    route_guard_try(&guard, 2, 5, at);
    return guard;
}

static void three_deaths_within_ten_seconds_shut(void **unused)
{
    (void)unused;
    struct route_guard guard = shut_at(T0);
    assert_true(guard.until_ns == T0 + FIRST);
    assert_int_equal(guard.death[1].slot, 1);
    assert_int_equal(route_guard_death(&guard, 0, FIRST, T0 + 1), GUARD_KNOWN);
    assert_false(route_guard_wants_trial(&guard, T0 + FIRST - 1));
    assert_true(route_guard_wants_trial(&guard, T0 + FIRST));

    struct route_guard slow = {0};
    for (unsigned i = 0; i < 20; i++) /* never three within ten seconds */
        assert_int_equal(route_guard_death(&slow, 0, FIRST, T0 + i * 6 * NS_PER_S),
                         GUARD_UNCHANGED);
}

static void a_trial_survived_opens(void **unused)
{
    (void)unused;
    struct route_guard guard = on_trial(T0);
    uint64_t taken = route_trial_taken(guard.number), answered = route_trial_answered(guard.number);
    assert_int_equal(route_guard_listen(&guard, taken, FIRST, T0 + 1), GUARD_UNCHANGED);
    assert_false(route_guard_wants_trial(&guard, T0 + 5 * NS_PER_S)); /* one is enough */
    assert_int_equal(route_guard_listen(&guard, answered, FIRST, T0 + 2), GUARD_UNCHANGED);
    assert_int_equal(route_guard_listen(&guard, answered, FIRST, T0 + NS_PER_S), GUARD_UNCHANGED);
    assert_int_equal(route_guard_listen(&guard, answered, FIRST, T0 + 2 + NS_PER_S),
                     GUARD_NOW_OPEN);
    /* The old deaths do not count again, a new run of them shuts for twice as long. */
    uint64_t later = T0 + 2 * NS_PER_S;
    assert_int_equal(route_guard_death(&guard, 0, FIRST, later), GUARD_UNCHANGED);
    assert_int_equal(route_guard_death(&guard, 0, FIRST, later), GUARD_UNCHANGED);
    assert_int_equal(route_guard_death(&guard, 0, FIRST, later), GUARD_NOW_SHUT);
    assert_true(guard.until_ns == later + 2 * FIRST);
}

static void what_was_released_starts_anew(void **unused)
{
    (void)unused;
    struct route_guard guard = shut_at(T0);
    uint64_t now = T0 + NS_PER_S; /* all within the window of the deaths */
    route_guard_try(&guard, 0, 1, now);
    route_guard_listen(&guard, route_trial_answered(guard.number), FIRST, now);
    assert_int_equal(route_guard_listen(&guard, 0, FIRST, now + NS_PER_S), GUARD_NOW_OPEN);
    assert_int_equal(route_guard_death(&guard, 0, FIRST, now + NS_PER_S), GUARD_UNCHANGED);
}

static void a_trial_not_survived_doubles_up_to_five_minutes(void **unused)
{
    (void)unused;
    static const uint64_t want_s[] = {60, 120, 240, 300, 300};
    struct route_guard guard = on_trial(T0);
    uint64_t now = T0;
    for (size_t i = 0; i < sizeof want_s / sizeof want_s[0]; i++) {
        if (i % 2 == 0) { /* named again */
            assert_int_equal(route_guard_death(&guard, 2, FIRST, now), GUARD_NOW_SHUT);
        } else { /* or its worker died, nobody knows of what */
            route_guard_listen(&guard, route_trial_taken(guard.number), FIRST, now);
            assert_int_equal(route_guard_lost(&guard, true, FIRST, now), GUARD_NOW_SHUT);
        }
        assert_true(guard.until_ns == now + want_s[i] * NS_PER_S);
        now = guard.until_ns;
        route_guard_try(&guard, 0, 9, now);
    }
    /* Long after it was released it starts from the first length. */
    route_guard_listen(&guard, route_trial_answered(guard.number), FIRST, now);
    assert_int_equal(route_guard_listen(&guard, 0, FIRST, now + NS_PER_S), GUARD_NOW_OPEN);
    now += NS_PER_S + ROUTE_FORGET_NS + 1;
    for (int i = 0; i < 3; i++)
        route_guard_death(&guard, 0, FIRST, now);
    assert_true(guard.state == GUARD_SHUT && guard.until_ns == now + FIRST);
}

static void a_trial_without_an_answer_is_held_again(void **unused)
{
    (void)unused;
    struct route_guard guard = on_trial(T0);
    assert_false(route_guard_wants_trial(&guard, T0 + ROUTE_TAKE_NS));
    assert_true(route_guard_wants_trial(&guard, T0 + ROUTE_TAKE_NS + 1)); /* no client came */
    assert_int_equal(route_guard_lost(&guard, true, FIRST, T0), GUARD_UNCHANGED); /* not taken */
    assert_true(route_guard_wants_trial(&guard, T0));
    route_guard_try(&guard, 0, 9, T0);
    route_guard_listen(&guard, route_trial_taken(guard.number), FIRST, T0);
    assert_int_equal(route_guard_lost(&guard, false, FIRST, T0), GUARD_UNCHANGED); /* kill -9 */
    assert_true(route_guard_wants_trial(&guard, T0));
    route_guard_try(&guard, 0, 9, T0);
    route_guard_listen(&guard, route_trial_taken(guard.number), FIRST, T0);
    assert_int_equal(route_guard_listen(&guard, 0, FIRST, T0 + ROUTE_ANSWER_NS), GUARD_UNCHANGED);
    assert_int_equal(route_guard_listen(&guard, 0, FIRST, T0 + ROUTE_ANSWER_NS + 1),
                     GUARD_NOW_SHUT);
}

static void what_is_not_of_this_trial_means_nothing(void **unused)
{
    (void)unused;
    struct route_guard guard = on_trial(T0);
    const uint64_t lies[] = {0,
                             1,
                             UINT64_MAX,
                             route_trial_answered(guard.number - 1),
                             route_trial_taken(guard.number + 1),
                             route_trial_answered(guard.number + 1)};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        route_guard_listen(&guard, lies[i], FIRST, T0);
    assert_true(guard.taken_ns == 0 && guard.answered_ns == 0);
    struct route_guard open = {0};
    assert_int_equal(route_guard_listen(&open, 1, FIRST, T0), GUARD_UNCHANGED);
    assert_int_equal(route_guard_lost(&open, true, FIRST, T0), GUARD_UNCHANGED);
    assert_false(route_guard_wants_trial(&open, T0));
}

static void words_carry_what_was_put_in(void **unused)
{
    (void)unused;
    uint64_t word = route_word(GUARD_TRIAL, SLOTS_MAX - 1, UINT32_MAX);
    assert_int_equal(route_word_state(word), GUARD_TRIAL);
    assert_int_equal(route_word_slot(word), SLOTS_MAX - 1);
    assert_true(route_word_number(word) == UINT32_MAX);
    assert_true(route_word(GUARD_OPEN, 3, 7) == 0);
}

/* ---- the slots are not charged ------------------------------------------------------------- */

static void forgiven_deaths_are_as_if_they_had_not_been(void **unused)
{
    (void)unused;
    const struct restart_settings settings = {.max_deaths = 3, .window_ns = 10 * NS_PER_S};
    struct restart_record record = {0};
    for (uint64_t i = 0; i < 3; i++)
        restart_decide(&record, &settings, DEATH_CORE, NS_PER_S, T0 + i, 0);
    restart_forgive(&record, T0 + 1);
    restart_forgive(&record, T0 + 77); /* no such death */
    assert_int_equal(record.total, 2);
    struct restart_decision decision =
        restart_decide(&record, &settings, DEATH_CORE, NS_PER_S, T0 + 3, 0);
    assert_int_equal(decision.verdict, RESTART_VERDICT_WAIT); /* the third, not the fourth */
    assert_int_equal(restart_decide(&record, &settings, DEATH_CORE, NS_PER_S, T0 + 4, 0).verdict,
                     RESTART_VERDICT_QUARANTINE);

    struct restart_record full = {0}; /* the ring has gone round */
    const struct restart_settings many = {.max_deaths = 1000, .window_ns = 10 * NS_PER_S};
    for (uint64_t i = 0; i < RESTART_RING + 10; i++)
        restart_decide(&full, &many, DEATH_CORE, NS_PER_S, T0 + i, 0);
    for (uint64_t i = 10; i < RESTART_RING + 10; i++)
        restart_forgive(&full, T0 + i);
    assert_int_equal(full.total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_blamed),
        cmocka_unit_test(three_deaths_within_ten_seconds_shut),
        cmocka_unit_test(a_trial_survived_opens),
        cmocka_unit_test(what_was_released_starts_anew),
        cmocka_unit_test(a_trial_not_survived_doubles_up_to_five_minutes),
        cmocka_unit_test(a_trial_without_an_answer_is_held_again),
        cmocka_unit_test(what_is_not_of_this_trial_means_nothing),
        cmocka_unit_test(words_carry_what_was_put_in),
        cmocka_unit_test(forgiven_deaths_are_as_if_they_had_not_been),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
