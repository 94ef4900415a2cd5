/* SPDX-License-Identifier: MIT */
/* Drill files: what is wrong in one is named with its line, and arms differ as they say. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/json_line.h"
#include "tools/drill/spec.h"

static const char good[] = "{\n"                                                            /* 1 */
                           " \"title\": \"t\", \"teaches\": \"x\",\n"                       /* 2 */
                           " \"server\": {\"workers\": 2,\n"                                /* 3 */
                           "   \"overrides\": {\"breaker.window\": 30}},\n"                 /* 4 */
                           " \"method\": [\n"                                               /* 5 */
                           "  {\"at_s\": 1, \"fault\": \"slow delay=50ms duration=30s\",\n" /* 6 */
                           "   \"id\": \"a\"},\n"                                           /* 7 */
                           "  {\"at_s\": 0, \"act\": \"kill\", \"target\": \"worker:1\",\n" /* 8 */
                           "   \"every_s\": 1, \"times\": 4},\n"                            /* 9 */
                           "  {\"at_s\": 9, \"clear\": \"a\"}],\n"                          /* 10 */
                           " \"hypothesis\": [\n"                                           /* 11 */
                           "  {\"probe\": \"load.latency_ms.p95\", \"op\": \"<\", \"limit\": 5}],\n"
                           " \"expect\": {\"recover_s\": 2},\n"             /* 13 */
                           " \"proof\": \"worker_deaths_total >= 1\",\n"    /* 14 */
                           " \"short\": {\"method\": []},\n"                /* 15 */
                           " \"control\": {\"server\": {\"workers\": 3}}\n" /* 16 */
                           "}\n";

static struct spec spec;

static int parse(const char *text, unsigned arm, char *error, size_t size)
{
    return spec_parse(&spec, "dir/07-x.json", text, arm, error, size);
}

