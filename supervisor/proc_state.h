/* SPDX-License-Identifier: MIT */
/* The state letter of a process, as procfs tells it: whether silence is a signal's doing (T) or the
 * disk's (D). One bounded read; nothing the process does can make it wait. */
#ifndef BULKHEAD_PROC_STATE_H
#define BULKHEAD_PROC_STATE_H

#include <stdbool.h>
#include <sys/types.h>

/* proc(5), field 3 of /proc/PID/stat; 0 when it cannot be had. */
char proc_state(pid_t pid);

/* Held by SIGSTOP or a debugger. */
bool proc_is_stopped(pid_t pid);

#endif
