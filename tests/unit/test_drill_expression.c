/* SPDX-License-Identifier: MIT */
/* What a drill asks of numbers: the grammar, its mistakes, its values. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/drill/expression.h"

static struct selectors selectors;
static struct expression expression;

/* Metrics are 10, 11, 12 … by place; load.a is 2.5, everything else was not measured. */
static double resolve(void *argument, const struct node *term)
{
    (void)argument;
    if (term->kind == NODE_METRIC)
        return 10 + term->selector;
    return strcmp(term->path, "load.a") == 0      ? 2.5
           : strcmp(term->path, "load.zero") == 0 ? 0
                                                  : (double)NAN;
}

static double value(const char *text, bool condition)
{
    char error[256] = "";
    memset(&selectors, 0, sizeof selectors);
    if (expression_parse(&expression, text, condition, &selectors, error, sizeof error) < 0)
        fail_msg("%s: %s", text, error);
    return expression_value(&expression, resolve, NULL);
}

static void values_are_worked_out(void **unused)
{
    (void)unused;
    assert_float_equal(value("1 + 2 * 3", false), 7, 1e-9);
    assert_float_equal(value("(1 + 2) * 3 - 4 / 2", false), 7, 1e-9);
    assert_float_equal(value("10 - 3 - 2", false), 5, 1e-9);
    assert_float_equal(value("load.a * 2", false), 5, 1e-9);
    assert_true(isnan(value("load.zero / load.zero", false))); /* a share of nothing */
    assert_true(isnan(value("load.b / load.zero", false)));
    assert_true(isnan(value("load.a / load.b", false)));
    assert_true(isinf(value("1 / load.zero", false)));
    assert_true(isnan(value("load.b + 1", false)));
    assert_float_equal(value("db_commits_total + requests_lost_total - db_commits_total", false),
                       11, 1e-9);
    assert_int_equal(selectors.count, 2); /* each once */
}

static void conditions_hold_or_not(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int holds;
    } rows[] = {
        {"1 < 2", 1},
        {"2 < 2", 0},
        {"2 <= 2", 1},
        {"0.1 + 0.2 == 0.3", 1},
        {"1 != 1", 0},
        {"3 >= 4", 0},
        {"4 > 3 and 1 == 1", 1},
        {"4 > 3 and 1 == 2", 0},
        {"1 == 2 and 4 > 3", 0},
        {"load.b < 1", 0},
        {"load.b != 1", 0}, /* not measured holds nothing */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if ((value(rows[i].text, true) > 0) != rows[i].holds)
            fail_msg("%s", rows[i].text);
}

static void a_condition_is_explained(void **unused)
{
    (void)unused;
    char text[200];
    value("load.a >= 2 and db_commits_total > 20", true);
    expression_explain(&expression, resolve, NULL, text, sizeof text);
    assert_string_equal(text, "2.5 >= 2 holds, 10 > 20 does not hold");
    value("load.b > 0", true);
    expression_explain(&expression, resolve, NULL, text, sizeof text);
    assert_string_equal(text, "not measured > 0 does not hold");
}

static void metrics_are_read_as_they_are(void **unused)
{
    (void)unused;
    value("worker_deaths_total{class=killed} + max(bulkhead_inflight{class!=read}) + "
          "bulkhead_queued + "
          "p95(http_request_duration_seconds{class=read}) + "
          "http_requests_total{code=5*,class=read} + "
          "breakers_open{slot!=2} + http_request_duration_seconds_count",
          false);
    assert_int_equal(selectors.count, 7);
    assert_int_equal(expression.node[0].reading, READ_DELTA);
    assert_string_equal(selectors.all[0].label[0].value, "killed");
    assert_int_equal(expression.node[1].reading, READ_MAX);
    assert_true(selectors.all[1].label[0].differs && selectors.all[1].gauge);
    assert_int_equal(expression.node[3].reading, READ_MAX); /* a gauge alone */
    assert_true(selectors.all[3].histogram);
    assert_int_equal(selectors.all[4].label_count, 2);
    assert_false(selectors.all[6].histogram);
}

static void mistakes_are_named(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool condition;
        const char *says;
    } rows[] = {
        {"worker_death_total", false,
         "no metric \"worker_death_total\"; allowed: those of docs/metrics.md"},
        {"worker_deaths_total{klass=killed}", false, "has no label \"klass\"; allowed: class"},
        {"requests_lost_total{a=b}", false, "has no label \"a\"; allowed: none"},
        {"worker_deaths_total{class~killed}", false, "want label=value"},
        {"worker_deaths_total{class=killed", false, "labels end with }"},
        {"http_request_duration_seconds", false, "is a histogram; allowed: p50(), p95(), p99()"},
        {"p95(db_commits_total)", false, "is no histogram; allowed: delta()"},
        {"max(db_commits_total", false, "max( without its )"},
        {"(1 + 2", false, "a ( without its )"},
        {"1 +", false, "want a number, a metric or a name.path"},
        {"1 2", false, "cannot read \"2\""},
        {"1 < 2", false, "a value has no comparison in it"},
        {"1", true, "want a comparison"},
        {"1 < 2 and", true, "want a number, a metric"},
        {"1 < 2 or 2 < 1", true, "cannot read \"or"},
        {"console.p95", false, "allowed before the dot: load,"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char error[300] = "";
        memset(&selectors, 0, sizeof selectors);
        int result = expression_parse(&expression, rows[i].text, rows[i].condition, &selectors,
                                      error, sizeof error);
        if (result != -1 || !strstr(error, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, error, rows[i].says);
    }
}

static void size_is_bounded(void **unused)
{
    (void)unused;
    char text[EXPRESSION_TEXT + 10] = "", error[300];
    for (int i = 0; i < 60; i++)
        strcat(text, "1+1+");
    strcat(text, "1");
    memset(&selectors, 0, sizeof selectors);
    assert_int_equal(expression_parse(&expression, text, false, &selectors, error, sizeof error),
                     -1);
    assert_non_null(strstr(error, "terms; split it"));
    memset(text, '(', 200);
    text[200] = '\0';
    assert_int_equal(expression_parse(&expression, text, false, &selectors, error, sizeof error),
                     -1);
    assert_non_null(strstr(error, "nested too deep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_worked_out),    cmocka_unit_test(conditions_hold_or_not),
        cmocka_unit_test(a_condition_is_explained), cmocka_unit_test(metrics_are_read_as_they_are),
        cmocka_unit_test(mistakes_are_named),       cmocka_unit_test(size_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
