/* SPDX-License-Identifier: MIT */
/*
 * Prometheus text (exposition format 0.0.4) as numbers. Pure: text in, values out.
 *
 * A scrape is the samples of one text. Values are made of two scrapes, or of the later alone: a
 * counter becomes a rate, and one that went back began again at 0 (its process is a new one); a
 * histogram the p50 and p95 of what was timed between the two, a straight line within a bucket; a
 * gauge is as it is, added up over its labels. From a bulkhead server come the names of its history
 * (common/metrics.def, HISTORY), from any other text NAME_per_s, NAME_p50, NAME_p95 and NAME.
 */
#ifndef BULKHEAD_ANOMALY_SCRAPE_H
#define BULKHEAD_ANOMALY_SCRAPE_H

#include <stddef.h>

#include "tools/anomaly/problem.h"
#include "tools/anomaly/table.h"

struct scrape_sample {
    const char *name, *labels; /* in `text`; labels as they stand between the braces, or "" */
    double value;
};

struct scrape_family {
    const char *name;
    enum { SCRAPE_COUNTER, SCRAPE_GAUGE, SCRAPE_HISTOGRAM, SCRAPE_OTHER } type;
};

struct scrape {
    char *text; /* owned, cut up */
    struct scrape_sample *samples;
    size_t sample_count;
    struct scrape_family *families;
    size_t family_count;
    double at_s;
};

/* Takes the text (from malloc) over in any case. 0, or -1 with the problem told; free it anyway. */
int scrape_parse(struct scrape *scrape, char *text, double at_s, struct problem *problem);
void scrape_free(struct scrape *scrape);

/* The columns a scrape can fill. 0 or a negative errno. */
int scrape_columns(const struct scrape *scrape, struct table *table);

/* Fill a row of such a table from two scrapes; what cannot be said stays NAN. */
void scrape_fill(const struct scrape *before, const struct scrape *after, const struct table *table,
                 double *row);

/* Sum, or with `most` the greatest, of the samples of this name whose labels fit: "key=a|b,key!=c",
 * NULL for all. NAN when there is none. */
double scrape_sum(const struct scrape *scrape, const char *name, const char *labels);
double scrape_most(const struct scrape *scrape, const char *name, const char *labels);

/* The value below which `share` (0 to 1) of what a histogram took between the two lies, in its own
 * unit. NAN when it took nothing. `before` may be NULL: since it began. */
double scrape_quantile(const struct scrape *before, const struct scrape *after, const char *name,
                       const char *labels, double share);

#endif
