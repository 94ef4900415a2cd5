/* SPDX-License-Identifier: MIT */
/*
 * Asking the server's console over HTTP, for what only it remembers. One request is one connection,
 * to the address that the region's configuration names. An answer is taken whole or not at all.
 */
#ifndef BULKHEADCTL_CONSOLE_H
#define BULKHEADCTL_CONSOLE_H

#include <stddef.h>

#include "tools/bulkheadctl/server.h"

struct console_answer {
    int status;
    char *body; /* the caller's to free; ends with a NUL */
    size_t length;
};

/* GET a path with its query. 0, or the exit code after having complained: no console, no answer
 * within invocation->timeout_s, or a part of one. What the console answers is the caller's to
 * judge.
 */
int console_get(const struct server *server, const struct invocation *invocation, const char *path,
                struct console_answer *answer);

#endif
