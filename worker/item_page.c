/* SPDX-License-Identifier: MIT */
#include "worker/item_page.h"

#include <stdlib.h>
#include <string.h>

/* An item without its body, every byte of the title escaped as \u00XX. */
#define LISTED_ITEM_MOST (ITEM_TITLE_MAX_BYTES * 6 + 256)

/* Room for so many bytes more, and for the bracket and the NUL at the end. */
static bool reserve(struct item_page *page, size_t bytes)
{
    size_t needed = page->length + bytes + 2;
    if (needed <= page->size)
        return true;
    size_t size = needed + page->size + 1024;
    char *grown = realloc(page->text, size);
    if (!grown)
        return false;
    page->text = grown;
    page->size = size;
    return true;
}

enum item_page_result item_page_add(struct item_page *page, const struct item *item)
{
    char text[LISTED_ITEM_MOST];
    size_t length = item_json(item, false, text, sizeof text);
    if (page->items > 0 && page->length + length + 3 > PAGE_BYTES_MOST)
        return PAGE_FULL;
    if (length == 0 || !reserve(page, length + 1))
        return PAGE_NO_MEMORY;
    page->text[page->length++] = page->items++ == 0 ? '[' : ',';
    memcpy(page->text + page->length, text, length);
    page->length += length;
    return PAGE_ADDED;
}

bool item_page_end(struct item_page *page)
{
    if (!reserve(page, 1))
        return false;
    if (page->items == 0)
        page->text[page->length++] = '[';
    page->text[page->length++] = ']';
    page->text[page->length] = '\0';
    return true;
}
