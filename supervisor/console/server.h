/* SPDX-License-Identifier: MIT */
/*
 * The console's HTTP side: what is asked for is read from the region at that moment, or from what
 * history.h remembers, and written out. GET and HEAD only; nothing that acts is reachable here. It
 * holds no state between requests, so it can die at any time.
 */
#ifndef BULKHEAD_CONSOLE_SERVER_H
#define BULKHEAD_CONSOLE_SERVER_H

#include <stdbool.h>

#include "common/child.h"

/* Start serving on the console's listener. False, with a line in the log, when that failed.
 * child is borrowed for the life of the process. */
bool server_start(const struct child *child);

#endif
