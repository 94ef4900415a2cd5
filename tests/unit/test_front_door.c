/* SPDX-License-Identifier: MIT */
/*
 * The front door with the real civetweb behind it, on loopback. Every wait has a limit; nothing is
 * slept through but the times the door itself is asked to keep.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/framing.h"
#include "common/http/front_door.h"

#define LIMIT_MS 5000

/* ---- the server --------------------------------------------------------------------------- */

static struct slot_metrics counted;
static struct mg_context *server;
static struct sockaddr_storage server_address;
static socklen_t server_address_size;
static int listener = -1;
static _Atomic unsigned in_slow;
static _Atomic bool release_slow;
static _Atomic uint64_t last_waited_ms;
static _Atomic int last_family;
static _Atomic uint64_t last_requests;
static _Atomic unsigned thread_used[64];

static void answer(struct mg_connection *connection, int status, const char *body, bool last)
{
    char text[512];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n%s", status,
                     strlen(body), last ? "Connection: close\r\n" : "", body);
    if (last)
        mg_disable_connection_keep_alive(connection);
    mg_write(connection, text, (size_t)n);
}

static void answer_flood(struct mg_connection *connection)
{
    enum { SIZE = 1 << 20, TIMES = 32 };
    char *block = calloc(1, SIZE);
    mg_disable_connection_keep_alive(connection);
    mg_printf(connection, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
              SIZE * TIMES);
    for (int i = 0; i < TIMES && mg_write(connection, block, SIZE) == SIZE; i++)
        ;
    free(block);
}

