/* SPDX-License-Identifier: MIT */
/* The load tester's decisions: retries, thresholds, requests, timers, the result and exit code. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "tools/http/target.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/options.h"
#include "tools/loadtest/plan.h"
#include "tools/loadtest/request.h"
#include "tools/loadtest/result.h"
#include "tools/loadtest/retry.h"
#include "tools/loadtest/summary.h"
#include "tools/loadtest/threshold.h"
#include "tools/loadtest/timers.h"

#define KEY_A "01a1fb94-6339-7733-bf6c-35658bdea75b"

/* ---- retries ---- */

static void what_may_pass_is_worth_a_retry(void **state)
{
    (void)state;
    static const enum cause yes[] = {CAUSE_REFUSED, CAUSE_UNREACHABLE, CAUSE_RESET, CAUSE_EOF,
                                     CAUSE_TIMEOUT};
    static const enum cause no[] = {CAUSE_NONE, CAUSE_MALFORMED, CAUSE_DROPPED, CAUSE_WRONG};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(retry_is_worthwhile(&(struct outcome){.cause = yes[i]}));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(retry_is_worthwhile(&(struct outcome){.cause = no[i]}));
    for (int status = 300; status < STATUS_LIMIT; status++)
        assert_int_equal(
            retry_is_worthwhile(&(struct outcome){.cause = CAUSE_HTTP, .status = status}),
            status == 429 || status == 502 || status == 503 || status == 504);
}

static void policies_wait_as_they_say(void **state)
{
    (void)state;
    const struct outcome refused = {.cause = CAUSE_REFUSED};
    struct retry_policy policy = {.kind = RETRY_NONE, .attempts = 3};
    uint64_t wait_ns = 1;
    assert_false(retry_decide(&policy, &refused, 0, 0, &wait_ns));
    policy.kind = RETRY_IMMEDIATE;
    assert_true(retry_decide(&policy, &refused, 0, UINT64_MAX, &wait_ns));
    assert_int_equal(wait_ns, 0);
    assert_true(retry_decide(&policy, &refused, 1, UINT64_MAX, &wait_ns));
    assert_false(retry_decide(&policy, &refused, 2, UINT64_MAX, &wait_ns)); /* three in all */
    policy.kind = RETRY_FIXED;
    assert_true(retry_decide(&policy, &refused, 1, UINT64_MAX, &wait_ns));
    assert_int_equal(wait_ns, 100 * NS_PER_MS);
    policy.kind = RETRY_FULL_JITTER;
    policy.attempts = 0; /* no limit */
    uint64_t ceiling_ns = 50 * NS_PER_MS;
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        uint64_t longest = 0;
        for (uint64_t random = 0; random < 1000; random++) {
            assert_true(
                retry_decide(&policy, &refused, attempt, random * 0x9E3779B97F4A7C15, &wait_ns));
            assert_true(wait_ns <= ceiling_ns);
            longest = wait_ns > longest ? wait_ns : longest;
        }
        assert_true(longest > ceiling_ns / 10 * 9);
        ceiling_ns = ceiling_ns * 2 < NS_PER_S ? ceiling_ns * 2 : NS_PER_S;
    }
}

static void policies_have_names(void **state)
{
    (void)state;
    enum retry_kind kind;
    for (int i = RETRY_NONE; i <= RETRY_FULL_JITTER; i++) {
        assert_int_equal(retry_parse(retry_name((enum retry_kind)i), &kind), 0);
        assert_int_equal(kind, i);
    }
    assert_int_equal(retry_parse("sometimes", &kind), -EINVAL);
}

/* ---- thresholds ---- */

