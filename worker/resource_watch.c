/* SPDX-License-Identifier: MIT */
#include "worker/resource_watch.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"

#define LOOK_INTERVAL_NS NS_PER_S
#define MIB              1048576.0

/* One resource as a share of what there is. */
struct measure {
    uint64_t used, limit; /* limit 0: there is none */
    const char *what, *of;
};

static struct measure nearest_limit(const struct resource_use *use)
{
    struct measure group = {use->group_bytes, use->group_limit_bytes, "memory",
                            "of the control group's memory.max"};
    struct measure address = {use->address_bytes, use->address_limit_bytes, "memory",
                              "mapped of RLIMIT_AS"};
    if (group.limit == 0 || address.limit == 0)
        return group.limit == 0 ? address : group;
    return (double)group.used / (double)group.limit > (double)address.used / (double)address.limit
               ? group
               : address;
}

static enum resource_change change(bool *low, bool is_low, bool is_ok)
{
    if (!*low && is_low)
        *low = true;
    else if (*low && is_ok)
        *low = false;
    else
        return RESOURCE_NO_CHANGE;
    return *low ? RESOURCE_LOW : RESOURCE_OK;
}

static enum resource_change judge_limit(bool *low, const struct measure *measure)
{
    return change(low, measure->used >= measure->limit / 100 * RESOURCE_LOW_PERCENT,
                  measure->used < measure->limit / 100 * RESOURCE_OK_PERCENT);
}

static enum resource_change judge_growth(struct resource_watch *watch,
                                         const struct resource_use *use)
{
    uint64_t most = 2 * watch->ready_bytes + RESOURCE_GROWTH_BYTES;
    if (watch->ready_bytes == 0)
        return RESOURCE_NO_CHANGE;
    return change(&watch->low[RESOURCE_MEMORY], use->resident_bytes >= most,
                  use->resident_bytes < (watch->ready_bytes + most) / 2);
}

enum resource_change resource_judge(struct resource_watch *watch, enum resource_kind kind,
                                    const struct resource_use *use, char *text, size_t size)
{
    struct measure measure = nearest_limit(use);
    if (kind == RESOURCE_FDS)
        measure = (struct measure){use->open_fds, use->max_fds, "descriptors", "(RLIMIT_NOFILE)"};
    enum resource_change result =
        measure.limit > 0 ? judge_limit(&watch->low[kind], &measure) : judge_growth(watch, use);
    if (result == RESOURCE_NO_CHANGE)
        return result;
    uint64_t percent = measure.limit ? measure.used * 100 / measure.limit : 0;
    if (kind == RESOURCE_FDS)
        snprintf(text, size, "descriptors: %" PRIu64 " of %" PRIu64 " are open, %" PRIu64 " %%",
                 measure.used, measure.limit, percent);
    else if (measure.limit)
        snprintf(text, size, "memory: %.1f MiB of %.1f %s, %" PRIu64 " %%",
                 (double)measure.used / MIB, (double)measure.limit / MIB, measure.of, percent);
    else
        snprintf(text, size, "memory: %.1f MiB are resident, %.1f when it began to serve",
                 (double)use->resident_bytes / MIB, (double)watch->ready_bytes / MIB);
    return result;
}

static void set_gauges(struct slot_metrics *numbers, const struct resource_use *use)
{
    gauge_set(&numbers->process_open_fds[0], (int64_t)use->open_fds);
    gauge_set(&numbers->process_max_fds[0], (int64_t)use->max_fds);
    gauge_set(&numbers->process_resident_memory[0], (int64_t)use->resident_bytes);
}

void resource_watch_tick(struct resource_watch *watch, struct child *child, uint64_t now_ns)
{
    struct resource_use use;
    char text[TEXT_MAX];
    bool begins = watch->ready_bytes == 0 && atomic_load(&child->slot->phase) != PHASE_STARTING;
    bool due = watch->looked_ns == 0 || now_ns >= watch->looked_ns + LOOK_INTERVAL_NS;
    if ((!begins && !due) || !resources_read(&use))
        return;
    watch->looked_ns = now_ns;
    if (begins)
        watch->ready_bytes = use.resident_bytes;
    set_gauges(&child->slot->metrics, &use);
    for (unsigned kind = 0; kind < RESOURCE_KINDS; kind++) {
        enum resource_change what =
            resource_judge(watch, (enum resource_kind)kind, &use, text, sizeof text);
        if (what != RESOURCE_NO_CHANGE)
            child_report(child, what == RESOURCE_LOW ? EVENT_RESOURCE_LOW : EVENT_RESOURCE_OK, "%s",
                         text);
    }
}
