/* SPDX-License-Identifier: MIT */
/* The load tester's profiles: phases, the knee, the recovery, the drift, and the course in time. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/loadtest/options.h"
#include "tools/loadtest/profile.h"
#include "tools/loadtest/profile_result.h"
#include "tools/loadtest/ramp.h"
#include "tools/loadtest/recovery.h"
#include "tools/loadtest/result.h"
#include "tools/loadtest/soak.h"
#include "tools/loadtest/summary.h"
#include "tools/loadtest/timeline.h"

static const struct outcome good = {.cause = CAUSE_NONE};
static const struct outcome timeout = {.cause = CAUSE_TIMEOUT};
static const struct outcome refused_503 = {.cause = CAUSE_HTTP, .status = 503};

/* ---- profiles ---- */

static void every_profile_is_named_and_complete(void **state)
{
    (void)state;
    char names[] = PROFILE_NAMES;
    unsigned count = 0;
    for (char *rest, *name = strtok_r(names, ", ", &rest); name;
         name = strtok_r(NULL, ", ", &rest)) {
        const struct profile *profile = profile_find(name);
        unsigned weight[LOAD_KINDS];
        struct threshold threshold;
        assert_non_null(profile);
        assert_int_equal(plan_parse_mix(profile->mix, weight), 0);
        for (int i = 0; i < PROFILE_THRESHOLDS && profile->thresholds[i]; i++)
            assert_int_equal(threshold_parse(profile->thresholds[i], &threshold), 0);
        assert_non_null(strstr(options_help, profile->name)); /* --help teaches it */
        count += 1;
    }
    assert_int_equal(count, 8);
    assert_null(profile_find("surge"));
}

static struct profile_settings settings_of(double rate, double duration_s)
{
    return (struct profile_settings){
        .rate = rate, .duration_s = duration_s, .step_rate = 50, .step_s = 10, .factor = 5};
}

static void a_ramp_ends_by_rate_or_by_time(void **state)
{
    (void)state;
    const struct profile *ramp = profile_find("ramp");
    struct plan_phase phases[64];
    struct profile_settings settings = settings_of(500, 600);
    uint64_t duration_ns;
    assert_int_equal(profile_phases(ramp, &settings, phases, 64, &duration_ns), 10);
    assert_int_equal(duration_ns, 100 * NS_PER_S);
    assert_true(fabs(phases[0].rate - 50) < 1e-9 && fabs(phases[9].rate - 500) < 1e-9);
    assert_int_equal(phases[9].duration_ns, 10 * NS_PER_S);
    settings = settings_of(3000, 35);
    assert_int_equal(profile_phases(ramp, &settings, phases, 64, &duration_ns), 3);
    settings = settings_of(40, 600); /* below the first step */
    assert_int_equal(profile_phases(ramp, &settings, phases, 64, &duration_ns), -EINVAL);
    settings = settings_of(64 * 50 + 50, 6000);
    assert_int_equal(profile_phases(ramp, &settings, phases, 64, &duration_ns), -E2BIG);
    settings = settings_of(64 * 50, 6000);
    assert_int_equal(profile_phases(ramp, &settings, phases, 64, &duration_ns), 64);
}

static void a_spike_is_three_phases_and_a_soak_ten(void **state)
{
    (void)state;
    struct plan_phase phases[16];
    struct profile_settings settings = settings_of(300, 60);
    uint64_t duration_ns;
    assert_int_equal(profile_phases(profile_find("spike"), &settings, phases, 16, &duration_ns),
                     SPIKE_PHASES);
    assert_int_equal(phases[SPIKE_BEFORE].duration_ns, 20 * NS_PER_S);
    assert_int_equal(phases[SPIKE_ITSELF].duration_ns, 10 * NS_PER_S);
    assert_int_equal(phases[SPIKE_AFTER].duration_ns, 30 * NS_PER_S);
    assert_true(fabs(phases[SPIKE_ITSELF].rate - 1500) < 1e-9);
    assert_int_equal(profile_phases(profile_find("soak"), &settings, phases, 16, &duration_ns),
                     SOAK_PARTS);
    assert_int_equal(phases[3].duration_ns, 6 * NS_PER_S);
    assert_int_equal(profile_phases(profile_find("baseline"), &settings, phases, 16, &duration_ns),
                     0);
}

