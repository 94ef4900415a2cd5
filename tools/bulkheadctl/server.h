/* SPDX-License-Identifier: MIT */
/*
 * The running server as bulkheadctl sees it: its control socket, its supervisor's pid, its shared
 * region. One request is one connection: a line out, a JSON line back, perhaps a descriptor.
 */
#ifndef BULKHEADCTL_SERVER_H
#define BULKHEADCTL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/region.h"
#include "tools/bulkheadctl/commands.h"

struct server {
    char path[108];        /* of the control socket */
    pid_t pid;             /* of the supervisor, in our pid namespace; 0 when unknown */
    int pid_fd;            /* readable when it has ended; -1 when it could not be had */
    struct region *region; /* NULL until server_map */
};

struct answer {
    bool ok;
    char text[512]; /* the message or the error */
    int fd;         /* the descriptor that came along, the caller's; -1 none */
};

/* Find a server that answers. 0, or the exit code after having complained. */
int server_find(struct server *server, const struct invocation *invocation);

/* Send one request. 0 when there was an answer (ok or not), else the exit code, complained. */
int server_ask(const struct server *server, const struct invocation *invocation,
               const char *request, struct answer *answer);

/* The same for a request whose answer takes its time: at most limit_s, and meanwhile(argument) is
 * called about five times a second. */
int server_ask_patiently(const struct server *server, const struct invocation *invocation,
                         const char *request, unsigned limit_s, void (*meanwhile)(void *),
                         void *argument, struct answer *answer);

/* Map the region read-only. 0, or the exit code after having complained. */
int server_map(struct server *server, const struct invocation *invocation);

/* server_find and server_map. */
int server_open(struct server *server, const struct invocation *invocation);

/* Let up to limit_ms pass. True as soon as the supervisor is gone. */
bool server_ended_within(const struct server *server, int limit_ms);

#endif
