/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: bound here, or handed over by systemd (LISTEN_FDS, sd_listen_fds(3)). They
 * outlive every worker, so a dead worker refuses nobody: the kernel's queue waits for the next.
 */
#ifndef BULKHEAD_LISTENERS_H
#define BULKHEAD_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/region.h"

struct listener {
    int fd;
    char name[CONFIG_LISTEN_SIZE];
};

struct listeners {
    struct listener public[LISTENERS_MAX];
    unsigned public_count;
    struct listener console; /* fd -1: none */
    bool from_systemd;
};

/* Bind what the configuration names, or take what systemd passed. loopback_only refuses other
 * addresses. 0, or an exit code with one line in error; nothing stays bound then. */
int listeners_open(struct listeners *listeners, const struct config *config, bool loopback_only,
                   char *error, size_t error_size);

void listeners_close(struct listeners *listeners);

/* Depth, room and drops of a listener's queue (tcp(7): TCP_INFO; SO_MEMINFO). */
void listener_measure(const struct listener *listener, struct board_listener *out);

#endif
