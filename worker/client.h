/* SPDX-License-Identifier: MIT */
/*
 * Whether anybody still waits for an answer. Asked before something expensive, never instead of a
 * deadline: a client that went without a word (its machine is off) looks like one that waits.
 */
#ifndef BULKHEAD_CLIENT_H
#define BULKHEAD_CLIENT_H

#include <poll.h>
#include <stdbool.h>

/* One system call. A client that only stopped sending looks gone too, so this is for requests that
 * have waited so long that nobody would still do that. */
static inline bool client_is_gone(int fd)
{
    struct pollfd client = {.fd = fd, .events = POLLRDHUP};
    return poll(&client, 1, 0) > 0;
}

#endif
