/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"

#define WEIGHT_LIMIT 1000000

static const char *const kind_names[LOAD_KINDS] = {"read",  "write",  "list",
                                                   "login", "health", "get"};

const char *load_kind_name(enum load_kind kind)
{
    return kind_names[kind];
}

void plan_start(struct plan *plan, const struct plan_settings *settings)
{
    *plan = (struct plan){.settings = *settings};
    uint64_t streams = settings->seed;
    plan->times = random_next(&streams);
    plan->kinds = random_next(&streams);
}

void plan_draw(struct plan *plan, struct arrival *arrival)
{
    const unsigned *weight = plan->settings.weight;
    uint64_t total = 0;
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        total += weight[kind];
    uint64_t ticket = random_next(&plan->kinds) % total;
    arrival->kind = LOAD_READ;
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        if (ticket < weight[kind]) {
            arrival->kind = (enum load_kind)kind;
            break;
        }
        ticket -= weight[kind];
    }
    arrival->random = random_next(&plan->kinds);
    arrival->offset_ns = 0;
    arrival->phase = 0;
}

/* The phase under way; false after the last. */
static bool current_phase(const struct plan *plan, struct plan_phase *phase)
{
    const struct plan_settings *settings = &plan->settings;
    if (plan->phase >= (settings->phases ? settings->phase_count : 1))
        return false;
    *phase = settings->phases ? settings->phases[plan->phase]
                              : (struct plan_phase){settings->rate, settings->duration_ns};
    return true;
}

static void next_phase(struct plan *plan, const struct plan_phase *over)
{
    plan->phase += 1;
    plan->phase_start_ns += over->duration_ns;
    plan->index = 0;
    plan->clock_ns = 0;
}

bool plan_next(struct plan *plan, struct arrival *arrival)
{
    struct plan_phase phase;
    while (current_phase(plan, &phase)) {
        double gap_ns = (double)NS_PER_S / phase.rate;
        if (plan->settings.arrivals == ARRIVALS_POISSON) {
            /* 53 random bits make a number in (0, 1]; its logarithm is finite. A phase begins anew:
             * exponential gaps have no memory. */
            double uniform = ((double)(random_next(&plan->times) >> 11) + 1.0) * 0x1p-53;
            plan->clock_ns += -log(uniform) * gap_ns;
        } else {
            /* From the index, not a sum: rounding must not drift. */
            plan->clock_ns = (double)plan->index * gap_ns;
        }
        /* Half a nanosecond for rounding: at 1800 requests/s the 1801st is the next second's. */
        if (plan->clock_ns + 0.5 >= (double)phase.duration_ns) {
            next_phase(plan, &phase);
            continue;
        }
        plan->index += 1;
        plan_draw(plan, arrival);
        arrival->phase = plan->phase;
        arrival->offset_ns = plan->phase_start_ns + (uint64_t)plan->clock_ns;
        return true;
    }
    return false;
}

static int parse_share(const char *text, size_t length, unsigned weight[LOAD_KINDS])
{
    for (int kind = 0; kind < LOAD_GET; kind++) {
        size_t name = strlen(kind_names[kind]);
        if (length < name + 2 || strncmp(text, kind_names[kind], name) != 0 || text[name] != '=')
            continue;
        if (strspn(text + name + 1, "0123456789") != length - name - 1)
            return -EINVAL;
        unsigned long share = strtoul(text + name + 1, NULL, 10);
        if (share > WEIGHT_LIMIT)
            return -EINVAL;
        weight[kind] = (unsigned)share;
        return 0;
    }
    return -EINVAL;
}

int plan_parse_mix(const char *text, unsigned weight[LOAD_KINDS])
{
    unsigned parsed[LOAD_KINDS] = {0};
    unsigned total = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        int error = parse_share(text, length, parsed);
        if (error)
            return error;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        total += parsed[kind];
    if (total == 0)
        return -EINVAL;
    memcpy(weight, parsed, sizeof parsed);
    return 0;
}
