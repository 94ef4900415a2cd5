/* SPDX-License-Identifier: MIT */
/*
 * What a drill does with its own hands: signals, files, locks, a second load. It remembers what it
 * did, and acts_undo takes all of it back, whenever it is called.
 *
 * The foreign processes of `lock` and `reader` play another program that has app.db open. They take
 * the byte locks SQLite documents for its -shm file (https://sqlite.org/walformat.html, "WAL
 * locks"), without SQLite: to everybody else there is no difference.
 */
#ifndef BULKHEAD_DRILL_ACTS_H
#define BULKHEAD_DRILL_ACTS_H

#include "common/region.h"
#include "tools/drill/evidence.h"
#include "tools/drill/house.h"

#define HOLDERS_MAX 8

struct acts {
    const struct house *house;
    const struct region *region; /* of the server as it is now */
    bool moved, filled;
    unsigned turn; /* whom `any` takes next */
    pid_t holder[HOLDERS_MAX];
    unsigned holder_count;
    unsigned stopped_count;
    pid_t stopped[WORKER_SLOTS_MAX];
};

/* Do one act of the kinds that need nothing but this: SIGNAL, DB_*, LOCK, READER, RELEASE, FILL.
 * What was done goes into `done`. 0; -1 with what failed in it. */
int acts_do(struct acts *acts, const struct spec_step *step, char *done, size_t size);

/* Take back what is not taken back yet. 0; -1 with the first thing that stays as it is in `left`.
 */
int acts_undo(struct acts *acts, char *left, size_t size);

#endif
