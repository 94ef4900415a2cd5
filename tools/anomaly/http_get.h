/* SPDX-License-Identifier: MIT */
/* One GET over plain HTTP, with a limit: for a console on loopback. Blocks. */
#ifndef BULKHEAD_ANOMALY_HTTP_GET_H
#define BULKHEAD_ANOMALY_HTTP_GET_H

#include "tools/anomaly/problem.h"
#include "tools/http/target.h"

/* The address and the path of http://HOST[:PORT]/PATH[?QUERY]; the host is looked up and must
 * answer. `path` points into url. 0, or -1 with the problem told. */
int http_get_target(struct target *target, const char *url, const char **path,
                    struct problem *problem);

/* The body of a 200, with a NUL after it, from malloc; NULL with the problem told. limit_ms for all
 * of it. */
char *http_get(const struct target *target, const char *path, int limit_ms,
               struct problem *problem);

#endif
