/* SPDX-License-Identifier: MIT */
/*
 * When the write-ahead log is to be emptied, how long one try may take, and whom to name when it
 * cannot be. Pure: it takes sizes and a clock and returns what to do; keeper.c does it.
 *
 * What bounds a try, because every writer waits behind the gate meanwhile:
 *   - Its size. Above wal.soft a try comes every 200 ms, so a log nobody pins stays near wal.soft;
 *     one that is pinned is never more than wal.ceiling, from which writes are refused.
 *   - A reader in the way is waited for at most 20 ms, and then left alone for a second.
 *   - The copying of pages is interrupted after a budget (alarm.h). SQLite records nothing of what
 * an interrupted checkpoint copied, so the budget doubles with every cut: writers get their turns
 *     in between, and the pages already copied make the next try faster. A whole log is always
 *     emptied in the end.
 *   - The fsync of app.db cannot be cut. To whoever measures the gate it is a commit.
 */
#ifndef BULKHEAD_SENTINEL_GOVERNOR_H
#define BULKHEAD_SENTINEL_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/labels.h"

struct governor {
    uint64_t soft_bytes, hard_bytes;
    uint64_t next_try_ns;  /* not before */
    uint64_t next_idle_ns; /* of a log below wal.soft */
    uint64_t next_name_ns;
    uint64_t budget_ns; /* of the next try */
    pid_t suspect;      /* who was in the way of the last try */
};

void governor_init(struct governor *governor, uint64_t soft_mib, uint64_t hard_mib);

/* The same for a governor at work. */
void governor_set_limits(struct governor *governor, uint64_t soft_mib, uint64_t hard_mib);

/* Whether the keeper may move the log into app.db while the verdict is this one. A full disk and a
 * log at its ceiling get room that way; whatever else forbids writes forbids this too. */
bool governor_may_checkpoint(enum db_state state, bool writable);

/* Whether to try now. */
bool governor_wants_try(const struct governor *governor, uint64_t wal_bytes, uint64_t now_ns);

/* The gate was not to be had. */
void governor_put_off(struct governor *governor, uint64_t now_ns);

/* What became of the try that began at now_ns. */
void governor_note(struct governor *governor, enum db_code code, uint64_t now_ns);

/* Whether this process, found in the way after a try (0: none), is to be named: above wal.hard,
 * when it was in the way of the try before as well, and at most once a minute. */
bool governor_names(struct governor *governor, uint64_t wal_bytes, pid_t holder, uint64_t now_ns);

#endif
