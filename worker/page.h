/* SPDX-License-Identifier: MIT */
/* A JSON array of items that grows as rows come, up to a size a response may have. */
#ifndef BULKHEAD_PAGE_H
#define BULKHEAD_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/store.h"

#define PAGE_BYTES_MOST (256u * 1024)

struct page {
    char *text; /* free() it */
    size_t length, size;
    unsigned items;
};

enum page_result { PAGE_ADDED, PAGE_FULL, PAGE_NO_MEMORY };

/* Add an item, without its body. */
enum page_result page_add(struct page *page, const struct item *item);

/* Close the array; also that of no items. False when there is no memory. */
bool page_end(struct page *page);

#endif
