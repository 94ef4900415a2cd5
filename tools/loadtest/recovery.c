/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/recovery.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "tools/loadtest/memory.h"

#define SLOT_NS    (100 * NS_PER_MS)
#define WINDOW     10u /* slots in a second */
#define SLOW_SHARE 0.05

struct slot {
    uint32_t ok, failed, slow;
};

struct recovery {
    size_t count;
    struct slot slots[];
};

struct recovery *recovery_open(uint64_t duration_ns)
{
    size_t count = (size_t)(duration_ns / SLOT_NS) + 1;
    struct recovery *recovery =
        memory_zeroed(1, sizeof *recovery + count * sizeof recovery->slots[0]);
    recovery->count = count;
    return recovery;
}

void recovery_close(struct recovery *recovery)
{
    free(recovery);
}

void recovery_note(struct recovery *recovery, uint64_t offset_ns, bool failed, uint64_t latency_ns)
{
    size_t i = (size_t)(offset_ns / SLOT_NS);
    if (i >= recovery->count)
        return;
    struct slot *slot = &recovery->slots[i];
    if (failed)
        slot->failed += 1;
    else
        slot->ok += 1;
    slot->slow += !failed && (double)latency_ns > RECOVERY_P95_MS * (double)NS_PER_MS;
}

static bool is_good(const struct slot *slots)
{
    struct slot sum = {0};
    for (unsigned i = 0; i < WINDOW; i++) {
        sum.ok += slots[i].ok;
        sum.failed += slots[i].failed;
        sum.slow += slots[i].slow;
    }
    /* Of nothing, no share is below 1 %: silence is no good second. */
    return (double)sum.failed < RECOVERY_ERROR_RATE * (double)(sum.ok + sum.failed) &&
           (double)sum.slow <= SLOW_SHARE * (double)sum.ok;
}

static size_t first_slot(uint64_t after_ns)
{
    return (size_t)((after_ns + SLOT_NS - 1) / SLOT_NS);
}

bool recovery_measured(uint64_t after_ns, uint64_t until_ns)
{
    return (first_slot(after_ns) + WINDOW) * SLOT_NS <= until_ns;
}

double recovery_time_s(const struct recovery *recovery, uint64_t after_ns, uint64_t until_ns)
{
    for (size_t i = first_slot(after_ns);
         i + WINDOW <= recovery->count && (i + WINDOW) * SLOT_NS <= until_ns; i++)
        if (is_good(&recovery->slots[i]))
            return (double)((i + WINDOW) * SLOT_NS - after_ns) / (double)NS_PER_S;
    return (double)NAN;
}
