/* SPDX-License-Identifier: MIT */
/* Verdicts from samples made by hand: five a second, 100 reads a second on each of two workers. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/drill/measure.h"
#include "tools/drill/prober.h"
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

/* Of a load that wrote a hundred items and read them back. */
static json_t *summary_of(const char *state)
{
    json_t *summary = json_pack("{s:{s:s,s:i,s:i,s:i,s:i,s:i},s:{s:f},s:[]}", "audit", "state",
                                state, "creates", 100, "acked", 100, "lost", 0, "duplicate", 0,
                                "corrupt", 0, "scheduler_lag_ms", "p99", 1.0, "invalid");
    assert_non_null(summary);
    return summary;
}

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
    evidence.summary[0] = summary_of("complete");
    json_object_set_new(evidence.summary[0], "latency_ms",
                        json_pack("{s:f,s:f}", "p95", 12.5, "p99", 80.0));
}

static json_t *audit(void)
{
    return json_object_get(evidence.summary[0], "audit");
}

static void audit_set(const char *key, int count)
{
    json_object_set_new(audit(), key, json_integer(count));
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
    evidence_take_integrity(&evidence, true, "app.db: 12 pages");
    assert_int_equal(judge(), DRILL_PASS);
    evidence_take_integrity(&evidence, false,
                            "bulkheadctl: the copy is damaged, app.db may be too: row 3 missing");
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(evidence.integrity_damaged && !isnan(line("the database is whole")->measured));
}

static void a_check_that_could_not_be_made_is_no_damage(void **unused)
{
    (void)unused;
    static const char *const words[] = {
        "bulkheadctl: x/backup.db: it cannot be written: No space left on device",
        "bulkheadctl: no server listens on x/control.sock", "the check was not done within 120 s",
        ""};
    read_spec(DULL ", \"expect\": {\"integrity\": true}");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        tell(&(struct story){0});
        evidence_take_integrity(&evidence, false, words[i]);
        assert_int_equal(judge(), DRILL_DEVIATED);
        assert_false(evidence.integrity_damaged);
        assert_true(isnan(line("the database is whole")->measured));
        assert_non_null(strstr(verdict.why, "none by a measured value; the database is whole"));
        assert_string_not_equal(evidence.integrity_words, "");
    }
}

static void an_audit_that_did_not_finish_finds_nothing(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"lost_acked\": 0}");
    static const char *const states[] = {"incomplete", "interrupted", "skipped"};
    for (size_t i = 0; i < 3; i++) {
        tell(&(struct story){0});
        json_object_set_new(audit(), "state", json_string(states[i]));
        assert_int_equal(judge(), DRILL_DEVIATED);
        assert_true(isnan(verdict.lost) && isnan(verdict.duplicate) && isnan(verdict.corrupt));
    }
    tell(&(struct story){0}); /* what it did find stays */
    json_object_set_new(audit(), "state", json_string("incomplete"));
    audit_set("lost", 2);
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_float_equal(verdict.lost, 2, 1e-9);
    tell(&(struct story){0}); /* nothing was acknowledged: nothing could be lost */
    audit_set("acked", 0);
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(isnan(verdict.lost));
    audit_set("creates", 0); /* a load that only reads */
    assert_int_equal(judge(), DRILL_PASS);
}

static void both_loads_are_audited(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"lost_acked\": 0}");
    tell(&(struct story){0});
    evidence.summary[1] = summary_of("skipped");
    assert_int_equal(judge(), DRILL_PASS);
    json_decref(evidence.summary[1]);
    evidence.summary[1] = summary_of("incomplete");
    assert_int_equal(judge(), DRILL_DEVIATED);
    json_object_set_new(json_object_get(evidence.summary[1], "audit"), "duplicate",
                        json_integer(1));
    judge();
    assert_float_equal(verdict.duplicate, 1, 1e-9);
    assert_true(isnan(verdict.lost));
}

static void the_second_load_must_be_valid_too(void **unused)
{
    (void)unused;
    read_spec(DULL);
    tell(&(struct story){0});
    evidence.summary[1] = summary_of("skipped");
    json_t *reasons = json_object_get(evidence.summary[1], "invalid");
    json_array_append_new(reasons, json_string("the load tester itself was late"));
    assert_int_equal(judge(), DRILL_PASS); /* by little */
    json_object_set_new(json_object_get(evidence.summary[1], "scheduler_lag_ms"), "p99",
                        json_real(40));
    assert_int_equal(judge(), DRILL_INVALID);
    assert_non_null(strstr(verdict.why, "the second load: the load tester itself was late"));
    assert_float_equal(verdict.lag_p99_ms, 40, 1e-9);
    json_array_clear(reasons);
    json_array_append_new(reasons, json_string("the load tester itself was saturated"));
    assert_int_equal(judge(), DRILL_INVALID);
}

