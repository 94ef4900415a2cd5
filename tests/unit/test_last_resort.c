/* SPDX-License-Identifier: MIT */
/* The last resort: when it answers for the workers, and what it says. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/region.h"
#include "supervisor/console/last_resort.h"
#include "supervisor/console/last_resort_answer.h"
#include "supervisor/console/last_resort_serve.h"

#define START UINT64_C(1000000000000)

static struct board board;
static struct last_resort resort;

/* Two worker slots and the spare one. */
static void fleet(enum slot_state first, enum slot_state second)
{
    memset(&board, 0, sizeof board);
    board.configured = 2;
    board.worker_slots = 3;
    board.slot[0] = (struct board_slot){.state = first, .generation = 1};
    board.slot[1] = (struct board_slot){.state = second, .generation = 1};
}

static bool decide(uint64_t after_ms)
{
    return last_resort_decide(&resort, &board, false, START + after_ms * NS_PER_MS);
}

/* ---- when ---------------------------------------------------------------------------------- */

static void never_while_somebody_serves(void **unused)
{
    (void)unused;
    static const enum slot_state others[] = {SLOT_STARTING, SLOT_BACKOFF, SLOT_QUARANTINED,
                                             SLOT_DEAD,     SLOT_EMPTY,   SLOT_DRAINING};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        last_resort_init(&resort, START);
        fleet(SLOT_READY, others[i]);
        assert_false(decide(100000));
        fleet(others[i], SLOT_DEGRADED);
        assert_false(decide(200000));
    }
    /* the successor of a reload sits in the spare slot */
    fleet(SLOT_DEAD, SLOT_DEAD);
    board.slot[2] = (struct board_slot){.state = SLOT_READY, .generation = 1};
    assert_false(decide(300000));
}

static void after_a_second_without_anybody(void **unused)
{
    (void)unused;
    last_resort_init(&resort, START);
    fleet(SLOT_READY, SLOT_READY);
    assert_false(decide(500));
    fleet(SLOT_DEAD, SLOT_STARTING);
    assert_false(decide(560));
    assert_false(decide(1499));
    assert_true(decide(1500));
    assert_true(decide(99999));
}

static void the_usual_restart_is_waited_for(void **unused)
{
    (void)unused;
    last_resort_init(&resort, START);
    for (unsigned i = 0; i < 100; i++) { /* killed again and again, 900 ms each time */
        fleet(SLOT_STARTING, SLOT_STARTING);
        assert_false(decide(i * 1000 + 900));
        fleet(SLOT_READY, SLOT_STARTING);
        assert_false(decide(i * 1000 + 1000));
    }
}

static void at_once_when_all_wait(void **unused)
{
    (void)unused;
    static const enum slot_state waiting[][2] = {{SLOT_BACKOFF, SLOT_BACKOFF},
                                                 {SLOT_QUARANTINED, SLOT_QUARANTINED},
                                                 {SLOT_BACKOFF, SLOT_QUARANTINED},
                                                 {SLOT_EMPTY, SLOT_QUARANTINED}};
    for (unsigned i = 0; i < sizeof waiting / sizeof waiting[0]; i++) {
        last_resort_init(&resort, START);
        fleet(waiting[i][0], waiting[i][1]);
        assert_true(decide(1));
    }
    last_resort_init(&resort, START);
    fleet(SLOT_BACKOFF, SLOT_STARTING); /* one is on its way */
    assert_false(decide(1));
    fleet(SLOT_EMPTY, SLOT_EMPTY); /* nobody waits for anything */
    assert_false(decide(2));
    assert_true(decide(1000));
}

static void once_begun_it_ends_with_a_worker_alone(void **unused)
{
    (void)unused;
    last_resort_init(&resort, START);
    fleet(SLOT_BACKOFF, SLOT_BACKOFF);
    assert_true(decide(1));
    fleet(SLOT_STARTING, SLOT_STARTING); /* perhaps to die again */
    assert_true(decide(2));
    assert_true(last_resort_decide(&resort, NULL, false, START + 3)); /* nothing could be read */
    fleet(SLOT_STARTING, SLOT_DEGRADED);
    assert_false(decide(4));
    fleet(SLOT_STARTING, SLOT_STARTING); /* and the second begins anew */
    assert_false(decide(1003));
    assert_true(decide(1004));
}

