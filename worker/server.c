/* SPDX-License-Identifier: MIT */
#include "worker/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/account.h"
#include "worker/answer_fault.h"
#include "worker/body.h"
#include "worker/dispatch.h"
#include "worker/json_memory.h"
#include "worker/liveness.h"
#include "worker/route_gate.h"

#define INCOMPLETE_TIMEOUT_MS  5000
#define BODY_AT_DOOR_MAX_BYTES (64 * 1024)
#define SELF_REQUEST_LIMIT_MS  1000

/* The process's one server. */
static struct {
    const struct services *services;
    struct exchange *exchange; /* one for each request thread */
    size_t threads;
} server;

/* What the door is told of the routes: it must know a request's class before there is a thread for
 * it. The router (router.c) decides; a path written in another way than here is of class other at
 * the door and meets its compartment all the same. */
static const struct front_door_route routes[] = {
    {NULL, "/health", ENDPOINT_HEALTH},
    {NULL, "/openapi.json", ENDPOINT_OPENAPI},
    {"GET", "/data/items/", ENDPOINT_ITEM_GET},
    {"GET", "/data/items", ENDPOINT_ITEM_LIST},
    {"POST", "/data/items", ENDPOINT_ITEM_CREATE},
    {"PUT", "/data/items/", ENDPOINT_ITEM_PUT},
    {"PATCH", "/data/items/", ENDPOINT_ITEM_PATCH},
    {"DELETE", "/data/items/", ENDPOINT_ITEM_DELETE},
    {"POST", "/auth/login", ENDPOINT_LOGIN},
    {"HEAD", "/data/items/", ENDPOINT_ITEM_GET},
    {"HEAD", "/data/items", ENDPOINT_ITEM_LIST},
};

/* ---- civetweb's callbacks ------------------------------------------------------------------ */

static struct exchange *begin(struct mg_connection *connection)
{
    unsigned thread = front_door_thread_index();
    struct exchange *exchange = &server.exchange[thread];
    exchange->connection = connection;
    exchange->wall_us = clock_wall_us();
    exchange->deadline_ns = 0;
    exchange->user.name[0] = '\0';
    exchange->cost = (struct store_cost){0};
    exchange->body_pending = exchange->db_refused = exchange->compartment_full = false;
    exchange->on_trial = false;
    exchange->trial = exchange->retry_floor_ms = 0;
    exchange->reason = NULL;
    front_door_peer(connection, &exchange->peer);
    response_begin(&exchange->response);
    liveness_begin(thread, exchange->peer.admitted_ns);
    return exchange;
}

static int begin_request(struct mg_connection *connection)
{
    struct exchange *exchange = begin(connection);
    dispatch_request(exchange);
    if (exchange->response.status == 499 || answer_fault_strikes(exchange))
        mg_disable_connection_keep_alive(connection);
    else
        response_send(exchange);
    body_free(&exchange->request);
    return (int)exchange->response.status;
}

static void finish(struct exchange *exchange)
{
    uint64_t now_ns = clock_now_ns();
    route_gate_leave(exchange);
    /* Counted first: killed between the two it is counted as answered and as lost, never as
     * neither. */
    account_request(exchange, now_ns);
    liveness_end(now_ns);
}

static void end_request(const struct mg_connection *connection, int status)
{
    (void)connection;
    (void)status;
    finish(&server.exchange[front_door_thread_index()]);
}

/* What civetweb found wrong before there was a request: never between begin and end_request. */
static int http_error(struct mg_connection *connection, int status, const char *message)
{
    struct exchange *exchange = begin(connection);
    (void)message;
    dispatch_broken(exchange, status);
    response_send(exchange);
    finish(exchange);
    return 0;
}

static int log_message(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    /* Its warnings are about options that are set twice: ours override the door's. */
    if (strncmp(message, "warning:", 8) != 0)
        log_warning("civetweb", "%s", message);
    return 1;
}

/* ---- start, tick, self-request -------------------------------------------------------------- */

