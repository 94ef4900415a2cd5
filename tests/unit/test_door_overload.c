/* SPDX-License-Identifier: MIT */
/*
 * Overload at the front door with the real civetweb behind it: four threads that hold what they get
 * until they are told to go on, and more requests than that.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/front_door.h"

#define LIMIT_MS 5000
#define THREADS  4 /* of eight; the others are kept for health */

static struct slot_metrics counted;
static struct mg_context *server;
static struct sockaddr_in address;
static int listener = -1;
static _Atomic bool hold;
static _Atomic unsigned held, served;
static _Atomic char order[64]; /* the last characters of the paths, as they were served */

static int on_request(struct mg_connection *connection)
{
    const char *path = mg_get_request_info(connection)->local_uri;
    bool health = strcmp(path, "/health") == 0;
    char text[128];
    if (!health) {
        unsigned n = atomic_fetch_add(&served, 1);
        if (n < sizeof order)
            atomic_store(&order[n], path[strlen(path) - 1]);
        atomic_fetch_add(&held, 1);
        for (int i = 0; i < LIMIT_MS && atomic_load(&hold); i++)
            usleep(1000);
        atomic_fetch_sub(&held, 1);
    }
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(path), path);
    mg_write(connection, text, (size_t)n);
    return 200;
}

static const struct front_door_route routes[] = {
    {"GET", "/data/items", ENDPOINT_ITEM_LIST},
    {"HEAD", "/data/items", ENDPOINT_ITEM_LIST},
    {"POST", "/data/items", ENDPOINT_ITEM_CREATE},
    {"POST", "/auth/login", ENDPOINT_LOGIN},
};

static const struct front_door_settings usual = {
    .listeners = &listener,
    .listener_count = 1,
    .threads = 8,
    .parked_limit = 1000,
    .keepalive_timeout_s = 15,
    .keepalive_max_requests = 1000,
    .incomplete_timeout_ms = 5000,
    .first_byte_limit_bytes = 65536,
    .metrics = &counted,
    .routes = routes,
    .route_count = sizeof routes / sizeof routes[0],
    .class_ns =
        {[CLASS_AUTH] = 2 * NS_PER_S, [CLASS_READ] = 4 * NS_PER_S, [CLASS_WRITE] = 3 * NS_PER_S},
    .shed = true,
    .newest_first = true,
};

static void start_with(const struct front_door_settings *settings)
{
    struct mg_callbacks callbacks = {.begin_request = on_request};
    memset(&counted, 0, sizeof counted);
    atomic_store(&served, 0);
    atomic_store(&hold, true);
    socklen_t size = sizeof address;
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1024), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    server = front_door_start(settings, &callbacks, NULL, NULL);
    assert_non_null(server);
}

static int stop(void **unused)
{
    (void)unused;
    atomic_store(&hold, false);
    if (server != NULL)
        mg_stop(server);
    server = NULL;
    close(listener);
    return 0;
}

/* ---- clients --------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    return clock_now_ns() / NS_PER_MS;
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void ask(int fd, const char *line, const char *more)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, more);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

static int dial_and_ask(const char *line, const char *more)
{
    int fd = dial();
    ask(fd, line, more);
    return fd;
}

/* All of one answer, as it came; "" when none came in time or the connection ended. */
static char *hear(int fd, bool body, int limit_ms)
{
    static char text[2048];
    uint64_t end = now_ms() + (uint64_t)limit_ms;
    size_t n = 0;
    memset(text, 0, sizeof text);
    for (;;) {
        const char *head_end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (head_end != NULL && length != NULL &&
            n >= (size_t)(head_end + 4 - text) + (body ? (size_t)atoi(length + 16) : 0))
            return text;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = now_ms();
        if (now >= end || poll(&p, 1, (int)(end - now)) != 1)
            return memset(text, 0, sizeof text);
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0)
            return memset(text, 0, sizeof text);
        n += (size_t)got;
    }
}

static bool is(const char *answer, int status)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 && atoi(answer + 9) == status;
}

static bool has(const char *answer, const char *part)
{
    if (strstr(answer, part) != NULL)
        return true;
    print_message("not in the answer: %s\n%s\n", part, answer);
    return false;
}

#define WAIT_FOR(condition)                        \
    do {                                           \
        uint64_t give_up = now_ms() + LIMIT_MS;    \
        while (!(condition) && now_ms() < give_up) \
            usleep(1000);                          \
        assert_true(condition);                    \
    } while (0)

static int holders[THREADS];

static void occupy_threads(void)
{
    for (int i = 0; i < THREADS; i++)
        holders[i] = dial_and_ask("GET /data/items/h", "");
    WAIT_FOR(atomic_load(&held) == THREADS);
}