/* ---- ramp ---- */

/* Four steps of 100, 200, 300, 400 requests in a second each. */
static struct phases *steps(void)
{
    static const struct plan_phase planned[] = {
        {100, NS_PER_S}, {200, NS_PER_S}, {300, NS_PER_S}, {400, NS_PER_S}};
    struct plan_settings plan = {.phases = planned, .phase_count = 4};
    return phases_open(&plan, RAMP_P95_MS);
}

static void step(struct phases *phases, unsigned index, unsigned fast, unsigned slow,
                 unsigned failed)
{
    for (unsigned i = 0; i < fast + slow + failed; i++)
        phases_sent(phases, index);
    for (unsigned i = 0; i < fast; i++)
        phases_ended(phases, index, &good, 5 * NS_PER_MS);
    for (unsigned i = 0; i < slow; i++)
        phases_ended(phases, index, &good, 400 * NS_PER_MS);
    for (unsigned i = 0; i < failed; i++)
        phases_ended(phases, index, i % 4 ? &refused_503 : &timeout, NS_PER_S);
}

static void a_step_is_judged_when_all_its_answers_are_in(void **state)
{
    (void)state;
    struct phases *phases = steps();
    const struct phase *first = &phases->all[0];
    assert_int_equal(ramp_judge(first, false), STEP_PENDING);
    step(phases, 0, 99, 0, 0);
    phases_sent(phases, 0); /* one is out */
    assert_int_equal(ramp_judge(first, true), STEP_PENDING);
    phases_ended(phases, 0, &good, NS_PER_MS);
    assert_int_equal(ramp_judge(first, false), STEP_PENDING); /* more may be sent */
    assert_int_equal(ramp_judge(first, true), STEP_HOLDS);
    step(phases, 1, 190, 10, 0); /* exactly 5 % slow: p95 is at the limit */
    assert_int_equal(ramp_judge(&phases->all[1], true), STEP_HOLDS);
    step(phases, 2, 291, 0, 9); /* exactly 3 % */
    assert_int_equal(ramp_judge(&phases->all[2], true), STEP_HOLDS);
    phases_close(phases);
}

static void a_step_that_cannot_hold_is_ended_early(void **state)
{
    (void)state;
    struct phases *phases = steps();
    step(phases, 0, 20, 5, 0);
    assert_int_equal(ramp_judge(&phases->all[0], false), STEP_PENDING);
    step(phases, 0, 0, 1, 0); /* six of 100 planned */
    assert_int_equal(ramp_judge(&phases->all[0], false), STEP_SLOW);
    step(phases, 1, 20, 0, 6);
    assert_int_equal(ramp_judge(&phases->all[1], false), STEP_PENDING);
    step(phases, 1, 0, 0, 1); /* seven of 200 planned */
    assert_int_equal(ramp_judge(&phases->all[1], false), STEP_FAILING);
    phases_close(phases);
}

static void the_knee_is_the_last_rate_that_held(void **state)
{
    (void)state;
    struct options options = {.shape = SHAPE_RAMP};
    struct profile_result result = {.phases = steps()};
    char line[PROFILE_LINE];
    step(result.phases, 0, 100, 0, 0);
    step(result.phases, 1, 200, 0, 0);
    step(result.phases, 2, 200, 0, 20);
    profile_result_conclude(&result, &options, 2800 * NS_PER_MS);
    assert_int_equal(result.ramp.holds, 2);
    assert_true(result.ramp.broke);
    assert_true(fabs(result.ramp.knee_rate - 200) < 1e-9);
    profile_result_line(&result, &options, line);
    assert_string_equal(line, "knee 200 requests/s: at 300, 9.1 % failed (limit 3 %), mostly "
                              "http_503");
    phases_close(result.phases);

    result.phases = steps();
    for (unsigned i = 0; i < 4; i++)
        step(result.phases, i, 100 * (i + 1), 0, 0);
    profile_result_conclude(&result, &options, 4 * NS_PER_S);
    assert_false(result.ramp.broke);
    profile_result_line(&result, &options, line);
    assert_ptr_equal(strstr(line, "no knee up to 400 requests/s"), line);
    phases_close(result.phases);

    result.phases = steps();
    step(result.phases, 0, 50, 50, 0);
    profile_result_conclude(&result, &options, NS_PER_S);
    profile_result_line(&result, &options, line);
    assert_string_equal(line, "no step held: at 100, 50.0 % took longer than 300 ms (limit 5 %)");
    phases_close(result.phases);
}

