/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/soak.h"

#include <math.h>

struct drift soak_drift(const struct phases *parts)
{
    struct drift drift = {(double)NAN, (double)NAN, (double)NAN};
    double n = 0, sum_t = 0, sum_p = 0, sum_tt = 0, sum_tp = 0;
    for (unsigned i = 0; i < parts->count; i++) {
        const struct phase *part = &parts->all[i];
        double p95_ms = phase_latency_ms(part, 95);
        double hours = (phase_from_s(part) + phase_duration_s(part) / 2) / 3600;
        if (isnan(p95_ms))
            continue;
        if (isnan(drift.first_p95_ms))
            drift.first_p95_ms = p95_ms;
        drift.last_p95_ms = p95_ms;
        n += 1;
        sum_t += hours;
        sum_p += p95_ms;
        sum_tt += hours * hours;
        sum_tp += hours * p95_ms;
    }
    double spread = n * sum_tt - sum_t * sum_t;
    if (n >= 2 && spread > 0)
        drift.slope_ms_per_hour = (n * sum_tp - sum_t * sum_p) / spread;
    return drift;
}
