/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/slow_clients.h"

#include <err.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "tools/loadtest/memory.h"

#define TURN_MS          20 /* how often the clients are looked through */
#define OPEN_IN_A_TURN   20 /* 1 000 connections a second: a crowd, no flood */
#define DRIP_NS          (2 * NS_PER_S)
#define RETURN_NS        NS_PER_S /* after a cut or a refusal */
#define EVENTS_AT_ONCE   256
#define HEAD_BYTES       8192
#define BODY_LENGTH      8000 /* more than arrives in hours */
#define STATUS_LINE_SIZE 12   /* "HTTP/1.1 408" */

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_ASKED, CLIENT_HOLDING };

struct client {
    enum slow_kind kind;
    enum client_state state;
    int fd;
    uint64_t due_ns; /* AWAY: to come back; HOLDING: for the next piece */
    uint64_t since_ns;
    bool answered;
};

struct slow_clients {
    struct slow_settings settings;
    char *token; /* a copy: the account's is renewed meanwhile */
    pthread_t thread;
    atomic_bool stop;
    int epoll_fd;
    unsigned count;
    struct client *all;
    struct slow_counts counts[SLOW_KINDS];
    double life_sum_s[SLOW_KINDS];
};

const char *slow_kind_name(enum slow_kind kind)
{
    static const char *const names[SLOW_KINDS] = {"idle", "slow_headers", "slow_bodies"};
    return names[kind];
}

static void leave(struct slow_clients *clients, struct client *client, uint64_t now_ns)
{
    struct slow_counts *counts = &clients->counts[client->kind];
    if (client->state == CLIENT_CONNECTING) {
        counts->refused += 1;
    } else {
        counts->cut += 1;
        counts->held -= 1;
        clients->life_sum_s[client->kind] += (double)(now_ns - client->since_ns) / (double)NS_PER_S;
    }
    close(client->fd);
    client->fd = -1;
    client->state = CLIENT_AWAY;
    client->due_ns = now_ns + RETURN_NS;
}