/* Sums of fractions of a second: in doubles they come out below or above themselves. */
static void the_last_step_ends_when_the_load_does(void **state)
{
    (void)state;
    struct options options = {.shape = SHAPE_RAMP};
    static const double step_s[] = {0.1, 0.3, 0.7, 1.1, 2.3, 1.0 / 3};
    for (size_t i = 0; i < sizeof step_s / sizeof *step_s; i++) {
        struct profile_settings settings = {
            .rate = 600, .duration_s = 600, .step_rate = 10, .step_s = step_s[i]};
        struct plan_phase planned[64];
        struct plan_settings plan = {.phases = planned};
        int count = profile_phases(profile_find("ramp"), &settings, planned, 64, &plan.duration_ns);
        assert_int_equal(count, 60);
        plan.phase_count = (unsigned)count;
        struct profile_result result = {.phases = phases_open(&plan, RAMP_P95_MS)};
        for (unsigned step_of = 0; step_of < 60; step_of++)
            step(result.phases, step_of, 10, 0, 0);
        profile_result_conclude(&result, &options, plan.duration_ns);
        assert_int_equal(result.ramp.holds, 60);
        profile_result_conclude(&result, &options, plan.duration_ns - 1);
        assert_int_equal(result.ramp.holds, 59);
        phases_close(result.phases);
    }
}

/* ---- spike ---- */

static void recovery_is_the_end_of_the_first_good_second(void **state)
{
    (void)state;
    struct recovery *recovery = recovery_open(20 * NS_PER_S);
    /* 100 a second: failing from 5 to 8 s, slow from 8 to 10 s, good before and after. */
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t offset_ns = i * 10 * NS_PER_MS;
        bool failed = offset_ns >= 5 * NS_PER_S && offset_ns < 8 * NS_PER_S;
        bool slow = offset_ns >= 8 * NS_PER_S && offset_ns < 10 * NS_PER_S;
        recovery_note(recovery, offset_ns, failed, slow ? 250 * NS_PER_MS : NS_PER_MS);
    }
    assert_true(fabs(recovery_time_s(recovery, 2 * NS_PER_S, 20 * NS_PER_S) - 1) < 1e-9);
    /* A window may hold 5 % slow ones: none of the slots before 10 s, which are ten of a hundred.
     */
    assert_true(fabs(recovery_time_s(recovery, 7 * NS_PER_S, 20 * NS_PER_S) - 4) < 1e-9);
    assert_true(fabs(recovery_time_s(recovery, 19 * NS_PER_S, 20 * NS_PER_S) - 1) < 1e-9);
    assert_true(isnan(recovery_time_s(recovery, 19 * NS_PER_S + 500 * NS_PER_MS, 20 * NS_PER_S)));
    recovery_close(recovery);
}

static void silence_is_no_recovery(void **state)
{
    (void)state;
    struct recovery *recovery = recovery_open(10 * NS_PER_S);
    for (uint64_t i = 0; i < 100; i++)
        recovery_note(recovery, 3 * NS_PER_S + i * 10 * NS_PER_MS, i == 50, NS_PER_MS);
    assert_true(isnan(recovery_time_s(recovery, 6 * NS_PER_S, 10 * NS_PER_S)));
    /* One of a hundred is not fewer than 1 %; of the half second before it all are good. */
    assert_true(fabs(recovery_time_s(recovery, NS_PER_S, 10 * NS_PER_S) - 2.1) < 1e-9);
    recovery_note(recovery, UINT64_MAX, true, 0); /* beyond the end: ignored */
    recovery_close(recovery);
}

