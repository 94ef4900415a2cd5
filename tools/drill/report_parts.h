/* SPDX-License-Identifier: MIT */
/* What the files of the JSON report share: report.c (the whole) and report_series.c. */
#ifndef BULKHEAD_DRILL_REPORT_PARTS_H
#define BULKHEAD_DRILL_REPORT_PARTS_H

#include "tools/drill/evidence.h"

json_t *report_real(double value);
void report_set(json_t *object, const char *key, json_t *value);
double report_since(const struct evidence *evidence, uint64_t t_ns);
json_t *report_text(const char *words);

json_t *report_series(const struct evidence *evidence);

#endif
