/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/profile.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"

/* Keep PROFILE_NAMES of the header in step: a unit test looks. */
#define DEFAULT_MIX "read=75,write=20,list=5"

static const struct profile profiles[] = {
    {.name = "baseline",
     .rate = 300,
     .duration_s = 60,
     .mix = DEFAULT_MIX,
     .connections = 64,
     .thresholds = {"p95<200", "error_rate<0.01", "dropped==0"}},
    {.name = "peak",
     .rate = 500,
     .duration_s = 120,
     .mix = DEFAULT_MIX,
     .connections = 64,
     .thresholds = {"p95<300", "error_rate<0.03"}},
    {.name = "ramp",
     .shape = SHAPE_RAMP,
     .rate = 3000,
     .duration_s = 600,
     .mix = DEFAULT_MIX,
     .connections = 256},
    {.name = "spike",
     .shape = SHAPE_SPIKE,
     .rate = 300,
     .duration_s = 60,
     .mix = DEFAULT_MIX,
     .connections = 256},
    {.name = "soak",
     .shape = SHAPE_SOAK,
     .rate = 200,
     .duration_s = 1800,
     .mix = DEFAULT_MIX,
     .connections = 64},
    {.name = "login-flood",
     .rate = 200,
     .duration_s = 30,
     .mix = "login=1",
     .connections = 512,
     .probe_read = 20,
     .probe_health = 20,
     .allow_429 = true,
     .thresholds = {"read_p95<200", "health_p99<50"}},
    {.name = "slow-clients",
     .rate = 100,
     .duration_s = 60,
     .mix = DEFAULT_MIX,
     .connections = 64,
     .probe_health = 20,
     .slow = {[SLOW_IDLE] = 2000, [SLOW_HEADERS] = 600, [SLOW_BODIES] = 400},
     .thresholds = {"health_p99<100", "error_rate<0.01"}},
    {.name = "closed",
     .shape = SHAPE_CLOSED,
     .rate = 1,
     .duration_s = 30,
     .mix = DEFAULT_MIX,
     .connections = 64},
};

const struct profile *profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}

const char *spike_phase_name(unsigned phase)
{
    static const char *const names[SPIKE_PHASES] = {"before", "spike", "after"};
    return phase < SPIKE_PHASES ? names[phase] : "?";
}

static uint64_t nanoseconds(double seconds)
{
    return (uint64_t)(seconds * (double)NS_PER_S + 0.5);
}

/* Even steps up to the rate, as many as the duration has room for. */
static int ramp_phases(const struct profile_settings *settings, struct plan_phase *phases,
                       unsigned size, uint64_t *duration_ns)
{
    double by_rate = settings->rate / settings->step_rate + 1e-9;
    double by_time = settings->duration_s / settings->step_s + 1e-9;
    double steps = by_rate < by_time ? by_rate : by_time;
    if (steps < 1)
        return -EINVAL;
    if (steps >= size + 1.0)
        return -E2BIG;
    unsigned count = (unsigned)steps;
    uint64_t step_ns = nanoseconds(settings->step_s);
    for (unsigned i = 0; i < count; i++)
        phases[i] = (struct plan_phase){settings->step_rate * (i + 1), step_ns};
    *duration_ns = step_ns * count;
    return (int)count;
}

int profile_phases(const struct profile *profile, const struct profile_settings *settings,
                   struct plan_phase *phases, unsigned size, uint64_t *duration_ns)
{
    unsigned count = profile->shape == SHAPE_SPIKE  ? SPIKE_PHASES
                     : profile->shape == SHAPE_SOAK ? SOAK_PARTS
                                                    : 0;
    *duration_ns = nanoseconds(settings->duration_s);
    if (count > size)
        return -E2BIG;
    switch (profile->shape) {
    case SHAPE_RAMP:
        return ramp_phases(settings, phases, size, duration_ns);
    case SHAPE_SPIKE:
        /* A third, a sixth, a half: what comes after a spike is what this is about. */
        phases[SPIKE_BEFORE] = (struct plan_phase){settings->rate, *duration_ns / 3};
        phases[SPIKE_ITSELF] =
            (struct plan_phase){settings->rate * settings->factor, *duration_ns / 6};
        phases[SPIKE_AFTER] =
            (struct plan_phase){settings->rate, *duration_ns - *duration_ns / 3 - *duration_ns / 6};
        break;
    case SHAPE_SOAK:
        for (unsigned i = 0; i < count; i++)
            phases[i] = (struct plan_phase){settings->rate, *duration_ns / SOAK_PARTS};
        *duration_ns = *duration_ns / SOAK_PARTS * SOAK_PARTS;
        break;
    default:
        break;
    }
    return (int)count;
}
