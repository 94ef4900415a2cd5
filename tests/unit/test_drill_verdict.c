/* SPDX-License-Identifier: MIT */
/* Verdicts from samples made by hand: five a second, 100 reads a second on each of two workers. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/drill/measure.h"
#include "tools/drill/prove.h"
#include "tools/drill/verdict.h"

#define BEGIN_NS (100 * NS_PER_S)
#define STEP_NS  (200 * NS_PER_MS)
#define FAULT_S  5.0 /* since BEGIN_NS */
#define CLEAR_S  10.0

static struct spec spec;
static struct evidence evidence;
static struct drill_verdict verdict;

static uint64_t at(double seconds)
{
    return BEGIN_NS + (uint64_t)(seconds * 1e9);
}

static void read_spec(const char *more)
{
    char text[2000], error[600] = "";
    snprintf(text, sizeof text,
             "{\"title\": \"t\", \"teaches\": \"x\", \"method\": [], \"hypothesis\": [%s}", more);
    if (spec_parse(&spec, "01-x.json", text, ARM_FULL, error, sizeof error) < 0)
        fail_msg("%s", error);
}

#define DULL "], \"proof\": \"1 == 1\""

/* The share of reads of worker 0 that fail: from 5 to 10 s, and a little longer. */
struct story {
    double share, longer_s;
    double rate;     /* reads a second of each worker; 0: 100 */
    bool both;       /* worker 1 fails as well */
    bool writes_too; /* so do writes, which come to both at 10/s */
};

static void tell(const struct story *story)
{
    double rate = story->rate > 0 ? story->rate : 100;
    double answers = 0, failures[2] = {0};
    evidence_free(&evidence);
    evidence = (struct evidence){.spec = &spec,
                                 .load_ns = at(0),
                                 .before_ns = at(1),
                                 .fault_ns = at(FAULT_S),
                                 .clear_ns = at(CLEAR_S),
                                 .after_ns = at(15),
                                 .end_ns = at(18)};
    for (uint64_t t = at(0); t <= at(18); t += STEP_NS) {
        struct sample *sample = evidence_add_sample(
            &evidence, evidence_value_at(&spec.selectors, spec.selectors.count));
        double seconds = (double)(t - BEGIN_NS) / 1e9;
        bool bad = seconds > FAULT_S && seconds <= CLEAR_S + story->longer_s + 0.01;
        answers += rate * 0.2;
        failures[0] += bad ? rate * 0.2 * story->share : 0;
        failures[1] += bad && story->both ? rate * 0.2 * story->share : 0;
        sample->t_ns = t;
        sample->db_state = bad ? DB_STATE_DOWN : DB_STATE_UP;
        sample->ready = 2;
        sample->answers[CLASS_READ] = (uint64_t)(answers * 2);
        sample->failures[CLASS_READ] = (uint64_t)(failures[0] + failures[1]);
        sample->answers[CLASS_WRITE] = (uint64_t)(answers / 5);
        sample->failures[CLASS_WRITE] = story->writes_too ? (uint64_t)(failures[0] / 10) : 0;
        for (unsigned i = 0; i < 2; i++) {
            sample->slot_answers[i] = (uint64_t)answers;
            sample->slot_failures[i] = (uint64_t)failures[i];
        }
        for (unsigned i = 0; i < spec.selectors.count; i++)
            sample->value[evidence_value_at(&spec.selectors, i)] = answers;
        *evidence_add_look(&evidence) =
            (struct look){t, NS_PER_MS, bad ? LOOK_DEGRADED : LOOK_HEALTHY};
    }
    evidence.summary[0] = json_pack("{s:{s:f,s:f},s:{s:i,s:i,s:i},s:{s:f},s:[]}", "latency_ms",
                                    "p95", 12.5, "p99", 80.0, "audit", "lost", 0, "duplicate", 0,
                                    "corrupt", 0, "scheduler_lag_ms", "p99", 1.0, "invalid");
    assert_non_null(evidence.summary[0]);
}

static const struct verdict_line *line(const char *name)
{
    for (unsigned i = 0; i < verdict.line_count; i++)
        if (strncmp(verdict.line[i].name, name, strlen(name)) == 0)
            return &verdict.line[i];
    fail_msg("no line %s", name);
    return NULL;
}

static enum drill_result judge(void)
{
    drill_judge(&evidence, &verdict);
    return verdict.result;
}

