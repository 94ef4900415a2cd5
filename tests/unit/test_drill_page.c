/* SPDX-License-Identifier: MIT */
/* Pages of drills: every probe is told, foreign text cannot become markup, and every tag is closed,
 * whatever the verdict was. */
#include "tests/unit/unit.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/drill_page.h"
#include "tools/drill/words.h"

#define HOSTILE "<script>alert(1)</script>\"'&"

static char *text;
static size_t text_size;

static FILE *collect(void)
{
    FILE *out = open_memstream(&text, &text_size);
    assert_non_null(out);
    return out;
}

/* Every tag is closed in order; none was made of a report's text. */
static void check_form(const char *html)
{
    static const char *const alone[] = {"meta", "link", "br", "line", "rect/", "!doctype"};
    char open[64][16];
    unsigned depth = 0;
    for (const char *at = html; (at = strchr(at, '<')); at++) {
        char name[16] = "";
        bool closing = at[1] == '/', single = false;
        const char *from = at + 1 + closing, *end = strchr(at, '>');
        assert_non_null(end);
        for (size_t i = 0;
             i + 1 < sizeof name && (isalnum((unsigned char)from[i]) || from[i] == '!'); i++)
            name[i] = from[i];
        for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
            single = single || (strcmp(alone[i], name) == 0 && strcmp(name, "line") != 0);
        if (single || end[-1] == '/')
            continue;
        if (!closing) {
            assert_true(depth < 64);
            snprintf(open[depth++], sizeof open[0], "%s", name);
            continue;
        }
        if (depth == 0 || strcmp(open[depth - 1], name) != 0)
            fail_msg("</%s> closes %s: %.60s", name, depth ? open[depth - 1] : "nothing", at);
        depth--;
    }
    assert_int_equal(depth, 0);
}

static json_t *event(double t_s, const char *name, int id, json_t *cause)
{
    return json_pack("{s:f, s:s, s:s, s:s, s:i, s:o, s:s}", "t_s", t_s, "from", "server", "event",
                     name, "text", HOSTILE, "id", id, "cause_id", cause, "who", "sentinel");
}

static json_t *line(const char *probe, json_t *holds, json_t *measured)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:o, s:f, s:o, s:s, s:s}", "probe", probe, "op", "<",
                     "limit", 5.0, "asserted", 10.0, "measured", measured, "margin", 0.7, "holds",
                     holds, "level", "must", "during", "fault");
}