static void come(struct slow_clients *clients, struct client *client, uint64_t now_ns)
{
    const struct target *target = clients->settings.target;
    client->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    client->state = CLIENT_CONNECTING;
    client->answered = false;
    client->since_ns = now_ns;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = client};
    if (client->fd < 0 ||
        (connect(client->fd, (const struct sockaddr *)&target->address, target->address_length) <
             0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(clients->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0)
        leave(clients, client, now_ns);
}

/* What a client says first: an idle one a whole request, the others the beginning of one. */
static size_t first_words(const struct slow_clients *clients, enum slow_kind kind,
                          char out[HEAD_BYTES])
{
    const struct target *target = clients->settings.target;
    int n;
    if (kind == SLOW_BODIES)
        n = snprintf(out, HEAD_BYTES,
                     "POST %s/data/items HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                     "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n{",
                     target->prefix, target->authority, clients->token, BODY_LENGTH);
    else
        n = snprintf(out, HEAD_BYTES, "GET %s/health HTTP/1.1\r\nHost: %s\r\n%s", target->prefix,
                     target->authority, kind == SLOW_IDLE ? "\r\n" : "X-Slow: 1\r\n");
    return n > 0 && n < HEAD_BYTES ? (size_t)n : 0;
}

static void arrive(struct slow_clients *clients, struct client *client, uint64_t now_ns)
{
    struct slow_counts *counts = &clients->counts[client->kind];
    char head[HEAD_BYTES];
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
        leave(clients, client, now_ns);
        return;
    }
    counts->opened += 1;
    counts->held += 1;
    if (counts->held > counts->held_most)
        counts->held_most = counts->held;
    client->state = client->kind == SLOW_IDLE ? CLIENT_ASKED : CLIENT_HOLDING;
    client->since_ns = now_ns;
    client->due_ns = client->kind == SLOW_IDLE ? UINT64_MAX : now_ns + DRIP_NS;
    size_t length = first_words(clients, client->kind, head);
    if (send(client->fd, head, length, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        leave(clients, client, now_ns);
}

static void drip(struct slow_clients *clients, struct client *client, uint64_t now_ns)
{
    static const char line[] = "X-Slow: 1\r\n";
    bool headers = client->kind == SLOW_HEADERS;
    client->due_ns = now_ns + DRIP_NS;
    if (send(client->fd, headers ? line : " ", headers ? sizeof line - 1 : 1, MSG_NOSIGNAL) < 0 &&
        errno != EAGAIN)
        leave(clients, client, now_ns);
}

/* The first bytes after the words: the answer an idle client asked for, or one that is none of the
 * others' asking. */
static void note_answer(struct slow_clients *clients, struct client *client, const char *data,
                        size_t length)
{
    struct slow_counts *counts = &clients->counts[client->kind];
    if (client->state == CLIENT_ASKED) {
        client->state = CLIENT_HOLDING;
        return;
    }
    if (client->answered || length < STATUS_LINE_SIZE)
        return;
    client->answered = true;
    client->due_ns = UINT64_MAX; /* it has been told; nothing more to drip */
    counts->answered += 1;
    int status = (data[9] - '0') * 100 + (data[10] - '0') * 10 + (data[11] - '0');
    if (status >= 100 && status < STATUS_LIMIT)
        counts->status[status] += 1;
}

static void listen_to(struct slow_clients *clients, struct client *client, uint64_t now_ns)
{
    char data[4096];
    for (;;) {
        ssize_t n = recv(client->fd, data, sizeof data, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            leave(clients, client, now_ns);
            return;
        }
        note_answer(clients, client, data, (size_t)n);
    }
}

static void look_through(struct slow_clients *clients, uint64_t now_ns)
{
    unsigned opened = 0;
    for (unsigned i = 0; i < clients->count; i++) {
        struct client *client = &clients->all[i];
        if (client->due_ns > now_ns)
            continue;
        if (client->state == CLIENT_AWAY && opened < OPEN_IN_A_TURN) {
            opened += 1;
            come(clients, client, now_ns);
        } else if (client->state == CLIENT_HOLDING) {
            drip(clients, client, now_ns);
        }
    }
}

static void *keep_up(void *context)
{
    struct slow_clients *clients = context;
    struct epoll_event events[EVENTS_AT_ONCE];
    uint64_t turn_ns = 0;
    while (!atomic_load(&clients->stop)) {
        int n = epoll_wait(clients->epoll_fd, events, EVENTS_AT_ONCE, TURN_MS);
        uint64_t now_ns = clock_now_ns();
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (client->state == CLIENT_CONNECTING)
                arrive(clients, client, now_ns);
            if (client->state != CLIENT_AWAY && client->state != CLIENT_CONNECTING)
                listen_to(clients, client, now_ns);
        }
        if (now_ns < turn_ns)
            continue;
        turn_ns = now_ns + TURN_MS * NS_PER_MS;
        look_through(clients, now_ns);
    }
    return NULL;
}

struct slow_clients *slow_clients_start(const struct slow_settings *settings)
{
    struct slow_clients *clients = memory_zeroed(1, sizeof *clients);
    size_t token_length = strlen(settings->token);
    clients->settings = *settings;
    clients->token = memcpy(memory_zeroed(token_length + 1, 1), settings->token, token_length);
    for (int kind = 0; kind < SLOW_KINDS; kind++)
        clients->count += settings->count[kind];
    clients->all = memory_zeroed(clients->count, sizeof *clients->all);
    unsigned next = 0;
    for (int kind = 0; kind < SLOW_KINDS; kind++)
        for (unsigned i = 0; i < settings->count[kind]; i++)
            clients->all[next++] = (struct client){.kind = (enum slow_kind)kind, .fd = -1};
    clients->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (clients->epoll_fd < 0)
        err(EXIT_TEMPORARY, "slow clients");
    int error = pthread_create(&clients->thread, NULL, keep_up, clients);
    if (error)
        errx(EXIT_TEMPORARY, "a thread for the slow clients: %s", strerror(error));
    return clients;
}

void slow_clients_stop(struct slow_clients *clients, struct slow_counts counts[SLOW_KINDS])
{
    atomic_store(&clients->stop, true);
    pthread_join(clients->thread, NULL);
    for (int kind = 0; kind < SLOW_KINDS && counts; kind++) {
        counts[kind] = clients->counts[kind];
        counts[kind].life_s = counts[kind].cut > 0
                                  ? clients->life_sum_s[kind] / (double)counts[kind].cut
                                  : (double)NAN;
    }
    for (unsigned i = 0; i < clients->count; i++)
        if (clients->all[i].fd >= 0)
            close(clients->all[i].fd);
    close(clients->epoll_fd);
    free(clients->token);
    free(clients->all);
    free(clients);
}
