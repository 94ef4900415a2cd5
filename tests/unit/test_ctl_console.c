/* SPDX-License-Identifier: MIT */
/* bulkheadctl asks the console: an answer that was cut anywhere is none, and it is said why. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/config.h"
#include "tools/bulkheadctl/console.h"

static const char counted[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n";

static struct server server;
static const struct invocation invocation = {.timeout_s = 10};
static int region_fd, listener;
static char complaint[512];

int complain(const struct invocation *unused, int exit_code, const char *format, ...)
{
    va_list arguments;
    (void)unused;
    va_start(arguments, format);
    vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
    return exit_code;
}

static int make(void **unused)
{
    static struct config config;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    (void)unused;
    region_fd = region_create(&server.region);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (region_fd < 0 || listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 8) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return 1;
    config_defaults(&config);
    snprintf(config.console_listen, sizeof config.console_listen, "127.0.0.1:%u",
             ntohs(address.sin_port));
    change_publish(&server.region->config.change, &server.region->config.config, &config,
                   sizeof config);
    return 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(listener);
    close(region_fd);
    return 0;
}

struct piece {
    const char *text;
    size_t length;
};

/* A console that ends in the middle of its answer. */
static void *answer_once(void *argument)
{
    const struct piece *piece = argument;
    char request[1024];
    int fd = accept(listener, NULL, NULL);
    if (recv(fd, request, sizeof request, 0) > 0)
        (void)!send(fd, piece->text, piece->length, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static int ask(const char *text, size_t length, struct console_answer *answer)
{
    struct piece piece = {text, length};
    pthread_t console;
    complaint[0] = '\0';
    assert_int_equal(pthread_create(&console, NULL, answer_once, &piece), 0);
    int code = console_get(&server, &invocation, "/api/history", answer);
    pthread_join(console, NULL);
    return code;
}

static void an_answer_is_taken_whole_or_not_at_all(void **unused)
{
    static const char *const texts[] = {counted, chunked};
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        struct console_answer answer;
        size_t whole = strlen(texts[i]);
        for (size_t cut = 0; cut < whole; cut++) {
            int code = ask(texts[i], cut, &answer);
            if (code != EXIT_TEMPORARY || !strstr(complaint, "its answer was cut after "))
                fail_msg("text %u cut at %zu: code %d, \"%s\"", i, cut, code, complaint);
            assert_null(answer.body);
        }
        assert_int_equal(ask(texts[i], whole, &answer), 0);
        assert_int_equal(answer.status, 200);
        assert_int_equal(answer.length, 10);
        assert_string_equal(answer.body, "0123456789");
        free(answer.body);
    }
}

static void what_is_no_http_is_no_answer(void **unused)
{
    static const char text[] = "good morning\r\n\r\n";
    struct console_answer answer;
    (void)unused;
    assert_int_equal(ask(text, strlen(text), &answer), EXIT_TEMPORARY);
    assert_non_null(strstr(complaint, "does not answer: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_taken_whole_or_not_at_all),
        cmocka_unit_test(what_is_no_http_is_no_answer),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
