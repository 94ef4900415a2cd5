/* SPDX-License-Identifier: MIT */
/*
 * Which endpoint a request is for: method and raw path in, a decision out. Pure: no I/O, no memory.
 * Every path may begin with /v1. HEAD is the GET it mirrors.
 */
#ifndef BULKHEAD_ROUTER_H
#define BULKHEAD_ROUTER_H

#include <stdbool.h>

#include "common/labels.h"
#include "common/uuid7.h"

enum route_result {
    ROUTE_FOUND,
    ROUTE_OPTIONS,            /* the resource exists: answer what it allows */
    ROUTE_NOT_FOUND,          /* no such resource */
    ROUTE_METHOD_NOT_ALLOWED, /* the resource exists, `allow` says what it can do */
    ROUTE_MALFORMED,          /* the path is no path: bad percent-encoding, NUL, no leading slash */
};

struct route {
    enum route_result result;
    enum endpoint endpoint;
    bool head;      /* answer without a body */
    bool versioned; /* the path began with /v1 */
    bool id_valid;  /* id holds an item's id, in lower case; else no item can have it */
    char id[UUID_TEXT_SIZE];
    const char *allow; /* for the Allow header, NULL when no resource was found */
};

/* raw_path: as it was sent, without the query, percent-encoded (RFC 3986, section 2.1). An encoded
 * slash is data, not a separator. */
void router_match(const char *method, const char *raw_path, struct route *route);

#endif