static int on_request(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct front_door_peer peer;
    front_door_peer(connection, &peer);
    assert_true(front_door_thread_index() < 64);
    atomic_fetch_add(&thread_used[front_door_thread_index()], 1);
    atomic_store(&last_waited_ms, (peer.admitted_ns - peer.first_byte_ns) / NS_PER_MS);
    atomic_store(&last_family, peer.address.ss_family);
    atomic_store(&last_requests, peer.requests);
    char text[128] = "";
    if (strcmp(info->local_uri, "/slow") == 0) {
        atomic_fetch_add(&in_slow, 1);
        for (int i = 0; i < LIMIT_MS && !atomic_load(&release_slow); i++)
            usleep(1000);
        atomic_fetch_sub(&in_slow, 1);
        front_door_peer(connection, &peer);
    } else if (strcmp(info->local_uri, "/echo") == 0) {
        char part[4096];
        unsigned long total = 0, sum = 0;
        const char *expect = mg_get_header(connection, "Expect");
        if (expect != NULL)
            mg_write(connection, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        for (int n; (n = mg_read(connection, part, sizeof part)) > 0; total += (unsigned)n)
            for (int i = 0; i < n; i++)
                sum = sum * 31 + (unsigned char)part[i];
        snprintf(text, sizeof text, "%lu %lx", total, sum);
    } else if (strcmp(info->local_uri, "/refuse") == 0) {
        front_door_linger(connection);
        answer(connection, 413, "too large", true);
        return 413;
    } else if (strcmp(info->local_uri, "/unread") == 0) {
        answer(connection, 200, "/unread", true);
        return 200;
    } else if (strcmp(info->local_uri, "/flood") == 0) {
        answer_flood(connection);
        return 200;
    } else {
        snprintf(text, sizeof text, "%s", info->local_uri);
    }
    answer(connection, 200, text, peer.last);
    return 200;
}

static int on_log(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    print_message("civetweb: %s\n", message);
    return 1;
}

static const struct front_door_settings usual = {
    .listeners = &listener,
    .listener_count = 1,
    .threads = 8,
    .parked_limit = 1000,
    .keepalive_timeout_s = 10,
    .keepalive_max_requests = 1000,
    .incomplete_timeout_ms = 500,
    .first_byte_limit_bytes = 65536,
    .metrics = &counted,
};

static int listen_on(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    server_address_size = sizeof server_address;
    if (bind(fd, address, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&server_address, &server_address_size) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void start_with(const struct front_door_settings *settings)
{
    memset(&counted, 0, sizeof counted);
    atomic_store(&release_slow, false);
    struct mg_callbacks callbacks = {.begin_request = on_request, .log_message = on_log};
    server = front_door_start(settings, &callbacks, NULL, NULL);
    assert_non_null(server);
}

static void listen_ipv4(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = listen_on((struct sockaddr *)&any, sizeof any);
    assert_true(listener >= 0);
}

static int setup(void **state)
{
    (void)state;
    listen_ipv4();
    start_with(&usual);
    return 0;
}

static int setup_socket(void **state)
{
    (void)state;
    listen_ipv4();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (server != NULL)
        mg_stop(server);
    server = NULL;
    if (listener >= 0)
        close(listener);
    listener = -1;
    return 0;
}

/* ---- clients ------------------------------------------------------------------------------- */

static int dial(void)
{
    int fd = socket(server_address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server_address, server_address_size), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void ask(int fd, const char *path)
{
    char text[256];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    say(fd, text);
}

static bool readable(int fd, int limit_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, limit_ms) == 1;
}

struct response {
    int status;
    bool close;
    char header[1024];
    char body[1024];
};

/* One response, read to its exact end. False: the connection ended or nothing came in time. */
static bool hear(int fd, struct response *response, int limit_ms)
{
    size_t n = 0;
    *response = (struct response){0};
    while (n < sizeof response->header - 1 && strstr(response->header, "\r\n\r\n") == NULL) {
        if (!readable(fd, limit_ms) || recv(fd, response->header + n, 1, 0) != 1)
            return false;
        n++;
    }
    response->status = atoi(response->header + 9);
    response->close = strstr(response->header, "Connection: close") != NULL;
    const char *field = strstr(response->header, "Content-Length: ");
    size_t length = field != NULL ? strtoul(field + 16, NULL, 10) : 0;
    for (size_t got = 0; got < length && got < sizeof response->body - 1;) {
        if (!readable(fd, limit_ms))
            return false;
        ssize_t k = recv(fd, response->body + got, length - got, 0);
        if (k <= 0)
            return false;
        got += (size_t)k;
    }
    return true;
}

static void expect_answer(int fd, int status, const char *body)
{
    struct response response;
    assert_true(hear(fd, &response, LIMIT_MS));
    assert_int_equal(response.status, status);
    if (body != NULL)
        assert_string_equal(response.body, body);
}

static bool ended(int fd, int limit_ms)
{
    char byte;
    return readable(fd, limit_ms) && recv(fd, &byte, 1, 0) <= 0;
}

static uint64_t now_ms(void)
{
    return clock_now_ns() / NS_PER_MS;
}

static uint64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 2048; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

#define WAIT_FOR(condition)                        \
    do {                                           \
        uint64_t give_up = now_ms() + LIMIT_MS;    \
        while (!(condition) && now_ms() < give_up) \
            usleep(1000);                          \
        assert_true(condition);                    \
    } while (0)

static uint64_t count_of(_Atomic uint64_t *cell)
{
    return atomic_load(cell);
}

#define RETURNED count_of(&counted.door_returned[0][0])
#define EVICTED  count_of(&counted.door_evicted[0][0])
#define ACCEPTED count_of(&counted.accepts[0][0])
#define PARKED   atomic_load(&counted.door_parked[0])

/* ---- framing -------------------------------------------------------------------------------- */

static enum framing frame_of(const char *text, struct frame *frame)
{
    uint32_t scanned = 0;
    *frame = (struct frame){0};
    return frame_request(text, strlen(text), &scanned, frame);
}

static void test_framing(void **state)
{
    (void)state;
    struct frame f;
    assert_int_equal(frame_of("GET / HTTP/1.1\r\nHost: x\r\n", &f), FRAMING_INCOMPLETE);
    assert_int_equal(frame_of("GET /a HTTP/1.1\r\n\r\nGET", &f), FRAMING_EXACT);
    assert_int_equal(f.header_length, 19);
    assert_false(f.health || f.expects);
    assert_int_equal(frame_of("GET /health/live HTTP/1.1\n\n", &f), FRAMING_EXACT);
    assert_true(f.health);
    assert_int_equal(frame_of("P / H\r\ncontent-LENGTH :  12 \r\nExpect: 100-continue\r\n\r\n", &f),
                     FRAMING_EXACT);
    assert_int_equal(f.content_length, 12);
    assert_true(f.expects);
    static const char *const opaque[] = {
        "P / H\r\nContent-Length: +5\r\n\r\n",
        "P / H\r\nContent-Length: 5x\r\n\r\n",
        "P / H\r\nContent-Length:\r\n\r\n",
        "P / H\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "P / H\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "P / H\r\nTransfer-Encoding: chunked\r\n\r\n",
        "P / H\r\nTransfer-Encoding : identity\r\n\r\n",
        "P / H\r\nX: a\r\n b\r\n\r\n",
        "\x16\x03\x01\x02",
    };
    for (size_t i = 0; i < sizeof opaque / sizeof *opaque; i++)
        assert_int_equal(frame_of(opaque[i], &f), FRAMING_OPAQUE);
    /* byte by byte gives the same as all at once */
    const char *text = "GET /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    uint32_t scanned = 0;
    size_t n = 1;
    while (frame_request(text, n, &scanned, &f) == FRAMING_INCOMPLETE)
        n++;
    assert_int_equal(n, strlen(text) - 3);
    assert_int_equal(f.content_length, 3);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void test_keep_alive(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        ask(fd, "/a");
        expect_answer(fd, 200, "/a");
        assert_int_equal(atomic_load(&last_requests), i + 1);
    }
    assert_int_equal(atomic_load(&last_family), AF_INET);
    assert_int_equal(ACCEPTED, 1);
    assert_int_equal(front_door_connections(), 1);
    close(fd);
    WAIT_FOR(front_door_connections() == 0);
    assert_int_equal(PARKED, 0);
}

static void test_hand_back(void **state)
{
    (void)state;
    int fd = dial();
    for (unsigned i = 0; i < 3; i++) {
        ask(fd, "/a");
        expect_answer(fd, 200, "/a");
        WAIT_FOR(RETURNED == i + 1);
        assert_int_equal(PARKED, 1);
        assert_int_equal(front_door_busy(), 0);
    }
    assert_int_equal(atomic_load(&last_requests), 3);
    close(fd);
}

static void *twenty_requests(void *argument)
{
    int *fds = argument;
    unsigned long failed = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 16; i++)
            ask(fds[i], "/many");
        for (int i = 0; i < 16; i++) {
            struct response response;
            failed += !hear(fds[i], &response, LIMIT_MS) || response.status != 200;
        }
    }
    return (void *)failed;
}

static void test_more_connections_than_threads(void **state)
{
    (void)state;
    enum { CLIENTS = 64, GROUPS = 4 };
    int fds[CLIENTS];
    pthread_t threads[GROUPS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = dial();
    for (int i = 0; i < GROUPS; i++)
        pthread_create(&threads[i], NULL, twenty_requests, &fds[i * 16]);
    for (int i = 0; i < GROUPS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(ACCEPTED, CLIENTS);
    assert_int_equal(EVICTED, 0);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    WAIT_FOR(front_door_connections() == 0);
}

/* Pauses make the server's thread, the door's look and the hand-back meet each piece. */
static void test_pipelined_and_split(void **state)
{
    (void)state;
    static const int pauses_ms[] = {0, 2, 40};
    for (size_t i = 0; i < sizeof pauses_ms / sizeof *pauses_ms; i++) {
        useconds_t pause = (useconds_t)pauses_ms[i] * 1000;
        int fd = dial();
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        say(fd, "GET /one HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd"
                "GET /three HTTP/1.1\r\n\r\nGET /fo");
        expect_answer(fd, 200, "/one");
        expect_answer(fd, 200, "4 2d9442"); /* sum of abcd in base 31 */
        expect_answer(fd, 200, "/three");
        usleep(pause);
        say(fd, "ur HTTP/1.1\r\nHo");
        usleep(pause);
        say(fd, "st: x\r\n\r");
        usleep(pause);
        say(fd, "\nPOST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\na");
        expect_answer(fd, 200, "/four");
        usleep(pause);
        say(fd, "bc");
        usleep(pause);
        say(fd, "d");
        expect_answer(fd, 200, "4 2d9442");
        assert_int_equal(atomic_load(&last_requests), 5);
        close(fd);
    }
    assert_int_equal(EVICTED, 0);
}

/* Bodies around every limit, first and later on a connection, in one piece and in pieces. */
static void test_bodies(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16000, 16384, 20000, 65535, 65536, 65537, 300000};
    char *body = malloc(300000);
    for (size_t i = 0; i < 300000; i++)
        body[i] = (char)('a' + i % 23);
    int fd = dial();
    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        size_t size = sizes[k / 2];
        unsigned long sum = 0;
        for (size_t i = 0; i < size; i++)
            sum = sum * 31 + (unsigned char)body[i];
        char text[128], expected[64];
        snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", size);
        snprintf(expected, sizeof expected, "%zu %lx", size, sum);
        say(fd, text);
        size_t half = k % 2 == 0 ? size : size / 2;
        assert_int_equal(send(fd, body, half, 0), (ssize_t)half);
        if (half < size)
            usleep(20000);
        assert_int_equal(send(fd, body + half, size - half, 0), (ssize_t)(size - half));
        expect_answer(fd, 200, expected);
    }
    free(body);
    close(fd);
}

static void test_expect_continue(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    expect_answer(fd, 100, NULL);
    say(fd, "abcd");
    expect_answer(fd, 200, "4 2d9442");
    ask(fd, "/after");
    expect_answer(fd, 200, "/after");
    close(fd);
}

/* What the door cannot frame is served as the last request, so nothing can be smuggled behind. */
static void test_opaque_is_last(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int fd = dial();
        char text[512];
        snprintf(text, sizeof text, "%sGET /smuggled HTTP/1.1\r\n\r\n", texts[i]);
        say(fd, text);
        struct response response;
        assert_true(hear(fd, &response, LIMIT_MS));
        assert_true(response.close);
        assert_true(ended(fd, LIMIT_MS));
        close(fd);
    }
    /* a Content-Length beyond the 64 fields civetweb keeps */
    char text[4096] = "POST /x HTTP/1.1\r\n";
    for (int i = 0; i < 70; i++)
        strcat(text, "X: y\r\n");
    strcat(text, "Content-Length: 26\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
    int fd = dial();
    say(fd, text);
    struct response response;
    if (hear(fd, &response, LIMIT_MS))
        assert_true(response.close || response.status == 400);
    assert_true(ended(fd, LIMIT_MS));
    close(fd);
}

static void test_not_http(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "\x16\x03\x01\x02");
    struct response response;
    assert_true(hear(fd, &response, LIMIT_MS));
    assert_int_equal(response.status, 400);
    close(fd);

    char *large = malloc(20001);
    memset(large, 'a', 20000);
    large[20000] = 0;
    memcpy(large, "GET / HTTP/1.1\r\nX: ", 19);
    fd = dial();
    say(fd, large);
    expect_answer(fd, 431, NULL);
    close(fd);
    free(large);
}