static void let_go(void)
{
    atomic_store(&hold, false);
    for (int i = 0; i < THREADS; i++) {
        assert_true(is(hear(holders[i], true, LIMIT_MS), 200));
        close(holders[i]);
    }
}

static uint64_t refused(enum request_class class, enum refusal reason)
{
    return atomic_load(&counted.refused[class][reason]);
}

/* Reads that wait until the class is found overloaded: when the first of them is refused. */
static void overload_reads(void)
{
    int fds[3];
    occupy_threads();
    for (int i = 0; i < 3; i++)
        fds[i] = dial_and_ask("GET /data/items/w", "");
    WAIT_FOR(refused(CLASS_READ, REFUSAL_OVERLOADED) == 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_standing_queue_is_refused(void **unused)
{
    (void)unused;
    start_with(&usual);
    occupy_threads();
    uint64_t begin = now_ms();
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    int fd =
        dial_and_ask("GET /data/items/a", "X-Request-Id: mine-1\r\nTraceparent: " TRACE "\r\n");
    const char *answer = hear(fd, true, LIMIT_MS);
    uint64_t took = now_ms() - begin;
    assert_true(is(answer, 503));
    assert_true(has(answer, "Content-Type: application/problem+json\r\n"));
    assert_true(has(answer, "X-Request-Id: mine-1\r\n"));
    assert_true(has(answer, "\"type\":\"/problems/overloaded\""));
    assert_true(has(answer, "\"instance\":\"mine-1\""));
    assert_true(has(answer, "\r\ntraceparent: " TRACE "\r\n"));
    assert_true(has(answer, "\"traceparent\":\"" TRACE "\""));
    assert_true(has(answer, "Connection: keep-alive\r\n"));
    unsigned retry_s = (unsigned)atoi(strstr(answer, "Retry-After: ") + 13);
    assert_in_range(retry_s, 1, 3);
    print_message("refused after %u ms\n", (unsigned)took);
    assert_in_range(took, 90, 1900); /* an interval, and not half of the class's 4 s */
    assert_int_equal(atomic_load(&counted.http_requests[ENDPOINT_ITEM_LIST][STATUS_503]), 1);
    assert_int_equal(refused(CLASS_READ, REFUSAL_OVERLOADED), 1);

    /* found once, it is known: the next ones wait for the target and not for an interval of 100 ms.
     * A busy machine can make one late; an interval makes all late */
    took = UINT64_MAX;
    for (unsigned i = 0; i < 10 && took > 80; i++) {
        begin = now_ms();
        ask(fd, "GET /data/items/b", "");
        answer = hear(fd, true, LIMIT_MS);
        assert_true(is(answer, 503) && strstr(answer, "traceparent") == NULL);
        took = now_ms() - begin;
        print_message("and then after %u ms\n", (unsigned)took);
        assert_true(took >= 19);
    }
    assert_true(took <= 80);

    ask(fd, "GET /health", ""); /* the same connection, while the overload lasts */
    assert_true(is(hear(fd, true, LIMIT_MS), 200));
    let_go();
    ask(fd, "GET /data/items/c", "");
    assert_true(is(hear(fd, true, LIMIT_MS), 200));
    close(fd);
}

static void retries_go_first_then_logins(void **unused)
{
    (void)unused;
    start_with(&usual);
    overload_reads();
    int fresh = dial_and_ask("GET /data/items/f", "");
    int retry = dial_and_ask("GET /data/items/r", "X-Retry-Attempt: 1\r\n");
    int login = dial_and_ask("POST /auth/login", "Content-Length: 0\r\n");
    int write = dial_and_ask("POST /data/items", "Content-Length: 0\r\nX-Retry-Attempt: 2\r\n");
    assert_true(is(hear(retry, true, LIMIT_MS), 503));
    assert_true(is(hear(login, true, LIMIT_MS), 503));
    assert_true(is(hear(fresh, true, LIMIT_MS), 503));
    assert_int_equal(refused(CLASS_READ, REFUSAL_RETRY), 1);
    assert_int_equal(refused(CLASS_AUTH, REFUSAL_OVERLOADED), 1);
    assert_int_equal(refused(CLASS_WRITE, REFUSAL_RETRY), 0); /* writes are not overloaded yet */
    assert_int_equal(atomic_load(&counted.http_attempts[ATTEMPT_SECOND][0]), 1);
    let_go();
    close(fresh);
    close(retry);
    close(login);
    close(write);
}

static void no_time_left_is_no_use(void **unused)
{
    (void)unused;
    struct front_door_settings settings = usual;
    settings.newest_first = false; /* nothing is ever overloaded then */
    start_with(&settings);
    occupy_threads();
    uint64_t begin = now_ms();
    int short_of_time = dial_and_ask("GET /data/items/s", "X-Request-Timeout-Ms: 60\r\n");
    int patient = dial_and_ask("GET /data/items/p", "");
    assert_true(is(hear(short_of_time, true, LIMIT_MS), 503));
    print_message("60 ms to live: refused after %u ms\n", (unsigned)(now_ms() - begin));
    assert_in_range(now_ms() - begin, 20, 200 * NOISE);
    assert_int_equal(refused(CLASS_READ, REFUSAL_DEADLINE), 1);
    /* and the patient one after half of its class's time */
    assert_true(is(hear(patient, true, LIMIT_MS), 503));
    assert_in_range(now_ms() - begin, 1950, 3900);
    assert_int_equal(refused(CLASS_READ, REFUSAL_OVERLOADED), 1);
    let_go();
    close(short_of_time);
    close(patient);
}

static void the_newest_is_served_first(void **unused)
{
    (void)unused;
    struct front_door_settings settings = usual;
    settings.shed = false; /* they wait, in whatever order */
    for (int newest = 1; newest >= 0; newest--) {
        int fds[6];
        char line[32];
        settings.newest_first = newest;
        start_with(&settings);
        occupy_threads();
        for (int i = 0; i < 6; i++) {
            snprintf(line, sizeof line, "GET /data/items/%d", i);
            fds[i] = dial_and_ask(line, "");
            WAIT_FOR(front_door_busy() == (unsigned)(THREADS + i + 1));
        }
        usleep(300 * 1000); /* more than two intervals */
        let_go();
        for (int i = 0; i < 6; i++) {
            assert_true(is(hear(fds[i], true, LIMIT_MS), 200));
            close(fds[i]);
        }
        assert_int_equal(atomic_load(&served), THREADS + 6);
        char seen[7] = "";
        for (int i = 0; i < 6; i++)
            seen[i] = atomic_load(&order[THREADS + i]);
        print_message("served in the order %s\n", seen);
        /* four threads take at once, so neighbours may be exchanged */
        if (newest)
            assert_true(strchr(seen, '5') < strchr(seen, '0'));
        else
            assert_true(strchr(seen, '0') < strchr(seen, '5'));
        assert_int_equal(refused(CLASS_READ, REFUSAL_OVERLOADED), 0);
        stop(NULL);
    }
    listener = -1;
}

static void a_refusal_keeps_the_framing(void **unused)
{
    (void)unused;
    start_with(&usual);
    overload_reads();
    /* a body that is here as a whole goes with its request; what follows it is read as a request */
    int fd = dial();
    ask(fd, "GET /data/items/x", "Content-Length: 5\r\n");
    assert_int_equal(send(fd, "bodyG", 5, MSG_NOSIGNAL), 5);
    assert_int_equal(send(fd, "ET /health HTTP/1.1\r\nHost: x\r\n\r\n", 32, MSG_NOSIGNAL), 32);
    assert_true(is(hear(fd, true, LIMIT_MS), 503));
    char *answer = hear(fd, true, LIMIT_MS);
    assert_false(is(answer, 200)); /* "ET" is a method nobody knows */
    close(fd);

    fd = dial();
    ask(fd, "GET /data/items/x", "Content-Length: 4\r\n");
    assert_int_equal(send(fd, "body", 4, MSG_NOSIGNAL), 4);
    ask(fd, "GET /health", "");
    assert_true(is(hear(fd, true, LIMIT_MS), 503));
    close(fd);

    /* HEAD has no body; a client that wants the end gets it */
    fd = dial_and_ask("HEAD /data/items", "Connection: close\r\n");
    answer = hear(fd, false, LIMIT_MS);
    assert_true(is(answer, 503));
    assert_true(has(answer, "Connection: close\r\n"));
    assert_true(strcmp(strstr(answer, "\r\n\r\n"), "\r\n\r\n") == 0);
    close(fd);

    /* a body that was not sent yet: nobody can tell where the next request begins */
    fd = dial_and_ask("POST /data/items", "Content-Length: 10\r\nExpect: 100-continue\r\n");
    answer = hear(fd, true, LIMIT_MS);
    assert_true(is(answer, 503));
    assert_true(has(answer, "Connection: close\r\n"));
    close(fd);
    let_go();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_standing_queue_is_refused, stop),
        cmocka_unit_test_teardown(retries_go_first_then_logins, stop),
        cmocka_unit_test_teardown(no_time_left_is_no_use, stop),
        cmocka_unit_test(the_newest_is_served_first),
        cmocka_unit_test_teardown(a_refusal_keeps_the_framing, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
