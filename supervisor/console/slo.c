/* SPDX-License-Identifier: MIT */
#include "supervisor/console/slo.h"

#define MINUTES(n) ((n)*60u)
#define HOURS(n)   ((n)*3600u)
#define DAYS(n)    ((n)*86400u)

static const struct {
    const char *name;
    double objective;
    unsigned threshold_ms;
    double burn[SLO_ALERTS];
} objectives[SLO_OBJECTIVES] = {
    [SLO_AVAILABILITY] = {"availability", 0.99, 0, {14.4, 6, 3, 1}},
    [SLO_LATENCY] = {"latency", 0.95, 200, {6, 3, 1.5, 1}},
};

/* At the full scale, in seconds. */
static const struct {
    unsigned long_s, short_s;
} windows[SLO_ALERTS] = {
    {HOURS(1), MINUTES(5)},
    {HOURS(6), MINUTES(30)},
    {DAYS(1), HOURS(2)},
    {DAYS(3), HOURS(6)},
};

static unsigned scaled(unsigned seconds)
{
    return (seconds + SLO_SCALE - 1) / SLO_SCALE;
}

void slo_add(struct slo *slo, uint64_t second, const struct slo_counts *counts)
{
    struct slo_counts *sum = &slo->ring[second % SLO_RING].counts;
    if (slo->ring[second % SLO_RING].second != second) {
        slo->ring[second % SLO_RING].second = second;
        *sum = (struct slo_counts){0};
    }
    sum->requests += counts->requests;
    sum->failed += counts->failed;
    sum->timed += counts->timed;
    sum->slow += counts->slow;
}

/* Bad ones and all of the last so many seconds. */
static void count_window(const struct slo *slo, uint64_t now, unsigned seconds,
                         enum slo_objective objective, uint64_t *bad, uint64_t *total)
{
    *bad = *total = 0;
    for (uint64_t second = now > seconds ? now - seconds + 1 : 1; second <= now; second++) {
        const struct slo_counts *counts = &slo->ring[second % SLO_RING].counts;
        if (slo->ring[second % SLO_RING].second != second)
            continue;
        bool latency = objective == SLO_LATENCY;
        *bad += latency ? counts->slow : counts->failed;
        *total += latency ? counts->timed : counts->requests;
    }
}

static double burn_of(uint64_t bad, uint64_t total, double objective)
{
    return total > 0 ? (double)bad / (double)total / (1 - objective) : 0;
}

static double burn_over(const struct slo *slo, uint64_t now, unsigned seconds,
                        enum slo_objective objective)
{
    uint64_t bad, total;
    count_window(slo, now, seconds, objective, &bad, &total);
    return burn_of(bad, total, objectives[objective].objective);
}

void slo_judge(const struct slo *slo, uint64_t now, enum slo_objective objective,
               struct slo_verdict *verdict)
{
    uint64_t bad;
    *verdict = (struct slo_verdict){.name = objectives[objective].name,
                                    .objective = objectives[objective].objective,
                                    .threshold_ms = objectives[objective].threshold_ms};
    count_window(slo, now, SLO_PERIOD_S, objective, &bad, &verdict->total);
    verdict->good = verdict->total > bad ? verdict->total - bad : 0;
    verdict->budget_left = 1 - burn_of(bad, verdict->total, verdict->objective);
    for (unsigned i = 0; i < SLO_ALERTS; i++) {
        struct slo_alert *alert = &verdict->alert[i];
        alert->burn = objectives[objective].burn[i];
        alert->long_s = scaled(windows[i].long_s);
        alert->short_s = scaled(windows[i].short_s);
        alert->long_burn = burn_over(slo, now, alert->long_s, objective);
        alert->short_burn = burn_over(slo, now, alert->short_s, objective);
        alert->firing = alert->long_burn > alert->burn && alert->short_burn > alert->burn;
    }
}
