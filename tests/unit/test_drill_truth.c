/* SPDX-License-Identifier: MIT */
/* A history made by hand, held against the truths of a drill's file. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/anomaly/floors.h"
#include "tools/drill/truth.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-4)

#define BEGIN_S 1700000000 /* of the steady phase, wall clock */
#define FAULT_S 60         /* since then, as the others are */
#define CLEAR_S 70
#define END_S   120

static struct spec spec;
static struct evidence evidence;
static struct truth_result result;
static char directory[] = "/tmp/bulkhead-truth-XXXXXX";

static uint64_t at(double seconds)
{
    return (uint64_t)((1000 + seconds) * 1e9);
}

static void read_spec(const char *method, const char *truths)
{
    char text[2000], error[600] = "";
    snprintf(text, sizeof text,
             "{\"title\": \"t\", \"teaches\": \"x\", \"method\": [%s], \"hypothesis\": [], "
             "\"proof\": \"1 == 1\", \"anomaly\": [%s]}",
             method, truths);
    if (spec_parse(&spec, "01-x.json", text, ARM_FULL, error, sizeof error) < 0)
        fail_msg("%s", error);
}

#define RELOAD "{\"at_s\": 0, \"act\": \"reload\"}"

/* All zeros, but these seconds of a series, since the steady phase began. */
struct bump {
    const char *metric;
    int from_s, to_s;
    double value;
};

static void write_history(const struct bump *bumps, unsigned count)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fputs("time,restarts_per_s", out);
    for (const char *const *name = floors_default_metrics; *name; name++)
        fprintf(out, ",%s", *name);
    for (int t = 1; t <= END_S; t++) {
        fprintf(out, "\n%d", BEGIN_S + t);
        for (int column = -1; column < 0 || floors_default_metrics[column]; column++) {
            const char *name = column < 0 ? "restarts_per_s" : floors_default_metrics[column];
            double value = 0;
            for (unsigned i = 0; i < count; i++)
                if (strcmp(bumps[i].metric, name) == 0 && t >= bumps[i].from_s &&
                    t <= bumps[i].to_s)
                    value = bumps[i].value;
            fprintf(out, ",%g", value);
        }
    }
    fputc('\n', out);
    fclose(out);
    evidence = (struct evidence){.spec = &spec,
                                 .before_ns = at(0),
                                 .fault_ns = at(FAULT_S),
                                 .clear_ns = at(CLEAR_S),
                                 .after_ns = at(CLEAR_S),
                                 .end_ns = at(END_S),
                                 .wall_minus_mono_us = (BEGIN_S - 1000) * US_PER_S,
                                 .history = text};
}

static void judge(void)
{
    char error[600] = "";
    if (truth_judge(&evidence, directory, &result, error, sizeof error) < 0)
        fail_msg("%s", error);
    truth_free(&result);
    evidence_free(&evidence);
}

static void what_is_expected_is_found_with_its_delay(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"status_503_per_s", 61, 70, 50}};
    read_spec(RELOAD, "{\"metric\": \"status_503_per_s\", \"expected\": true},"
                      "{\"metric\": \"restarts_per_s\", \"expected\": true},"
                      "{\"metric\": \"deaths_per_s\", \"expected\": false}");
    write_history(bumps, 1);
    judge();
    assert_int_equal(result.truth_count, 3);
    assert_true(result.truth[0].found);
    NEAR(result.truth[0].delay_s, 3);
    assert_false(result.truth[1].found);
    assert_false(result.truth[2].found);
    assert_int_equal(result.evaluation.expected, 2);
    NEAR(result.evaluation.recall, 0.5);
    NEAR(result.evaluation.precision, 1);
    /* Rows from 1 to 58; 30 are not scored, and the 31st and 32nd cannot be the third of five. */
    NEAR(result.calm_s, 58 - 32);
}

static void a_later_beginning_is_where_the_delay_counts_from(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"restarts_per_s", 65, 65, 1}};
    read_spec(RELOAD, "{\"metric\": \"restarts_per_s\", \"expected\": true, \"from_s\": 4}");
    write_history(bumps, 1);
    judge();
    assert_true(result.truth[0].found);
    NEAR(result.truth[0].delay_s, 3);
}

static void what_follows_an_event_is_counted_from_it(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"restarts_per_s", 65, 65, 1}};
    read_spec(RELOAD,
              "{\"metric\": \"restarts_per_s\", \"expected\": true, \"after\": \"worker_died\"}");
    write_history(bumps, 1);
    struct event *event = evidence_add_event(&evidence);
    event->type = EVENT_WORKER_DIED;
    event->wall_us = (BEGIN_S + 65) * US_PER_S;
    judge();
    assert_true(result.truth[0].found);
    NEAR(result.truth[0].delay_s, 2);
}

/* Also of a metric of which the file says nothing. */
static void an_alarm_in_the_calm_is_a_false_one(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"lost_per_s", 40, 45, 9}, {"deaths_per_s", 61, 61, 1}};
    read_spec(RELOAD, "{\"metric\": \"deaths_per_s\", \"expected\": true}");
    write_history(bumps, 2);
    judge();
    assert_int_equal(result.calm_alarms, 1);
    assert_int_equal(result.evaluation.false_alarms, 1);
    assert_int_equal(result.evaluation.true_alarms, 1);
}

static void what_must_stay_quiet_and_does_not_is_false(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"lost_per_s", 61, 65, 9}, {"deaths_per_s", 61, 61, 1}};
    read_spec(RELOAD, "{\"metric\": \"deaths_per_s\", \"expected\": false}");
    write_history(bumps, 2);
    judge();
    assert_int_equal(result.calm_alarms, 0);
    assert_int_equal(result.evaluation.false_alarms, 1);
    assert_int_equal(result.evaluation.unjudged, 1); /* lost: a fault may show in more */
}

