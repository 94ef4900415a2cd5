/* SPDX-License-Identifier: MIT */
#include "supervisor/obituary.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum death_class obituary_class(const struct end *end)
{
    if (end->killed_as != DEATH_CLEAN)
        return end->killed_as;
    if (end->once && end->wait_code == CLD_EXITED && end->wait_status == 0)
        return DEATH_CLEAN;
    bool by_signal = end->wait_code == CLD_KILLED || end->wait_code == CLD_DUMPED;
    if (by_signal && end->wait_status == SIGKILL && end->oom)
        return DEATH_OOM;
    bool ended = by_signal && (end->wait_status == SIGKILL || end->wait_status == SIGTERM);
    if (ended && end->asked)
        return DEATH_CLEAN;
    if (ended && end->served)
        return DEATH_KILLED;
    if (!by_signal && end->wait_status == 0 && (end->asked || end->served))
        return end->asked ? DEATH_CLEAN : DEATH_KILLED; /* a TERM from outside, obeyed */
    if (!end->served && !end->asked)
        return DEATH_FAILED_TO_START;
    if (by_signal && end->wait_status == SIGSYS)
        return DEATH_SANDBOX;
    if (end->wait_code == CLD_DUMPED)
        return DEATH_CORE;
    return by_signal ? DEATH_SIGNAL : DEATH_ERROR;
}

void obituary_manner(const struct end *end, char *out, size_t size)
{
    if (end->wait_code == CLD_EXITED)
        snprintf(out, size, "exited with %d", end->wait_status);
    else if (end->wait_code == CLD_KILLED || end->wait_code == CLD_DUMPED)
        snprintf(out, size, "%s SIG%s%s",
                 end->killed_as == DEATH_CLEAN ? "killed by" : "ended with",
                 sigabbrev_np(end->wait_status) ? sigabbrev_np(end->wait_status) : "?",
                 end->wait_code == CLD_DUMPED ? " (core dumped)" : "");
    else
        snprintf(out, size, "could not be started");
}

unsigned obituary_requests(const struct slot *slot, unsigned most, bool *corrupt, char *out,
                           size_t size)
{
    unsigned count[ENDPOINT_COUNT][STAGE_COUNT] = {0}, in_threads = 0;
    uint64_t in_hand = atomic_load_explicit(&slot->open_requests, memory_order_relaxed);
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        const struct thread_cell *cell = &slot->cell[i];
        unsigned stage = atomic_load_explicit(&cell->stage, memory_order_relaxed);
        unsigned endpoint = atomic_load_explicit(&cell->endpoint, memory_order_relaxed);
        if (!atomic_load_explicit(&cell->in_request, memory_order_relaxed) ||
            stage >= STAGE_COUNT || endpoint >= ENDPOINT_COUNT)
            continue;
        count[endpoint][stage]++;
        in_threads++;
    }
    size_t used = 0;
    out[0] = '\0';
    for (unsigned e = 0; e < ENDPOINT_COUNT; e++)
        for (unsigned s = 0; s < STAGE_COUNT; s++)
            if (count[e][s] && used < size)
                used += (size_t)snprintf(out + used, size - used, "%s%s %s in %s ×%u",
                                         used ? ", " : "", endpoint_method(e), endpoint_route(e),
                                         stage_name(s), count[e][s]);
    *corrupt = in_hand > most;
    if (*corrupt)
        return in_threads;
    if (in_hand > in_threads && used < size)
        snprintf(out + used, size - used, "%s%" PRIu64 " at the door", used ? ", " : "",
                 in_hand - in_threads);
    /* A thread may have one more: the worker's request to itself, which is nobody's. */
    return (unsigned)in_hand;
}
