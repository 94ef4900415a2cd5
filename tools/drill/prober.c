/* SPDX-License-Identifier: MIT */
#include "tools/drill/prober.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit_codes.h"

#define EVERY_NS      (50 * NS_PER_MS)
#define REQUESTS_EACH 10 /* on one connection */
#define ANSWER_SIZE   4096

struct prober {
    struct evidence *evidence;
    struct sockaddr_in address;
    int fd;
    bool connected, outstanding;
    unsigned used; /* requests on this connection */
    uint64_t next_ns, sent_ns;
    size_t length;
    char answer[ANSWER_SIZE];
};

struct prober *prober_open(struct evidence *evidence, const char *address)
{
    struct prober *prober = calloc(1, sizeof *prober);
    char host[64];
    if (!prober)
        err(EXIT_TEMPORARY, "memory");
    const char *colon = strrchr(address, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon ? colon - address : 0), address);
    *prober = (struct prober){.evidence = evidence, .fd = -1};
    prober->address.sin_family = AF_INET;
    prober->address.sin_port = htons((uint16_t)(colon ? strtoul(colon + 1, NULL, 10) : 0));
    if (inet_pton(AF_INET, host, &prober->address.sin_addr) != 1 || prober->address.sin_port == 0) {
        free(prober);
        return NULL;
    }
    return prober;
}

static void hang_up(struct prober *prober)
{
    if (prober->fd >= 0)
        close(prober->fd);
    prober->fd = -1;
    prober->connected = prober->outstanding = false;
    prober->used = 0;
    prober->length = 0;
}

void prober_close(struct prober *prober)
{
    if (!prober)
        return;
    hang_up(prober);
    free(prober);
}

struct pollfd prober_poll(const struct prober *prober)
{
    short events = prober->outstanding && !prober->connected ? POLLOUT : POLLIN;
    return (struct pollfd){.fd = prober->outstanding ? prober->fd : -1, .events = events};
}

static void note(struct prober *prober, uint64_t now_ns, enum look_result result)
{
    struct look *look = evidence_add_look(prober->evidence);
    *look = (struct look){prober->sent_ns, now_ns - prober->sent_ns, result};
    prober->outstanding = false;
    prober->length = 0;
    if (result == LOOK_LOST || result == LOOK_REFUSED || prober->used >= REQUESTS_EACH)
        hang_up(prober);
}

static void fail(struct prober *prober, uint64_t now_ns, int error)
{
    note(prober, now_ns, error == ECONNREFUSED ? LOOK_REFUSED : LOOK_LOST);
}

static void send_request(struct prober *prober, uint64_t now_ns)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: drill\r\n\r\n";
    ssize_t sent = send(prober->fd, request, sizeof request - 1, MSG_NOSIGNAL);
    if (sent == (ssize_t)sizeof request - 1)
        prober->used++;
    else
        fail(prober, now_ns, sent < 0 ? errno : EPIPE);
}

/* A connection that was closed between requests is no failure. */
static bool still_open(const struct prober *prober)
{
    char byte;
    ssize_t n = recv(prober->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && errno == EAGAIN;
}

static void begin(struct prober *prober, uint64_t now_ns)
{
    if (prober->fd >= 0 && !still_open(prober))
        hang_up(prober);
    prober->sent_ns = now_ns;
    prober->outstanding = true;
    if (prober->fd >= 0) {
        send_request(prober, now_ns);
        return;
    }
    int one = 1;
    prober->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (prober->fd < 0) {
        fail(prober, now_ns, errno);
        return;
    }
    setsockopt(prober->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(prober->fd, (struct sockaddr *)&prober->address, sizeof prober->address) == 0) {
        prober->connected = true;
        send_request(prober, now_ns);
    } else if (errno != EINPROGRESS) {
        fail(prober, now_ns, errno);
    }
}

static void finish_connecting(struct prober *prober, uint64_t now_ns)
{
    int error = 0;
    socklen_t size = sizeof error;
    struct pollfd ready = {.fd = prober->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) <= 0)
        return;
    getsockopt(prober->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail(prober, now_ns, error);
        return;
    }
    prober->connected = true;
    send_request(prober, now_ns);
}

static bool complete(const struct prober *prober)
{
    const char *end = strstr(prober->answer, "\r\n\r\n");
    const char *length = strcasestr(prober->answer, "\r\ncontent-length:");
    if (!end || !length || length > end)
        return false;
    size_t body = strtoul(length + 17, NULL, 10);
    return prober->length >= (size_t)(end + 4 - prober->answer) + body;
}

enum look_result prober_meaning(const char *answer)
{
    static const struct {
        const char *member;
        enum look_result result;
    } all[] = {{"\"status\":\"healthy\"", LOOK_HEALTHY},
               {"\"status\":\"degraded\"", LOOK_DEGRADED},
               {"\"status\":\"failing\"", LOOK_FAILING}};
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0)
        return LOOK_LOST;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strstr(answer, all[i].member))
            return all[i].result;
    return LOOK_LOST;
}

static void take_answer(struct prober *prober, uint64_t now_ns)
{
    ssize_t n = recv(prober->fd, prober->answer + prober->length, ANSWER_SIZE - 1 - prober->length,
                     MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        fail(prober, now_ns, n < 0 ? errno : EPIPE);
        return;
    }
    prober->length += (size_t)n;
    prober->answer[prober->length] = '\0';
    if (complete(prober))
        note(prober, now_ns, prober_meaning(prober->answer));
}

void prober_step(struct prober *prober, uint64_t now_ns)
{
    if (prober->outstanding && !prober->connected)
        finish_connecting(prober, now_ns);
    else if (prober->outstanding)
        take_answer(prober, now_ns);
    if (prober->outstanding && now_ns >= prober->sent_ns + LOOK_GIVE_UP_NS)
        fail(prober, now_ns, ETIMEDOUT);
    if (!prober->outstanding && now_ns >= prober->next_ns) {
        prober->next_ns = now_ns + EVERY_NS;
        begin(prober, now_ns);
    }
}

uint64_t prober_due_ns(const struct prober *prober)
{
    return prober->outstanding ? prober->sent_ns + LOOK_GIVE_UP_NS : prober->next_ns;
}
