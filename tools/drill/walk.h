/* SPDX-License-Identifier: MIT */
/*
 * `drill walk`: breaks a server of its own five times, one thing after the other, and tells a
 * person at a terminal what it does, what the supervisor saw and what clients met, with the command
 * to look for oneself. The runner (runner.h) starts, loads, audits and tidies up as for any drill;
 * only the method is here, and it waits for what it breaks to be whole again.
 */
#ifndef BULKHEAD_DRILL_WALK_H
#define BULKHEAD_DRILL_WALK_H

#include <stdbool.h>

#include "tools/drill/spec.h"

/* Do all of it. `fast` leaves out the time to read and to look. Returns the exit code: 0 nothing
 * was lost and everything recovered, 1 not so, 2 it could not be carried out or its audit
 * not finished, 3 interrupted. */
int walk_run(struct spec *spec, int signal_fd, bool fast, bool colour);

#endif
