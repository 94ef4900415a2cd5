/* SPDX-License-Identifier: MIT */
/*
 * The compartment of logins: one thread at nice 10 (bulkhead.auth) does all password hashing of
 * this worker, so that a flood of logins costs at most one CPU's leftovers and one hash's memory.
 * Four may wait, 100 ms at most; the rest is refused at once.
 */
#ifndef BULKHEAD_HASHER_H
#define BULKHEAD_HASHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metrics.h"

struct hasher;

enum hasher_verdict {
    HASHER_MATCHES,
    HASHER_DIFFERS,
    HASHER_REFUSED,     /* too many before, or no turn within 100 ms; counted */
    HASHER_DEADLINE,    /* the caller's time is up */
    HASHER_CLIENT_GONE, /* nobody is there to be answered, so nothing was hashed */
};

/* Start so many threads; they live as long as the process. NULL with errno when one cannot start:
 * the process is to end then. shed false: nobody is refused but for his deadline. */
struct hasher *hasher_start(struct slot_metrics *numbers, unsigned threads, bool shed);

/* Whether a password belongs to a hash (NULL: false, after the same work). Waits until
 * deadline_ns at the latest. client_fd is only looked at. */
enum hasher_verdict hasher_check(struct hasher *hasher, const char *password, size_t length,
                                 const char *hash, int client_fd, uint64_t deadline_ns);

#endif
