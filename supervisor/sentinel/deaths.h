/* SPDX-License-Identifier: MIT */
/*
 * DATADIR/deaths: one file for each death that was not clean, the last 20. The supervisor composes
 * the reports in the region; the keeper, which may block, writes them here.
 *
 * How far it got stands in the keeper's slot, which belongs to the position and not to the
 * process: the next keeper goes on there, and never writes for another run of the supervisor.
 */
#ifndef BULKHEAD_SENTINEL_DEATHS_H
#define BULKHEAD_SENTINEL_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/child.h"

#define DEATHS_KEPT 20

/* Write one report into the directory, made when it is missing. 0 or negative errno. The file
 * is whole or not there. */
int deaths_write(const char *directory, const struct death_report *report,
                 const uint64_t boot_id[2]);

/* Remove the oldest reports beyond `keep`, by name; never `newest`, which a clock set back may
 * have given an early name. Other files are left alone. */
void deaths_prune(const char *directory, unsigned keep, const char *newest);

/* Write what is new. True unless something could not be written; try again later. */
bool deaths_step(struct child *child);

#endif
