/* SPDX-License-Identifier: MIT */
/*
 * Points in time as files have them. Pure. Read: RFC 3339 in UTC (2026-01-31T23:59:59Z, fractions
 * are cut off), the same without T and Z (2014-04-11 09:00:00, taken for UTC), whole seconds since
 * 1970.
 */
#ifndef BULKHEAD_ANOMALY_MOMENT_H
#define BULKHEAD_ANOMALY_MOMENT_H

#include <stdint.h>

#define MOMENT_SIZE 24 /* 2026-01-31T23:59:59Z and room for years far off */

/* 0 or -EINVAL. */
int moment_parse(const char *text, int64_t *time_s);

/* RFC 3339 in UTC. */
void moment_print(char out[MOMENT_SIZE], int64_t time_s);

#endif
