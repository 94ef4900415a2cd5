/* SPDX-License-Identifier: MIT */
/*
 * The front door's public functions, and what civetweb calls back: its options, its callbacks
 * around the caller's, the facts of a request.
 */
#include "common/http/front_door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/http/door.h"

_Thread_local struct turn *door_turn;

/* ---- civetweb's callbacks ----------------------------------------------------------------- */

static void *init_thread(const struct mg_context *context, int type)
{
    (void)context;
    interpose_for_this_thread(type == 0);
    if (type == 1) {
        unsigned index = atomic_fetch_add(&door.thread_count, 1);
        CHECK(index < door.settings.threads);
        door_turn = &door.turns[index];
        door_turn->index = index;
    }
    return NULL;
}

/* The master thread leaves last. */
static void exit_thread(const struct mg_context *context, int type, void *user)
{
    (void)context;
    (void)user;
    if (type == 0)
        door_close();
}

static int init_connection(const struct mg_connection *connection, void **data)
{
    (void)connection;
    (void)data;
    turn_attach(door_turn);
    return 0;
}

static void connection_close(const struct mg_connection *connection)
{
    (void)connection;
    turn_close(door_turn);
}

static void connection_closed(const struct mg_connection *connection)
{
    (void)connection;
    turn_release(door_turn);
}

static int begin_request(struct mg_connection *connection)
{
    struct turn *turn = door_turn;
    struct connection *c = turn->conn;
    atomic_store_explicit(&turn->step, TURN_REQUEST, memory_order_relaxed);
    c->requests++;
    /* civetweb must have framed the request as the door did (it overlooks fields after the 64th) */
    long long length = mg_get_request_info(connection)->content_length;
    if (c->opaque || (uint64_t)(length > 0 ? length : 0) != c->frame.content_length) {
        c->opaque = true;
        mg_disable_connection_keep_alive(connection);
    }
    return door.user.begin_request != NULL ? door.user.begin_request(connection) : 0;
}

static void end_request(const struct mg_connection *connection, int status)
{
    if (door.user.end_request != NULL)
        door.user.end_request(connection, status);
    conn_count_out(door_turn->conn); /* after the answer was counted, never before */
    shed_served(door_turn->conn);
    atomic_store_explicit(&door_turn->step, TURN_BETWEEN, memory_order_relaxed);
}

/* ---- start ---------------------------------------------------------------------------------- */

#define OPTIONS_MAX    64
#define START_LIMIT_NS (5 * NS_PER_S)

/* clang-format off */
static const char *const fixed[] = {
    "listening_ports", "127.0.0.1:0", /* the placeholder */
    "enable_keep_alive", "yes",
    /* only for what civetweb reads by itself: bodies, and what is not HTTP */
    "request_timeout_ms", "5000",
    "keep_alive_timeout_ms", "5000",
    "max_request_size", "16384",
    "enable_auth_domain_check", "no",
    "enable_directory_listing", "no",
    "decode_url", "yes",
    "access_control_allow_origin", "",
    "access_control_allow_methods", "",
    "access_control_allow_headers", "",
    "cgi_pattern", "",
    "ssi_pattern", "",
    "index_files", "",
    "static_file_max_age", "0",
    "allow_sendfile_call", "no",
    NULL,
};
/* clang-format on */

/* civetweb's options; names and values are literals, the caller's or in threads_text. */
static void set_options(const char *out[OPTIONS_MAX], const char *const *extra, char *threads_text,
                        size_t threads_size)
{
    size_t n = 0;
    for (size_t i = 0; fixed[i] != NULL; i++)
        out[n++] = fixed[i];
    snprintf(threads_text, threads_size, "%u", door.settings.threads);
    out[n++] = "num_threads";
    out[n++] = threads_text;
    /* as long as there are threads, so that the master never waits in civetweb's own queue */
    out[n++] = "connection_queue";
    out[n++] = threads_text;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++) {
        CHECK(n < OPTIONS_MAX - 1);
        out[n++] = extra[i];
    }
    out[n] = NULL;
}