/* ---- those who are slow ------------------------------------------------------------------------
 */

static void expect_408(int fd, uint64_t since_ms)
{
    expect_answer(fd, 408, NULL);
    uint64_t took = now_ms() - since_ms;
    assert_in_range(took, 400, 1500 * NOISE);
    assert_true(ended(fd, LIMIT_MS));
}

static void test_slow_header(void **state)
{
    (void)state;
    int fresh = dial(), later = dial();
    ask(later, "/a");
    expect_answer(later, 200, "/a");
    uint64_t begin = now_ms();
    say(fresh, "GET / HTTP/1.1\r\nX: ");
    say(later, "GET / HTTP/1.1\r\nX: ");
    /* a byte now and then buys no time */
    while (now_ms() - begin < LIMIT_MS && !readable(fresh, 60)) {
        say(fresh, "y");
        say(later, "y");
    }
    expect_408(fresh, begin);
    expect_408(later, begin);
    assert_int_equal(EVICTED, 2);
    close(fresh);
    close(later);
}

static void test_slow_body(void **state)
{
    (void)state;
    int fresh = dial(), later = dial();
    ask(later, "/a");
    expect_answer(later, 200, "/a");
    uint64_t begin = now_ms();
    say(fresh, "POST /echo HTTP/1.1\r\nContent-Length: 60000\r\n\r\nabc");
    say(later, "POST /echo HTTP/1.1\r\nContent-Length: 60000\r\n\r\nabc");
    expect_408(fresh, begin);
    expect_408(later, begin);
    assert_int_equal(atomic_load(&last_requests), 1);
    close(fresh);
    close(later);
}

