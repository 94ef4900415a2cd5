/* SPDX-License-Identifier: MIT */
/* Which X-Request-Id of a client is taken over: 1 to 64 of [A-Za-z0-9._-]. */
#ifndef BULKHEAD_REQUEST_ID_H
#define BULKHEAD_REQUEST_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/uuid7.h"

#define REQUEST_ID_SIZE 65

/* Copy the client's own (given may be NULL). False, and out untouched: it is not usable. */
static inline bool request_id_take(const char *given, size_t length, char out[REQUEST_ID_SIZE])
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    if (!given || length < 1 || length >= REQUEST_ID_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!memchr(allowed, given[i], sizeof allowed - 1))
            return false;
    memcpy(out, given, length);
    out[length] = '\0';
    return true;
}

/* The client's own when it is usable, else a new one. */
static inline void request_id_choose(const char *given, size_t length, char out[REQUEST_ID_SIZE])
{
    if (!request_id_take(given, length, out))
        uuid7_make(out);
}

#endif
