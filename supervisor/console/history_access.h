/* SPDX-License-Identifier: MIT */
/* What the writer of metrics.db asks of history.c, and nobody else does. */
#ifndef BULKHEAD_CONSOLE_HISTORY_ACCESS_H
#define BULKHEAD_CONSOLE_HISTORY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/series.h"

/* Wall second of the last look; 0 before the first. */
int64_t history_last_time(void);

/* Sleep, but not beyond the end of remembering. True when that has come. */
bool history_sleep(unsigned limit_ms);

/* A row of an earlier console: taken where this one has none of that time. False: stop reading. */
bool history_recall(unsigned step, int64_t time, const float values[SERIES_NUMBER]);

#endif
