/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/timers.h"

#include <stdlib.h>

#include "tools/loadtest/memory.h"

void timers_add(struct timers *timers, uint64_t due_ns, void *thing)
{
    if (timers->count == timers->capacity) {
        timers->capacity = timers->capacity ? timers->capacity * 2 : 64;
        timers->heap = memory_resize(timers->heap, timers->capacity, sizeof *timers->heap);
    }
    size_t at = timers->count++;
    while (at > 0 && timers->heap[(at - 1) / 2].due_ns > due_ns) {
        timers->heap[at] = timers->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    timers->heap[at] = (struct timer){.due_ns = due_ns, .thing = thing};
}

void *timers_take(struct timers *timers, uint64_t now_ns)
{
    if (timers->count == 0 || timers->heap[0].due_ns > now_ns)
        return NULL;
    void *thing = timers->heap[0].thing;
    struct timer last = timers->heap[--timers->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count &&
            timers->heap[child + 1].due_ns < timers->heap[child].due_ns)
            child += 1;
        if (timers->heap[child].due_ns >= last.due_ns)
            break;
        timers->heap[at] = timers->heap[child];
        at = child;
    }
    timers->heap[at] = last;
    return thing;
}

uint64_t timers_next_ns(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[0].due_ns : UINT64_MAX;
}

void timers_free(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}
