/* SPDX-License-Identifier: MIT */
/* The circuit breaker, rule by rule; test_breaker_model.c compares it with a model. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/breaker.h"
#include "common/clock.h"

#define MS NS_PER_MS
#define S  NS_PER_S

static struct breaker breaker;
static struct breaker_settings settings;
static uint64_t now_ns;

static int begin(void **unused)
{
    (void)unused;
    settings = (struct breaker_settings){
        .window_s = 30, .failure_pct = 50, .min_calls = 10, .permits = 20, .open_ns = 10 * S};
    now_ns = 1000 * S;
    breaker_adopt(&breaker, &settings, &(struct breaker_public){0}, false, now_ns);
    return 0;
}

/* A permit that must be given; its call runs. */
static struct breaker_permit enter(void)
{
    struct breaker_permit permit;
    assert_true(breaker_acquire(&breaker, now_ns, 0, &permit));
    breaker_begin(&breaker, permit, now_ns);
    return permit;
}

static bool refuses(void)
{
    struct breaker_permit permit;
    return !breaker_acquire(&breaker, now_ns, 0, &permit);
}

static void leave(struct breaker_permit permit, enum breaker_result result)
{
    breaker_record(&breaker, permit, result, now_ns, 0);
}

static void calls(unsigned count, enum breaker_result result)
{
    while (count-- > 0)
        leave(enter(), result);
}

