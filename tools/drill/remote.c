/* SPDX-License-Identifier: MIT */
#include "tools/drill/remote.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BEAT_LIMIT_S 1

/* What bulkheadctl prints is kept here: the caller says it with what it was about. */
int complain(const struct invocation *invocation, int exit_code, const char *format, ...)
{
    struct remote *remote = (struct remote *)(uintptr_t)invocation;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(remote->complaint, sizeof remote->complaint, format, arguments);
    va_end(arguments);
    return exit_code;
}

void remote_init(struct remote *remote, const char *socket)
{
    *remote = (struct remote){.server.pid_fd = -1};
    snprintf(remote->socket, sizeof remote->socket, "%s", socket);
    remote->invocation.socket = remote->socket;
}

void remote_close(struct remote *remote)
{
    if (remote->server.region)
        munmap(remote->server.region, sizeof *remote->server.region);
    if (remote->server.pid_fd >= 0)
        close(remote->server.pid_fd);
    remote->server = (struct server){.pid_fd = -1};
}

bool remote_open(struct remote *remote)
{
    struct server server;
    if (server_find(&server, &remote->invocation) != 0)
        return false;
    if (server_map(&server, &remote->invocation) != 0) {
        if (server.pid_fd >= 0)
            close(server.pid_fd);
        return false;
    }
    remote_close(remote);
    remote->server = server;
    return true;
}

bool remote_ask(struct remote *remote, const char *request, struct answer *answer)
{
    struct answer own;
    if (!answer)
        answer = &own;
    if (server_ask(&remote->server, &remote->invocation, request, answer) != 0)
        return false;
    if (answer->fd >= 0)
        close(answer->fd);
    if (!answer->ok)
        snprintf(remote->complaint, sizeof remote->complaint, "%s", answer->text);
    return answer->ok;
}

static void wait_idly(void *unused)
{
    (void)unused;
}

void remote_beat(struct remote *remote)
{
    struct answer answer;
    if (server_ask_patiently(&remote->server, &remote->invocation, "faults beat", BEAT_LIMIT_S,
                             wait_idly, NULL, &answer) == 0 &&
        answer.fd >= 0)
        close(answer.fd);
}
