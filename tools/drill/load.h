/* SPDX-License-Identifier: MIT */
/* A load tester under way as a child, and what it wrote. */
#ifndef BULKHEAD_DRILL_LOAD_H
#define BULKHEAD_DRILL_LOAD_H

#include "tools/drill/evidence.h"
#include "tools/drill/house.h"

struct load {
    pid_t pid; /* 0: none runs */
    bool started, ended;
    int status; /* of waitpid, once ended */
    char directory[HOUSE_PATH * 2];
    char output[HOUSE_PATH * 2]; /* what it printed */
    uint64_t first_wall_us;      /* of its first second; 0: not yet known */
    /* the row read last, for progress */
    double ok, failed;
    long read_to; /* in seconds.ndjson */
};

/* Start number `index` of this house. 0; -1 with a line in error. */
int load_start(struct load *load, unsigned index, const struct house *house,
               const struct spec_load *spec, double duration_s, char *error, size_t size);

/* Read the rows that came since, if any. */
void load_tail(struct load *load);

/* After its end: its summary and rows into evidence. False, with trouble said, when it could not
 * run. */
bool load_collect(struct load *load, unsigned index, struct evidence *evidence);

/* The rows there are of a load that was cut short, when none were kept yet. */
void load_keep_rows(const struct load *load, struct evidence *evidence);

#endif