static void thresholds_are_parsed_and_held(void **state)
{
    (void)state;
    struct threshold threshold;
    char text[THRESHOLD_TEXT];
    assert_int_equal(threshold_parse("p95<200", &threshold), 0);
    assert_true(threshold_holds(&threshold, 199.9));
    assert_false(threshold_holds(&threshold, 200));
    assert_false(threshold_holds(&threshold, (double)NAN));
    assert_int_equal(threshold_parse(" error_rate <= 0.01 ", &threshold), 0);
    assert_true(threshold_holds(&threshold, 0.01));
    assert_false(threshold_holds(&threshold, 0.0101));
    threshold_text(&threshold, text);
    assert_string_equal(text, "error_rate<=0.01");
    assert_int_equal(threshold_parse("lost==0", &threshold), 0);
    assert_int_equal(threshold.metric, METRIC_LOST);
    assert_true(threshold_holds(&threshold, 0));
    assert_false(threshold_holds(&threshold, 1));
    assert_false(threshold_holds(&threshold, (double)NAN));
    assert_int_equal(threshold_parse("knee >= 400", &threshold), 0);
    assert_true(threshold_holds(&threshold, 400));
    assert_false(threshold_holds(&threshold, 399));
    assert_false(threshold_holds(&threshold, (double)NAN));
    assert_int_equal(threshold_parse("goodput>100", &threshold), 0);
    assert_false(threshold_holds(&threshold, 100));
    static const char *const bad[] = {"",       "p95",       "p95<",     "p96<1",   "p95=>1",
                                      "p95=1",  "p95<=<1",   "p95<-1",   "p95<1ms", "p95<nan",
                                      "p95<<1", "p95<1 2",   "<1",       "p95 1",   "p95<inf",
                                      "p9 5<1", "p95 < = 1", "p95<1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(threshold_parse(bad[i], &threshold), -EINVAL);
}

/* ---- requests, targets, timers ---- */

static void requests_carry_what_the_contract_asks(void **state)
{
    (void)state;
    char out[REQUEST_BYTES + 1];
    char name[] = "me", password[] = "a\"b\\", token[] = "abc";
    struct target target = {.authority = "[::1]:8080", .prefix = "/v1"};
    struct account account = {.name = name, .password = password, .token = token};
    struct ledger *ledger = ledger_open();
    const struct ledger_entry *entry = ledger_entry(ledger, ledger_add(ledger, 0, KEY_A));
    struct request request = {.kind = REQUEST_CREATE, .number = 7, .attempt = 2};
    out[request_write(out, &request, &target, &account, entry, "lt-1")] = '\0';
    assert_ptr_equal(strstr(out, "POST /v1/data/items HTTP/1.1\r\nHost: [::1]:8080\r\n"), out);
    assert_non_null(strstr(out, "\r\nX-Request-Id: lt-1-7.2\r\n"));
    assert_non_null(strstr(out, "\r\nX-Retry-Attempt: 2\r\n"));
    assert_non_null(strstr(out, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(out, "\r\nIdempotency-Key: \"" KEY_A "\"\r\n"));
    const char *body = strstr(out, "\r\n\r\n") + 4, *length = strstr(out, "Content-Length: ");
    assert_int_equal(strlen(body), strtoul(length + 16, NULL, 10));
    request = (struct request){.kind = REQUEST_LOGIN};
    out[request_write(out, &request, &target, &account, NULL, "lt-1")] = '\0';
    assert_non_null(strstr(out, "{\"username\":\"me\",\"password\":\"a\\\"b\\\\\"}"));
    assert_null(strstr(out, "Authorization"));
    request = (struct request){.kind = REQUEST_WALK, .limit = 100, .cursor = "a/b+=&"};
    out[request_write(out, &request, &target, &account, NULL, "lt-1")] = '\0';
    assert_ptr_equal(strstr(out, "GET /v1/data/items?limit=100&cursor=a%2Fb%2B%3D%26 HTTP/1.1"),
                     out);
    ledger_close(ledger);
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    struct target target;
    assert_int_equal(target_parse(&target, "http://127.0.0.1:8080"), 0);
    assert_string_equal(target.host, "127.0.0.1");
    assert_string_equal(target.port, "8080");
    assert_string_equal(target.prefix, "");
    assert_int_equal(target_parse(&target, "http://[::1]/v1/"), 0);
    assert_string_equal(target.host, "::1");
    assert_string_equal(target.port, "80");
    assert_string_equal(target.prefix, "/v1");
    assert_string_equal(target.authority, "[::1]");
    static const char *const bad[] = {"",
                                      "127.0.0.1:8080",
                                      "https://x",
                                      "http://",
                                      "http://:80",
                                      "http://x:",
                                      "http://x:0",
                                      "http://x:65536",
                                      "http://[::1",
                                      "http://x:y",
                                      "http://a b",
                                      "http://x/?q",
                                      "http://a@b",
                                      "http://::1:8080",
                                      "http://x:80x",
                                      "unix:/tmp/x",
                                      "http://[::1]80",
                                      "http://x\r\ny"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(target_parse(&target, bad[i]), -EINVAL);
}

static void timers_come_in_order(void **state)
{
    (void)state;
    struct timers timers = {0};
    uint64_t due[500], random = 1, last = 0;
    assert_int_equal(timers_next_ns(&timers), UINT64_MAX);
    for (size_t i = 0; i < 500; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        due[i] = random >> 44;
        timers_add(&timers, due[i], &due[i]);
    }
    assert_null(timers_take(&timers, timers_next_ns(&timers) - 1));
    for (size_t i = 0; i < 500; i++) {
        uint64_t next = timers_next_ns(&timers);
        const uint64_t *thing = timers_take(&timers, next);
        assert_non_null(thing);
        assert_int_equal(*thing, next);
        assert_true(next >= last);
        last = next;
    }
    assert_null(timers_take(&timers, UINT64_MAX));
    timers_free(&timers);
}

/* ---- the result ---- */

static void the_gravest_finding_is_the_exit_code(void **state)
{
    (void)state;
    struct result result = {.audit = AUDIT_COMPLETE};
    assert_int_equal(result_exit_code(&result), LOADTEST_OK);
    result.breaches = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_BREACHED);
    result.invalid_count = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_INVALID);
    result.audit = AUDIT_INCOMPLETE;
    assert_int_equal(result_exit_code(&result), EXIT_TEMPORARY);
    result.interrupted = true;
    assert_int_equal(result_exit_code(&result), LOADTEST_INTERRUPTED);
    result.verdict.indeterminate = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_INTERRUPTED);
    result.verdict.corrupt = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_AUDIT_FAILED);
}