static void what_holds_passes(void **unused)
{
    (void)unused;
    read_spec("{\"probe\": \"load.latency_ms.p95\", \"op\": \"<\", \"limit\": 10}" DULL
              ", \"expect\": {\"lost_acked\": 0}");
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_PASS);
    /* 12.5 is over 10 and under what is asserted: both are kept */
    assert_float_equal(line("load")->limit, 10, 1e-9);
    assert_float_equal(line("load")->asserted, 20, 1e-9);
    assert_float_equal(line("load")->margin, 0.375, 1e-9);
    assert_int_equal(drill_exit_code(verdict.result), 0);
}

static void what_must_hold_and_does_not_deviates(void **unused)
{
    (void)unused;
    read_spec(
        "{\"probe\": \"load.latency_ms.p95\", \"op\": \"<\", \"limit\": 10, \"noise\": 1}" DULL);
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_non_null(strstr(verdict.why, "load.latency_ms.p95: 12.5, asserted < 10"));
    assert_int_equal(drill_exit_code(verdict.result), 1);
    read_spec("{\"probe\": \"load.latency_ms.p95\", \"op\": \"<\", \"limit\": 10, \"noise\": 1, "
              "\"level\": \"should\"}" DULL);
    assert_int_equal(judge(), DRILL_PASS);
    read_spec("{\"probe\": \"load.nothing.p95\", \"op\": \"<\", \"limit\": 10}" DULL);
    assert_int_equal(judge(), DRILL_DEVIATED); /* not measured is no success */
}

static void without_proof_it_is_invalid(void **unused)
{
    (void)unused;
    read_spec("], \"proof\": \"worker_deaths_total >= 100000\"");
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_INVALID);
    assert_int_equal(drill_exit_code(verdict.result), 2);
    read_spec("], \"proof\": \"worker_deaths_total >= 1000\""); /* 13 s of 100/s */
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_PASS);
}

static void a_late_load_is_invalid_only_when_it_is_very_late(void **unused)
{
    (void)unused;
    read_spec(DULL);
    tell(&(struct story){0});
    json_array_append_new(json_object_get(evidence.summary[0], "invalid"),
                          json_string("the load tester itself was late"));
    assert_int_equal(judge(), DRILL_PASS);
    json_object_set_new(json_object_get(evidence.summary[0], "scheduler_lag_ms"), "p99",
                        json_real(40));
    assert_int_equal(judge(), DRILL_INVALID);
    json_object_set_new(json_object_get(evidence.summary[0], "scheduler_lag_ms"), "p99",
                        json_real(1));
    json_array_append_new(json_object_get(evidence.summary[0], "invalid"),
                          json_string("answers 429"));
    assert_int_equal(judge(), DRILL_INVALID);
}

static void recovery_is_the_end_of_the_first_good_second(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"recover_s\": 0.6}");
    tell(&(struct story){.share = 1, .both = true});
    assert_int_equal(judge(), DRILL_PASS);
    assert_in_range((int)(verdict.recover_s * 1000), 950, 1050);
    tell(&(struct story){.share = 1, .both = true, .longer_s = 2});
    assert_int_equal(judge(), DRILL_DEVIATED); /* 3 s, asserted 1.2 */
    assert_in_range((int)(verdict.recover_s * 1000), 2950, 3050);
    tell(&(struct story){.share = 1, .both = true, .longer_s = 9});
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(isnan(verdict.recover_s));
    assert_false(line("steady after")->holds);
}

static void a_database_that_is_not_whole_deviates(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"integrity\": true}");
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_DEVIATED); /* nor is one that was not looked at */
    evidence.integrity_asked = evidence.integrity_ok = true;
    assert_int_equal(judge(), DRILL_PASS);
}

static void silence_is_no_recovery(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"recover_s\": 1.2}");
    tell(&(struct story){0});
    for (size_t i = 51; i < evidence.sample_count; i++) /* nobody is answered after the fault */
        memcpy(evidence.sample[i].answers, evidence.sample[50].answers,
               sizeof evidence.sample[i].answers);
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(isnan(verdict.recover_s));
    for (size_t i = 51; i < evidence.sample_count; i++) /* nor is a trickle */
        evidence.sample[i].answers[CLASS_READ] += (i - 50) * 4;
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(isnan(verdict.recover_s));
}