/* A report of a drill of three seconds, as report.h describes it. */
static json_t *report_of(const char *result)
{
    bool over = strcmp(result, "INTERRUPTED") != 0;
    json_t *report =
        json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:f, s:f, s:f, s:f}, s:[{s:f, s:s}],"
                  " s:[{s:f, s:f, s:s}], s:{s:s, s:s, s:b}, s:f, s:{s:i, s:i, s:i}}",
                  "drill", "07-" HOSTILE, "title", HOSTILE, "teaches", "what " HOSTILE, "started",
                  "2026-01-02T03:04:05.000000Z", "verdict", "result", result, "why", HOSTILE,
                  "phases", "warm_up_s", -1.0, "fault_s", 0.0, "clear_s", 1.0, "end_s", 2.0,
                  "method", "at_s", 0.0, "text", HOSTILE, "bands", "from_s", 0.0, "to_s", 1.0,
                  "text", HOSTILE, "proof", "text", "worker_deaths_total >= 1", "found", HOSTILE,
                  "holds", 1, "recover_s", 1.5, "audit", "lost", 0, "duplicate", 0, "corrupt", 0);
    assert_non_null(report);
    json_object_set_new(report, "hypothesis",
                        json_pack("[o, o, o]",
                                  line("health.p99_ms", over ? json_false() : json_null(),
                                       over ? json_real(12.5) : json_null()),
                                  line("step.2.worker_ready_s", over ? json_true() : json_null(),
                                       over ? json_real(3) : json_null()),
                                  line("load.errors.attempts." HOSTILE,
                                       over ? json_true() : json_null(), json_null())));
    json_object_set_new(report, "timeline",
                        json_pack("[o, o, o, {s:f, s:s, s:s, s:s}]",
                                  event(0.1, "worker_died", 1, json_null()),
                                  event(0.2, "worker_restarted", 2, json_integer(1)),
                                  event(0.3, "worker_ready", 3, json_integer(2)), "t_s", 0.5,
                                  "from", "drill", "event", "failed", "text", HOSTILE));
    json_t *rows = json_array(), *looks = json_array();
    for (int i = 0; i < 3; i++) {
        json_array_append_new(rows, json_pack("{s:f, s:i, s:i, s:i, s:f, s:{s:i}}", "t_s", i - 1.0,
                                              "sent", 10, "ok", 9, "attempts", 11, "p99_ms", 3.0,
                                              "errors", HOSTILE, i));
        json_array_append_new(looks, json_pack("{s:f, s:f, s:f, s:f}", "t_s", i - 1.0, "p99_ms",
                                               2.0, "failed", 1.0, "not_healthy", 2.0));
    }
    json_t *metric = json_pack("{s:s, s:b, s:[{s:f, s:f}]}", "metric", "threads_busy{a=" HOSTILE,
                               "gauge", 1, "rows", "t_s", 0.0, "value", 7.25);
    json_object_set_new(
        report, "series",
        json_pack("{s:o, s:o, s:[o]}", "load", rows, "health", looks, "metrics", metric));
    json_object_set_new(report, "compartments",
                        json_pack("[{s:s, s:b, s:f, s:f}]", "name", HOSTILE, "targeted", 0,
                                  "before", 0.0, "during", 0.5));
    json_object_set_new(report, "how",
                        json_pack("{s:s, s:s, s:s, s:s, s:i}", "command", HOSTILE, "all", HOSTILE,
                                  "arm", "full", "load_page", HOSTILE, "processors", 2));
    return report;
}

static char *page_of(const char *result)
{
    json_t *report = report_of(result);
    FILE *out = collect();
    drill_page(out, report);
    assert_int_equal(fclose(out), 0);
    json_decref(report);
    return text;
}

