/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "tools/loadtest/memory.h"

/* A connection is in the list of its state. There is no state for connecting: until the handshake
 * is done send says EAGAIN, and when it fails send or recv says why. */
enum state { STATE_CLOSED, STATE_IDLE, STATE_BUSY, STATE_FAILED, STATE_COUNT };

#define IDLE_LIMIT_NS (9 * NS_PER_S) /* servers commonly wait 10 s */
#define RECEIVE_BYTES (64u * 1024)

struct connection {
    struct connections *pool;
    struct connection *next, *previous;
    enum state state;
    int fd;
    void *owner;
    enum cause failure;   /* STATE_FAILED: why */
    uint64_t deadline_ns; /* BUSY: of the exchange; IDLE: of the connection */
    char *out;
    size_t out_length, out_sent, out_capacity;
    struct http_response response;
};

struct list {
    struct connection *head, *tail;
};

struct connections {
    struct connections_settings settings;
    struct list lists[STATE_COUNT];
    struct connection *all;
    uint64_t opened;
    char receive[RECEIVE_BYTES];
};

static void list_remove(struct connections *pool, struct connection *c)
{
    struct list *list = &pool->lists[c->state];
    *(c->previous ? &c->previous->next : &list->head) = c->next;
    *(c->next ? &c->next->previous : &list->tail) = c->previous;
}

static void list_append(struct connections *pool, struct connection *c, enum state state)
{
    struct list *list = &pool->lists[state];
    c->state = state;
    c->next = NULL;
    c->previous = list->tail;
    *(list->tail ? &list->tail->next : &list->head) = c;
    list->tail = c;
}

static void move(struct connections *pool, struct connection *c, enum state state)
{
    list_remove(pool, c);
    list_append(pool, c, state);
}

struct connections *connections_open(const struct connections_settings *settings)
{
    struct connections *pool = memory_zeroed(1, sizeof *pool);
    pool->settings = *settings;
    pool->all = memory_zeroed(settings->limit, sizeof *pool->all);
    for (unsigned i = 0; i < settings->limit; i++) {
        pool->all[i].pool = pool;
        pool->all[i].fd = -1;
        list_append(pool, &pool->all[i], STATE_CLOSED);
    }
    return pool;
}

void connections_close(struct connections *pool)
{
    for (unsigned i = 0; i < pool->settings.limit; i++) {
        struct connection *c = &pool->all[i];
        if (c->fd >= 0)
            close(c->fd);
        free(c->out);
        http_response_free(&c->response);
    }
    free(pool->all);
    free(pool);
}

static void disconnect(struct connections *pool, struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    move(pool, c, STATE_CLOSED);
}

static enum cause cause_of_errno(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return CAUSE_REFUSED;
    case ECONNRESET:
    case EPIPE:
        return CAUSE_RESET;
    case ETIMEDOUT:
        return CAUSE_TIMEOUT;
    default:
        return CAUSE_UNREACHABLE;
    }
}

static bool has_answer(const struct connection *c)
{
    return c->response.phase == HTTP_COMPLETE;
}

/* The time an idle connection may be kept: nine tenths of what the server promised, so that our
 * request does not meet its close on the way. */
static uint64_t idle_limit_ns(const struct http_response *response)
{
    if (response->keep_alive_timeout_s < 0)
        return IDLE_LIMIT_NS;
    uint64_t promised = (uint64_t)response->keep_alive_timeout_s * NS_PER_S / 10 * 9;
    return promised < IDLE_LIMIT_NS ? promised : IDLE_LIMIT_NS;
}

static void finish(struct connections *pool, struct connection *c, enum cause cause, bool reusable,
                   uint64_t now_ns)
{
    struct exchange_end end = {
        .owner = c->owner,
        .cause = cause,
        .sent = c->out_sent > 0,
        .response = cause == CAUSE_NONE ? &c->response : NULL,
    };
    pool->settings.ended(pool->settings.context, &end);
    c->owner = NULL;
    uint64_t limit_ns = idle_limit_ns(&c->response);
    if (cause != CAUSE_NONE || !reusable || !c->response.keep_alive || limit_ns == 0 ||
        c->out_sent < c->out_length) {
        disconnect(pool, c);
        return;
    }
    c->deadline_ns = now_ns + limit_ns;
    move(pool, c, STATE_IDLE);
}

/* 0, or the errno that ended the connection. */
static int flush(struct connection *c)
{
    while (c->out_sent < c->out_length) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_length - c->out_sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : errno;
        c->out_sent += (size_t)n;
    }
    return 0;
}

static void fail_later(struct connections *pool, struct connection *c, int error)
{
    c->failure = cause_of_errno(error);
    move(pool, c, STATE_FAILED);
}