/* `good` with its first `from` replaced. The caller's to free. */
static char *with(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    size_t size = strlen(good) + strlen(to) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    snprintf(text, size, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    return text;
}

static void a_good_file_is_read(void **unused)
{
    (void)unused;
    char error[600] = "";
    assert_int_equal(parse(good, ARM_FULL, error, sizeof error), 0);
    assert_string_equal(spec.name, "07-x");
    assert_int_equal(spec.step_count, 3);
    assert_int_equal(spec.step[0].act, ACT_SIGNAL); /* by time */
    assert_int_equal(spec.step[0].signal, 9);
    assert_int_equal(spec.step[0].times, 4);
    assert_float_equal(spec.method_s, 9, 1e-9); /* the fault ends with its clear, not after 30 s */
    assert_float_equal(spec.watch_s, 5, 1e-9);
    assert_float_equal(spec.probe[0].noise, SPEC_NOISE, 1e-9);
    assert_true(spec.has_control && spec.has_short);
    assert_true(spec.lost_acked < 0);
}

static void arms_differ_as_they_say(void **unused)
{
    (void)unused;
    char error[600] = "";
    assert_int_equal(parse(good, ARM_CONTROL, error, sizeof error), 0);
    assert_int_equal(spec.server.workers, 3);
    assert_int_equal(spec.server.override_count, 1); /* the rest stays */
    assert_int_equal(parse(good, ARM_SHORT, error, sizeof error), 0);
    assert_int_equal(spec.step_count, 0);
    assert_int_equal(parse(good, ARM_NO_FAULT, error, sizeof error), 0);
    assert_int_equal(spec.step_count, 0);
    assert_float_equal(spec.method_s, 9, 1e-9); /* it lasts as long */
    char *text = with("\"method\": []}", "\"phases\": {\"after_s\": 2}}");
    assert_int_equal(parse(text, ARM_NO_FAULT | ARM_SHORT, error, sizeof error), 0);
    assert_int_equal(spec.step_count, 0);
    assert_float_equal(spec.method_s, 5, 1e-9); /* unless it need not */
    assert_float_equal(spec.watch_s, 2, 1e-9);
    free(text);
}

static void what_is_wrong_is_named_with_its_line(void **unused)
{
    (void)unused;
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        {"\"teaches\"", "\"teeches\"", "dir/07-x.json:2: teeches: no such key; allowed: title,"},
        {"\"teaches\": \"x\",", "", "dir/07-x.json:1: \"teaches\" is missing"},
        {"\"t\"", "5", ":2: title: want a text"},
        {"\"workers\": 2", "\"workers\": 0",
         ":3: server.workers: want a whole number; allowed: 1 to 64"},
        {"\"workers\": 2", "\"workers\": 2.5", ":3: server.workers: want a whole number"},
        {"\"workers\": 2", "\"workers\": 1",
         ":8: method[1]: there is no worker 1; allowed: 0 to 0"},
        {"breaker.window", "breaker.windows",
         ":4: server.overrides.\"breaker.windows\": unknown key"},
        {"\"breaker.window\": 30", "\"breaker.window\": 1",
         "breaker.fast_window = 2 is more than breaker.window = 1"},
        {"\"breaker.window\": 30", "\"faults.enabled\": \"no\"", "say server.faults"},
        {"slow delay=50ms", "slow", ":6: method[0].fault: delay: missing; for example delay=50ms"},
        {"slow delay=50ms", "crash signal=HUP",
         ":6: method[0].fault: signal=HUP: not allowed; allowed: KILL, SEGV, ABRT"},
        {"slow delay=50ms", "slow delay=50ms target=worker:2",
         "there is no worker 2; allowed: 0 to 1"},
        {"\"workers\": 2,", "\"workers\": 2, \"faults\": false,", "fault: needs faults"},
        {"\"kill\"", "\"kil\"", ":8: method[1].act: \"kil\": no such act; allowed: kill, stop,"},
        {"worker:1", "worker:x",
         ":8: method[1].target: \"worker:x\": not known; allowed: worker:N,"},
        {"\"every_s\": 1, ", "", "times: needs every_s"},
        {"\"clear\": \"a\"", "\"clear\": \"b\"", "no fault has the id \"b\""},
        {"\"clear\": \"a\"", "\"clear\": \"a\", \"act\": \"reload\"",
         ":10: method[2]: want one of fault, clear and act, not several"},
        {"\"op\": \"<\"", "\"op\": \"=<\"",
         ":12: hypothesis[0].op: \"=<\": not known; allowed: <, <="},
        {", \"limit\": 5", "", ":12: hypothesis[0]: \"limit\" is missing"},
        {"load.latency_ms.p95", "lod.p95",
         ":12: hypothesis[0].probe: lod.p95: allowed before the dot"},
        {"\"limit\": 5", "\"limit\": 5, \"mode\": \"continuous\"",
         "load.latency_ms.p95 is known at the end alone"},
        {"\"limit\": 5", "\"limit\": 5, \"from_event\": \"db_reopen\"",
         ":12: hypothesis[0]: from_event: needs a to_event"},
        {"\"limit\": 5", "\"limit\": 5, \"from_event\": \"smoke\", \"to_event\": \"db_reopen\"",
         ":12: hypothesis[0]: from_event: smoke: no event"},
        {"\"recover_s\": 2", "\"recover_s\": \"2\"",
         ":13: expect.recover_s: want a number; allowed: 0.001"},
        {"\"recover_s\": 2", "\"detect_s\": 2", "say which detector with detect_by"},
        {"\"recover_s\": 2", "\"detect_by\": \"smoke\"",
         ":13: expect.detect_by: smoke: no detector"},
        {"\"recover_s\": 2", "\"blast_radius\": [\"disk\"]",
         ":13: expect.blast_radius[0]: no compartment"},
        {"worker_deaths_total", "worker_death_total",
         ":14: proof: no metric \"worker_death_total\""},
        {" >= 1", "", ":14: proof: want a comparison"},
        {"\"method\": []", "\"metod\": []", ":15: metod: no such key"},
        {"{\"server\": {\"workers\": 3}}", "{\"server\": {\"workers\": 1}}",
         "there is no worker 1"},
        {"\"id\": \"a\"", "\"id\": \"a\", \"times\": 2",
         ":7: method[0].times: does nothing here; only an act has one"},
        {"\"clear\": \"a\"", "\"clear\": \"a\", \"duration_s\": 2",
         ":10: method[2].duration_s: does nothing here; only act load has one"},
        {"\"times\": 4", "\"times\": 4, \"keep_mib\": 2",
         ":9: method[1].keep_mib: does nothing here; only act fill has one"},
        {"\"short\"", "\"rollbacks\": [{\"fault\": \"crash\"}],\n \"short\"",
         ":15: rollbacks[0]: want an act"},
        {"\"short\"", "\"rollbacks\": [{\"clear\": \"a\"}],\n \"short\"",
         ":15: rollbacks[0]: want an act"},
        {"\"short\"", "\"rollbacks\": [{\"act\": \"reload\"}],\n \"short\"",
         ":15: rollbacks[0].act: \"reload\": not in rollbacks"},
        {"\"short\"", "\"rollbacks\": [{\"act\": \"release\", \"at_s\": 3}],\n \"short\"",
         ":15: rollbacks[0].at_s: does nothing here"},
        {"\"short\"", "\"rollbacks\": [{\"act\": \"cont\", \"target\": \"worker:5\"}],\n \"short\"",
         ":15: rollbacks[0]: there is no worker 5"},
        {"\"t\",", "\"t\"", "dir/07-x.json:2: "},
        {"\"t\",", "\"t\", \"title\": \"u\",", "duplicate object key"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char error[600] = "";
        char *text = with(rows[i].from, rows[i].to);
        int result = parse(text, ARM_FULL, error, sizeof error);
        for (unsigned arm = ARM_SHORT; result == 0 && arm <= ARM_CONTROL; arm <<= 1)
            result = parse(text, arm, error, sizeof error);
        if (result != -1 || !strstr(error, rows[i].says))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, error, rows[i].says);
        free(text);
    }
}

