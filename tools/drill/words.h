/* SPDX-License-Identifier: MIT */
/*
 * What a drill file says in short, in words a person reads who does not know the grammar: the terms
 * of expressions (expression.h) and the steps of a method. What it has no words for stays as it is
 * written.
 */
#ifndef BULKHEAD_DRILL_WORDS_H
#define BULKHEAD_DRILL_WORDS_H

#include <stddef.h>

#include "tools/drill/spec.h"

/* "load.errors.attempts.refused + health.refused" becomes "attempts refused a connection + looks at
 * /health refused". */
void words_of_expression(const char *text, char *out, size_t size);

/* "must be below", "should be at least", for an operator as comparison_name writes it. */
const char *words_of_comparison(const char *op);

/* "fault: slow class=read ...", "SIGKILL to any worker, every 1 s, 30 times". */
void words_of_step(const struct spec_step *step, char *out, size_t size);

/* "before the fault", "during the fault"; what is none of the known windows stays. */
const char *words_of_window(const char *during);

#endif