static void not_on_no_knowledge_and_not_in_a_stop(void **unused)
{
    (void)unused;
    last_resort_init(&resort, START);
    assert_false(last_resort_decide(&resort, NULL, false, START + 60 * NS_PER_S));
    fleet(SLOT_BACKOFF, SLOT_BACKOFF);
    assert_false(last_resort_decide(&resort, &board, true, START));
    assert_true(decide(0));
    assert_false(last_resort_decide(&resort, &board, true, START));
}

static void a_corrupt_board_is_no_harm(void **unused)
{
    (void)unused;
    char cause[LAST_RESORT_CAUSE_SIZE];
    memset(&board, 0xff, sizeof board);
    last_resort_init(&resort, START);
    assert_true(decide(1000));
    last_resort_cause(&board, cause);
    assert_true(strlen(cause) > 0);
}

static void the_cause_is_named(void **unused)
{
    (void)unused;
    char cause[LAST_RESORT_CAUSE_SIZE];
    fleet(SLOT_BACKOFF, SLOT_QUARANTINED);
    board.slot[0].last_death = DEATH_SIGNAL;
    board.slot[0].since_wall_us = 5;
    board.slot[1].last_death = DEATH_FAILED_TO_START;
    board.slot[1].since_wall_us = 6;
    last_resort_cause(&board, cause);
    assert_string_equal(cause, "1 is quarantined, 1 waits to be restarted; the last one ended as "
                               "failed_to_start");
    /* the death before a later process is older than it: how the board's newest slot ended once
     * says nothing of the last death */
    fleet(SLOT_QUARANTINED, SLOT_STARTING);
    board.slot[0].last_death = DEATH_FAILED_TO_START;
    board.slot[0].since_wall_us = 5;
    board.slot[1] = (struct board_slot){
        .state = SLOT_STARTING, .generation = 2, .last_death = DEATH_SIGNAL, .since_wall_us = 6};
    last_resort_cause(&board, cause);
    assert_string_equal(cause, "1 is quarantined, 1 is starting; the last one ended as "
                               "failed_to_start");
    fleet(SLOT_STARTING, SLOT_STARTING);
    board.slot[0].generation = 2;
    last_resort_cause(&board, cause);
    assert_string_equal(cause, "2 are starting");
    fleet(SLOT_EMPTY, SLOT_EMPTY);
    last_resort_cause(&board, cause);
    assert_string_equal(cause, "all were drained");
    board.slot[0].generation = board.slot[1].generation = 0;
    last_resort_cause(&board, cause);
    assert_string_equal(cause, "none was started yet");
}

/* ---- what ---------------------------------------------------------------------------------- */

static struct region *region;
static int region_fd;
static struct last_resort_answer answer;

static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    fleet(SLOT_BACKOFF, SLOT_BACKOFF);
    board.status = HEALTH_FAILING;
    snprintf(board.reason, sizeof board.reason, "no_workers");
    change_publish(&region->board.change, &region->board.board, &board, sizeof board);
    return region_fd < 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(region_fd);
    return 0;
}

