/* SPDX-License-Identifier: MIT */
/* The traceparent header (W3C Trace Context, section 3.2): whoever answers a request, worker or
 * console, takes it in the same way. Pure. */
#ifndef BULKHEAD_TRACEPARENT_H
#define BULKHEAD_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>

#define TRACEPARENT_LENGTH 55

/* A version-00 traceparent, or the part of a later version's that is common to all. False, and
 * out untouched, when the value is none. */
bool traceparent_parse(const char *value, size_t length, char out[TRACEPARENT_LENGTH + 1]);

#endif