/* A load of 12 s: spike from 4 to 6 s, answers good but in the spike; it is ended at some time. */
static void what_is_told_of_a_spike_ends_with_the_load(void **state)
{
    (void)state;
    static const struct {
        uint64_t sent_ms;
        const char *line, *value;
    } cases[] = {
        {2000, "recovery not measured: the load ended before the spike did", "not measured"},
        {5900, "recovery not measured: the load ended before the spike did", "not measured"},
        {6400,
         "recovery not measured: the load ended 0.4 s after the spike, and a whole second is "
         "looked at",
         "not measured"},
        {6950,
         "recovery not measured: the load ended 0.9 s after the spike, and a whole second is "
         "looked at",
         "not measured"},
        {7500, "not recovered 1.5 s after the spike", "not recovered"},
        {8500, "recovered 2.5 s after the spike (1.0 s is the least)", "2.5 s"},
        {12000, "recovered 2.5 s after the spike (1.0 s is the least)", "2.5 s"},
    };
    struct profile_settings settings = settings_of(100, 12);
    struct plan_phase planned[SPIKE_PHASES];
    struct statistics *statistics = calloc(1, sizeof *statistics);
    assert_non_null(statistics);
    struct options options = {.shape = SHAPE_SPIKE,
                              .thresholds = {{METRIC_RECOVERY, BELOW, 5}},
                              .threshold_count = 1,
                              .plan = {.phases = planned, .phase_count = SPIKE_PHASES}};
    assert_int_equal(profile_phases(profile_find("spike"), &settings, planned, SPIKE_PHASES,
                                    &options.plan.duration_ns),
                     SPIKE_PHASES);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct profile_result result;
        char line[PROFILE_LINE], value[SUMMARY_VALUE];
        profile_result_open(&result, &options);
        for (uint64_t ms = 0; ms < cases[i].sent_ms; ms += 10)
            profile_result_note(&result, SPIKE_BEFORE, ms * NS_PER_MS,
                                ms >= 4000 && ms < 7500 ? &timeout : &good, NS_PER_MS);
        profile_result_conclude(&result, &options, cases[i].sent_ms * NS_PER_MS);
        profile_result_line(&result, &options, line);
        assert_string_equal(line, cases[i].line);
        assert_true(isnan(result.recovered_s) == (cases[i].sent_ms < 8500));
        struct result outcome = {.options = &options, .statistics = statistics, .profile = &result};
        result_conclude(&outcome);
        summary_value(METRIC_RECOVERY, outcome.value[0], value);
        assert_string_equal(value, cases[i].value);
        assert_int_equal(outcome.holds[0], cases[i].sent_ms >= 8500);
        profile_result_close(&result);
    }
    free(statistics);
}

/* A second that was cut short is not judged by the half of it that was sent. */
static void half_a_second_is_no_recovery(void **state)
{
    (void)state;
    struct recovery *recovery = recovery_open(10 * NS_PER_S);
    for (uint64_t i = 0; i < 50; i++)
        recovery_note(recovery, 3 * NS_PER_S + i * 10 * NS_PER_MS, false, NS_PER_MS);
    assert_true(isnan(recovery_time_s(recovery, 3 * NS_PER_S, 3500 * NS_PER_MS)));
    assert_false(recovery_measured(3 * NS_PER_S, 3999 * NS_PER_MS));
    assert_true(recovery_measured(3 * NS_PER_S, 4 * NS_PER_S));
    recovery_close(recovery);
}

/* ---- soak ---- */

