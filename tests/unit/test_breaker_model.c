/* SPDX-License-Identifier: MIT */
/*
 * A million random steps of the circuit breaker beside a model that is slow and plainly right: it
 * keeps every result with its time and counts them anew at each question. After each step both must
 * be in the same state for the same reason, with the same counts. BREAKER_SEED repeats a run.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/breaker.h"
#include "common/clock.h"

#define STEPS   1000000
#define CALLS   40    /* at once */
#define RESULTS 16384 /* more than a window ever holds here */

struct result {
    uint64_t second;
    bool failed, slow;
    bool still; /* no result: a call that was counted slow before ran on in this second */
};

/* One call as the model knows it. */
struct call {
    bool live, current; /* current: its result still counts */
    uint64_t start_ns;
    struct result *counted; /* slow already while it runs */
    uint64_t counted_at;    /* its number, for the ring may have passed it */
    uint64_t seen_s;        /* the newest second it has an entry for */
    struct breaker_permit permit;
};

static struct model {
    struct breaker_settings settings;
    enum breaker_state state;
    enum breaker_move move;
    struct result result[RESULTS];
    uint64_t results; /* ever */
    uint64_t first;   /* the oldest that counts: all before it were forgotten or are too old */
    unsigned in_a_row;
    uint64_t probe_at_ns, lease_end_ns, ramp_ns;
} model;

static struct call call[CALLS];
static struct breaker breaker;
static uint64_t now_ns, chance;

/* ---- the model ------------------------------------------------------------------------------- */

static struct breaker_count count_since(uint64_t second)
{
    struct breaker_count count = {0};
    for (uint64_t i = model.first; i < model.results; i++) {
        const struct result *result = &model.result[i % RESULTS];
        if (result->second < second)
            continue;
        if (result->still) {
            count.still++;
            continue;
        }
        count.calls++;
        count.failed += result->failed;
        count.slow += result->slow;
        count.bad += result->failed || result->slow;
    }
    return count;
}

static uint64_t seconds_ago(unsigned seconds)
{
    return now_ns / NS_PER_S - (seconds - 1);
}

static void forget_old(void)
{
    while (model.first < model.results &&
           model.result[model.first % RESULTS].second < seconds_ago(model.settings.window_s))
        model.first++;
}

static void go(enum breaker_state state, enum breaker_move move)
{
    model.state = state;
    model.move = move;
    model.ramp_ns = model.lease_end_ns = 0;
    for (unsigned i = 0; i < CALLS; i++)
        call[i].current = false;
    if (state == BREAKER_CLOSED) {
        model.first = model.results;
        model.in_a_row = 0;
    }
    if (state == BREAKER_OPEN)
        model.probe_at_ns =
            now_ns + model.settings.open_ns / 10 * 9 + chance % (model.settings.open_ns / 5 + 1);
}

/* A call that runs on is a bad call of its second. */
static bool fast_is_bad(const struct breaker_count *fast)
{
    unsigned permits = model.settings.permits, bad = fast->bad + fast->still;
    unsigned calls = fast->calls + fast->still;
    unsigned enough = permits > 20 ? 20 : permits < 10 ? 10 : permits;
    return calls >= enough && 10 * bad >= 9 * calls;
}

static void judge(void)
{
    const struct breaker_settings *s = &model.settings;
    struct breaker_count all = count_since(seconds_ago(s->window_s)), fast = {0};
    if (s->fast_window_s)
        fast = count_since(seconds_ago(s->fast_window_s));
    if (fast_is_bad(&fast))
        go(BREAKER_OPEN, MOVE_FAST);
    else if (all.calls < s->min_calls && model.in_a_row >= 5 && all.failed >= 5)
        go(BREAKER_OPEN, MOVE_CONSECUTIVE);
    else if (all.calls >= s->min_calls && 100 * all.failed >= s->failure_pct * all.calls)
        go(BREAKER_OPEN, MOVE_FAILURES);
    else if (all.calls >= s->min_calls && 5 * all.slow >= 4 * all.calls)
        go(BREAKER_OPEN, MOVE_SLOW);
}

static struct result *add(bool failed, bool slow)
{
    struct result *result = &model.result[model.results++ % RESULTS];
    *result = (struct result){now_ns / NS_PER_S, failed, slow, false};
    assert_true(model.results - model.first < RESULTS);
    return result;
}