static void lines_are_found(void **unused)
{
    (void)unused;
    static const char text[] = "{\"a\\\"\": [1,\n{\"b\": \"}\\n,\",\n\"c.d\": {}}],\n\"e\": null}";
    assert_int_equal(json_line(text, "a\\\""), 1);
    assert_int_equal(json_line(text, "a\\\"[1]"), 2);
    assert_int_equal(json_line(text, "a\\\"[1].b"), 2);
    assert_int_equal(json_line(text, "a\\\"[1].\"c.d\""), 3);
    assert_int_equal(json_line(text, "e"), 4);
    assert_int_equal(json_line(text, "f"), 0);
    assert_int_equal(json_line(text, "e.f"), 0);
    assert_int_equal(json_line(text, "a\\\"[2]"), 0);
}

static void acts_on_a_foreign_server_are_refused(void **unused)
{
    (void)unused;
    char error[600] = "";
    assert_int_equal(parse(good, ARM_FULL, error, sizeof error), 0);
    assert_int_equal(spec_check_server(&spec, true, 2, error, sizeof error), 0);
    assert_int_equal(spec_check_server(&spec, true, 1, error, sizeof error), -1);
    assert_non_null(strstr(error, "no worker 1"));
    char *text = with("\"worker:1\"", "\"supervisor\"");
    assert_int_equal(parse(text, ARM_FULL, error, sizeof error), 0);
    assert_int_equal(spec_check_server(&spec, false, 2, error, sizeof error), 0);
    assert_int_equal(spec_check_server(&spec, true, 2, error, sizeof error), -1);
    assert_non_null(strstr(error, "not with --attach"));
    free(text);
    text = with("\"short\"", "\"rollbacks\": [{\"act\": \"db_delete\"}], \"short\"");
    assert_int_equal(parse(text, ARM_FULL, error, sizeof error), 0);
    assert_int_equal(spec_check_server(&spec, true, 2, error, sizeof error), -1);
    assert_non_null(strstr(error, "not with --attach"));
    free(text);
    text = with("\"kill\", \"target\": \"worker:1\"", "\"db_delete\"");
    assert_int_equal(parse(text, ARM_FULL, error, sizeof error), 0);
    assert_int_equal(spec_check_server(&spec, true, 2, error, sizeof error), -1);
    assert_non_null(strstr(error, "loses what is in the database: not with --attach"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(arms_differ_as_they_say),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(lines_are_found),
        cmocka_unit_test(acts_on_a_foreign_server_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
