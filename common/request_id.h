/* SPDX-License-Identifier: MIT */
/* Which X-Request-Id of a client is taken over: 1 to 64 of [A-Za-z0-9._-]. */
#ifndef BULKHEAD_REQUEST_ID_H
#define BULKHEAD_REQUEST_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/uuid7.h"

#define REQUEST_ID_SIZE 65

/* The client's own when it is usable (given may be NULL), else a new one. */
static inline void request_id_choose(const char *given, size_t length, char out[REQUEST_ID_SIZE])
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    bool usable = given && length >= 1 && length < REQUEST_ID_SIZE;
    for (size_t i = 0; usable && i < length; i++)
        usable = memchr(allowed, given[i], sizeof allowed - 1) != NULL;
    if (usable) {
        memcpy(out, given, length);
        out[length] = '\0';
    } else {
        uuid7_make(out);
    }
}

#endif