static void late_and_limited_runs_are_invalid(void **state)
{
    (void)state;
    struct options options = {.thresholds = {{METRIC_P99, BELOW, 1000}}, .threshold_count = 1};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    struct result result = {.options = &options, .statistics = statistics};
    const struct outcome limited = {.cause = CAUSE_HTTP, .status = 429};
    assert_non_null(statistics);
    for (unsigned i = 0; i < 100; i++) {
        statistics_sent(statistics);
        statistics_lag(statistics, i < 99 ? NS_PER_MS : 50 * NS_PER_MS);
        statistics_request_ok(statistics, LOAD_READ, NS_PER_MS);
    }
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_OK); /* one in a hundred may be late */
    assert_int_equal(result.invalid_count, 0);
    statistics_lag(statistics, 50 * NS_PER_MS);
    statistics_lag(statistics, 50 * NS_PER_MS);
    result = (struct result){.options = &options, .statistics = statistics};
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_INVALID);
    statistics_attempt_failed(statistics, &limited, 0);
    result = (struct result){.options = &options, .statistics = statistics};
    result_conclude(&result);
    assert_int_equal(result.invalid_count, 2);
    options.allow_429 = true;
    result = (struct result){.options = &options, .statistics = statistics};
    result_conclude(&result);
    assert_int_equal(result.invalid_count, 1);
    free(statistics);
}

static void a_saturated_tester_is_invalid(void **state)
{
    (void)state;
    struct options options = {0};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    assert_non_null(statistics);
    statistics_request_ok(statistics, LOAD_READ, NS_PER_MS);
    struct result result = {.options = &options, .statistics = statistics, .cpu_share = 0.89};
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_OK);
    result = (struct result){.options = &options, .statistics = statistics, .cpu_share = 0.95};
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_INVALID);
    result = (struct result){
        .options = &options, .statistics = statistics, .cpu_share = 0.5, .starved_share = 0.45};
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_INVALID);
    options.closed = true; /* it is meant to run as fast as it can */
    result = (struct result){.options = &options, .statistics = statistics, .cpu_share = 0.95};
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_OK);
    free(statistics);
}

/* A server that stands still for a second of ten: every request that was due in it is late by what
 * was left of the second. Counted from the sending, one request would show it. */
static void a_pause_delays_everything_that_was_due_in_it(void **state)
{
    (void)state;
    const struct plan_settings settings = {
        .rate = 300, .duration_ns = 10 * NS_PER_S, .weight = {[LOAD_READ] = 1}, .seed = 1};
    struct plan plan;
    struct arrival arrival;
    struct options options = {.thresholds = {{METRIC_P99, BELOW, 880}}, .threshold_count = 1};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    struct result result = {.options = &options, .statistics = statistics};
    assert_non_null(statistics);
    plan_start(&plan, &settings);
    while (plan_next(&plan, &arrival)) {
        bool paused = arrival.offset_ns >= 4 * NS_PER_S && arrival.offset_ns < 5 * NS_PER_S;
        statistics_sent(statistics);
        statistics_request_ok(statistics, arrival.kind,
                              paused ? 5 * NS_PER_S - arrival.offset_ns : NS_PER_MS);
    }
    result_conclude(&result);
    /* 300 of 3000 are spread evenly over the second: the 99th percentile is at 0.9 of it. */
    assert_true(result.value[0] > 870 && result.value[0] < 930);
    assert_int_equal(result.exit_code, LOADTEST_BREACHED);
    free(statistics);
}

/* What the table shows of all requests is what a threshold is held against. */
static void the_table_shows_no_more_than_the_slowest(void **state)
{
    (void)state;
    struct options options = {.url = "http://127.0.0.1", .profile = "baseline"};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    assert_non_null(statistics);
    struct profile_result profile;
    profile_result_open(&profile, &options);
    struct result result = {
        .options = &options, .statistics = statistics, .profile = &profile, .sending_s = 1};
    statistics_request_ok(statistics, LOAD_READ,
                          196700 * NS_PER_US); /* its bucket's middle: 198.7 */
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    summary_table(&result, out);
    fclose(out);
    assert_non_null(strstr(text, " 196.70     196.70     196.70\n"));
    assert_null(strstr(text, "198."));
    profile_result_close(&profile);
    free(statistics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_pass_is_worth_a_retry),
        cmocka_unit_test(policies_wait_as_they_say),
        cmocka_unit_test(policies_have_names),
        cmocka_unit_test(thresholds_are_parsed_and_held),
        cmocka_unit_test(requests_carry_what_the_contract_asks),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(timers_come_in_order),
        cmocka_unit_test(the_gravest_finding_is_the_exit_code),
        cmocka_unit_test(late_and_limited_runs_are_invalid),
        cmocka_unit_test(a_saturated_tester_is_invalid),
        cmocka_unit_test(a_pause_delays_everything_that_was_due_in_it),
        cmocka_unit_test(the_table_shows_no_more_than_the_slowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
