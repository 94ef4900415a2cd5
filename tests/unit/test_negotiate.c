/* SPDX-License-Identifier: MIT */
/* Which format of /metrics an Accept asks for. */
#include "tests/unit/unit.h"

#include <stddef.h>
#include <stdio.h>

#include "supervisor/console/negotiate.h"

static void assert_format(const char *accept, enum exposition_format expected)
{
    struct negotiation negotiation = {0};
    negotiate_take(&negotiation, accept);
    if (negotiate_format(&negotiation) != expected)
        fail_msg("%s gives the other format", accept);
}

static void openmetrics_when_it_is_preferred(void **unused)
{
    (void)unused;
    static const char *const accepts[] = {
        /* Prometheus 2.42, and 3 */
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
        "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
        "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "application/openmetrics-text; version=\"1.0.0\"",
        "Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.9 , text/plain ; q=0.8",
        "application/openmetrics-text, */*",
        "application/*;q=0.5, text/*;q=0.4",
        "text/plain;q=0, application/openmetrics-text;q=0.001",
        "*/*;q=0.1, application/openmetrics-text;q=0.2",
        "text/plain;version=1.0.0, application/openmetrics-text;q=0.1",
        ",, ,application/openmetrics-text",
        "application/x;a=\"text/plain,\\\",;\", application/openmetrics-text;version=1.0.0",
    };
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++)
        assert_format(accepts[i], EXPOSITION_OPENMETRICS);
}

static void text_otherwise(void **unused)
{
    (void)unused;
    static const char *const accepts[] = {
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/json",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0, */*;q=0.1",
        "application/openmetrics-text;q=0.5, text/plain",
        "application/openmetrics-text;q=0.5, text/plain;q=0.501",
        "application/openmetrics-text, text/plain",
        "text/*, application/*",
        "application/*;q=0.9, application/openmetrics-text;q=0.1, text/plain;q=0.5",
        "*/*;q=0.9, application/openmetrics-text;q=0.1, text/plain;q=0.5",
        "xapplication/openmetrics-text",
        "application/openmetrics-textx",
        "application/openmetrics",
        "application",
        ";q=1",
        "/;/;/,,;;==",
        "\"application/openmetrics-text",
        "x=\"\\",
    };
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++)
        assert_format(accepts[i], EXPOSITION_TEXT);
}

static void a_weight_that_is_none_counts_as_one(void **unused)
{
    (void)unused;
    static const char *const weights[] = {"", "x", "-1", "1.1", "2", "0.5555", ".5", "0x1"};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        char accept[100];
        snprintf(accept, sizeof accept, "application/openmetrics-text;q=%s, text/plain;q=0.999",
                 weights[i]);
        assert_format(accept, EXPOSITION_OPENMETRICS);
    }
}

static void several_fields_are_one_list(void **unused)
{
    (void)unused;
    struct negotiation negotiation = {0};
    negotiate_take(&negotiation, "text/plain;q=0.5");
    negotiate_take(&negotiation, "application/openmetrics-text;q=0.6");
    assert_int_equal(negotiate_format(&negotiation), EXPOSITION_OPENMETRICS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openmetrics_when_it_is_preferred),
        cmocka_unit_test(text_otherwise),
        cmocka_unit_test(a_weight_that_is_none_counts_as_one),
        cmocka_unit_test(several_fields_are_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
