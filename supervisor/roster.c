/* SPDX-License-Identifier: MIT */
#include "supervisor/roster.h"

#include "common/check.h"

const struct roster_entry roster[KIND_COUNT] = {
    [KIND_WORKER] = {.name = "worker",
                     .program = "worker",
                     .first_slot = 0,
                     .slots = WORKER_SLOTS_MAX,
                     .rights = REGION_USES_GATE | REGION_USES_BUCKETS,
                     .listeners = LISTENERS_PUBLIC,
                     .serves = true,
                     .close_s = 1,
                     .start_s = 10,
                     .stop_rank = 0},
    [KIND_SENTINEL] = {.name = "sentinel",
                       .program = "sentinel",
                       .first_slot = HELPER_SLOT(HELPER_SENTINEL),
                       .slots = 1,
                       .rights = REGION_USES_GATE | REGION_WRITES_WATCH,
                       .hang_s =
                           10, /* a probe that hangs is news of the disk, not a fault of its own */
                       .close_s = 10, /* it may be saving what a lost log holds */
                       .start_s = 15,
                       .stop_rank = 1},
    [KIND_KEEPER] = {.name = "keeper",
                     .program = "sentinel",
                     .mode = "--keeper",
                     .first_slot = HELPER_SLOT(HELPER_KEEPER),
                     .slots = 1,
                     .rights = REGION_USES_GATE | REGION_WRITES_BACKUP,
                     .hang_s = 30, /* a checkpoint of a large log takes its time */
                     .close_s = 30,
                     .start_s = 15,
                     .stop_rank = 1},
    [KIND_CONSOLE] = {.name = "console",
                      .program = "console",
                      .first_slot = HELPER_SLOT(HELPER_CONSOLE),
                      .slots = 1,
                      .listeners = LISTENERS_CONSOLE,
                      .hang_s = 5,
                      .start_s = 10,
                      .stop_rank = 2},
    [KIND_SETUP] = {.name = "setup",
                    .program = "sentinel",
                    .mode = "--setup",
                    .first_slot = HELPER_SLOT(HELPER_SETUP),
                    .slots = 1,
                    .rights = REGION_USES_GATE,
                    .once = true,
                    .hang_s = 60,
                    .start_s = 60,
                    .stop_rank = 1},
};

enum child_kind roster_kind_of(unsigned slot)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        if (slot >= roster[kind].first_slot && slot < roster[kind].first_slot + roster[kind].slots)
            return (enum child_kind)kind;
    CHECK(!"every slot belongs to a kind");
    return KIND_COUNT;
}
