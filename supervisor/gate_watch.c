/* SPDX-License-Identifier: MIT */
#include "supervisor/gate_watch.h"

#include "common/clock.h"

/* Between two looks further apart the supervisor was stopped: nothing is known of that time. */
#define LOOK_GAP_NS (250 * NS_PER_MS)
/* Who gives up at his deadline comes again: the sentinel, which waits 300 ms, after 250 ms. */
#define LULL_NS (500 * NS_PER_MS)

bool gate_watch_look(struct gate_watch *watch, const struct gate_sight *sight, uint64_t now_ns)
{
    uint64_t gap_ns = now_ns - watch->look_ns;
    bool moved = sight->held || sight->commits != watch->commits;
    bool quiet = sight->waiting == 0 && now_ns - watch->waiter_ns > LULL_NS;
    watch->look_ns = now_ns;
    watch->commits = sight->commits;
    if (sight->waiting)
        watch->waiter_ns = now_ns;
    if (moved || quiet)
        watch->stalling = false;
    else if (watch->stalling)
        watch->stalled_ns += gap_ns < LOOK_GAP_NS ? gap_ns : LOOK_GAP_NS;
    else
        watch->stalling = sight->waiting > 0;
    if (!watch->stalling)
        watch->stalled_ns = 0;
    return watch->stalled_ns >= GATE_STALL_NS && sight->waiting > 0;
}