static bool model_acquire(void)
{
    switch (model.state) {
    case BREAKER_OPEN:
        if (now_ns < model.probe_at_ns)
            return false;
        go(BREAKER_HALF_OPEN, MOVE_WAITED);
        break;
    case BREAKER_HALF_OPEN:
        if (now_ns < model.lease_end_ns)
            return false;
        for (unsigned i = 0; i < CALLS; i++)
            call[i].current = false;
        break;
    case BREAKER_CLOSED:
        if (model.ramp_ns == 0 || now_ns >= model.ramp_ns + 2 * NS_PER_S)
            return true;
        return chance % 1000 < 100 + (now_ns - model.ramp_ns) * 9 / 20000000;
    default:
        return false;
    }
    model.lease_end_ns = now_ns + 6 * NS_PER_S;
    return true;
}

static void model_record(struct call *own, enum breaker_result result)
{
    bool slow = own->start_ns && now_ns - own->start_ns >= NS_PER_S;
    bool failed = result == BREAKER_FAILURE;
    if (!own->current)
        return;
    if (model.state == BREAKER_HALF_OPEN) {
        if (result == BREAKER_IGNORED) {
            model.lease_end_ns = 0;
        } else if (failed || slow) {
            go(BREAKER_OPEN, failed ? MOVE_PROBE_FAILED : MOVE_PROBE_SLOW);
        } else {
            go(BREAKER_CLOSED, MOVE_PROBE_SUCCEEDED);
            model.ramp_ns = now_ns;
        }
    } else if (result != BREAKER_IGNORED) {
        if (!own->counted)
            add(failed, slow);
        else if (own->counted_at >= model.first && failed)
            own->counted->failed = true;
        model.in_a_row = failed ? model.in_a_row + 1 : 0;
        judge();
    }
}

static void model_tick(void)
{
    bool news = false;
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *running = &call[i];
        if (!running->live || !running->current || !running->start_ns ||
            now_ns - running->start_ns < NS_PER_S)
            continue;
        if (model.state == BREAKER_HALF_OPEN) {
            go(BREAKER_OPEN, MOVE_PROBE_SLOW);
        } else if (!running->counted) {
            running->counted_at = model.results;
            running->counted = add(false, true);
            running->seen_s = running->counted->second;
            news = true;
        } else if (running->seen_s != now_ns / NS_PER_S) {
            struct result *still = add(false, false);
            still->still = true;
            running->seen_s = still->second;
        }
    }
    if (model.state != BREAKER_CLOSED)
        return;
    struct breaker_count fast = {0};
    if (model.settings.fast_window_s)
        fast = count_since(seconds_ago(model.settings.fast_window_s));
    if (news)
        judge();
    else if (fast_is_bad(&fast))
        go(BREAKER_OPEN, MOVE_FAST);
}

/* ---- a step of both -------------------------------------------------------------------------- */

static void acquire(uint64_t random)
{
    struct call *own = &call[random % CALLS];
    if (own->live)
        return;
    bool wanted = model_acquire();
    assert_int_equal(breaker_acquire(&breaker, now_ns, chance, &own->permit), wanted);
    if (!wanted)
        return;
    own->live = own->current = true;
    own->counted = NULL;
    own->start_ns = 0;
    if (random & 1 << 20) {
        own->start_ns = now_ns;
        breaker_begin(&breaker, own->permit, now_ns);
    }
}

static void end_or_begin(uint64_t random, unsigned failing_pct)
{
    struct call *own = &call[random % CALLS];
    unsigned fate = (unsigned)(random >> 32) % 100;
    enum breaker_result result = fate < failing_pct ? BREAKER_FAILURE : BREAKER_SUCCESS;
    if (!own->live)
        return;
    if (own->start_ns == 0) {
        own->start_ns = now_ns;
        breaker_begin(&breaker, own->permit, now_ns);
        return;
    }
    if (fate % 16 == 7)
        result = BREAKER_IGNORED;
    own->live = false;
    model_record(own, result);
    breaker_record(&breaker, own->permit, result, now_ns, chance);
}

