/* SPDX-License-Identifier: MIT */
/* The report for people: one HTML page with everything the summary has, and its course in time. */
#ifndef BULKHEAD_LOADTEST_REPORT_HTML_H
#define BULKHEAD_LOADTEST_REPORT_HTML_H

#include <stdio.h>

#include "tools/loadtest/result.h"
#include "tools/loadtest/timeline.h"
#include "tools/report/events.h"

void report_html(FILE *out, const struct result *result, const struct timeline *timeline,
                 const struct report_events *events);

/* The part over time, used by the above. */
void report_html_course(FILE *out, const struct result *result, const struct timeline *timeline,
                        const struct report_events *events);

/* The part about the profile. */
void report_html_profile(FILE *out, const struct result *result);

#endif