static void ask(const char *head)
{
    memset(&answer, 'x', sizeof answer);
    last_resort_answer(region, "2 are starting", head, strlen(head), 500, &answer);
    assert_true(answer.length < sizeof answer.bytes);
    answer.bytes[answer.length] = '\0';
    assert_non_null(strstr(answer.bytes, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(answer.bytes, "\r\n\r\n"));
}

static const char *header(const char *name)
{
    static char value[256];
    const char *at = strcasestr(answer.bytes, name);
    value[0] = '\0';
    if (at && at < strstr(answer.bytes, "\r\n\r\n"))
        sscanf(at + strlen(name), ": %255[^\r]", value);
    return value;
}

static json_t *body(void)
{
    const char *text = strstr(answer.bytes, "\r\n\r\n") + 4;
    assert_int_equal(strlen(text), atoi(header("Content-Length")));
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static void expect(const char *head, unsigned status, enum endpoint endpoint, bool refused)
{
    ask(head);
    if (answer.status != status || answer.endpoint != endpoint || answer.refused != refused)
        fail_msg("%s: %u as endpoint %u", head, answer.status, answer.endpoint);
    assert_int_equal(atoi(answer.bytes + 9), status);
}

static void every_route_is_counted_as_itself(void **unused)
{
    (void)unused;
    expect("GET /health HTTP/1.1\r\n\r\n", 200, ENDPOINT_HEALTH, false);
    expect("GET /v1/health?x=1 HTTP/1.1\r\n\r\n", 200, ENDPOINT_HEALTH, false);
    expect("GET /health/live HTTP/1.1\r\n\r\n", 200, ENDPOINT_HEALTH_LIVE, false);
    expect("GET /health/ready HTTP/1.1\r\n\r\n", 503, ENDPOINT_HEALTH_READY, false);
    expect("GET /openapi.json HTTP/1.1\r\n\r\n", 503, ENDPOINT_OPENAPI, true);
    expect("POST /auth/login HTTP/1.1\r\n\r\n", 503, ENDPOINT_LOGIN, true);
    expect("GET /data/items?limit=2 HTTP/1.1\r\n\r\n", 503, ENDPOINT_ITEM_LIST, true);
    expect("PATCH /v1/data/items/x HTTP/1.1\r\n\r\n", 503, ENDPOINT_ITEM_PATCH, true);
    expect("OPTIONS /data/items HTTP/1.1\r\n\r\n", 503, ENDPOINT_OPTIONS, true);
    expect("POST /health HTTP/1.1\r\n\r\n", 503, ENDPOINT_UNMATCHED, true);
    expect("GET /nowhere HTTP/1.1\r\n\r\n", 503, ENDPOINT_UNMATCHED, true);
    expect("GET /%00 HTTP/1.1\r\n\r\n", 503, ENDPOINT_MALFORMED, true);
    expect("GET http://x/ HTTP/1.1\r\n\r\n", 503, ENDPOINT_MALFORMED, true);
    expect("no request at all\r\n\r\n", 503, ENDPOINT_MALFORMED, true);
    expect("\r\n\r\n", 503, ENDPOINT_MALFORMED, true);
    expect("\x16\x03\x01", 503, ENDPOINT_MALFORMED, true); /* TLS */
    expect("", 503, ENDPOINT_MALFORMED, true);
}

static void a_path_too_long_matches_nothing(void **unused)
{
    (void)unused;
    char head[1000] = "GET /health";
    memset(head + 11, 'a', 700);
    strcpy(head + 711, " HTTP/1.1\r\n\r\n");
    expect(head, 503, ENDPOINT_UNMATCHED, true);
}

static void health_is_the_workers(void **unused)
{
    (void)unused;
    ask("GET /health HTTP/1.1\r\n\r\n");
    json_t *root = body();
    assert_string_equal(json_string_value(json_object_get(root, "status")), "failing");
    assert_string_equal(json_string_value(json_object_get(root, "reason")), "no_workers");
    assert_string_equal(header("Content-Type"), "application/json");
    json_decref(root);
}

static void a_refusal_names_its_cause(void **unused)
{
    (void)unused;
    static const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    char head[256];
    snprintf(head, sizeof head,
             "GET /data/items HTTP/1.1\r\nX-Request-Id: mine-1\r\nTraceparent: %s\r\n\r\n", trace);
    ask(head);
    json_t *root = body();
    assert_string_equal(json_string_value(json_object_get(root, "type")), "/problems/no-workers");
    assert_non_null(strstr(json_string_value(json_object_get(root, "detail")), "2 are starting"));
    assert_string_equal(json_string_value(json_object_get(root, "instance")), "mine-1");
    assert_string_equal(json_string_value(json_object_get(root, "traceparent")), trace);
    assert_string_equal(json_string_value(json_object_get(root, "reason")), "no_workers");
    assert_int_equal(json_integer_value(json_object_get(root, "retry_after_ms")), 1500);
    assert_string_equal(header("Retry-After"), "2");
    assert_string_equal(header("X-Request-Id"), "mine-1");
    assert_string_equal(header("\r\ntraceparent"), trace);
    assert_string_equal(header("Content-Type"), "application/problem+json");
    json_decref(root);
}

static void what_a_client_sends_is_not_repeated_unchecked(void **unused)
{
    (void)unused;
    ask("GET /data/items HTTP/1.1\r\nX-Request-Id: a b\r\ntraceparent: 00-x\r\n\r\n");
    json_t *root = body();
    assert_null(json_object_get(root, "traceparent"));
    assert_int_equal(strlen(json_string_value(json_object_get(root, "instance"))), 36);
    assert_string_equal(header("\r\ntraceparent"), "");
    json_decref(root);
}

static void head_has_the_same_headers_and_no_body(void **unused)
{
    (void)unused;
    ask("HEAD /health HTTP/1.1\r\n\r\n");
    assert_int_equal(answer.status, 200);
    assert_true(atoi(header("Content-Length")) > 0);
    assert_string_equal(strstr(answer.bytes, "\r\n\r\n"), "\r\n\r\n");
    ask("HEAD /data/items HTTP/1.1\r\n\r\n");
    assert_int_equal(answer.endpoint, ENDPOINT_ITEM_LIST);
    assert_string_equal(strstr(answer.bytes, "\r\n\r\n"), "\r\n\r\n");
}

static void what_never_became_a_request(void **unused)
{
    (void)unused;
    for (unsigned status = 408; status <= 431; status += 431 - 408) {
        last_resort_turn_away(status, &answer);
        answer.bytes[answer.length] = '\0';
        json_t *root = body();
        assert_int_equal(answer.status, status);
        assert_false(answer.refused);
        assert_int_equal(json_integer_value(json_object_get(root, "status")), status);
        assert_null(json_object_get(root, "retry_after_ms"));
        json_decref(root);
    }
}

/* ---- the sockets --------------------------------------------------------------------------- */

#define CROWD 200

static struct child child;

/* At the number where a child finds its first public listener; returns its port. */
static uint16_t listen_as_inherited(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0);
    assert_int_equal(listen(fd, 2 * CROWD), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_true(fcntl(CHILD_FD_LISTENERS + 1, F_GETFD) < 0 || fd == CHILD_FD_LISTENERS + 1);
    if (fd != CHILD_FD_LISTENERS + 1) {
        assert_true(dup2(fd, CHILD_FD_LISTENERS + 1) >= 0);
        close(fd);
    }
    return address.sin_port;
}

static int ask_from_afar(uint16_t port)
{
    static const char request[] = "GET /data/items HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    return fd;
}

static uint64_t answered(void)
{
    return atomic_load(&child.slot->metrics.http_requests[ENDPOINT_ITEM_LIST][STATUS_503]);
}

static void a_crowd_is_answered_in_turns(void **unused)
{
    (void)unused;
    int clients[CROWD], next = 0;
    child.region = region;
    child.slot = region_slot(region, HELPER_SLOT(HELPER_CONSOLE));
    child.signal_fd = eventfd(0, EFD_CLOEXEC);
    region->header.listener_count = 1;
    atomic_store(&region->board.words.health, HEALTH_FAILING);
    uint16_t port = listen_as_inherited();
    assert_int_equal(last_resort_open(&child), 0);
    for (unsigned i = 0; i < CROWD; i++)
        clients[i] = ask_from_afar(port);
    for (uint64_t turn = 1; answered() < CROWD; turn++) {
        last_resort_step(0);
        assert_int_equal(answered(),
                         turn * LAST_RESORT_GUESTS < CROWD ? turn * LAST_RESORT_GUESTS : CROWD);
    }
    while (next < CROWD)
        close(clients[next++]);
    close(CHILD_FD_LISTENERS + 1);
    close(child.signal_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_while_somebody_serves),
        cmocka_unit_test(after_a_second_without_anybody),
        cmocka_unit_test(the_usual_restart_is_waited_for),
        cmocka_unit_test(at_once_when_all_wait),
        cmocka_unit_test(once_begun_it_ends_with_a_worker_alone),
        cmocka_unit_test(not_on_no_knowledge_and_not_in_a_stop),
        cmocka_unit_test(a_corrupt_board_is_no_harm),
        cmocka_unit_test(the_cause_is_named),
        cmocka_unit_test(every_route_is_counted_as_itself),
        cmocka_unit_test(a_path_too_long_matches_nothing),
        cmocka_unit_test(health_is_the_workers),
        cmocka_unit_test(a_refusal_names_its_cause),
        cmocka_unit_test(what_a_client_sends_is_not_repeated_unchecked),
        cmocka_unit_test(head_has_the_same_headers_and_no_body),
        cmocka_unit_test(what_never_became_a_request),
        cmocka_unit_test(a_crowd_is_answered_in_turns),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
