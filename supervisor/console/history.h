/* SPDX-License-Identifier: MIT */
/*
 * The console's memory. Once a second, just after the wall clock's second, a thread of its own
 * looks at the region and keeps what happened since the look before: a row a second for an hour, a
 * row for each ten seconds for a day, the components for ten minutes, and what the service level
 * objectives count. Another thread keeps the rows in DATADIR/metrics.db (history_file.h) and brings
 * back what an earlier console left there.
 *
 * Invariants
 *   - Memory is what is asked; the file only outlives the process. Whatever becomes of the file
 *     (deleted, corrupt, full disk, locked, a disk that hangs), history goes on and answers come.
 *   - A row t says what happened in the step before t (whole seconds since 1970, multiples of the
 *     step). A second for which nobody looked has no row; two looks further apart than 2.5 s make
 *     none, because a row would speak of more than it says.
 *   - A clock that is set back takes the rows of its future with it; everything measured is
 * measured by the monotonic clock.
 *   - Nobody who asks waits for more than the copy of a row.
 */
#ifndef BULKHEAD_CONSOLE_HISTORY_H
#define BULKHEAD_CONSOLE_HISTORY_H

#include "common/child.h"
#include "common/series.h"
#include "supervisor/console/components.h"
#include "supervisor/console/slo.h"

#define HISTORY_FINE_ROWS      3600 /* of one second */
#define HISTORY_COARSE_STEP_S  10
#define HISTORY_COARSE_ROWS    8640 /* of ten: a day */
#define HISTORY_COMPONENT_ROWS 600

/* Begin to remember; child is borrowed for the life of the process. False, errno set, without
 * memory or threads. */
bool history_start(struct child *child);

/* Write what is not in the file yet, for at most limit_ms; remembers nothing more afterwards. */
void history_stop(unsigned limit_ms);

/* Copy the row of a time out. step is 1 or HISTORY_COARSE_STEP_S. False: there is none. */
bool history_row(unsigned step, int64_t time, float values[SERIES_NUMBER]);

/* The same of the components; and how many workers there are among them. */
bool history_components(int64_t time, float cells[COMPONENTS_MAX][CELL_VALUES]);
unsigned history_workers(void);

/* One objective as of the last look. */
void history_slo(enum slo_objective objective, struct slo_verdict *verdict);

#endif
