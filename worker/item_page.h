/* SPDX-License-Identifier: MIT */
/* A JSON array of items that grows as rows come, up to a size a response may have. */
#ifndef BULKHEAD_ITEM_PAGE_H
#define BULKHEAD_ITEM_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/store.h"

#define PAGE_BYTES_MOST (256u * 1024)

struct item_page {
    char *text; /* free() it */
    size_t length, size;
    unsigned items;
};

enum item_page_result { PAGE_ADDED, PAGE_FULL, PAGE_NO_MEMORY };

/* Add an item, without its body. */
enum item_page_result item_page_add(struct item_page *page, const struct item *item);

/* Close the array; also that of no items. False when there is no memory. */
bool item_page_end(struct item_page *page);

#endif
