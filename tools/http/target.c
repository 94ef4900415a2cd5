/* SPDX-License-Identifier: MIT */
#include "tools/http/target.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBE_MS 2000

/* Copy length bytes and a NUL; false when they do not fit or there are none. */
static int copy_part(char *out, size_t size, const char *text, size_t length)
{
    if (length == 0 || length >= size)
        return -EINVAL;
    memcpy(out, text, length);
    out[length] = '\0';
    return 0;
}

static int parse_port(struct target *target, const char *text, size_t length)
{
    if (strspn(text, "0123456789") < length || copy_part(target->port, 6, text, length))
        return -EINVAL;
    long port = strtol(target->port, NULL, 10);
    return port >= 1 && port <= 65535 ? 0 : -EINVAL;
}

static int parse_authority(struct target *target)
{
    const char *host = target->authority, *rest;
    size_t length;
    if (*host == '[') {
        host += 1;
        length = strcspn(host, "]");
        if (host[length] != ']')
            return -EINVAL;
        rest = host + length + 1;
    } else {
        length = strcspn(host, ":");
        rest = host + length;
    }
    if (copy_part(target->host, sizeof target->host, host, length))
        return -EINVAL;
    if (*rest == '\0')
        return parse_port(target, "80", 2);
    return *rest == ':' ? parse_port(target, rest + 1, strlen(rest + 1)) : -EINVAL;
}

int target_parse(struct target *target, const char *url)
{
    memset(target, 0, sizeof *target);
    if (strncmp(url, "http://", 7) != 0)
        return -EINVAL;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr("@?#\\\"", *c))
            return -EINVAL;
    const char *authority = url + 7;
    size_t length = strcspn(authority, "/");
    if (copy_part(target->authority, sizeof target->authority, authority, length))
        return -EINVAL;
    const char *path = authority + length;
    size_t path_length = strlen(path);
    while (path_length > 0 && path[path_length - 1] == '/')
        path_length -= 1;
    if (path_length > 0 && copy_part(target->prefix, sizeof target->prefix, path, path_length))
        return -EINVAL;
    return parse_authority(target);
}

/* 0 when the address accepts a connection, else a negative errno. */
static int probe(const struct addrinfo *address)
{
    int error = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof error;
        if (errno == EINPROGRESS && poll(&wait, 1, PROBE_MS) != 1)
            error = ETIMEDOUT;
        else if (errno != EINPROGRESS || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
    }
    close(fd);
    return -error;
}

int target_resolve(struct target *target)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(target->host, target->port, &hints, &found) != 0)
        return -ENXIO;
    int error = -EHOSTUNREACH;
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        int result = probe(a);
        if (result < 0) {
            error = result;
            continue;
        }
        memcpy(&target->address, a->ai_addr, a->ai_addrlen);
        target->address_length = a->ai_addrlen;
        error = 0;
        break;
    }
    freeaddrinfo(found);
    return error;
}