/* Open by five failures, and to the moment before its probe. */
static void trip(void)
{
    calls(5, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

static void wait_for_probe(void)
{
    now_ns += breaker_wait_ns(&breaker, now_ns);
}

/* ---- errors this breaker does not have ------------------------------------------------------ */

static void half_open_counts_permits_when_issued_not_results(void **unused)
{
    (void)unused;
    trip();
    wait_for_probe();
    struct breaker_permit probe = enter();
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    for (unsigned i = 0; i < 50; i++)
        assert_true(refuses());
    leave(probe, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void closing_clears_the_window(void **unused)
{
    (void)unused;
    breaker.settings.open_ns = S; /* the failures would still be in the window */
    trip();
    wait_for_probe();
    calls(1, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker.window.calls, 0);
    now_ns += BREAKER_RAMP_NS;
    calls(4, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void the_window_ages_on_record_as_on_acquire(void **unused)
{
    (void)unused;
    struct breaker_permit last = enter();
    calls(4, BREAKER_FAILURE);
    now_ns += 31 * S;
    leave(last, BREAKER_FAILURE); /* nobody asked meanwhile: the four are too old to be counted */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker.window.failed, 1);
    now_ns += 31 * S;
    leave(enter(), BREAKER_IGNORED);
    assert_int_equal(breaker.window.calls, 0);
}

static void late_results_do_not_move_the_state(void **unused)
{
    (void)unused;
    struct breaker_permit late[5];
    for (unsigned i = 0; i < 5; i++)
        late[i] = enter();
    trip();
    leave(late[0], BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    wait_for_probe();
    struct breaker_permit probe = enter();
    leave(late[1], BREAKER_SUCCESS); /* neither closes it … */
    leave(late[2], BREAKER_FAILURE); /* … nor opens it … */
    leave(late[3], BREAKER_IGNORED); /* … nor frees the probe's permit */
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_true(refuses());
    leave(probe, BREAKER_SUCCESS);
    leave(late[4], BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker.window.calls, 0);
}

static void a_lost_probe_does_not_wedge_half_open(void **unused)
{
    (void)unused;
    trip();
    wait_for_probe();
    struct breaker_permit lost;
    assert_true(breaker_acquire(&breaker, now_ns, 0, &lost));
    now_ns += BREAKER_LEASE_NS - 1;
    assert_true(refuses());
    now_ns += 1;
    struct breaker_permit next = enter();
    assert_true(refuses());
    leave(lost, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    leave(next, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker.used, 0);
}

/* ---- when it opens --------------------------------------------------------------------------- */

/* Seconds from the first failing call until it opens: 100 calls a second, this share of them fails,
 * evenly spread; the window is full of successes before. */
static double time_to_open(unsigned failing_pct, uint64_t offset_ns)
{
    now_ns += offset_ns;
    for (unsigned i = 0; i < 3100; i++, now_ns += 10 * MS)
        calls(1, BREAKER_SUCCESS);
    uint64_t start_ns = now_ns;
    unsigned sum = 0;
    for (; now_ns < start_ns + 60 * S; now_ns += 10 * MS) {
        sum += failing_pct;
        calls(1, sum >= 100 ? BREAKER_FAILURE : BREAKER_SUCCESS);
        sum %= 100;
        if (breaker.state == BREAKER_OPEN)
            return (double)(now_ns - start_ns) / (double)S;
    }
    fail_msg("never opened");
    return 0;
}

static void time_to_open_is_window_times_threshold_over_failure_rate(void **unused)
{
    (void)unused;
    static const unsigned rates[] = {60, 70, 100};
    for (unsigned r = 0; r < 3; r++)
        for (uint64_t offset_ns = 0; offset_ns < S; offset_ns += 90 * MS) {
            begin(NULL);
            double took = time_to_open(rates[r], offset_ns), rate = rates[r] / 100.0;
            double wanted = 30 * 0.50 / rate, bucket = 1 / rate;
            if (offset_ns == 0)
                printf("%u %% failing: opened after %.2f s, expected %.2f\n", rates[r], took,
                       wanted);
            assert_true(took <= wanted + 0.02 && took >= wanted - bucket);
            assert_int_equal(breaker.move, MOVE_FAILURES);
        }
}

static void the_fast_window_opens_within_two_seconds_of_total_failure(void **unused)
{
    (void)unused;
    double worst = 0;
    for (uint64_t offset_ns = 0; offset_ns < S; offset_ns += 10 * MS) {
        begin(NULL);
        breaker.settings.fast_window_s = 2;
        double took = time_to_open(100, offset_ns);
        worst = took > worst ? took : worst;
        assert_int_equal(breaker.move, MOVE_FAST);
    }
    printf("100 %% failing, fast window: opened after at most %.2f s\n", worst);
    assert_true(worst <= 2);
}

static void the_fast_window_wants_ten_to_twenty_calls_as_there_are_permits(void **unused)
{
    (void)unused;
    static const struct {
        unsigned permits, wanted;
    } cases[] = {{1, 10}, {10, 10}, {16, 16}, {20, 20}, {64, 20}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(NULL);
        breaker.settings.fast_window_s = 2;
        breaker.settings.permits = cases[i].permits;
        calls(200, BREAKER_SUCCESS);
        now_ns += 3 * S;
        calls(cases[i].wanted - 1, BREAKER_FAILURE);
        assert_int_equal(breaker.state, BREAKER_CLOSED);
        calls(1, BREAKER_FAILURE);
        assert_int_equal(breaker.move, MOVE_FAST);
    }
}

/* Seconds from the moment when every call takes `took_ns` (0: never ends) until it opens. 16 permits
 * taken by `rate` calls a second that wait for one, 100 quick calls a second before. */
static double time_to_open_by_slowness(uint64_t took_ns, unsigned rate, uint64_t offset_ns)
{
    struct breaker_permit running[16];
    uint64_t until_ns[16] = {0}, owed = 0;
    begin(NULL);
    breaker.settings.fast_window_s = 2;
    breaker.settings.permits = 16;
    now_ns += offset_ns;
    for (unsigned i = 0; i < 3100; i++, now_ns += 10 * MS)
        calls(1, BREAKER_SUCCESS);
    uint64_t start_ns = now_ns;
    for (unsigned step = 0; now_ns < start_ns + 30 * S; step++, now_ns += 10 * MS) {
        owed = owed + rate > 800 ? 800 : owed + rate; /* hundredths; eight may wait */
        for (unsigned i = 0; i < 16 && breaker.state == BREAKER_CLOSED; i++) {
            if (until_ns[i] && now_ns >= until_ns[i]) {
                leave(running[i], BREAKER_SUCCESS);
                until_ns[i] = 0;
            }
            if (!until_ns[i] && owed >= 100 && breaker.state == BREAKER_CLOSED) {
                owed -= 100;
                running[i] = enter();
                until_ns[i] = took_ns ? now_ns + took_ns : UINT64_MAX;
            }
        }
        if (step % 10 == 0 && breaker.state == BREAKER_CLOSED)
            breaker_tick(&breaker, now_ns, 0);
        if (breaker.state == BREAKER_OPEN)
            return (double)(now_ns - start_ns) / (double)S;
    }
    fail_msg("never opened: calls of %.2f s, %u a second", (double)took_ns / (double)S, rate);
    return 0;
}

static void slowness_alone_opens_it_however_slow_in_five_seconds(void **unused)
{
    (void)unused;
    static const uint64_t takes[] = {1050 * MS, 1200 * MS, 1500 * MS, 2 * S, 3 * S, 10 * S, 0};
    static const unsigned rates[] = {20, 75, 1000};
    double worst = 0;
    for (unsigned t = 0; t < sizeof takes / sizeof takes[0]; t++)
        for (unsigned r = 0; r < 3; r++)
            for (uint64_t offset_ns = 0; offset_ns < S; offset_ns += 70 * MS) {
                double took = time_to_open_by_slowness(takes[t], rates[r], offset_ns);
                worst = took > worst ? took : worst;
                assert_int_equal(breaker.move, MOVE_FAST);
            }
    printf("every call slow: opened after at most %.2f s\n", worst);
    assert_true(worst <= 5);
}

/* As many as there are permits, one every half second: no window ever sees many begin to be slow. */
static void calls_that_hang_open_it_one_by_one(void **unused)
{
    (void)unused;
    breaker.settings.fast_window_s = 2;
    breaker.settings.permits = 16;
    breaker.settings.min_calls = 30;
    unsigned hanging = 0;
    for (; breaker.state == BREAKER_CLOSED; hanging++) {
        assert_in_range(hanging, 0, 15);
        enter();
        for (unsigned i = 0; i < 5 && breaker.state == BREAKER_CLOSED; i++, now_ns += 100 * MS)
            breaker_tick(&breaker, now_ns, 0);
    }
    assert_int_equal(breaker.move, MOVE_FAST);
    assert_int_equal(breaker.window.calls, breaker.window.slow); /* each once */
    assert_in_range(breaker.window.calls, 8, 16);
}

/* Quick calls beside a few that hang are no reason, nor is it one when nobody calls any more. */
static void what_is_only_partly_slow_stays_closed(void **unused)
{
    (void)unused;
    breaker.settings.fast_window_s = 2;
    breaker.settings.permits = 16;
    for (unsigned i = 0; i < 8; i++)
        enter();
    for (unsigned i = 0; i < 600; i++, now_ns += 10 * MS) {
        calls(1, BREAKER_SUCCESS);
        breaker_tick(&breaker, now_ns, 0);
        assert_int_equal(breaker.state, BREAKER_CLOSED);
    }
    begin(NULL);
    calls(8, BREAKER_SUCCESS);
    now_ns += 2 * S;
    calls(7, BREAKER_FAILURE);
    for (unsigned i = 0; i < 600; i++, now_ns += 100 * MS) {
        breaker_tick(&breaker, now_ns, 0);
        assert_int_equal(breaker.state, BREAKER_CLOSED);
    }
}

static void half_of_ten_calls_are_enough_and_less_is_not(void **unused)
{
    (void)unused;
    for (unsigned failures = 4; failures <= 5; failures++) {
        begin(NULL);
        calls(10 - failures, BREAKER_SUCCESS);
        calls(failures, BREAKER_FAILURE);
        assert_int_equal(breaker.state, failures == 5 ? BREAKER_OPEN : BREAKER_CLOSED);
    }
}

static void few_calls_open_it_by_five_failures_in_a_row(void **unused)
{
    (void)unused;
    calls(4, BREAKER_FAILURE);
    calls(1, BREAKER_SUCCESS);
    calls(4, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    begin(NULL);
    for (unsigned i = 0; i < 20; i++, now_ns += 10 * S) /* never more than three in a window */
        calls(1, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    begin(NULL);
    calls(4, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    calls(1, BREAKER_FAILURE);
    assert_int_equal(breaker.move, MOVE_CONSECUTIVE);
}

static void calls_still_running_count_as_slow_each_once(void **unused)
{
    (void)unused;
    struct breaker_permit running[8];
    calls(2, BREAKER_SUCCESS);
    for (unsigned i = 0; i < 8; i++)
        running[i] = enter();
    now_ns += S - 1;
    breaker_tick(&breaker, now_ns, 0);
    assert_int_equal(breaker.window.slow, 0);
    leave(running[7], BREAKER_SUCCESS);
    for (now_ns += 1; now_ns < 1003 * S; now_ns += 100 * MS) {
        breaker_tick(&breaker, now_ns, 0);
        assert_int_equal(breaker.window.slow, 7);
        assert_int_equal(breaker.window.calls, 10);
    }
    leave(running[0], BREAKER_SUCCESS);
    leave(running[1], BREAKER_FAILURE); /* was counted; only its failure is new */
    assert_int_equal(breaker.window.calls, 10);
    assert_int_equal(breaker.window.slow, 7);
    assert_int_equal(breaker.window.failed, 1);
    for (unsigned i = 0; i < 4; i++) {
        struct breaker_permit permit = enter();
        now_ns += S;
        leave(permit, BREAKER_SUCCESS);
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED); /* 11 of 14 */
    struct breaker_permit permit = enter();
    now_ns += S;
    breaker_tick(&breaker, now_ns, 0);
    assert_int_equal(breaker.move, MOVE_SLOW); /* 12 of 15 */
    leave(permit, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

/* ---- open, probe, ramp ----------------------------------------------------------------------- */

static void it_stays_open_for_its_time_give_or_take_a_tenth(void **unused)
{
    (void)unused;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t random = 0; random < 4 * S; random += 17 * MS) {
        begin(NULL);
        for (unsigned i = 0; i < 5; i++)
            breaker_record(&breaker, enter(), BREAKER_FAILURE, now_ns, random);
        uint64_t wait = breaker_wait_ns(&breaker, now_ns);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        now_ns += wait - 1;
        assert_true(refuses());
        now_ns += 1;
        enter();
    }
    assert_in_range(least, 9 * S, 9 * S + 100 * MS);
    assert_in_range(most, 11 * S - 100 * MS, 11 * S);
}

static void a_probe_that_fails_or_is_slow_opens_it_again(void **unused)
{
    (void)unused;
    trip();
    wait_for_probe();
    calls(1, BREAKER_FAILURE);
    assert_int_equal(breaker.move, MOVE_PROBE_FAILED);
    wait_for_probe();
    struct breaker_permit probe = enter();
    now_ns += S;
    leave(probe, BREAKER_SUCCESS);
    assert_int_equal(breaker.move, MOVE_PROBE_SLOW);
    wait_for_probe();
    probe = enter();
    now_ns += S;
    breaker_tick(&breaker, now_ns, 0);
    assert_int_equal(breaker.move, MOVE_PROBE_SLOW);
    assert_int_equal(breaker.failed_probes, 3);
    leave(probe, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

static void a_probe_that_proves_nothing_is_followed_by_another(void **unused)
{
    (void)unused;
    trip();
    wait_for_probe();
    calls(3, BREAKER_IGNORED);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    calls(1, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void the_ramp_goes_from_a_tenth_to_all_in_two_seconds(void **unused)
{
    (void)unused;
    trip();
    wait_for_probe();
    calls(1, BREAKER_SUCCESS);
    uint64_t start_ns = now_ns;
    for (unsigned tenth = 0; tenth <= 20; tenth++) {
        unsigned admitted = 0;
        now_ns = start_ns + tenth * 100 * MS;
        for (unsigned i = 0; i < 1000; i++) {
            struct breaker_permit permit;
            if (!breaker_acquire(&breaker, now_ns, i * 7919, &permit))
                continue;
            leave(permit, BREAKER_SUCCESS);
            admitted++;
        }
        assert_int_equal(admitted, 100 + tenth * 45);
    }
}

/* ---- the board, and the next process --------------------------------------------------------- */

static void released_by_the_board_at_once_and_whole(void **unused)
{
    (void)unused;
    for (unsigned from = 0; from < 3; from++) {
        begin(NULL);
        struct breaker_permit late = enter();
        if (from > 0)
            trip();
        if (from > 1) {
            wait_for_probe();
            enter();
        }
        breaker_hold(&breaker, now_ns);
        assert_int_equal(breaker.state, BREAKER_FORCED_OPEN);
        breaker_hold(&breaker, now_ns);
        assert_int_equal(breaker.move, BREAKER_STAYS);
        now_ns += 3600 * S;
        breaker_tick(&breaker, now_ns, 0);
        assert_true(refuses()); /* time does not release it */
        breaker_release(&breaker, now_ns);
        assert_int_equal(breaker.move, MOVE_RELEASED);
        assert_int_equal(breaker_share(&breaker, now_ns), 1000);
        leave(late, BREAKER_FAILURE);
        calls(4, BREAKER_FAILURE);
        assert_int_equal(breaker.state, BREAKER_CLOSED); /* nothing of before counts */
        breaker_release(&breaker, now_ns);
        assert_int_equal(breaker.move, BREAKER_STAYS);
    }
}

static void succeed(bool accused)
{
    struct breaker_public left;
    breaker_show(&breaker, &left);
    breaker_adopt(&breaker, &settings, &left, accused, now_ns);
}

static void the_next_process_goes_on_where_it_was(void **unused)
{
    (void)unused;
    trip();
    uint64_t wait_ns = breaker_wait_ns(&breaker, now_ns);
    now_ns += 4 * S;
    succeed(false);
    assert_true(refuses());
    assert_int_equal(breaker_wait_ns(&breaker, now_ns), wait_ns - 4 * S);
    wait_for_probe();
    enter(); /* killed during its probe */
    succeed(false);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    calls(1, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    now_ns += S;
    succeed(false); /* in the middle of the ramp */
    assert_int_equal(breaker_share(&breaker, now_ns), 550);
    now_ns += S;
    trip();
    now_ns += 60 * S;
    succeed(false); /* what is older than a window says nothing */
    assert_int_equal(breaker.move, MOVE_EXPIRED_OPEN);
    assert_int_equal(breaker_share(&breaker, now_ns), 1000);
}

static void after_a_local_fault_a_probe_decides(void **unused)
{
    (void)unused;
    succeed(true);
    assert_int_equal(breaker.move, MOVE_ACCUSED_CLOSED);
    calls(1, BREAKER_FAILURE);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    succeed(true);
    assert_int_equal(breaker.move, MOVE_ACCUSED_OPEN);
    calls(1, BREAKER_SUCCESS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    breaker_hold(&breaker, now_ns);
    succeed(true);
    assert_int_equal(breaker.state, BREAKER_FORCED_OPEN);
}

static void nonsense_in_the_slot_holds_nobody_up(void **unused)
{
    (void)unused;
    struct breaker_public left;
    for (uint32_t state = 0; state <= BREAKER_STATE_COUNT; state++) {
        memset(&left, 0xff, sizeof left);
        left.state = state;
        breaker_adopt(&breaker, &settings, &left, false, now_ns);
        breaker_release(&breaker, now_ns);
        now_ns += 11 * S;
        enter();
    }
    breaker_adopt(&breaker, &settings, NULL, false, now_ns);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    calls(1, BREAKER_SUCCESS);
}

static void no_window_is_no_breaker(void **unused)
{
    (void)unused;
    settings.window_s = 0;
    trip();
    succeed(true);
    calls(1000, BREAKER_FAILURE);
    breaker_hold(&breaker, now_ns);
    breaker_tick(&breaker, now_ns, 0);
    assert_int_equal(breaker.state, BREAKER_DISABLED);
    assert_false(refuses());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(half_open_counts_permits_when_issued_not_results),
        TEST(closing_clears_the_window),
        TEST(the_window_ages_on_record_as_on_acquire),
        TEST(late_results_do_not_move_the_state),
        TEST(a_lost_probe_does_not_wedge_half_open),
        TEST(time_to_open_is_window_times_threshold_over_failure_rate),
        TEST(the_fast_window_opens_within_two_seconds_of_total_failure),
        TEST(the_fast_window_wants_ten_to_twenty_calls_as_there_are_permits),
        TEST(slowness_alone_opens_it_however_slow_in_five_seconds),
        TEST(calls_that_hang_open_it_one_by_one),
        TEST(what_is_only_partly_slow_stays_closed),
        TEST(half_of_ten_calls_are_enough_and_less_is_not),
        TEST(few_calls_open_it_by_five_failures_in_a_row),
        TEST(calls_still_running_count_as_slow_each_once),
        TEST(it_stays_open_for_its_time_give_or_take_a_tenth),
        TEST(a_probe_that_fails_or_is_slow_opens_it_again),
        TEST(a_probe_that_proves_nothing_is_followed_by_another),
        TEST(the_ramp_goes_from_a_tenth_to_all_in_two_seconds),
        TEST(released_by_the_board_at_once_and_whole),
        TEST(the_next_process_goes_on_where_it_was),
        TEST(after_a_local_fault_a_probe_decides),
        TEST(nonsense_in_the_slot_holds_nobody_up),
        TEST(no_window_is_no_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
