/* SPDX-License-Identifier: MIT */
/*
 * A pool of nonblocking keep-alive connections to one address. It carries bytes and parses answers;
 * what they mean is not its business.
 *
 * Invariants: at most `limit` sockets are open. An exchange that was sent ends exactly once, in a
 * call of connections_event or connections_expire, never inside connections_send. Idle connections
 * are reused first in, first out, so that all stay in use and none grows old unseen. A connection
 * that shows an end, an error or bytes nobody asked for is not reused: neither is one idle for
 * longer than the server said it would wait.
 */
#ifndef BULKHEAD_LOADTEST_CONNECTION_H
#define BULKHEAD_LOADTEST_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/http/http_message.h"
#include "tools/http/target.h"
#include "tools/loadtest/outcome.h"

struct exchange_end {
    void *owner;      /* as given to connections_send */
    enum cause cause; /* CAUSE_NONE: an answer came, whatever its status */
    bool sent;        /* some bytes of the request left: the server may have acted on it */
    const struct http_response *response; /* NULL without an answer; valid during the call */
};

/* Must not call pool functions: the connection is not free before it returns. */
typedef void exchange_ended(void *context, const struct exchange_end *end);

struct connections_settings {
    const struct target *target;
    int epoll_fd; /* events of the pool carry a pointer to their connection */
    unsigned limit;
    uint64_t timeout_ns; /* of an exchange, from connections_send to the last byte of the answer */
    exchange_ended *ended;
    void *context;
};

struct connections;

struct connections *connections_open(const struct connections_settings *settings);
void connections_close(struct connections *pool);

/* True when connections_send has a connection to use or to open. */
bool connections_available(const struct connections *pool);

/* Send a request; needs connections_available. The bytes are copied. */
void connections_send(struct connections *pool, void *owner, const char *bytes, size_t length,
                      uint64_t now_ns);

/* epoll reported events for the connection that data.ptr points to. */
void connections_event(void *connection, uint32_t events, uint64_t now_ns);

/* End exchanges that failed at once or whose time is over, close what was idle too long. */
void connections_expire(struct connections *pool, uint64_t now_ns);

/* When connections_expire is due next; UINT64_MAX when nothing is open. */
uint64_t connections_deadline_ns(const struct connections *pool);

/* Connections opened, or tried to, since connections_open. */
uint64_t connections_opened(const struct connections *pool);

#endif
