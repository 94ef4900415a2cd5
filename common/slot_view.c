/* SPDX-License-Identifier: MIT */
#include "common/slot_view.h"

#include <stdio.h>

unsigned slot_view_worker_slots(const struct board *board)
{
    return board->worker_slots < WORKER_SLOTS_MAX ? board->worker_slots : WORKER_SLOTS_MAX;
}

void slot_view_label(unsigned index, char out[SLOT_LABEL_SIZE])
{
    static const char *const helpers[HELPER_COUNT] = {
        [HELPER_SENTINEL] = "sentinel",
        [HELPER_KEEPER] = "keeper",
        [HELPER_CONSOLE] = "console",
        [HELPER_SETUP] = "setup",
    };
    if (index >= WORKER_SLOTS_MAX && index < SLOTS_MAX)
        snprintf(out, SLOT_LABEL_SIZE, "%s", helpers[index - WORKER_SLOTS_MAX]);
    else
        snprintf(out, SLOT_LABEL_SIZE, "%u", index);
}

static uint32_t own_generation(const struct region *region, unsigned index)
{
    return atomic_load_explicit(&region->slots[index].slot.generation, memory_order_acquire);
}

bool slot_view_was_used(const struct region *region, unsigned index)
{
    return own_generation(region, index) != 0;
}

bool slot_view_is_live(const struct region *region, const struct board *board, unsigned index)
{
    const struct board_slot *public = &board->slot[index];
    switch (public->state) {
    case SLOT_STARTING:
    case SLOT_READY:
    case SLOT_DEGRADED:
    case SLOT_DRAINING:
    case SLOT_KILLING:
        return public->generation != 0 && public->generation == own_generation(region, index);
    default:
        return false;
    }
}

uint64_t slot_view_heartbeat_age_ns(const struct region *region, unsigned index, uint64_t now_ns)
{
    uint64_t beat =
        atomic_load_explicit(&region->slots[index].slot.heartbeat_ns, memory_order_relaxed);
    return beat < now_ns ? now_ns - beat : 0; /* it may have beaten since `now` was read */
}