static void seconds_without_an_end_are_not_measured(void **unused)
{
    (void)unused;
    read_spec("{\"probe\": \"rows.failed_share\", \"op\": \"==\", \"limit\": 0, \"from_s\": 0.5, "
              "\"to_s\": 4}" DULL);
    for (int ok = 0; ok < 2; ok++) {
        tell(&(struct story){0});
        evidence.rows = json_array();
        for (int i = 0; i < 18; i++)
            json_array_append_new(evidence.rows,
                                  json_pack("{s:i,s:i,s:i}", "sent", 300, "ok", ok, "failed", 0));
        assert_int_equal(judge(), ok ? DRILL_PASS : DRILL_DEVIATED);
    }
}

/* Reads that hang count nowhere: not as answered, not as failed. */
static void a_continuous_share_of_nothing_does_not_hold(void **unused)
{
    (void)unused;
    read_spec("{\"probe\": \"http_requests_total{class=read,code=5*} / "
              "http_requests_total{class=read}\", \"op\": \"<=\", \"limit\": 1, \"mode\": "
              "\"continuous\", \"during\": \"all\"}" DULL);
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_PASS);
    for (size_t i = 0; i < evidence.sample_count; i++)
        for (unsigned v = 0; v < spec.selectors.count; v++)
            if (evidence.sample[i].t_ns > at(7) && evidence.sample[i].t_ns < at(9))
                evidence.sample[i].value[v] = evidence.sample[35].value[v];
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(isnan(verdict.line[0].measured));
    assert_in_range((int)(verdict.line[0].worst_s * 10), 15, 25);
}

static void looks_without_an_answer_are_slow(void **unused)
{
    (void)unused;
    read_spec("{\"probe\": \"health.p95_ms\", \"op\": \"<\", \"limit\": 50, \"during\": "
              "\"all\"}" DULL);
    for (unsigned result = LOOK_LOST; result <= LOOK_REFUSED; result++) {
        tell(&(struct story){0});
        assert_int_equal(judge(), DRILL_PASS);
        for (size_t i = 0; i < evidence.look_count; i += 10)
            evidence.look[i].result = (enum look_result)result; /* took 1 ms: at once */
        assert_int_equal(judge(), DRILL_DEVIATED);
        assert_true(line("health.p95_ms")->measured >= 2000);
    }
}

