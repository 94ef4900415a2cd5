/* SPDX-License-Identifier: MIT */
/* The guards on a request's head, and the grammars in it. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "worker/request.h"

#define ID "01a1fba7-e5d9-7af5-a808-6686303f4709"

static struct mg_request_info info;
static struct request request;
static const char *detail;

static void start(const char *method, const char *path)
{
    memset(&info, 0, sizeof info);
    info.request_method = method;
    info.local_uri_raw = path;
    info.http_version = "1.1";
}

static void add(const char *name, const char *value)
{
    info.http_headers[info.num_headers].name = name;
    info.http_headers[info.num_headers++].value = value;
}

static void start_post(void)
{
    start("POST", "/data/items");
    add("Host", "x");
}

static enum problem parse(void)
{
    detail = NULL;
    enum problem problem = request_parse(&info, &request, &detail);
    assert_int_equal(problem != PROBLEM_NONE, detail != NULL);
    return problem;
}

static enum problem parse_with(const char *name, const char *value)
{
    start_post();
    add(name, value);
    return parse();
}

static enum problem judge_with(const char *name, const char *value)
{
    start_post();
    add("content-length", "2");
    add("content-type", "application/json");
    add(name, value);
    assert_int_equal(parse(), PROBLEM_NONE);
    return request_judge(&request, &detail);
}

static void lengths_are_digits_and_come_once(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " ", "+2", "-2", "2x", "0x2", "2, 2", "1e1", "2 2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse_with("Content-Length", bad[i]), PROBLEM_MALFORMED_REQUEST);
    assert_int_equal(parse_with("CONTENT-LENGTH", "131072 "), PROBLEM_NONE);
    assert_true(request.has_length);
    assert_int_equal(request.content_length, 131072);
    assert_int_equal(parse_with("Content-Length", "131073"), PROBLEM_CONTENT_TOO_LARGE);
    assert_int_equal(parse_with("Content-Length", "99999999999999999999999"),
                     PROBLEM_CONTENT_TOO_LARGE);
    start_post();
    add("Content-Length", "2");
    add("content-length", "2");
    assert_int_equal(parse(), PROBLEM_MALFORMED_REQUEST);
}

static void framing_of_two_minds_is_refused(void **state)
{
    (void)state;
    static const char *const once[] = {
        "Host",     "Authorization",   "Content-Type",        "Expect",
        "If-Match", "Idempotency-Key", "X-Request-Timeout-Ms"};
    assert_int_equal(parse_with("transfer-encoding", "identity"), PROBLEM_NOT_IMPLEMENTED);
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++) {
        start_post();
        add(once[i], "1");
        add(once[i], "1");
        assert_int_equal(parse(), PROBLEM_MALFORMED_REQUEST);
    }
    start("GET", "/health");
    assert_int_equal(parse(), PROBLEM_MALFORMED_REQUEST); /* no Host */
    info.http_version = "1.0";
    assert_int_equal(parse(), PROBLEM_NONE);
}

static void heads_have_their_limits(void **state)
{
    (void)state;
    static char longest[REQUEST_TARGET_MAX_BYTES + 2];
    start_post();
    while (info.num_headers < 63)
        add("X-Other", "1");
    assert_int_equal(parse(), PROBLEM_NONE);
    add("X-Other", "1");
    assert_int_equal(parse(), PROBLEM_TOO_MANY_HEADERS);
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    start("GET", longest);
    add("Host", "x");
    assert_int_equal(parse(), PROBLEM_URI_TOO_LONG);
    longest[REQUEST_TARGET_MAX_BYTES] = '\0';
    assert_int_equal(parse(), PROBLEM_NONE);
    info.query_string = "a";
    assert_int_equal(parse(), PROBLEM_URI_TOO_LONG);
}

/* Let the text lie in a buffer as civetweb's parser leaves it. */
static bool whole(const char *head, size_t length, int headers)
{
    static char buffer[512];
    memset(buffer, 'x', sizeof buffer);
    memcpy(buffer, head, length);
    memset(&info, 0, sizeof info);
    info.request_method = buffer;
    info.http_version = buffer + strlen("GET /\x01");
    char *at = buffer + strlen("GET /\x01"
                               "1.1\x01\x01");
    for (int i = 0; i < headers; i++) {
        info.http_headers[i].name = at;
        at += strlen(at) + 1;
        at += strspn(at, " ");
        info.http_headers[i].value = at;
        at += strlen(at) + 2;
    }
    info.num_headers = headers;
    return request_head_is_whole(&info);
}

