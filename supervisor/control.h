/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a unix stream socket only this account and root may use. A client sends one
 * line, gets one JSON line, and is closed:
 *   region              the answer carries a read-only descriptor of the region (SCM_RIGHTS)
 *   restart N, drain N  one worker slot
 *   reload, stop        the service
 *   faults ...          the fault bench (supervisor/fault_desk.h)
 *   backup              the answer comes when the keeper has made one, with a read-only descriptor
 */
#ifndef BULKHEAD_CONTROL_H
#define BULKHEAD_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_CLIENTS_MAX 8

struct supervisor;

struct control_client {
    int fd; /* -1: free */
    uint64_t since_ns;
    uint64_t backup; /* the request it waits for, at most 5 min; 0 none */
    size_t length;
    char line[512];
};

struct control {
    int fd;
    char path[108];
    struct control_client client[CONTROL_CLIENTS_MAX];
};

/* Whether somebody listens at the control socket of a directory, and who (0: not known). Does not
 * wait: it asks the kernel, not the other process. */
bool control_is_answered(const char *runtime_dir, pid_t *pid);

/* Make the socket, in place of one nobody answers. 0, or an exit code with one line in error. */
int control_open(struct control *control, const char *runtime_dir, char *error, size_t error_size);

/* Somebody connects; a client has sent something. */
void control_accept(struct supervisor *supervisor);
void control_read(struct supervisor *supervisor, unsigned client);

/* Answer who waits for a backup; forget clients that say nothing for 2 s. */
void control_expire(struct supervisor *supervisor, uint64_t now_ns);

/* The service ends: who still waits for a backup is told so. */
void control_close(struct control *control);

#endif
