/* SPDX-License-Identifier: MIT */
/*
 * What `--out DIR` holds: NN-name.json and NN-name.html for each drill, NN-name-load.html, the load
 * tester's own report, and index.html of all drills whose reports lie there. Arms of `prove` have
 * files of their own: NN-name-no-fault, NN-name-control.
 */
#ifndef BULKHEAD_DRILL_OUTPUT_H
#define BULKHEAD_DRILL_OUTPUT_H

#include <jansson.h>

#include "tools/drill/evidence.h"

struct output {
    const char *directory; /* NULL: nothing is written */
    const char *command;   /* as it was given, for the pages */
    const char *attach;    /* NULL: a server of its own */
};

/* Add "how" to the report and write its files. 0; -1 after a warning. */
int output_write(const struct output *output, const struct evidence *evidence, unsigned arm,
                 json_t *report);

#endif