static void a_head_that_ended_early_is_noticed(void **state)
{
    (void)state;
#define LINE   \
    "GET\0/\0" \
    "1.1\0\0"
#define WHOLE(text, headers) whole(text, sizeof text, headers)
    assert_true(WHOLE(LINE "A\0 b\0\0\r\0", 1));
    assert_true(WHOLE(LINE "A\0 b\0\0B\0c\0\0\r\0", 2));
    assert_true(WHOLE(LINE "A\0\0\0\r\0", 1));                   /* an empty value */
    assert_false(WHOLE(LINE "A\0 b\0\0 folded\r\nC: d\r\0", 1)); /* a folded line */
    assert_false(WHOLE(LINE "A\0 b\0\0: nameless\r\0", 1));
    assert_true(WHOLE(LINE "\0\0", 0));
    assert_false(WHOLE(LINE ": nameless\r\n\r\0", 0));
    /* a space before the colon: NUL for each, and the value right behind */
    assert_true(WHOLE(LINE "AA\0b\0\0\r\0", 1));
    ((char *)info.http_headers[0].name)[1] = '\0';
    assert_false(request_head_is_whole(&info));
#undef WHOLE
#undef LINE
}

/* As it stands in a header. */
static bool trace_of(const char *value, char out[TRACEPARENT_LENGTH + 1])
{
    return traceparent_parse(value, strlen(value), out);
}

