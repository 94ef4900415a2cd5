/* SPDX-License-Identifier: MIT */
/*
 * The front door: civetweb's accept loop under our control. Requests are admitted, not
 * connections: a connection costs a thread only while it has a complete request.
 *
 * civetweb has no call to inject, pause or hand back a connection, but it calls libc through the
 * dynamic linker, so the definitions of bind, listen, getsockname, poll, accept, recv, send and
 * fcntl64 in this module win over libc's for it (the program must be linked with -rdynamic).
 *
 * What civetweb takes for one connection is one thread's stay at work: from request to request it
 * may serve different clients. So in struct mg_request_info remote_addr, remote_port and
 * server_port say nothing; front_door_peer does. mg_set_user_connection_data must not be used.
 *
 * One door a process. All functions are thread-safe but front_door_start.
 */
#ifndef BULKHEAD_FRONT_DOOR_H
#define BULKHEAD_FRONT_DOOR_H

#include <civetweb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/metrics.h"
#include "common/region.h"

/* What a request is for, as far as the door looks: its method and how its path begins. The first
 * row that fits counts; a leading /v1 is skipped. What no row fits is of class other. */
struct front_door_route {
    const char *method; /* NULL: any */
    const char *path;   /* a prefix */
    enum endpoint endpoint;
};

struct front_door_settings {
    const int *listeners; /* inherited, listening, O_NONBLOCK; borrowed for the door's life */
    unsigned listener_count;
    unsigned threads;             /* request threads of civetweb */
    unsigned parked_limit;        /* connections held without a thread */
    unsigned keepalive_timeout_s; /* idle connections are closed after this */
    unsigned keepalive_max_requests;
    unsigned incomplete_timeout_ms;  /* from a request's first byte to its last: 5000 */
    unsigned write_timeout_ms;       /* a response may wait for its reader, in all; 0: 10 000 */
    uint64_t first_byte_limit_bytes; /* body bytes awaited at the door; larger bodies are read by
                                        the handler: 64 KiB */
    struct slot_metrics *metrics;    /* accepts, door_*; NULL counts nowhere */
    /* Complete requests in hand: at the door or in a thread, their answer not counted yet. NULL
     * counts nowhere. Injected connections are not in it. */
    _Atomic uint64_t *open_requests;

    /* Overload (common/overload.h). Classes health and other are never refused. */
    const struct front_door_route *routes; /* borrowed; needed where shed is set */
    unsigned route_count;
    uint64_t class_ns[CLASS_COUNT]; /* the longest deadline of a class; 0: none, never refused */
    bool shed;                      /* refuse what waited too long or has no time left */
    bool newest_first;              /* while CoDel finds a class overloaded */
};

/* The connection a request came on. Valid from begin_request to end_request. */
struct front_door_peer {
    struct sockaddr_storage address; /* of the client; AF_UNSPEC for an injected connection */
    uint64_t first_byte_ns;          /* monotonic: when the request's first byte had arrived */
    uint64_t admitted_ns;            /* when a thread took the request */
    uint64_t requests;               /* served on this connection, this one included */
    bool last;                       /* answer with Connection: close (drain, or max_requests) */
    int fd;                          /* only to look at (POLLRDHUP, SHUT_WR) */
};

/* Start civetweb behind the door. callbacks: begin_request, end_request, log_message, http_error of
 * the caller; init_connection, connection_close, connection_closed, init_thread and exit_thread are
 * the door's and must be NULL. SIGPIPE and the signals of the program are blocked or ignored by the
 * caller. mg_stop ends the door too. extra_options: further
 * civetweb options, name and value in turn, NULL-terminated, may be NULL.
 * NULL when civetweb did not start or did not adopt the door (then errno is set): exit 70. */
struct mg_context *front_door_start(const struct front_door_settings *settings,
                                    const struct mg_callbacks *callbacks, void *user_data,
                                    const char *const *extra_options);

/* Facts of the connection the current request came on. Call in begin_request or a handler. */
void front_door_peer(const struct mg_connection *connection, struct front_door_peer *peer);

/* The current request is answered although its client may still be sending (a body that is too
 * large): after the answer shut our side, let the client finish and read, at most 16 MiB or 2 s,
 * without a thread. Bodies that were not read are treated so even when this is not called. The
 * caller sends Connection: close and calls mg_disable_connection_keep_alive. */
void front_door_linger(const struct mg_connection *connection);

/* Nothing is answered: when the caller lets go of the current request, the client's connection is
 * reset. The caller calls mg_disable_connection_keep_alive. */
void front_door_reset(const struct mg_connection *connection);

/* Index of the calling request thread, 0 … threads-1: its thread cell. */
unsigned front_door_thread_index(void);

/* Hand over one end of a socketpair as an accepted connection. 0, -ESHUTDOWN when no door runs,
 * -EAGAIN when 16 wait already. The door owns the descriptor afterwards, even then. */
int front_door_inject(int fd);

/* Accept nothing more, from now on. Connections already here go on: answers carry
 * Connection: close. Idle keep-alive connections are closed when idle_grace_ms passed without a
 * request (10 000 before a successor: longer than clients were told they may reuse one; 1 000 at
 * a stop). */
void front_door_drain(unsigned idle_grace_ms);

/* Connections the door or a thread still has, and how many of them have a request in hand. */
unsigned front_door_connections(void);
unsigned front_door_busy(void);

#endif