static void drift_is_the_slope_of_p95(void **state)
{
    (void)state;
    static struct plan_phase planned[10];
    for (int i = 0; i < 10; i++)
        planned[i] = (struct plan_phase){10, 360 * NS_PER_S}; /* an hour in all */
    struct plan_settings plan = {.phases = planned, .phase_count = 10};
    struct phases *phases = phases_open(&plan, 300);
    for (unsigned i = 0; i < 10; i++)
        for (int n = 0; n < 100; n++)
            phases_ended(phases, i, &good, (100 + 10 * (uint64_t)i) * NS_PER_MS);
    struct drift drift = soak_drift(phases);
    assert_true(fabs(drift.first_p95_ms - 100) < 2);
    assert_true(fabs(drift.last_p95_ms - 190) < 3);
    assert_true(fabs(drift.slope_ms_per_hour - 100) < 5); /* 10 ms in six minutes */
    phases_close(phases);
    phases = phases_open(&plan, 300);
    assert_true(isnan(soak_drift(phases).slope_ms_per_hour));
    phases_close(phases);
}

/* ---- thresholds ---- */

static void margins_are_what_is_left(void **state)
{
    (void)state;
    static const struct {
        const char *threshold;
        double value, margin;
    } cases[] = {{"p95<200", 150, 50},       {"p95<200", 231, -31}, {"knee>=400", 450, 50},
                 {"goodput>300", 200, -100}, {"dropped==0", 0, 0},  {"dropped==0", 3, -3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct threshold threshold;
        assert_int_equal(threshold_parse(cases[i].threshold, &threshold), 0);
        double margin = threshold_margin(&threshold, cases[i].value);
        assert_true(fabs(margin - cases[i].margin) < 1e-9);
        assert_int_equal(threshold_holds(&threshold, cases[i].value), margin >= 0);
    }
    struct threshold threshold = {METRIC_P95, BELOW, 200};
    assert_true(isnan(threshold_margin(&threshold, (double)NAN)));
}

/* ---- course ---- */

static void long_runs_fold_and_lose_nothing(void **state)
{
    (void)state;
    struct statistics *statistics = calloc(1, sizeof *statistics);
    struct timeline *timeline = timeline_open();
    assert_non_null(statistics);
    for (uint64_t second = 0; second < 1000; second++) {
        statistics_sent(statistics);
        statistics_attempt(statistics);
        if (second % 10 == 0) {
            statistics_attempt_failed(statistics, &refused_503, 0);
            statistics_request_failed(statistics, LOAD_READ, &refused_503);
        } else {
            statistics_request_ok(statistics, LOAD_READ, second * NS_PER_MS);
        }
        timeline_add(timeline, second, statistics);
        statistics_next_second(statistics);
    }
    struct moment sum = {0};
    assert_int_equal(timeline->step_s, 4); /* 1000 s in 300 columns */
    assert_int_equal(timeline->count, 250);
    for (size_t i = 0; i < timeline->count; i++) {
        const struct moment *moment = &timeline->columns[i];
        assert_int_equal(moment->sent, 4);
        sum.ok += moment->ok;
        sum.failed += moment->failed;
        sum.errors[ERROR_503] += moment->errors[ERROR_503];
        sum.latency_us.count += moment->latency_us.count;
    }
    assert_int_equal(sum.ok, 900);
    assert_int_equal(sum.failed, 100);
    assert_int_equal(sum.errors[ERROR_503], 100);
    assert_int_equal(sum.latency_us.count, 900);
    /* The seconds stand where they were. */
    double p50_ms = statistics_percentile_ms(&timeline->columns[200].latency_us, 50);
    assert_true(fabs(p50_ms - 802) < 20);
    timeline_close(timeline);
    free(statistics);
}

static void probes_count_apart(void **state)
{
    (void)state;
    struct statistics *statistics = calloc(1, sizeof *statistics);
    assert_non_null(statistics);
    statistics_request_ok(statistics, LOAD_HEALTH, 500 * NS_PER_MS);
    for (int i = 0; i < 100; i++)
        statistics_probe(statistics, LOAD_HEALTH, &good, 10 * NS_PER_MS);
    statistics_probe(statistics, LOAD_HEALTH, &timeout, 5 * NS_PER_S);
    assert_int_equal(statistics->total.ok, 1);
    assert_int_equal(statistics->total.failed, 0);
    assert_int_equal(statistics->probe[LOAD_HEALTH].ok, 100);
    assert_int_equal(statistics->probe[LOAD_HEALTH].failed, 1);
    assert_true(statistics_kind_latency_ms(statistics, LOAD_HEALTH, 99) < 11);
    assert_true(isnan(statistics_kind_latency_ms(statistics, LOAD_LOGIN, 95)));
    free(statistics);
}

/* Few quick answers and many that never came: the percentile is of all that were asked. */
static void a_failed_probe_is_slower_than_any(void **state)
{
    (void)state;
    struct options options = {.thresholds = {{METRIC_READ_P95, BELOW, 200}}, .threshold_count = 1};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    assert_non_null(statistics);
    struct result result = {.options = &options, .statistics = statistics};
    statistics_request_ok(statistics, LOAD_LOGIN, NS_PER_MS);
    for (int i = 0; i < 5; i++)
        statistics_probe(statistics, LOAD_READ, &good, NS_PER_MS);
    for (int i = 0; i < 95; i++)
        statistics_probe(statistics, LOAD_READ, &refused_503, NS_PER_MS);
    result_conclude(&result);
    assert_false(result.holds[0]);
    assert_true(isinf(result.value[0]));
    assert_int_equal(result.exit_code, LOADTEST_BREACHED);
    assert_true(statistics_probe_ms(&statistics->probe[LOAD_READ], 95) < 2);
    assert_int_equal(statistics->probe_failures.status[503], 95);

    memset(statistics->probe, 0, sizeof statistics->probe);
    for (int i = 1; i <= 95; i++)
        statistics_probe(statistics, LOAD_READ, &good, (uint64_t)i * NS_PER_MS);
    for (int i = 0; i < 5; i++)
        statistics_probe(statistics, LOAD_READ, &refused_503, NS_PER_MS);
    double p95 = statistics_kind_latency_ms(statistics, LOAD_READ, 95);
    assert_true(p95 > 94 && p95 <= 95); /* the last that succeeded */
    free(statistics);
}

static void the_largest_is_known_exactly(void **state)
{
    (void)state;
    struct statistics *statistics = calloc(1, sizeof *statistics);
    struct phases *phases = steps();
    assert_non_null(statistics);
    statistics_request_ok(statistics, LOAD_READ, NS_PER_MS);
    statistics_request_ok(statistics, LOAD_READ, 200700 * NS_PER_US);
    statistics_probe(statistics, LOAD_READ, &good, 200700 * NS_PER_US);
    phases_ended(phases, 0, &good, 200700 * NS_PER_US);
    assert_true(fabs(statistics_latency_ms(statistics, 100) - 200.7) < 1e-9);
    assert_true(fabs(statistics_probe_ms(&statistics->probe[LOAD_READ], 100) - 200.7) < 1e-9);
    assert_true(fabs(phase_latency_ms(&phases->all[0], 100) - 200.7) < 1e-9);
    statistics_request_ok(statistics, LOAD_READ, 500 * NS_PER_S); /* beyond the last bucket */
    assert_true(fabs(statistics_latency_ms(statistics, 100) - 500000) < 1e-6);
    phases_close(phases);
    free(statistics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_is_named_and_complete),
        cmocka_unit_test(a_ramp_ends_by_rate_or_by_time),
        cmocka_unit_test(a_spike_is_three_phases_and_a_soak_ten),
        cmocka_unit_test(a_step_is_judged_when_all_its_answers_are_in),
        cmocka_unit_test(a_step_that_cannot_hold_is_ended_early),
        cmocka_unit_test(the_knee_is_the_last_rate_that_held),
        cmocka_unit_test(the_last_step_ends_when_the_load_does),
        cmocka_unit_test(recovery_is_the_end_of_the_first_good_second),
        cmocka_unit_test(silence_is_no_recovery),
        cmocka_unit_test(what_is_told_of_a_spike_ends_with_the_load),
        cmocka_unit_test(half_a_second_is_no_recovery),
        cmocka_unit_test(drift_is_the_slope_of_p95),
        cmocka_unit_test(margins_are_what_is_left),
        cmocka_unit_test(long_runs_fold_and_lose_nothing),
        cmocka_unit_test(probes_count_apart),
        cmocka_unit_test(a_failed_probe_is_slower_than_any),
        cmocka_unit_test(the_largest_is_known_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