static void ids_attempts_and_traces_are_taken_when_they_are_usable(void **state)
{
    (void)state;
    char longest[REQUEST_ID_SIZE + 1];
    memset(longest, 'a', sizeof longest);
    longest[REQUEST_ID_SIZE] = '\0';
    parse_with("x-request-id", "Ab.9_-");
    assert_string_equal(request.id, "Ab.9_-");
    parse_with("X-Request-Id", "a b");
    assert_string_equal(request.id, "");
    parse_with("X-Request-Id", longest);
    assert_string_equal(request.id, "");
    parse_with("X-Request-Id", longest + 1);
    assert_string_equal(request.id, longest + 1);
    parse_with("X-Retry-Attempt", "3");
    assert_int_equal(request.attempt, 3);
    parse_with("X-Retry-Attempt", "many");
    assert_int_equal(request.attempt, 0);
    static const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    char out[TRACEPARENT_LENGTH + 1];
    assert_true(trace_of(trace, out));
    assert_string_equal(out, trace);
    assert_true(trace_of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", out));
    assert_false(trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", out));
    assert_false(trace_of("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", out));
    assert_false(trace_of("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", out));
    assert_false(trace_of("00-00000000000000000000000000000000-00f067aa0ba902b7-01", out));
    assert_false(trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", out));
    assert_false(trace_of("00-", out));
}

static void keep_alive_is_read_as_civetweb_reads_it(void **state)
{
    (void)state;
    start_post();
    parse();
    assert_true(request.keep_alive);
    parse_with("Connection", "close");
    assert_false(request.keep_alive);
    parse_with("Connection", "foo, Keep-Alive");
    assert_true(request.keep_alive);
    parse_with("Connection", "keep-alive, Upgrade");
    assert_false(request.keep_alive);
    start_post();
    info.http_version = "1.0";
    parse();
    assert_false(request.keep_alive);
}

static void media_types_expectations_and_timeouts_are_judged(void **state)
{
    (void)state;
    start_post();
    parse();
    assert_int_equal(request_judge(&request, &detail), PROBLEM_LENGTH_REQUIRED);
    start_post();
    add("Content-Length", "2");
    parse();
    assert_int_equal(request_judge(&request, &detail), PROBLEM_UNSUPPORTED_MEDIA_TYPE);
    static const char *const good[] = {"application/json", "Application/JSON ;charset=UTF-8",
                                       "application/json; charset=\"utf-8\"", "application/json;"};
    static const char *const bad[] = {"text/json",
                                      "application/jsonx",
                                      "application/json x",
                                      "application/merge-patch+json",
                                      "application/json; charset=latin1",
                                      "application/json; charset=utf-8; a=b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0] + sizeof bad / sizeof bad[0]; i++) {
        bool is_good = i < sizeof good / sizeof good[0];
        start_post();
        add("Content-Length", "2");
        add("Content-Type", is_good ? good[i] : bad[i - sizeof good / sizeof good[0]]);
        parse();
        assert_int_equal(request_judge(&request, &detail),
                         is_good ? PROBLEM_NONE : PROBLEM_UNSUPPORTED_MEDIA_TYPE);
    }
    assert_int_equal(judge_with("Expect", "100-Continue"), PROBLEM_NONE);
    assert_true(request.expects_continue);
    assert_int_equal(judge_with("Expect", "200-ok"), PROBLEM_EXPECTATION_FAILED);
    static const char *const times[] = {"0", "60001", "-1", "1.5", "", "x", "9999999999"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        assert_int_equal(judge_with("X-Request-Timeout-Ms", times[i]), PROBLEM_MALFORMED_REQUEST);
    assert_int_equal(judge_with("X-Request-Timeout-Ms", "60000"), PROBLEM_NONE);
    assert_int_equal(request.timeout_ms, 60000);
}

static void queries_have_what_is_known_once(void **state)
{
    (void)state;
    struct page_query page;
    char cursor[CURSOR_SIZE], query[80];
    assert_null(request_page_query(NULL, &page));
    assert_int_equal(page.limit, 20);
    request_cursor(ID, cursor);
    snprintf(query, sizeof query, "cursor=%s&limit=%%31%%30%%30&", cursor);
    assert_null(request_page_query(query, &page));
    assert_int_equal(page.limit, 100);
    assert_string_equal(page.before_id, ID);
    static const char *const bad[] = {"limit",
                                      "limit=",
                                      "limit=0",
                                      "limit=101",
                                      "limit=1x",
                                      "limit=+1",
                                      "limit=%",
                                      "limit=%3",
                                      "limit=1%00",
                                      "limit=1&limit=1",
                                      "Limit=1",
                                      "foo=1",
                                      "&",
                                      "cursor=",
                                      "cursor=" ID,
                                      "cursor=01a1fba7e5d97af5a8086686303f470G",
                                      "limit=0000000000000000000000000000000000000000"
                                      "00000000000000000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(request_page_query(bad[i], &page));
}

static void entity_tags_are_compared_weakly_or_strongly(void **state)
{
    (void)state;
    struct etag_list list;
    assert_true(request_etags("*", &list));
    assert_true(request_etag_in(&list, 5, false));
    assert_true(request_etags("\"1\",W/\"2\" , \"abc\", \"03\"", &list));
    assert_int_equal(list.count, 2);
    assert_true(request_etag_in(&list, 1, false));
    assert_true(request_etag_in(&list, 2, true));
    assert_false(request_etag_in(&list, 2, false));
    assert_false(request_etag_in(&list, 3, true));
    static const char *const bad[] = {"",        "1",        "\"1", "\"1\" \"2\"",
                                      "w/\"1\"", "*, \"1\"", "W/1", "\"a b\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(request_etags(bad[i], &list));
}

static void idempotency_keys_are_visible_ascii(void **state)
{
    (void)state;
    char key[IDEMPOTENCY_KEY_SIZE], longest[IDEMPOTENCY_KEY_SIZE + 1];
    assert_true(request_idempotency_key("\"a\\\"b\\\\c\"", key));
    assert_string_equal(key, "a\"b\\c");
    assert_true(request_idempotency_key("abc ", key));
    assert_string_equal(key, "abc");
    memset(longest, '~', sizeof longest);
    longest[IDEMPOTENCY_KEY_SIZE] = '\0';
    assert_false(request_idempotency_key(longest, key));
    longest[IDEMPOTENCY_KEY_SIZE - 1] = '\0';
    assert_true(request_idempotency_key(longest, key));
    static const char *const bad[] = {"",        "\"\"",    "\"a",     "a\"",      "a b",
                                      "\"a b\"", "\"a\\\"", "\"\\a\"", "\xc3\xa4", "a\tb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(request_idempotency_key(bad[i], key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_digits_and_come_once),
        cmocka_unit_test(framing_of_two_minds_is_refused),
        cmocka_unit_test(heads_have_their_limits),
        cmocka_unit_test(a_head_that_ended_early_is_noticed),
        cmocka_unit_test(ids_attempts_and_traces_are_taken_when_they_are_usable),
        cmocka_unit_test(keep_alive_is_read_as_civetweb_reads_it),
        cmocka_unit_test(media_types_expectations_and_timeouts_are_judged),
        cmocka_unit_test(queries_have_what_is_known_once),
        cmocka_unit_test(entity_tags_are_compared_weakly_or_strongly),
        cmocka_unit_test(idempotency_keys_are_visible_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