static void detectors_speak_from_the_fault_on(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"detect_s\": 0.3, \"detect_by\": \"verdict\"}");
    tell(&(struct story){.share = 1, .both = true});
    struct event *event = evidence_add_event(&evidence);
    *event = (struct event){.type = EVENT_BREAKER_OPEN, .wall_us = at(FAULT_S + 1.5) / NS_PER_US};
    assert_int_equal(judge(), DRILL_PASS);
    assert_float_equal(verdict.detect_verdict_s, 0.2, 1e-6);
    assert_float_equal(verdict.detect_degraded_s, 0.201, 1e-6);
    assert_float_equal(verdict.detect_breaker_s, 1.5, 1e-6);
    assert_float_equal(verdict.first_failure_s, 0.2, 1e-6);
    read_spec(DULL ", \"expect\": {\"detect_s\": 0.3, \"detect_by\": \"gate_reset\"}");
    assert_int_equal(judge(), DRILL_DEVIATED); /* it never came */
}

static void a_probe_may_look_between_two_events(void **unused)
{
    (void)unused;
    read_spec("{\"probe\": \"worker_deaths_total\", \"op\": \"==\", \"limit\": 60, "
              "\"from_event\": \"db_unavailable\", \"to_event\": \"db_recovered\"}" DULL);
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_DEVIATED); /* neither came */
    struct event *event = evidence_add_event(&evidence);
    *event = (struct event){.type = EVENT_DB_UNAVAILABLE, .wall_us = at(FAULT_S + 1.1) / NS_PER_US};
    assert_int_equal(judge(), DRILL_DEVIATED);
    event = evidence_add_event(&evidence);
    *event = (struct event){.type = EVENT_DB_RECOVERED, .wall_us = at(FAULT_S + 1.9) / NS_PER_US};
    assert_int_equal(judge(), DRILL_PASS); /* the looks at 1.2 and at 1.8 s, 100 a second */
    evidence.event[0].wall_us = at(FAULT_S + 1.16) / NS_PER_US;
    judge(); /* too near to the look at 1.2 s */
    assert_float_equal(verdict.line[0].measured, 40, 1e-6);
    evidence.event[1].wall_us = at(FAULT_S + 1.5) / NS_PER_US;
    assert_int_equal(judge(), DRILL_DEVIATED); /* one look is no window */
}