static void test_idle_crowd(void **state)
{
    (void)state;
    enum { CROWD = 500, STALLED = 100 };
    struct front_door_settings settings = usual;
    settings.incomplete_timeout_ms = LIMIT_MS; /* a thread for each would be busy for so long */
    start_with(&settings);
    static int fds[CROWD];
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dial();
        if (i < STALLED)
            say(fds[i], "GET /");
        else if (i < 2 * STALLED) {
            ask(fds[i], "/a");
            expect_answer(fds[i], 200, "/a");
        }
    }
    WAIT_FOR(ACCEPTED == CROWD);
    int fd = dial();
    uint64_t begin = now_ms();
    ask(fd, "/health");
    expect_answer(fd, 200, "/health");
    assert_true(now_ms() - begin < 200 * NOISE);
    WAIT_FOR(front_door_busy() ==
             STALLED); /* not the one of /health, which may end a moment later */
    close(fd);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    WAIT_FOR(front_door_connections() == 0);
    assert_int_equal(PARKED, 0);
}

static void test_reserved_for_health(void **state)
{
    (void)state;
    enum { HELD = 12 };
    int fds[HELD];
    for (int i = 0; i < HELD; i++) {
        fds[i] = dial();
        ask(fds[i], "/slow");
    }
    WAIT_FOR(atomic_load(&in_slow) == 4 && front_door_busy() == HELD);
    int fd = dial();
    ask(fd, "/health");
    expect_answer(fd, 200, "/health");
    ask(fd, "/other"); /* the reserve's connection is not its owner's */
    ask(fd, "/other");
    struct response response;
    assert_false(hear(fd, &response, 100));
    assert_int_equal(atomic_load(&in_slow), 4);
    atomic_store(&release_slow, true);
    for (int i = 0; i < HELD; i++)
        expect_answer(fds[i], 200, NULL);
    expect_answer(fd, 200, "/other");
    expect_answer(fd, 200, "/other");
    close(fd);
    for (int i = 0; i < HELD; i++)
        close(fds[i]);
    WAIT_FOR(front_door_connections() == 0 && front_door_busy() == 0);
}