/* 0 when the connection stands or is on its way, else an errno. */
static int connect_new(struct connections *pool, struct connection *c)
{
    const struct target *target = pool->settings.target;
    const int on = 1;
    pool->opened += 1;
    c->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (const struct sockaddr *)&target->address, target->address_length) < 0 &&
        errno != EINPROGRESS)
        return errno;
    /* Edge-triggered, both ways, once: no system call when a connection changes between idle and
     * busy. What an edge does not tell again, take_idle looks for. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    return epoll_ctl(pool->settings.epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0 ? errno : 0;
}

/* An idle connection that is still good, or NULL. Those that are not are closed on the way. */
static struct connection *take_idle(struct connections *pool, uint64_t now_ns)
{
    struct connection *c;
    while ((c = pool->lists[STATE_IDLE].head)) {
        char byte;
        if (c->deadline_ns > now_ns && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
            errno == EAGAIN)
            return c;
        disconnect(pool, c);
    }
    return NULL;
}

bool connections_available(const struct connections *pool)
{
    return pool->lists[STATE_IDLE].head || pool->lists[STATE_CLOSED].head;
}

static void fill(struct connection *c, const char *bytes, size_t length)
{
    if (length > c->out_capacity) {
        c->out = memory_resize(c->out, length, 1);
        c->out_capacity = length;
    }
    memcpy(c->out, bytes, length);
    c->out_length = length;
    c->out_sent = 0;
}

void connections_send(struct connections *pool, void *owner, const char *bytes, size_t length,
                      uint64_t now_ns)
{
    CHECK(connections_available(pool));
    struct connection *c = take_idle(pool, now_ns);
    bool fresh = !c;
    if (fresh)
        c = pool->lists[STATE_CLOSED].head;
    c->owner = owner;
    c->deadline_ns = now_ns + pool->settings.timeout_ns;
    fill(c, bytes, length);
    http_response_reset(&c->response);
    move(pool, c, STATE_BUSY);
    int error = fresh ? connect_new(pool, c) : flush(c);
    if (error)
        fail_later(pool, c, error);
}

/* Read what is there. True when the exchange is over, with *cause set. */
static bool receive(struct connections *pool, struct connection *c, enum cause *cause,
                    bool *leftover)
{
    for (;;) {
        size_t used;
        ssize_t n = recv(c->fd, pool->receive, sizeof pool->receive, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n < 0) {
            *cause = cause_of_errno(errno);
            return true;
        }
        if (n == 0) {
            *cause = http_response_end(&c->response) == 0 ? CAUSE_NONE : CAUSE_EOF;
            return true;
        }
        if (http_response_feed(&c->response, pool->receive, (size_t)n, &used) < 0) {
            *cause = CAUSE_MALFORMED;
            return true;
        }
        *leftover = used < (size_t)n;
        if (has_answer(c)) {
            *cause = CAUSE_NONE;
            return true;
        }
    }
}

void connections_event(void *connection, uint32_t events, uint64_t now_ns)
{
    struct connection *c = connection;
    struct connections *pool = c->pool;
    bool readable = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (c->state == STATE_IDLE && readable)
        disconnect(pool, c);
    if (c->state != STATE_BUSY)
        return;
    int error = flush(c);
    enum cause cause = CAUSE_NONE;
    bool leftover = false;
    /* Also after a failed send: an answer may have come before the connection was closed. */
    if ((readable || error) && receive(pool, c, &cause, &leftover))
        finish(pool, c, error && cause == CAUSE_EOF ? cause_of_errno(error) : cause,
               !leftover && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)), now_ns);
    else if (error)
        finish(pool, c, cause_of_errno(error), false, now_ns);
}

void connections_expire(struct connections *pool, uint64_t now_ns)
{
    struct connection *c;
    while ((c = pool->lists[STATE_FAILED].head))
        finish(pool, c, c->failure, false, now_ns);
    /* One timeout for all: the list of busy ones is in the order of their deadlines. */
    while ((c = pool->lists[STATE_BUSY].head) && c->deadline_ns <= now_ns)
        finish(pool, c, CAUSE_TIMEOUT, false, now_ns);
    /* The server's promise may differ from answer to answer: nearly in order, and take_idle looks
     * again. */
    while ((c = pool->lists[STATE_IDLE].head) && c->deadline_ns <= now_ns)
        disconnect(pool, c);
}

uint64_t connections_deadline_ns(const struct connections *pool)
{
    if (pool->lists[STATE_FAILED].head)
        return 0;
    const struct connection *busy = pool->lists[STATE_BUSY].head;
    const struct connection *idle = pool->lists[STATE_IDLE].head;
    uint64_t deadline = busy ? busy->deadline_ns : UINT64_MAX;
    return idle && idle->deadline_ns < deadline ? idle->deadline_ns : deadline;
}

uint64_t connections_opened(const struct connections *pool)
{
    return pool->opened;
}