/* civetweb only logs it when it gets fewer threads; the door would wait for them for ever. */
static bool threads_started(void)
{
    uint64_t deadline = clock_now_ns() + START_LIMIT_NS;
    while (atomic_load(&door.thread_count) < door.settings.threads) {
        if (clock_now_ns() > deadline)
            return false;
        usleep(1000);
    }
    return true;
}

struct mg_context *front_door_start(const struct front_door_settings *settings,
                                    const struct mg_callbacks *callbacks, void *user_data,
                                    const char *const *extra_options)
{
    int error = door_open(settings);
    if (error != 0) {
        errno = -error;
        return NULL;
    }
    door.user = *callbacks;
    struct mg_callbacks ours = *callbacks;
    ours.init_thread = init_thread;
    ours.exit_thread = exit_thread;
    ours.init_connection = init_connection;
    ours.connection_close = connection_close;
    ours.connection_closed = connection_closed;
    ours.begin_request = begin_request;
    ours.end_request = end_request;

    const char *options[OPTIONS_MAX];
    char threads_text[16];
    set_options(options, extra_options, threads_text, sizeof threads_text);
    interpose_for_this_thread(true);
    struct mg_context *context = mg_start(&ours, user_data, options);
    interpose_for_this_thread(false);
    if (context == NULL) {
        door_close();
        errno = EIO;
    } else if (atomic_load(&door.adopted) < 0 || !threads_started()) {
        mg_stop(context); /* closes the door too */
        context = NULL;
        errno = ENOTSUP;
    }
    return context;
}

/* ---- for the caller ------------------------------------------------------------------------- */

void front_door_peer(const struct mg_connection *connection, struct front_door_peer *peer)
{
    (void)connection; /* the thread knows */
    CHECK(door_turn != NULL && door_turn->conn != NULL);
    const struct connection *c = door_turn->conn;
    peer->address = c->address;
    peer->first_byte_ns = c->first_byte_ns;
    peer->admitted_ns = c->admitted_ns;
    peer->requests = c->requests;
    peer->last = c->opaque || c->requests >= door.settings.keepalive_max_requests ||
                 atomic_load_explicit(&door.draining, memory_order_relaxed);
    peer->fd = c->fd;
}

unsigned front_door_thread_index(void)
{
    CHECK(door_turn != NULL);
    return door_turn->index;
}

void front_door_linger(const struct mg_connection *connection)
{
    (void)connection;
    CHECK(door_turn != NULL && door_turn->conn != NULL);
    door_turn->conn->linger = true;
}

void front_door_reset(const struct mg_connection *connection)
{
    (void)connection;
    CHECK(door_turn != NULL && door_turn->conn != NULL);
    struct connection *c = door_turn->conn;
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    c->reset = true;
}

int front_door_inject(int fd)
{
    int result = -ESHUTDOWN;
    pthread_mutex_lock(&door.lock);
    if (door.running)
        result = -EAGAIN;
    if (door.running && door.injected_count < sizeof door.injected / sizeof *door.injected) {
        door.injected[door.injected_count++] = fd;
        door_wake();
        result = 0;
    }
    pthread_mutex_unlock(&door.lock);
    if (result != 0)
        close(fd);
    return result;
}

void front_door_drain(unsigned idle_grace_ms)
{
    pthread_mutex_lock(&door.lock);
    door.grace_ns = idle_grace_ms * NS_PER_MS;
    if (!atomic_load(&door.draining))
        door.drain_ns = clock_now_ns();
    atomic_store(&door.draining, true);
    if (door.running)
        door_wake();
    pthread_mutex_unlock(&door.lock);
}

unsigned front_door_connections(void)
{
    return atomic_load(&door.open);
}

unsigned front_door_busy(void)
{
    pthread_mutex_lock(&door.lock);
    unsigned busy = 0;
    if (door.running) {
        busy = door.list[CONN_PARTIAL].count + door.ready_count +
               door.list[CONN_READY_HEALTH].count + door.list[CONN_REFUSED].count;
        for (unsigned i = 0; i < door.settings.threads; i++) {
            unsigned step = atomic_load_explicit(&door.turns[i].step, memory_order_relaxed);
            busy += step != TURN_NONE && step != TURN_BETWEEN;
        }
    }
    pthread_mutex_unlock(&door.lock);
    return busy;
}
