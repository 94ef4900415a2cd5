/* SPDX-License-Identifier: MIT */
/* The notification protocol of sd_notify(3): a datagram of KEY=VALUE lines to $NOTIFY_SOCKET. */
#ifndef BULKHEAD_NOTIFY_H
#define BULKHEAD_NOTIFY_H

#include <stdbool.h>

/* Send lines such as "READY=1\nSTATUS=…". Never blocks. False when the reader has no room now;
 * without NOTIFY_SOCKET, or when nobody listens, there is nothing to do: true. */
bool notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
