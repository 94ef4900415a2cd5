/* SPDX-License-Identifier: MIT */
#include "tools/bulkheadctl/console.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"

#define ANSWER_LIMIT (64u << 20) /* several times all the console can remember */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* ADDRESS:PORT or [ADDRESS]:PORT, as the supervisor took it. 0: it is neither. */
static socklen_t parse_address(const char *text, union address *address)
{
    char name[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    bool bracketed = text[0] == '[' && length > 2 && text[length - 1] == ']';
    memset(address, 0, sizeof *address);
    if (length == 0 || length >= sizeof name)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)(length - 2 * bracketed), text + bracketed);
    in_port_t port = htons((in_port_t)atoi(colon + 1));
    if (bracketed) {
        address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        return inet_pton(AF_INET6, name, &address->v6.sin6_addr) == 1 ? sizeof address->v6 : 0;
    }
    address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    return inet_pton(AF_INET, name, &address->v4.sin_addr) == 1 ? sizeof address->v4 : 0;
}

/* A connected socket, or negative errno. */
static int connect_to(const union address *address, socklen_t length, unsigned limit_s)
{
    const struct timeval limit = {.tv_sec = (time_t)limit_s};
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, &address->any, length) == 0)
        return fd;
    int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    close(fd);
    return -error;
}

/* All that comes until the other side closes. 0 or negative errno. */
static int read_all(int fd, unsigned limit_s, FILE *out)
{
    char part[16384];
    uint64_t end_ns = clock_now_ns() + limit_s * NS_PER_S;
    size_t total = 0;
    for (;;) {
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n == 0)
            return 0;
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        total += (size_t)n;
        if (clock_now_ns() > end_ns)
            return -ETIMEDOUT;
        if (total > ANSWER_LIMIT || fwrite(part, 1, (size_t)n, out) != (size_t)n)
            return -EMSGSIZE;
    }
}

static int exchange(int fd, const char *host, const char *path, unsigned limit_s, FILE *out)
{
    char request[8192];
    int length =
        snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, host);
    if (length >= (int)sizeof request)
        return -EMSGSIZE;
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return -errno;
    return read_all(fd, limit_s, out);
}

/* Take status line and headers off the front. False when it is no HTTP. */
static bool strip_head(struct console_answer *answer)
{
    char *body = strstr(answer->body, "\r\n\r\n");
    if (!body || sscanf(answer->body, "HTTP/1.%*1d %3d", &answer->status) != 1)
        return false;
    body += 4;
    answer->length -= (size_t)(body - answer->body);
    memmove(answer->body, body, answer->length + 1);
    return true;
}

int console_get(const struct server *server, const struct invocation *invocation, const char *path,
                struct console_answer *answer)
{
    static struct config config;
    union address address;
    *answer = (struct console_answer){0};
    if (!region_read_config(server->region, &config))
        return complain(invocation, EXIT_TEMPORARY, "the server's configuration cannot be read");
    const char *host = config.console_listen;
    if (!host[0])
        return complain(invocation, EXIT_CONFIGURATION,
                        "this server has no console, which is what remembers; set console.listen");
    socklen_t size = parse_address(host, &address);
    int fd = size ? connect_to(&address, size, invocation->timeout_s) : -EINVAL;
    FILE *out = open_memstream(&answer->body, &answer->length);
    int error = fd < 0 ? fd : !out ? -ENOMEM : 0;
    if (!error)
        error = exchange(fd, host, path, invocation->timeout_s, out);
    if (fd >= 0)
        close(fd);
    if (out && fclose(out) != 0 && !error)
        error = -ENOMEM;
    if (!error && !strip_head(answer))
        error = -EPROTO;
    if (!error)
        return 0;
    free(answer->body);
    answer->body = NULL;
    return complain(
        invocation, EXIT_TEMPORARY,
        "the console at %s does not answer: %s; bulkheadctl workers shows whether it runs", host,
        strerror(-error));
}
