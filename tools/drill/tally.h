/* SPDX-License-Identifier: MIT */
/* What the drills of one run came to: a line each at the end, the exit code, and with --calm what
 * the detector found over all of them. */
#ifndef BULKHEAD_DRILL_TALLY_H
#define BULKHEAD_DRILL_TALLY_H

#include "tools/drill/truth.h"
#include "tools/drill/verdict.h"

struct tally {
    char name[64], why[200];
    enum drill_result result;
    enum drill_proof proven;
    bool judged; /* truth holds something */
    struct truth_result truth;
};

/* `all`: what was skipped is forgiven. */
int tally_exit_code(const struct tally *tally, unsigned count, bool all);

void tally_print(const struct tally *tally, unsigned count, FILE *out);

#endif