static int make_exchanges(const struct services *services)
{
    server.services = services;
    server.threads = services->child->config.worker_threads;
    server.exchange = calloc(server.threads, sizeof *server.exchange);
    if (!server.exchange)
        return -1;
    for (size_t i = 0; i < server.threads; i++) {
        struct exchange *exchange = &server.exchange[i];
        exchange->services = services;
        exchange->body_fd = -1;
        pthread_mutex_init(&exchange->body_lock, NULL);
        if (getrandom(&exchange->random, sizeof exchange->random, 0) < 0)
            return -1;
    }
    return 0;
}

int server_start(const struct services *services)
{
    /* The router decodes paths itself: civetweb would end a path at an encoded NUL. */
    static const char *const options[] = {"decode_url", "no", NULL};
    const struct mg_callbacks callbacks = {
        .begin_request = begin_request,
        .end_request = end_request,
        .http_error = http_error,
        .log_message = log_message,
    };
    const struct child *child = services->child;
    static int listeners[LISTENERS_MAX]; /* the door borrows it for good */
    unsigned count = child->region->header.listener_count;
    for (unsigned i = 0; i < count && i < LISTENERS_MAX; i++)
        listeners[i] = CHILD_FD_LISTENERS + (int)i;
    const struct config *config = &child->config;
    struct front_door_settings settings = {
        .listeners = listeners,
        .listener_count = count < LISTENERS_MAX ? count : LISTENERS_MAX,
        .threads = (unsigned)child->config.worker_threads,
        .parked_limit = (unsigned)child->config.door_parked,
        .keepalive_timeout_s = (unsigned)child->config.keepalive_timeout_s,
        .keepalive_max_requests = (unsigned)child->config.keepalive_max_requests,
        .incomplete_timeout_ms = INCOMPLETE_TIMEOUT_MS,
        .first_byte_limit_bytes = BODY_AT_DOOR_MAX_BYTES,
        .metrics = &child->slot->metrics,
        .open_requests = &child->slot->open_requests,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .class_ns = {[CLASS_AUTH] = config->deadline_auth_ms * NS_PER_MS,
                     [CLASS_READ] = config->deadline_read_ms * NS_PER_MS,
                     [CLASS_WRITE] = config->deadline_write_ms * NS_PER_MS},
        .shed = config->overload_shed == OVERLOAD_SHED_ON,
        .newest_first = config->overload_order == OVERLOAD_ORDER_CODEL,
    };
    json_memory_start();
    if (make_exchanges(services) < 0)
        return -1;
    return front_door_start(&settings, &callbacks, NULL, options) ? 0 : -1;
}

void server_tick(void)
{
    uint64_t now_ns = clock_now_ns();
    for (size_t i = 0; i < server.threads; i++)
        body_cut_when_late(&server.exchange[i], now_ns);
}

bool server_answers_itself(void)
{
    static const char request[] =
        "GET /health/ready HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n";
    char head[] = "HTTP/1.1 000";
    size_t got = 0, wanted = sizeof head - 1;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return false;
    uint64_t limit_ns = clock_now_ns() + SELF_REQUEST_LIMIT_MS * NS_PER_MS;
    bool sent = write(pair[1], request, sizeof request - 1) == (ssize_t)sizeof request - 1;
    sent = front_door_inject(pair[0]) == 0 && sent; /* the door closes its end in any case */
    while (sent && got < wanted) {
        struct pollfd peer = {.fd = pair[1], .events = POLLIN};
        int wait_ms = clock_ms_until(limit_ns, clock_now_ns(), SELF_REQUEST_LIMIT_MS);
        if (poll(&peer, 1, wait_ms) <= 0)
            break;
        ssize_t n = read(pair[1], head + got, wanted - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(pair[1]);
    /* Ready or not is the fleet's matter; that there is an answer is ours. */
    return strcmp(head, "HTTP/1.1 200") == 0 || strcmp(head, "HTTP/1.1 503") == 0;
}
