/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"

#define WEIGHT_LIMIT 1000000

static const char *const kind_names[LOAD_KINDS] = {"read", "write", "list"};

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
}

bool plan_next(struct plan *plan, struct arrival *arrival)
{
    double gap_ns = (double)NS_PER_S / plan->settings.rate;
    if (plan->settings.arrivals == ARRIVALS_POISSON) {
        /* 53 random bits make a number in (0, 1]; its logarithm is finite. */
        double uniform = ((double)(random_next(&plan->times) >> 11) + 1.0) * 0x1p-53;
        plan->clock_ns += -log(uniform) * gap_ns;
    } else {
        /* From the index, not a sum: rounding must not drift. */
        plan->clock_ns = (double)plan->index * gap_ns;
    }
    uint64_t offset_ns = (uint64_t)plan->clock_ns;
    if (offset_ns >= plan->settings.duration_ns)
        return false;
    plan->index += 1;
    plan_draw(plan, arrival);
    arrival->offset_ns = offset_ns;
    return true;
}

static int parse_share(const char *text, size_t length, unsigned weight[LOAD_KINDS])
{
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
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
