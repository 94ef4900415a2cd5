/* SPDX-License-Identifier: MIT */
/* What measure.c (evidence by time) lends to measure_term.c (what expressions ask for). */
#ifndef BULKHEAD_DRILL_MEASURE_PARTS_H
#define BULKHEAD_DRILL_MEASURE_PARTS_H

#include "tools/drill/measure.h"

double measure_seconds(uint64_t from_ns, uint64_t to_ns);

/* The value below which `percent` of them lie; NaN of none. Sorts. */
double measure_pick(double *values, size_t count, double percent);

/* Looks of this result sent in the window; of any when it is negative. */
double measure_count_looks(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns,
                           int result);

#endif