static void compare(uint64_t step)
{
    struct breaker_count all = count_since(seconds_ago(model.settings.window_s));
    bool aged = breaker.newest_s == now_ns / NS_PER_S;
    if (breaker.state != model.state || breaker.move != model.move ||
        (aged && memcmp(&breaker.window, &all, sizeof all) != 0))
        fail_msg("step %llu: %s (%s) %u calls %u failed %u slow; model: %s (%s) %u %u %u",
                 (unsigned long long)step, breaker_state_name(breaker.state),
                 breaker_move_reason(breaker.move), breaker.window.calls, breaker.window.failed,
                 breaker.window.slow, breaker_state_name(model.state),
                 breaker_move_reason(model.move), all.calls, all.failed, all.slow);
}

static void step_both(uint64_t random, unsigned failing_pct)
{
    unsigned what = (unsigned)(random >> 40) % 1000;
    model.move = breaker.move = BREAKER_STAYS;
    if (what < 500) {
        acquire(random);
    } else if (what < 900) {
        end_or_begin(random, failing_pct);
    } else if (what < 996) {
        model_tick();
        breaker_tick(&breaker, now_ns, chance);
    } else if (what < 997) {
        if (model.state != BREAKER_FORCED_OPEN)
            go(BREAKER_FORCED_OPEN, model.state == BREAKER_CLOSED ? MOVE_HELD_CLOSED
                                    : model.state == BREAKER_OPEN ? MOVE_HELD_OPEN
                                                                  : MOVE_HELD_HALF_OPEN);
        breaker_hold(&breaker, now_ns);
    } else {
        if (model.state == BREAKER_FORCED_OPEN)
            go(BREAKER_CLOSED, MOVE_RELEASED);
        breaker_release(&breaker, now_ns);
    }
}

static void begin(uint64_t *random)
{
    memset(&model, 0, sizeof model);
    memset(call, 0, sizeof call);
    model.settings = (struct breaker_settings){
        .window_s = 1 + (unsigned)(random_next(random) % 30),
        .failure_pct = 20 + (unsigned)(random_next(random) % 81),
        .min_calls = 1 + (unsigned)(random_next(random) % 30),
        .permits = 1 + (unsigned)(random_next(random) % CALLS),
        .open_ns = (1 + random_next(random) % 10) * NS_PER_S,
    };
    model.settings.fast_window_s =
        (unsigned)(random_next(random) % 3 % (model.settings.window_s + 1));
    now_ns = 1000 * NS_PER_S;
    breaker_adopt(&breaker, &model.settings, &(struct breaker_public){0}, false, now_ns);
}

static void equal_to_a_model_over_a_million_steps(void **unused)
{
    (void)unused;
    const char *given = getenv("BREAKER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : clock_wall_ns(), random = seed;
    unsigned failing_pct = 0, closed = 0, moves[BREAKER_MOVE_COUNT + 1] = {0};
    uint64_t pace_ns = NS_PER_MS;
    printf("BREAKER_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t step = 0; step < STEPS; step++) {
        if (step % 20000 == 0)
            begin(&random);
        if (step % 200 == 0) { /* the weather: how much fails, how slow all is */
            failing_pct = (unsigned[]){0, 0, 10, 40, 60, 100}[random_next(&random) % 6];
            pace_ns = (uint64_t[]){1, 5, 20, 80, 150}[random_next(&random) % 5] * NS_PER_MS;
        }
        now_ns += random_next(&random) % (2 * pace_ns);
        if (random_next(&random) % (model.state == BREAKER_CLOSED ? 5000 : 50) == 0)
            now_ns += random_next(&random) % (40 * NS_PER_S);
        chance = random_next(&random);
        forget_old();
        step_both(random_next(&random), failing_pct);
        compare(step);
        moves[model.move]++;
        closed += model.state == BREAKER_CLOSED;
    }
    for (unsigned i = 0; i < MOVE_ACCUSED_CLOSED; i++) /* the others are a new process's */
        assert_true(moves[i] > 0);
    assert_true(closed > STEPS / 4);
    printf("%u times opened by its failures, %u by slowness, %u by the fast window, %u in a row; "
           "%u probes failed, %u succeeded; closed in %u %% of the steps\n",
           moves[MOVE_FAILURES], moves[MOVE_SLOW], moves[MOVE_FAST], moves[MOVE_CONSECUTIVE],
           moves[MOVE_PROBE_FAILED] + moves[MOVE_PROBE_SLOW], moves[MOVE_PROBE_SUCCEEDED],
           closed / (STEPS / 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_a_model_over_a_million_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
