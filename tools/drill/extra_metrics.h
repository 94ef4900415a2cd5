/* SPDX-License-Identifier: MIT */
/* Numbers a drill takes from the region besides the exposition's: the same words, for expressions.
 */
#ifndef BULKHEAD_DRILL_EXTRA_METRICS_H
#define BULKHEAD_DRILL_EXTRA_METRICS_H

#include <stdbool.h>
#include <stddef.h>

struct extra_metric {
    const char *name, *labels, *help;
    bool gauge;
};

extern const struct extra_metric extra_metrics[];
extern const size_t extra_metrics_count;

/* NULL when there is none of that name. */
const struct extra_metric *extra_metric_find(const char *name);

/* All names, for errors. */
const char *extra_metric_names(void);

#endif
