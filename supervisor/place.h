/* SPDX-License-Identifier: MIT */
/*
 * Where the service lives: data and runtime directory, the account it runs as, and DATADIR/lock,
 * which keeps two fleets from ever sharing a database.
 *
 * The lock file carries two locks. The flock belongs to one open file description that every child
 * inherits: it ends when the last of them, with its database and its port, is gone. The POSIX lock
 * belongs to the supervisor's process alone and is not inherited: it tells a living supervisor
 * (refuse at once) from orphans that finish what they have (wait for them).
 */
#ifndef BULKHEAD_PLACE_H
#define BULKHEAD_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"

struct place {
    char data_dir[256];    /* absolute */
    char runtime_dir[256]; /* absolute */
    int lock_fd;           /* -1: not held */
    bool made_data_dir, made_runtime_dir;
    unsigned uid, gid;
    bool change_user;   /* started as root for somebody else */
    bool loopback_only; /* root serving root's files: no other address */
};

/* Find and make the directories, decide the account. 0, or an exit code with one line in error. */
int place_find(struct place *place, const struct config *config, char *error, size_t error_size);

/* Take the lock; waits up to wait_s for orphans of an earlier supervisor. 0, or an exit code. */
int place_lock(struct place *place, unsigned wait_s, char *error, size_t error_size);

/* Become the account. 0, or an exit code. */
int place_become_user(const struct place *place, char *error, size_t error_size);

/* Take back what this run made and did not use: called when starting failed. */
void place_undo(struct place *place);

#endif
