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
#include "tools/http/http_message.h"

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

/* Read until the answer is whole. 0; negative errno, -EPIPE when it was cut. */
static int receive(int fd, unsigned limit_s, struct http_response *response)
{
    char part[16384];
    uint64_t end_ns = clock_now_ns() + limit_s * NS_PER_S;
    while (response->phase != HTTP_COMPLETE) {
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n == 0)
            return http_response_end(response);
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (clock_now_ns() > end_ns)
            return -ETIMEDOUT;
        size_t used;
        int error = http_response_feed(response, part, (size_t)n, &used);
        if (error)
            return error;
    }
    return 0;
}

/* In HTTP/1.1, where the framing tells the end of an answer from the end of the console. */
static int exchange(int fd, const char *host, const char *path, unsigned limit_s,
                    struct http_response *response)
{
    char request[8192];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    if (length >= (int)sizeof request)
        return -EMSGSIZE;
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return -errno;
    return receive(fd, limit_s, response);
}

/* The body with a NUL behind it. 0 or -ENOMEM; what is in answer->body is the caller's. */
static int take_body(struct http_response *response, struct console_answer *answer)
{
    answer->status = response->status;
    answer->length = response->body_length;
    answer->body = malloc(answer->length + 1);
    if (!answer->body)
        return -ENOMEM;
    if (answer->length > 0)
        memcpy(answer->body, response->body, answer->length);
    answer->body[answer->length] = '\0';
    return 0;
}

static int get(const char *host, const char *path, unsigned limit_s, struct http_response *response,
               struct console_answer *answer)
{
    union address address;
    socklen_t size = parse_address(host, &address);
    int fd = size ? connect_to(&address, size, limit_s) : -EINVAL;
    if (fd < 0)
        return fd;
    int error = exchange(fd, host, path, limit_s, response);
    close(fd);
    return error ? error : take_body(response, answer);
}

int console_get(const struct server *server, const struct invocation *invocation, const char *path,
                struct console_answer *answer)
{
    static struct config config;
    struct http_response response = {.body_limit = ANSWER_LIMIT};
    char why[80];
    *answer = (struct console_answer){0};
    if (!region_read_config(server->region, &config))
        return complain(invocation, EXIT_TEMPORARY, "the server's configuration cannot be read");
    const char *host = config.console_listen;
    if (!host[0])
        return complain(invocation, EXIT_CONFIGURATION,
                        "this server has no console, which is what remembers; set console.listen");
    http_response_reset(&response);
    int error = get(host, path, invocation->timeout_s, &response, answer);
    if (error == -EPIPE)
        snprintf(why, sizeof why, "its answer was cut after %zu bytes of its body",
                 response.body_length);
    else
        snprintf(why, sizeof why, "%s", strerror(-error));
    http_response_free(&response);
    if (!error)
        return 0;
    return complain(
        invocation, EXIT_TEMPORARY,
        "the console at %s does not answer: %s; bulkheadctl workers shows whether it runs", host,
        why);
}