static void an_arm_of_a_proof_must_not_pass(void **unused)
{
    (void)unused;
    static const struct {
        struct proof_row row;
        int code;
    } rows[] = {
        {{.arm = ARM_NO_FAULT, .result = DRILL_INVALID}, 0},
        {{.arm = ARM_NO_FAULT, .result = DRILL_DEVIATED, .proven = true}, 0},
        {{.arm = ARM_NO_FAULT, .result = DRILL_INVALID, .proven = true}, 2}, /* a late load */
        {{.arm = ARM_NO_FAULT, .result = DRILL_PASS, .proven = true}, 1},
        {{.arm = ARM_NO_FAULT, .result = DRILL_ABORTED}, 2},
        {{.arm = ARM_CONTROL, .result = DRILL_DEVIATED, .proven = true}, 0},
        {{.arm = ARM_CONTROL, .result = DRILL_INVALID}, 2},
        {{.arm = ARM_CONTROL | ARM_SHORT, .result = DRILL_PASS, .proven = true}, 1},
        {{.arm = ARM_CONTROL, .result = DRILL_INTERRUPTED}, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (prove_exit_code(&rows[i].row, 1, false) != rows[i].code ||
            proof_row_is_good(&rows[i].row) != (rows[i].code == 0))
            fail_msg("row %zu", i);
    struct proof_row two[] = {rows[3].row, {.arm = ARM_CONTROL, .result = DRILL_SKIPPED}};
    assert_int_equal(prove_exit_code(two, 2, true), 1);
    assert_int_equal(prove_exit_code(two, 2, false), 2);
}

static void leakage_is_what_others_suffer(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"blast_radius\": [\"read\"]}");
    tell(&(struct story){.share = 0.5, .both = true});
    assert_int_equal(judge(), DRILL_PASS); /* workers are not told apart */
    assert_float_equal(verdict.blast_share, 0.5 * 200 / 220, 0.01);
    tell(&(struct story){.share = 0.5, .both = true, .writes_too = true});
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_string_equal(verdict.leakage_where, "write");
    assert_float_equal(verdict.leakage_points, 25, 3); /* half of worker 0's tenth of 20/s */
    read_spec(DULL ", \"expect\": {\"blast_radius\": [\"read\", \"worker:0\"]}");
    tell(&(struct story){.share = 0.5});
    assert_int_equal(judge(), DRILL_PASS);
    tell(&(struct story){.share = 0.5, .both = true});
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_string_equal(verdict.leakage_where, "worker:1");
    read_spec(DULL ", \"expect\": {\"blast_radius\": [\"read\", \"worker:any\"]}");
    tell(&(struct story){.share = 0.5});
    assert_int_equal(judge(), DRILL_PASS);
    tell(&(struct story){.share = 0.5, .both = true});
    assert_int_equal(judge(), DRILL_DEVIATED);
}

static void a_continuous_probe_finds_the_worst_second(void **unused)
{
    (void)unused;
    read_spec(
        "{\"probe\": \"health.degraded\", \"op\": \"<=\", \"limit\": 2, \"noise\": 1, \"during\": "
        "\"all\", \"mode\": \"continuous\"}" DULL);
    tell(&(struct story){.share = 1, .both = true});
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_float_equal(line("health.degraded")->measured, 5, 1e-9);
    assert_in_range((int)(line("health.degraded")->worst_s * 10), 0, 6);
    read_spec("{\"probe\": \"health.degraded\", \"op\": \"==\", \"limit\": 0, \"from_s\": 6, "
              "\"to_s\": 13}" DULL);
    assert_int_equal(judge(), DRILL_PASS);
}

static void percentiles_come_from_buckets(void **unused)
{
    (void)unused;
    read_spec("{\"probe\": \"p95(http_request_duration_seconds{class=read})\", \"op\": \"<\", "
              "\"limit\": 10}" DULL);
    tell(&(struct story){0});
    for (size_t i = 0; i < evidence.sample_count; i++) {
        double *bucket = evidence.sample[i].value, n = (double)i;
        for (unsigned b = 0; b < SELECTOR_BUCKETS; b++)
            bucket[b] = b == 0 ? 0 : b == 1 ? n * 90 : n * 100; /* 90 % in 1-2 ms, 10 % in 2-5 ms */
    }
    assert_int_equal(judge(), DRILL_PASS);
    assert_float_equal(line("p95")->measured, 3.5, 1e-9);
}

static void trouble_and_interrupts_come_first(void **unused)
{
    (void)unused;
    read_spec(DULL);
    tell(&(struct story){0});
    evidence_trouble(&evidence, "the first %s", "cause");
    evidence_trouble(&evidence, "its consequence");
    assert_int_equal(judge(), DRILL_ABORTED);
    assert_string_equal(verdict.why, "the first cause");
    evidence.skipped = true;
    assert_int_equal(judge(), DRILL_SKIPPED);
    evidence.interrupted = true;
    assert_int_equal(judge(), DRILL_INTERRUPTED);
    assert_int_equal(drill_exit_code(verdict.result), 3);
}

static void steadiness_needs_requests_and_health(void **unused)
{
    (void)unused;
    char why[200] = "";
    read_spec(DULL);
    tell(&(struct story){.share = 0.03});
    assert_true(drill_is_steady(&evidence, at(1), at(5), why, sizeof why));
    assert_false(drill_is_steady(&evidence, at(5), at(10), why, sizeof why));
    assert_non_null(strstr(why, "% errors, limit 1 %")); /* 3 % of 100 of 220 */
    assert_false(drill_is_steady(&evidence, at(30), at(31), why, sizeof why));
    assert_string_equal(why, "no requests");
    evidence.look[evidence.look_count - 1].result = LOOK_DEGRADED;
    assert_false(drill_is_steady(&evidence, at(1), at(5), why, sizeof why));
    assert_string_equal(why, "/health is not healthy");
}

static int tidy(void **unused)
{
    (void)unused;
    evidence_free(&evidence);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_passes),
        cmocka_unit_test(what_must_hold_and_does_not_deviates),
        cmocka_unit_test(without_proof_it_is_invalid),
        cmocka_unit_test(a_late_load_is_invalid_only_when_it_is_very_late),
        cmocka_unit_test(recovery_is_the_end_of_the_first_good_second),
        cmocka_unit_test(a_database_that_is_not_whole_deviates),
        cmocka_unit_test(silence_is_no_recovery),
        cmocka_unit_test(detectors_speak_from_the_fault_on),
        cmocka_unit_test(a_probe_may_look_between_two_events),
        cmocka_unit_test(an_arm_of_a_proof_must_not_pass),
        cmocka_unit_test(leakage_is_what_others_suffer),
        cmocka_unit_test(a_continuous_probe_finds_the_worst_second),
        cmocka_unit_test(percentiles_come_from_buckets),
        cmocka_unit_test(trouble_and_interrupts_come_first),
        cmocka_unit_test(steadiness_needs_requests_and_health),
    };
    return cmocka_run_group_tests(tests, NULL, tidy);
}