static _Atomic bool hogs_stop;

static void *hog(void *unused)
{
    (void)unused;
    int fd = dial();
    while (!atomic_load(&hogs_stop)) {
        struct response response;
        ask(fd, "/hog");
        if (!hear(fd, &response, LIMIT_MS))
            break;
    }
    close(fd);
    return NULL;
}

/* Clients in a hurry keep their threads only until somebody has waited long enough. */
static void test_hogs(void **state)
{
    (void)state;
    enum { HOGS = 8 };
    pthread_t threads[HOGS];
    atomic_store(&hogs_stop, false);
    for (int i = 0; i < HOGS; i++)
        pthread_create(&threads[i], NULL, hog, NULL);
    WAIT_FOR(ACCEPTED == HOGS);
    int fd = dial();
    uint64_t begin = now_ms();
    for (int i = 0; i < 3; i++) {
        ask(fd, "/patient");
        expect_answer(fd, 200, "/patient");
        usleep(20000);
    }
    assert_true(now_ms() - begin < 500 * NOISE); /* the hogs stop when they are told, later */
    close(fd);
    WAIT_FOR(RETURNED > 100); /* they take turns */
    atomic_store(&hogs_stop, true);
    for (int i = 0; i < HOGS; i++)
        pthread_join(threads[i], NULL);
}

/* Threads that lose their connection by a close come back to waiting requests at once. */
static void test_threads_come_back(void **state)
{
    (void)state;
    enum { HELD = 4, QUEUED = 120 };
    struct front_door_settings settings = usual;
    settings.keepalive_max_requests = 1;
    start_with(&settings);
    int fds[HELD + QUEUED];
    for (int i = 0; i < HELD + QUEUED; i++) {
        fds[i] = dial();
        ask(fds[i], i < HELD ? "/slow" : "/queued");
        if (i == HELD - 1)
            WAIT_FOR(atomic_load(&in_slow) == HELD);
    }
    WAIT_FOR(front_door_busy() == HELD + QUEUED);
    uint64_t begin = now_ms();
    atomic_store(&release_slow, true);
    for (int i = 0; i < HELD + QUEUED; i++) {
        expect_answer(fds[i], 200, NULL);
        close(fds[i]);
    }
    print_message("%d answers in %u ms\n", HELD + QUEUED, (unsigned)(now_ms() - begin));
    assert_true(now_ms() - begin < 150 * NOISE);
}

