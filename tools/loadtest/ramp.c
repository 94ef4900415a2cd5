/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/ramp.h"

#include <math.h>

/* p95 is above a limit when more than this share is. */
#define SLOW_SHARE 0.05

enum step_verdict ramp_judge(const struct phase *step, bool over)
{
    uint64_t ended = step->ok + step->failed;
    bool complete = over && ended == step->sent && step->sent > 0;
    double all = complete ? (double)ended : fmax(phase_planned(step), (double)step->sent);
    if ((double)step->failed > RAMP_ERROR_RATE * all)
        return STEP_FAILING;
    /* Of those that succeeded, like every percentile here: `all` is more as long as some are out,
     * so a step that is called slow early stays slow. */
    if ((double)step->slow > SLOW_SHARE * (complete ? (double)step->ok : all))
        return STEP_SLOW;
    return complete ? STEP_HOLDS : STEP_PENDING;
}

const char *step_verdict_name(enum step_verdict verdict)
{
    static const char *const names[] = {
        [STEP_PENDING] = "pending",
        [STEP_HOLDS] = "holds",
        [STEP_SLOW] = "slow",
        [STEP_FAILING] = "failing",
    };
    return names[verdict];
}

struct ramp ramp_conclude(const struct phases *steps, uint64_t elapsed_ns)
{
    struct ramp ramp = {0};
    for (unsigned i = 0; i < steps->count; i++) {
        const struct phase *step = &steps->all[i];
        enum step_verdict verdict = ramp_judge(step, phase_is_over(step, elapsed_ns));
        if (verdict != STEP_HOLDS) {
            ramp.broke = verdict != STEP_PENDING;
            break;
        }
        ramp.holds = i + 1;
        ramp.knee_rate = step->rate;
    }
    return ramp;
}