/* A death in the fault, and another when it is long over. */
static void a_truth_ends_some_seconds_after_its_fault(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"deaths_per_s", 61, 61, 1}, {"deaths_per_s", 90, 90, 1}};
    read_spec(RELOAD, "{\"metric\": \"deaths_per_s\", \"expected\": true},"
                      "{\"metric\": \"db_up\", \"expected\": false}");
    write_history(bumps, 2);
    judge();
    assert_int_equal(result.evaluation.true_alarms, 1);
    assert_int_equal(result.evaluation.false_alarms, 1);
    assert_int_equal(result.evaluation.unjudged, 0);
    write_history(bumps + 1, 1);
    judge();
    assert_false(result.truth[0].found);
    assert_int_equal(result.evaluation.false_alarms, 1);
}

/* The last second of a fault is in time: raised by the third of the points it moves. */
static void what_begins_with_the_end_of_a_fault_is_still_found(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"deaths_per_s", CLEAR_S, CLEAR_S, 1}};
    read_spec(RELOAD, "{\"metric\": \"deaths_per_s\", \"expected\": true}");
    write_history(bumps, 1);
    judge();
    assert_true(result.truth[0].found);
    assert_int_equal(result.evaluation.false_alarms, 0);
}

static void what_must_stay_quiet_must_do_so_to_the_end(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"deaths_per_s", 110, 110, 1}};
    read_spec(RELOAD, "{\"metric\": \"deaths_per_s\", \"expected\": false}");
    write_history(bumps, 1);
    judge();
    assert_int_equal(result.evaluation.false_alarms, 1);
}

static void a_drill_without_a_fault_is_all_calm(void **unused)
{
    (void)unused;
    const struct bump bumps[] = {{"lost_per_s", 75, 80, 9}};
    read_spec("", "{\"metric\": \"deaths_per_s\", \"expected\": false}");
    write_history(bumps, 1);
    judge();
    assert_int_equal(result.calm_alarms, 1);
    assert_int_equal(result.evaluation.false_alarms, 1);
    NEAR(result.calm_s, END_S - 32);
}

static void what_follows_a_fault_lasts_longer_than_its_truths(void **unused)
{
    (void)unused;
    read_spec(RELOAD, "");
    truth_make_calm(&spec, 125, 100);
    NEAR(spec.before_s, 125);
    NEAR(spec.after_s, 30);
    NEAR(spec.load.rps, 100);
    read_spec("", "");
    truth_make_calm(&spec, 125, 100);
    NEAR(spec.before_s, 125);
    NEAR(spec.after_s, 3);
    NEAR(spec.load.rps, 300);
}

static void figures_of_several_drills_are_those_of_their_sums(void **unused)
{
    (void)unused;
    struct truth_result sum = {0};
    const struct truth_result a = {
        .evaluation = {
            .expected = 3, .found = 1, .true_alarms = 1, .mean_delay_s = 4, .worst_delay_s = 4}};
    const struct truth_result b = {.evaluation = {.expected = 1,
                                                  .found = 1,
                                                  .true_alarms = 2,
                                                  .false_alarms = 1,
                                                  .mean_delay_s = 2,
                                                  .worst_delay_s = 2},
                                   .calm_alarms = 1};
    truth_add(&sum, &a);
    truth_add(&sum, &b);
    NEAR(sum.evaluation.recall, 0.5);
    NEAR(sum.evaluation.precision, 0.75);
    NEAR(sum.evaluation.mean_delay_s, 3);
    NEAR(sum.evaluation.worst_delay_s, 4);
    assert_int_equal(sum.calm_alarms, 1);
}

static void a_metric_that_is_no_series_is_named(void **unused)
{
    (void)unused;
    char error[600] = "";
    const char *text =
        "{\"title\": \"t\", \"teaches\": \"x\", \"method\": [], \"hypothesis\": [],\n"
        "\"proof\": \"1 == 1\", \"anomaly\": [{\"metric\": \"p95\"}]}";
    assert_int_equal(spec_parse(&spec, "01-x.json", text, ARM_FULL, error, sizeof error), -1);
    assert_string_equal(error, "01-x.json:2: anomaly[0].metric: \"p95\" is no series of the "
                               "history; see docs/metrics.md");
}

static int make_directory(void **unused)
{
    (void)unused;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **unused)
{
    (void)unused;
    char path[100];
    snprintf(path, sizeof path, "%s/01-x.history.csv", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/01-x.truth.json", directory);
    unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_expected_is_found_with_its_delay),
        cmocka_unit_test(a_later_beginning_is_where_the_delay_counts_from),
        cmocka_unit_test(what_follows_an_event_is_counted_from_it),
        cmocka_unit_test(an_alarm_in_the_calm_is_a_false_one),
        cmocka_unit_test(what_must_stay_quiet_and_does_not_is_false),
        cmocka_unit_test(a_truth_ends_some_seconds_after_its_fault),
        cmocka_unit_test(what_begins_with_the_end_of_a_fault_is_still_found),
        cmocka_unit_test(what_must_stay_quiet_must_do_so_to_the_end),
        cmocka_unit_test(a_drill_without_a_fault_is_all_calm),
        cmocka_unit_test(what_follows_a_fault_lasts_longer_than_its_truths),
        cmocka_unit_test(figures_of_several_drills_are_those_of_their_sums),
        cmocka_unit_test(a_metric_that_is_no_series_is_named),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
