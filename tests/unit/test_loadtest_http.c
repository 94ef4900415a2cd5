/* SPDX-License-Identifier: MIT */
/* The load tester: the parser of responses. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/http/http_message.h"

/* Feed text in two pieces, cut at `cut`; the bytes used are returned in *used. */
static int feed(struct http_response *response, const char *text, size_t cut, size_t *used)
{
    size_t length = strlen(text), first = 0, second = 0;
    http_response_reset(response);
    int error = http_response_feed(response, text, cut, &first);
    if (!error && first == cut)
        error = http_response_feed(response, text + cut, length - cut, &second);
    *used = first + second;
    return error;
}

static void responses_may_be_cut_anywhere(void **state)
{
    (void)state;
    static const char plain[] = "HTTP/1.1 201 Created\r\ncontent-LENGTH: 5 \r\n"
                                "Keep-Alive: timeout=10, max=99\r\nX-Empty:\r\n\r\nhello";
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "2\r\nhe\r\n3;name=value\r\nllo\r\n0\r\nTrailer: x\r\n\r\n";
    static const char interim[] = "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n"
                                  "HTTP/1.1 103 Early Hints\r\n\r\n"
                                  "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello";
    static const char *const texts[] = {plain, chunked, interim};
    struct http_response response = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t cut = 0; cut <= strlen(texts[i]); cut++) {
            size_t used;
            assert_int_equal(feed(&response, texts[i], cut, &used), 0);
            assert_int_equal(response.phase, HTTP_COMPLETE);
            assert_int_equal(response.status, i == 0 ? 201 : 200);
            assert_int_equal(response.body_length, 5);
            assert_memory_equal(response.body, "hello", 5);
            assert_int_equal(used, strlen(texts[i]));
            assert_true(response.keep_alive);
            assert_int_equal(response.keep_alive_timeout_s, i == 0 ? 10 : -1);
        }
    }
    http_response_free(&response);
}

static void responses_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: Close\r\n"
                               "Content-Length: 2\r\n\r\n{}";
    struct http_response response = {0};
    http_response_reset(&response);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        size_t used;
        assert_int_not_equal(response.phase, HTTP_COMPLETE);
        assert_int_equal(http_response_feed(&response, text + i, 1, &used), 0);
        assert_int_equal(used, 1);
    }
    assert_int_equal(response.phase, HTTP_COMPLETE);
    assert_int_equal(response.status, 503);
    assert_false(response.keep_alive);
    http_response_free(&response);
}

static void bytes_after_a_response_are_not_its_own(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n";
    struct http_response response = {0};
    size_t used;
    assert_int_equal(feed(&response, text, sizeof text - 1, &used), 0);
    assert_int_equal(response.phase, HTTP_COMPLETE);
    assert_int_equal(used, strlen("HTTP/1.1 204 No Content\r\n\r\n"));
    http_response_free(&response);
}

static void a_body_without_length_ends_with_the_connection(void **state)
{
    (void)state;
    struct http_response response = {0};
    size_t used;
    assert_int_equal(feed(&response, "HTTP/1.0 200 OK\r\n\r\nall of it", 20, &used), 0);
    assert_int_equal(response.phase, HTTP_BODY_UNTIL_CLOSE);
    assert_false(response.keep_alive);
    assert_int_equal(http_response_end(&response), 0);
    assert_int_equal(response.phase, HTTP_COMPLETE);
    assert_int_equal(response.body_length, 9);
    /* Half a body, half a head, nothing at all: the end completes none of them. */
    assert_int_equal(feed(&response, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 0, &used),
                     0);
    assert_int_equal(http_response_end(&response), -EPIPE);
    assert_int_equal(feed(&response, "HTTP/1.1 200 OK\r\nContent-Le", 3, &used), 0);
    assert_int_equal(http_response_end(&response), -EPIPE);
    http_response_reset(&response);
    assert_int_equal(http_response_end(&response), -EPIPE);
    http_response_free(&response);
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "garbage\r\n",
        "\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 099 Low\r\n",
        "HTTP/1.1 600 High\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
    };
    struct http_response response = {0};
    size_t used;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t cut = 0; cut <= strlen(bad[i]); cut++)
            assert_int_equal(feed(&response, bad[i], cut, &used), -EPROTO);
    http_response_free(&response);
}

static void responses_have_limits(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\n";
    struct http_response response = {0};
    char line[HTTP_LINE_LIMIT + 1];
    size_t used;
    int error;

    memset(line, 'x', sizeof line);
    assert_int_equal(feed(&response, head, 0, &used), 0);
    assert_int_equal(http_response_feed(&response, line, sizeof line, &used), -EMSGSIZE);

    assert_int_equal(feed(&response, head, 0, &used), 0);
    unsigned lines = 0;
    while ((error = http_response_feed(&response, "A: b\r\n", 6, &used)) == 0)
        assert_true(++lines < HTTP_HEAD_LIMIT);
    assert_int_equal(error, -EMSGSIZE);

    /* An endless row of interim responses ends too. */
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    http_response_reset(&response);
    for (lines = 0;
         (error = http_response_feed(&response, interim, sizeof interim - 1, &used)) == 0;)
        assert_true(++lines < HTTP_HEAD_LIMIT);
    assert_int_equal(error, -EMSGSIZE);

    assert_int_equal(
        feed(&response, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", 9, &used),
        -EMSGSIZE);
    http_response_free(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_may_be_cut_anywhere),
        cmocka_unit_test(responses_may_come_byte_by_byte),
        cmocka_unit_test(bytes_after_a_response_are_not_its_own),
        cmocka_unit_test(a_body_without_length_ends_with_the_connection),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(responses_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
