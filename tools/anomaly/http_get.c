/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/http_get.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "tools/http/http_message.h"

#define REQUEST_BYTES 2048
#define READ_BYTES    65536

int http_get_target(struct target *target, const char *url, const char **path,
                    struct problem *problem)
{
    char origin[512];
    const char *scheme_end = strstr(url, "://");
    *path = scheme_end ? strchr(scheme_end + 3, '/') : NULL;
    size_t length = *path ? (size_t)(*path - url) : strlen(url);
    if (!*path)
        *path = "/metrics";
    snprintf(origin, sizeof origin, "%.*s", (int)(length < 500 ? length : 500), url);
    for (const char *c = *path; *c; c++)
        if (*c <= ' ' || *c > '~')
            length = sizeof origin;
    if (length >= sizeof origin || target_parse(target, origin) < 0)
        return problem_set(problem, EXIT_CONFIGURATION,
                           "%s: no URL that can be read: expected http://HOST:PORT/metrics or "
                           "http://HOST:PORT/api/history.csv",
                           url);
    int error = target_resolve(target);
    if (error)
        return problem_set(problem, EXIT_TEMPORARY, "%s: %s", url,
                           error == -ENXIO ? "no such host" : strerror(-error));
    return 0;
}

/* Wait until the socket is ready; 0 or a negative errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd wait = {.fd = fd, .events = events};
    int ready;
    do {
        ready = poll(&wait, 1, clock_ms_until(deadline_ns, clock_now_ns(), 60000));
    } while (ready < 0 && errno == EINTR);
    return ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
}

static int dial(const struct target *target, uint64_t deadline_ns)
{
    int error = 0;
    socklen_t size = sizeof error;
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&target->address, target->address_length) < 0) {
        error = errno == EINPROGRESS ? -wait_for(fd, POLLOUT, deadline_ns) : errno;
        if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
    }
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

static int send_all(int fd, const char *data, size_t length, uint64_t deadline_ns)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (sent < 0) {
            int error = wait_for(fd, POLLOUT, deadline_ns);
            if (error)
                return error;
            continue;
        }
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static int receive(int fd, struct http_response *response, uint64_t deadline_ns)
{
    char buffer[READ_BYTES];
    while (response->phase != HTTP_COMPLETE) {
        int error = wait_for(fd, POLLIN, deadline_ns);
        if (error)
            return error;
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (got == 0)
            return http_response_end(response);
        size_t used;
        error = got > 0 ? http_response_feed(response, buffer, (size_t)got, &used) : 0;
        if (error)
            return error;
    }
    return 0;
}

static int exchange(const struct target *target, const char *path, uint64_t deadline_ns,
                    struct http_response *response)
{
    char request[REQUEST_BYTES];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
                          target->authority);
    if (length < 0 || (size_t)length >= sizeof request)
        return -ENAMETOOLONG;
    int fd = dial(target, deadline_ns);
    if (fd < 0)
        return fd;
    int error = send_all(fd, request, (size_t)length, deadline_ns);
    if (!error)
        error = receive(fd, response, deadline_ns);
    close(fd);
    return error;
}

char *http_get(const struct target *target, const char *path, int limit_ms, struct problem *problem)
{
    struct http_response *response = calloc(1, sizeof *response);
    char *body = NULL;
    if (!response) {
        problem_set(problem, EXIT_TEMPORARY, "no memory");
        return NULL;
    }
    http_response_reset(response);
    int error = exchange(target, path, clock_now_ns() + (uint64_t)limit_ms * NS_PER_MS, response);
    if (error)
        problem_set(problem, EXIT_TEMPORARY, "http://%s%s: %s", target->authority, path,
                    error == -EPROTO ? "the answer is no HTTP" : strerror(-error));
    else if (response->status != 200)
        problem_set(problem, response->status >= 500 ? EXIT_TEMPORARY : EXIT_CONFIGURATION,
                    "http://%s%s: answer %d: %.*s", target->authority, path, response->status,
                    (int)(response->body_length < 200 ? response->body_length : 200),
                    response->body ? response->body : "");
    else if (!(body = malloc(response->body_length + 1)))
        problem_set(problem, EXIT_TEMPORARY, "no memory for the answer");
    if (body) {
        memcpy(body, response->body ? response->body : "", response->body_length);
        body[response->body_length] = '\0';
    }
    http_response_free(response);
    free(response);
    return body;
}