/* ---- those who leave ---------------------------------------------------------------------------
 */

static void test_gone_while_parked(void **state)
{
    (void)state;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 12; i++) {
        int fd = dial();
        if (i % 3 == 1)
            say(fd, "GET / HT");
        if (i % 3 == 2)
            say(fd, "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
        WAIT_FOR(ACCEPTED == (unsigned)i + 1);
        if (i % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        WAIT_FOR(front_door_connections() == 0);
    }
    assert_int_equal(PARKED, 0);
    assert_int_equal(EVICTED, 0);
}

/* A client that sends and shuts its side down is answered all the same. */
static void test_half_closed(void **state)
{
    (void)state;
    int fd = dial();
    ask(fd, "/half");
    shutdown(fd, SHUT_WR);
    expect_answer(fd, 200, "/half");
    assert_true(ended(fd, LIMIT_MS));
    close(fd);
}

static void test_parked_limit(void **state)
{
    (void)state;
    struct front_door_settings settings = usual;
    settings.parked_limit = 10;
    settings.incomplete_timeout_ms = LIMIT_MS;
    start_with(&settings);
    int idle[10], partial[10];
    for (unsigned i = 0; i < 10; i++) {
        idle[i] = dial();
        WAIT_FOR(ACCEPTED == i + 1);
    }
    for (unsigned i = 0; i < 10; i++) { /* each takes the place of the longest idle */
        partial[i] = dial();
        WAIT_FOR(ACCEPTED == i + 11);
        say(partial[i], "GET / HTTP/1.1\r\n");
        assert_true(ended(idle[i], LIMIT_MS));
        WAIT_FOR(front_door_busy() == i + 1);
    }
    assert_int_equal(EVICTED, 10);
    int late = dial(); /* nobody is idle: it waits in the listener's queue */
    ask(late, "/late");
    struct response response;
    assert_false(hear(late, &response, 300));
    assert_int_equal(ACCEPTED, 20);
    close(partial[0]);
    expect_answer(late, 200, "/late");
    close(late);
    for (int i = 0; i < 10; i++) {
        close(idle[i]);
        if (i > 0)
            close(partial[i]);
    }
}

static void test_no_descriptors(void **state)
{
    (void)state;
    struct rlimit before, none;
    int fd = dial();
    ask(fd, "/a");
    expect_answer(fd, 200, "/a");
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    uint64_t spent = cpu_ms();
    int connected = connect(late, (struct sockaddr *)&server_address, server_address_size);
    bool was_ready = readable(late, 300);
    spent = cpu_ms() - spent;
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(connected, 0);
    assert_false(was_ready);
    assert_true(spent < 100);
    ask(late, "/late");
    expect_answer(late, 200, "/late");
    close(late);
    close(fd);
}

/* ---- ends --------------------------------------------------------------------------------------
 */

static void test_max_requests(void **state)
{
    (void)state;
    struct front_door_settings settings = usual;
    settings.keepalive_max_requests = 2;
    start_with(&settings);
    int fd = dial();
    ask(fd, "/a");
    expect_answer(fd, 200, "/a");
    ask(fd, "/b");
    struct response response;
    assert_true(hear(fd, &response, LIMIT_MS));
    assert_true(response.close);
    assert_true(ended(fd, LIMIT_MS));
    close(fd);
}

static void test_idle_timeout(void **state)
{
    (void)state;
    struct front_door_settings settings = usual;
    settings.keepalive_timeout_s = 1;
    start_with(&settings);
    uint64_t begin = now_ms();
    int unused = dial(), used = dial();
    ask(used, "/a");
    expect_answer(used, 200, "/a");
    assert_true(ended(unused, LIMIT_MS));
    assert_true(ended(used, LIMIT_MS));
    assert_in_range(now_ms() - begin, 950, 2500);
    assert_int_equal(EVICTED, 2);
    close(unused);
    close(used);
}

static void test_drain(void **state)
{
    (void)state;
    int slow = dial(), idle = dial(), unused = dial(), waker = dial();
    ask(idle, "/a");
    ask(waker, "/a");
    expect_answer(idle, 200, "/a");
    expect_answer(waker, 200, "/a");
    ask(slow, "/slow");
    WAIT_FOR(atomic_load(&in_slow) == 1 && RETURNED == 2);
    enum { GRACE_MS = 400 * NOISE };
    uint64_t begin = now_ms();
    front_door_drain(GRACE_MS);
    ask(waker, "/during");
    struct response response;
    assert_true(hear(waker, &response, LIMIT_MS));
    assert_string_equal(response.body, "/during");
    assert_true(response.close);
    assert_true(ended(waker, LIMIT_MS));
    assert_false(readable(idle, 0));
    assert_true(ended(idle, LIMIT_MS));
    assert_true(ended(unused, LIMIT_MS));
    assert_in_range(now_ms() - begin, GRACE_MS - 100, GRACE_MS + 800 * NOISE);
    int late = dial(); /* stays in the queue for another process */
    ask(late, "/late");
    assert_false(readable(late, 300));
    assert_int_equal(front_door_connections(), 1);
    assert_int_equal(front_door_busy(), 1);
    atomic_store(&release_slow, true);
    assert_true(hear(slow, &response, LIMIT_MS));
    assert_true(response.close);
    WAIT_FOR(front_door_connections() == 0 && front_door_busy() == 0);
    assert_int_equal(EVICTED, 0);
    close(late);
    close(slow);
    close(idle);
    close(unused);
    close(waker);
}

static void test_stop_closes_all(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    start_with(&usual);
    int fds[6];
    for (int i = 0; i < 6; i++) {
        fds[i] = dial();
        if (i % 3 == 1)
            say(fds[i], "GET /");
        if (i % 3 == 2)
            ask(fds[i], "/a");
    }
    WAIT_FOR(ACCEPTED == 6);
    mg_stop(server);
    server = NULL;
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    assert_int_equal(open_descriptors(), before);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(front_door_inject(pair[0]), -ESHUTDOWN);
    close(pair[1]);
}

static void test_early_refusal(void **state)
{
    (void)state;
    enum { SIZE = 10 << 20 };
    char *body = calloc(1, SIZE);
    int fd = dial();
    say(fd, "POST /refuse HTTP/1.1\r\nContent-Length: 10485760\r\n\r\n");
    for (size_t sent = 0; sent < SIZE;) {
        ssize_t n = send(fd, body + sent, SIZE - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    expect_answer(fd, 413, "too large");
    assert_true(ended(fd, LIMIT_MS));
    free(body);
    close(fd);
    assert_int_equal(front_door_connections(), 0);
}

/* A refusal without a word to the door, the client in the middle of its body: no reset. */
static void test_unread_body(void **state)
{
    (void)state;
    char *body = malloc(60001);
    memset(body, 'b', 60000);
    body[60000] = 0;
    int fd = dial();
    say(fd, "POST /unread HTTP/1.1\r\nContent-Length: 120000\r\n\r\n");
    say(fd, body);
    expect_answer(fd, 200, "/unread");
    say(fd, body);
    char byte;
    assert_true(readable(fd, LIMIT_MS));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    free(body);
    close(fd);
}

/* One that stopped, and one that takes a little now and then. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct front_door_settings settings = usual;
    settings.write_timeout_ms = 500;
    start_with(&settings);
    int small = 4096, fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        assert_int_equal(connect(fd[i], (struct sockaddr *)&server_address, server_address_size),
                         0);
        ask(fd[i], "/flood");
    }
    WAIT_FOR(front_door_busy() == 2);
    uint64_t begin = now_ms();
    char part[4096];
    while (front_door_busy() != 0 && now_ms() < begin + LIMIT_MS) {
        (void)!recv(fd[1], part, sizeof part, MSG_DONTWAIT);
        usleep(10000);
    }
    assert_in_range(now_ms() - begin, 400, 3000);
    assert_int_equal(EVICTED, 2);
    close(fd[0]);
    close(fd[1]);
}

/* ---- other families ----------------------------------------------------------------------------
 */

static void test_inject(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(front_door_inject(pair[0]), 0);
    for (int i = 0; i < 2; i++) {
        ask(pair[1], "/inside");
        expect_answer(pair[1], 200, "/inside");
        assert_int_equal(atomic_load(&last_family), AF_UNSPEC);
        usleep(20000);
    }
    close(pair[1]);
    WAIT_FOR(front_door_connections() == 0);
}

static void test_unix(void **state)
{
    (void)state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "bulkhead-door-%d", (int)getpid());
    listener = listen_on((struct sockaddr *)&name, sizeof name);
    assert_true(listener >= 0);
    start_with(&usual);
    /* an address that would run over civetweb's 16 bytes */
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    memset(own.sun_path + 1, 'x', sizeof own.sun_path - 1);
    snprintf(own.sun_path + 1, 20, "%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server_address, server_address_size), 0);
    for (int i = 0; i < 2; i++) {
        ask(fd, "/unix");
        expect_answer(fd, 200, "/unix");
        assert_int_equal(atomic_load(&last_family), AF_UNIX);
        usleep(20000);
    }
    close(fd);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    listener = listen_on((struct sockaddr *)&any, sizeof any);
    if (listener < 0)
        skip();
    start_with(&usual);
    int fd = dial();
    ask(fd, "/six");
    expect_answer(fd, 200, "/six");
    assert_int_equal(atomic_load(&last_family), AF_INET6);
    close(fd);
}

/* Several processes share a listener: connections opened one after another must not all go to the
 * one that is first in line. */
static void test_shared_listener(void **state)
{
    (void)state;
    enum { PROCESSES = 4, CONNECTIONS = 32 };
    _Atomic uint64_t *accepted = mmap(NULL, PROCESSES * sizeof *accepted, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(accepted, MAP_FAILED);
    int go[2], ready[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(go[1]);
            start_with(&usual);
            (void)!write(ready[1], "r", 1);
            char byte;
            (void)!read(go[0], &byte, 1); /* until the parent closes */
            atomic_store(&accepted[i], ACCEPTED);
            _exit(0);
        }
    }
    char byte;
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(readable(ready[0], LIMIT_MS) ? read(ready[0], &byte, 1) : -1, 1);
    int fds[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = dial();
        ask(fds[i], "/a");
        expect_answer(fds[i], 200, "/a");
    }
    close(go[1]);
    for (int i = 0; i < PROCESSES; i++) {
        waitpid(children[i], NULL, 0);
        assert_in_range(accepted[i], 4, 12);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    close(go[0]);
    close(ready[0]);
    close(ready[1]);
    munmap(accepted, PROCESSES * sizeof *accepted);
}

/* A connection that waited for a process to start is as old as its bytes. */
static void test_first_byte(void **state)
{
    (void)state;
    enum { WAITED_MS = 200 * NOISE };
    int fd = dial();
    ask(fd, "/waited");
    usleep(WAITED_MS * 1000);
    start_with(&usual);
    expect_answer(fd, 200, "/waited");
    assert_in_range(atomic_load(&last_waited_ms), WAITED_MS - 50, WAITED_MS + 1700 * NOISE);
    ask(fd, "/now");
    expect_answer(fd, 200, "/now");
    assert_in_range(atomic_load(&last_waited_ms), 0, 100 * NOISE); /* half of what was waited */
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(120); /* the whole file has a limit too */
#define ON(test)        cmocka_unit_test_setup_teardown(test, setup, teardown)
#define UNSTARTED(test) cmocka_unit_test_setup_teardown(test, setup_socket, teardown)
#define ALONE(test)     cmocka_unit_test_setup_teardown(test, NULL, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing),
        ON(test_keep_alive),
        ON(test_hand_back),
        ON(test_more_connections_than_threads),
        ON(test_pipelined_and_split),
        ON(test_bodies),
        ON(test_expect_continue),
        ON(test_opaque_is_last),
        ON(test_not_http),
        ON(test_slow_header),
        ON(test_slow_body),
        UNSTARTED(test_idle_crowd),
        ON(test_reserved_for_health),
        ON(test_hogs),
        UNSTARTED(test_threads_come_back),
        ON(test_gone_while_parked),
        ON(test_half_closed),
        UNSTARTED(test_parked_limit),
        ON(test_no_descriptors),
        UNSTARTED(test_max_requests),
        UNSTARTED(test_idle_timeout),
        ON(test_drain),
        UNSTARTED(test_stop_closes_all),
        ON(test_early_refusal),
        ON(test_unread_body),
        UNSTARTED(test_slow_reader),
        ON(test_inject),
        ALONE(test_unix),
        ALONE(test_ipv6),
        UNSTARTED(test_shared_listener),
        UNSTARTED(test_first_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