static void what_is_no_answer_of_health_is_lost(void **unused)
{
    (void)unused;
    static const struct {
        const char *answer;
        enum look_result means;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"healthy\"}", LOOK_HEALTHY},
        {"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"degraded\"}", LOOK_DEGRADED},
        {"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"failing\"}", LOOK_FAILING},
        {"HTTP/1.1 200 OK\r\n\r\n{}", LOOK_LOST},
        {"HTTP/1.1 500 Internal Server Error\r\n\r\n{\"status\":500}", LOOK_LOST},
        {"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\":\"healthy\"}", LOOK_LOST},
        {"", LOOK_LOST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (prober_meaning(rows[i].answer) != rows[i].means)
            fail_msg("%s", rows[i].answer);
}

static void a_control_needs_a_measured_collapse(void **unused)
{
    (void)unused;
    struct proof_row row = {.arm = ARM_CONTROL};
    read_spec("{\"probe\": \"detect.breaker_s\", \"op\": \"<=\", \"limit\": 5}, "
              "{\"probe\": \"load.latency_ms.p95\", \"op\": \"<\", \"limit\": 50}" DULL);
    tell(&(struct story){0});
    row.result = judge();
    row.proven = verdict.proven;
    assert_int_equal(row.result, DRILL_DEVIATED);
    assert_false(proof_row_is_good(&row)); /* the breaker is off, and nothing collapsed */
    assert_int_equal(prove_exit_code(&row, 1, false), 2);
    assert_non_null(strstr(verdict.why, "none by a measured value; detect.breaker_s: not"));
    json_object_set_new(json_object_get(evidence.summary[0], "latency_ms"), "p95", json_real(900));
    row.result = judge();
    row.proven = verdict.proven;
    assert_true(proof_row_is_good(&row));
    assert_non_null(strstr(verdict.why, "2 of 3 do not hold; load.latency_ms.p95: 900"));
    read_spec("{\"probe\": \"detect.breaker_s\", \"op\": \"<=\", \"limit\": 5}, "
              "{\"probe\": \"load.latency_ms.p95\", \"op\": \"<\", \"limit\": 50, \"level\": "
              "\"should\"}" DULL);
    judge();
    assert_int_equal(verdict.proven, PROOF_STRUCK); /* what only should hold shows nothing */
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
        {{.arm = ARM_NO_FAULT, .result = DRILL_DEVIATED, .proven = PROOF_STRUCK}, 0},
        {{.arm = ARM_NO_FAULT, .result = DRILL_INVALID, .proven = PROOF_STRUCK},
         2}, /* a late load */
        {{.arm = ARM_NO_FAULT, .result = DRILL_PASS, .proven = PROOF_STRUCK}, 1},
        {{.arm = ARM_NO_FAULT, .result = DRILL_ABORTED}, 2},
        {{.arm = ARM_CONTROL, .result = DRILL_DEVIATED, .proven = PROOF_FELT}, 0},
        {{.arm = ARM_CONTROL, .result = DRILL_DEVIATED, .proven = PROOF_STRUCK}, 2},
        {{.arm = ARM_CONTROL, .result = DRILL_INVALID}, 2},
        {{.arm = ARM_CONTROL | ARM_SHORT, .result = DRILL_PASS, .proven = PROOF_STRUCK}, 1},
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

static void who_hangs_does_not_stay_out_of_the_leakage(void **unused)
{
    (void)unused;
    read_spec(DULL ", \"expect\": {\"blast_radius\": [\"write\"]}");
    tell(&(struct story){0});
    assert_int_equal(judge(), DRILL_PASS);
    size_t from = 25, to = 50; /* from the fault until it is over */
    uint64_t gap =
        evidence.sample[to].answers[CLASS_READ] - evidence.sample[from].answers[CLASS_READ];
    for (size_t i = from + 1; i < evidence.sample_count; i++) {
        uint64_t *reads = &evidence.sample[i].answers[CLASS_READ];
        *reads = i <= to ? evidence.sample[from].answers[CLASS_READ] : *reads - gap;
    }
    assert_int_equal(judge(), DRILL_DEVIATED);
    assert_true(isnan(line("leakage")->measured));
    assert_string_equal(verdict.leakage_where, "read");
    read_spec(DULL ", \"expect\": {\"blast_radius\": [\"read\"]}");
    assert_int_equal(judge(), DRILL_PASS); /* it was meant to suffer */
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
    /* Healthy only after the window, while the writes are read back. */
    for (size_t i = 0; i < evidence.look_count; i++)
        if (evidence.look[i].sent_ns < at(5))
            evidence.look[i].result = LOOK_DEGRADED;
    assert_int_equal(evidence.look[evidence.look_count - 1].result, LOOK_HEALTHY);
    assert_false(drill_is_steady(&evidence, at(1), at(5), why, sizeof why));
    assert_string_equal(why, "/health is not healthy");
    /* And the other way round: what it says later is not of this window. */
    tell(&(struct story){0});
    evidence.look[evidence.look_count - 1].result = LOOK_DEGRADED;
    assert_true(drill_is_steady(&evidence, at(1), at(5), why, sizeof why));
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
        cmocka_unit_test(a_check_that_could_not_be_made_is_no_damage),
        cmocka_unit_test(an_audit_that_did_not_finish_finds_nothing),
        cmocka_unit_test(both_loads_are_audited),
        cmocka_unit_test(the_second_load_must_be_valid_too),
        cmocka_unit_test(seconds_without_an_end_are_not_measured),
        cmocka_unit_test(a_continuous_share_of_nothing_does_not_hold),
        cmocka_unit_test(looks_without_an_answer_are_slow),
        cmocka_unit_test(what_is_no_answer_of_health_is_lost),
        cmocka_unit_test(a_control_needs_a_measured_collapse),
        cmocka_unit_test(silence_is_no_recovery),
        cmocka_unit_test(detectors_speak_from_the_fault_on),
        cmocka_unit_test(a_probe_may_look_between_two_events),
        cmocka_unit_test(an_arm_of_a_proof_must_not_pass),
        cmocka_unit_test(leakage_is_what_others_suffer),
        cmocka_unit_test(who_hangs_does_not_stay_out_of_the_leakage),
        cmocka_unit_test(a_continuous_probe_finds_the_worst_second),
        cmocka_unit_test(percentiles_come_from_buckets),
        cmocka_unit_test(trouble_and_interrupts_come_first),
        cmocka_unit_test(steadiness_needs_requests_and_health),
    };
    return cmocka_run_group_tests(tests, NULL, tidy);
}
