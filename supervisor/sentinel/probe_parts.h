/* SPDX-License-Identifier: MIT */
/* The parts of a look (probe.c is the order they come in): what all of them use, the files by name
 * (probe_files.c), and the write behind the gate (probe_write.c). */
#ifndef BULKHEAD_SENTINEL_PROBE_PARTS_H
#define BULKHEAD_SENTINEL_PROBE_PARTS_H

#include "supervisor/sentinel/probe.h"

/* Where this look is; it may be the last thing anybody hears of it. */
void probe_enter(struct prober *prober, enum probe_step step);

/* Give evidence. The first thing said is the cause; what follows from it is not said. */
void probe_say(struct prober *prober, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void probe_judge(struct prober *prober, enum identity_verdict verdict);

/* The files that must be there: the board's, before it has any those we opened; NULL: none yet. */
const struct db_identity *probe_expected_files(const struct prober *prober);

bool probe_same_file(const struct db_identity *a, const struct db_identity *b, enum db_file file);

/* The files by name alone: stat(2), nothing is opened. */
void probe_look_at_files(struct prober *prober);

/* A small transaction behind the gate, skipped when others commit there all the time. */
void probe_look_write(struct prober *prober);

#endif
