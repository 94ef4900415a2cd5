/* SPDX-License-Identifier: MIT */
/*
 * What `drill prove` makes of its arms: a drill is worth something when it does not pass without
 * its fault, and when its control, with the protection off, deviates by a measured value. Pure but
 * for the printing.
 */
#ifndef BULKHEAD_DRILL_PROVE_H
#define BULKHEAD_DRILL_PROVE_H

#include <stdbool.h>
#include <stdio.h>

#include "tools/drill/verdict.h"

struct proof_row {
    char name[64], why[200];
    unsigned arm; /* bits of enum spec_arm */
    enum drill_result result;
    enum drill_proof proven;
};

/* Whether the arm said what it must. A control that deviates only by what could not be measured (a
 * breaker that is off never opens) shows no collapse. A load tester that was late makes a run
 * INVALID too, and says nothing of the drill: without the fault it is the proof that must not hold.
 */
bool proof_row_is_good(const struct proof_row *row);

/* 0 all as they must; 1 one passed; 2 one could not be told; 3 interrupted. `all`: what was skipped
 * is forgiven. */
int prove_exit_code(const struct proof_row *rows, unsigned count, bool all);

void prove_print(const struct proof_row *rows, unsigned count, FILE *out);

#endif