static void a_page_is_well_formed_and_escapes(void **unused)
{
    (void)unused;
    static const char *const results[] = {"PASS",    "DEVIATED", "INVALID",
                                          "ABORTED", "SKIPPED",  "INTERRUPTED"};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        char *html = page_of(results[i]);
        check_form(html);
        assert_null(strstr(html, "<script"));
        assert_non_null(strstr(html, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
        assert_non_null(strstr(html, results[i]));
        assert_null(strstr(html, "http://"));
        assert_null(strstr(html, "nan"));
        free(html);
    }
}

static void every_probe_is_told(void **unused)
{
    (void)unused;
    static const char *const results[] = {"DEVIATED", "INTERRUPTED"};
    for (size_t i = 0; i < 2; i++) {
        char *html = page_of(results[i]);
        assert_non_null(strstr(html, "health.p99_ms</code>"));
        assert_non_null(strstr(html, "time from step 2 to the event &quot;worker ready&quot;, s"));
        assert_non_null(strstr(html, "load.errors.attempts.&lt;script&gt;"));
        assert_non_null(strstr(html, "threads with a request in hand (a"));
        assert_non_null(strstr(html, " 7.25</title>"));
        assert_non_null(strstr(html, "below 5 (10 with room for noise)"));
        assert_true((strstr(html, "DOES NOT HOLD") != NULL) == (i == 0));
        assert_true((strstr(html, ">12.5<") != NULL) == (i == 0));
        free(html);
    }
}

/* What is not known is not told as lost or as damaged. */
static void what_was_not_checked_is_no_damage(void **unused)
{
    (void)unused;
    for (int known = 0; known < 2; known++) {
        json_t *report = report_of("DEVIATED");
        json_t *audit = json_object_get(report, "audit");
        json_object_set_new(audit, "integrity_ok", known ? json_false() : json_null());
        json_object_set_new(audit, "integrity", json_string("no room " HOSTILE));
        json_object_set_new(audit, "lost", json_null());
        json_object_set_new(report, "load", json_pack("{s:{s:s}}", "audit", "state", "incomplete"));
        json_array_append_new(
            json_object_get(report, "hypothesis"),
            line("the database is whole", json_false(), known ? json_real(0) : json_null()));
        FILE *out = collect();
        drill_page(out, report);
        assert_int_equal(fclose(out), 0);
        json_decref(report);
        check_form(text);
        assert_true((strstr(text, "NOT whole: no room") != NULL) == known);
        assert_true((strstr(text, "not checked: no room") != NULL) == !known);
        const char *claim = strstr(text, "read through at the end");
        assert_non_null(claim);
        assert_true((strncmp(strstr(claim, "<div>"), "<div>no</div>", 13) == 0) == known);
        assert_non_null(strstr(text, "not known: audit incomplete"));
        free(text);
    }
}

static void an_event_stands_below_its_cause(void **unused)
{
    (void)unused;
    char *html = page_of("PASS");
    const char *died = strstr(html, "worker_died</b>");
    const char *restarted = strstr(html, "worker_restarted</b>");
    const char *ready = strstr(html, "worker_ready</b>");
    assert_true(died && restarted && ready && died < restarted && restarted < ready);
    char between[4096];
    snprintf(between, sizeof between, "%.*s", (int)(restarted - died), died);
    assert_non_null(strstr(between, "<ul><li>"));
    assert_null(strstr(between, "</li>"));
    assert_non_null(strstr(ready, "100 ms later"));
    assert_non_null(strstr(died, "sentinel: "));
    free(html);
}

static void the_index_counts_and_leads(void **unused)
{
    (void)unused;
    json_t *reports =
        json_pack("[{s:s, s:o}, {s:s, s:o}, {s:s, s:o}]", "page", "07-a.html", "report",
                  report_of("PASS"), "page", "08-b.html", "report", report_of("DEVIATED"), "page",
                  "09-c.html", "report", report_of("INTERRUPTED"));
    FILE *out = collect();
    drill_index(out, reports);
    assert_int_equal(fclose(out), 0);
    check_form(text);
    assert_non_null(strstr(text, "1 passed, 1 deviated, 1 without a verdict"));
    assert_non_null(strstr(text, "<a href=\"08-b.html\">07 &lt;script&gt;"));
    assert_non_null(strstr(text, "1.50 s"));
    assert_null(strstr(text, "<script"));
    /* The arm that must fail is no failure. */
    json_t *third = json_object_get(json_array_get(reports, 1), "report");
    json_object_set_new(json_object_get(third, "how"), "arm", json_string("control"));
    free(text);
    out = collect();
    drill_index(out, reports);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "1 passed, 0 deviated, 1 without a verdict"));
    free(text);
    json_decref(reports);
}

static void expressions_have_words(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *words;
    } all[] = {
        {"load.errors.attempts.refused + health.refused",
         "attempts refused a connection + looks at /health refused a connection"},
        {"http_requests_total{class=read,code=5*}", "answers (class read, code 5…)"},
        {"p99(http_request_duration_seconds{class=write})",
         "99 % of the server's own time for a request (class write), ms"},
        {"breakers_open{slot!=2}", "breakers open (slot not 2)"},
        {"a_total >= 1 and b_total == 0", "a_total >= 1 and b_total == 0"},
        {"seconds to detect (worker_died)", "seconds to detect (worker_died)"},
        {"leakage, points", "rise of errors in compartments not meant to suffer, points"},
        {"", ""},
    };
    char words[300];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        words_of_expression(all[i].text, words, sizeof words);
        assert_string_equal(words, all[i].words);
    }
    words_of_expression(all[0].text, words, 20); /* what does not fit is cut */
    assert_int_equal(strlen(words), 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_well_formed_and_escapes),
        cmocka_unit_test(every_probe_is_told),
        cmocka_unit_test(what_was_not_checked_is_no_damage),
        cmocka_unit_test(an_event_stands_below_its_cause),
        cmocka_unit_test(the_index_counts_and_leads),
        cmocka_unit_test(expressions_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
