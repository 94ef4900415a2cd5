/* SPDX-License-Identifier: MIT */
#include "tools/drill/extra_metrics.h"

#include <string.h>

const struct extra_metric extra_metrics[] = {
    {"slot_answers_total", "slot,code", "Answers to auth, read and write requests, by worker slot.",
     false},
    {"breakers_open", "dep,slot", "1 while a worker's circuit breaker is open or half-open.", true},
    {"threads_busy", "slot", "Request threads with a request in hand.", true},
};
const size_t extra_metrics_count = sizeof extra_metrics / sizeof extra_metrics[0];

const struct extra_metric *extra_metric_find(const char *name)
{
    for (size_t i = 0; i < extra_metrics_count; i++)
        if (strcmp(extra_metrics[i].name, name) == 0)
            return &extra_metrics[i];
    return NULL;
}

const char *extra_metric_names(void)
{
    return "slot_answers_total, breakers_open, threads_busy";
}
