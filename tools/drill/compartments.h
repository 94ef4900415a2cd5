/* SPDX-License-Identifier: MIT */
/* Who suffered: the share of failed requests of each class and each worker, before the fault and
 * while it lasted, and how much of it leaked to those who were not meant. */
#ifndef BULKHEAD_DRILL_COMPARTMENTS_H
#define BULKHEAD_DRILL_COMPARTMENTS_H

#include "tools/drill/verdict.h"

/* Fill the verdict's compartments and leakage; the fault lasts until to_ns. */
void compartments_find(struct drill_verdict *verdict, const struct evidence *evidence,
                       uint64_t to_ns);

#endif
