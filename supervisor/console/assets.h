/* SPDX-License-Identifier: MIT */
/*
 * The files of the console's page, embedded by embed.sh: the page needs no directory, no network
 * and no other version of itself.
 */
#ifndef BULKHEAD_CONSOLE_ASSETS_H
#define BULKHEAD_CONSOLE_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* what is asked for: "/", "/app.js" … */
    const char *content_type;
    const char *etag; /* quoted; of the bytes alone */
    const char *begin, *end;
};

extern const struct asset assets[];
extern const size_t assets_count;

/* The file served at a path, NULL when there is none. */
const struct asset *asset_find(const char *path);

#endif
