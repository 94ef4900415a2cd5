/* SPDX-License-Identifier: MIT */
/* The body of GET /health, the same from every worker and from the console: it is the board's. */
#ifndef BULKHEAD_HEALTH_H
#define BULKHEAD_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/region.h"

/* Enough for the document of health_json. */
#define HEALTH_JSON_SIZE 768

/* Write the JSON document; returns its length, 0 when no consistent board could be had or the
 * buffer is too small. Before the supervisor first published one: failing, reason "starting". */
size_t health_json(const struct region *region, char *out, size_t size);

/* False only when no data endpoint could serve anything. */
bool health_is_ready(const struct region *region);

#endif
