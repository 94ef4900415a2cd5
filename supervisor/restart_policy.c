/* SPDX-License-Identifier: MIT */
#include "supervisor/restart_policy.h"

#include "common/backoff.h"
#include "common/clock.h"

#define LONG_ENOUGH_NS    NS_PER_S /* a child that lived this long may try again at once */
#define QUARANTINE_NS     (30 * NS_PER_S)
#define QUARANTINE_CAP_NS (300 * NS_PER_S)
#define QUARANTINE_FORGET (600 * NS_PER_S) /* this long without one: start from 30 s again */

static const struct backoff restart_backoff = {
    .floor_ns = 100 * NS_PER_MS, .base_ns = 200 * NS_PER_MS, .cap_ns = 5 * NS_PER_S};

bool restart_is_charged(enum death_class death)
{
    switch (death) {
    case DEATH_SIGNAL:
    case DEATH_CORE:
    case DEATH_ERROR:
    case DEATH_OOM:
    case DEATH_HUNG:
    case DEATH_SANDBOX:
    case DEATH_FAILED_TO_START:
        return true;
    default:
        return false;
    }
}

static unsigned deaths_within(const struct restart_record *record, uint64_t window_ns,
                              uint64_t now_ns)
{
    unsigned known = record->total < RESTART_RING ? record->total : RESTART_RING, count = 0;
    for (unsigned back = 1; back <= known; back++) {
        uint64_t at = record->death_ns[(record->next + RESTART_RING - back) % RESTART_RING];
        if (now_ns - at >= window_ns)
            break;
        count++;
    }
    return count;
}

static struct restart_decision quarantine(struct restart_record *record, uint64_t now_ns)
{
    if (now_ns > record->quarantine_end_ns + QUARANTINE_FORGET)
        record->quarantines = 0;
    uint64_t length = QUARANTINE_NS;
    for (unsigned n = 0; n < record->quarantines && length < QUARANTINE_CAP_NS; n++)
        length *= 2;
    if (length > QUARANTINE_CAP_NS)
        length = QUARANTINE_CAP_NS;
    record->quarantines++;
    record->quarantine_end_ns = now_ns + length;
    /* The trial after it starts with a clean window: one death is no reason to wait again for
     * deaths that were punished already. */
    record->total = 0;
    return (struct restart_decision){RESTART_VERDICT_QUARANTINE, record->quarantine_end_ns};
}

struct restart_decision restart_decide(struct restart_record *record,
                                       const struct restart_settings *settings,
                                       enum death_class death, uint64_t uptime_ns, uint64_t now_ns,
                                       uint64_t random)
{
    if (!restart_is_charged(death))
        return (struct restart_decision){RESTART_VERDICT_NOW, now_ns};
    record->death_ns[record->next] = now_ns;
    record->next = (record->next + 1) % RESTART_RING;
    record->total++;
    unsigned deaths = deaths_within(record, settings->window_ns, now_ns);
    if (deaths > settings->max_deaths)
        return quarantine(record, now_ns);
    if (deaths <= 1 && uptime_ns >= LONG_ENOUGH_NS)
        return (struct restart_decision){RESTART_VERDICT_NOW, now_ns};
    uint64_t wait = backoff_wait_ns(&restart_backoff, deaths - 1, random);
    return (struct restart_decision){RESTART_VERDICT_WAIT, now_ns + wait};
}

void restart_forgive(struct restart_record *record, uint64_t death_ns)
{
    unsigned known = record->total < RESTART_RING ? record->total : RESTART_RING;
    unsigned newest = (record->next + RESTART_RING - 1) % RESTART_RING;
    for (unsigned back = 0; back < known; back++) {
        unsigned at = (newest + RESTART_RING - back) % RESTART_RING;
        if (record->death_ns[at] != death_ns)
            continue;
        for (; at != newest; at = (at + 1) % RESTART_RING) /* the later ones close the gap */
            record->death_ns[at] = record->death_ns[(at + 1) % RESTART_RING];
        record->next = newest;
        record->total = known - 1;
        return;
    }
}

uint64_t fork_budget_take(struct fork_budget *budget, uint64_t now_ns)
{
    const uint64_t interval = NS_PER_S / FORKS_PER_SECOND;
    const uint64_t burst = interval * (FORK_BURST - 1);
    if (budget->next_ns > now_ns + burst)
        return budget->next_ns - burst;
    budget->next_ns = (budget->next_ns > now_ns ? budget->next_ns : now_ns) + interval;
    return 0;
}
