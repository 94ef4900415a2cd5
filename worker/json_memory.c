/* SPDX-License-Identifier: MIT */
#include "worker/json_memory.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGNMENT   ((size_t)16)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(16) char data[];
};

static _Thread_local struct block *blocks; /* the newest first */
static _Thread_local jmp_buf *way_out;     /* while a body is parsed */

static void *take(size_t size)
{
    if (!way_out)
        return malloc(size);
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!blocks || blocks->size - blocks->used < size) {
        /* Each is twice the one before: give() looks through all of them for every value. */
        size_t room = blocks ? 2 * blocks->size : BLOCK_BYTES;
        room = size > room ? size : room;
        struct block *block = malloc(sizeof *block + room);
        if (!block)
            longjmp(*way_out, 1);
        *block = (struct block){.next = blocks, .size = room};
        blocks = block;
    }
    void *start = blocks->data + blocks->used;
    blocks->used += size;
    return start;
}

/* What lies in a block goes with it. */
static void give(void *start)
{
    for (const struct block *block = blocks; block; block = block->next)
        if ((uintptr_t)start - (uintptr_t)block->data < block->size)
            return;
    free(start);
}

void json_memory_start(void)
{
    json_set_alloc_funcs(take, give);
    json_object_seed(0); /* else the first object of a body would do it */
}

void json_memory_free(void)
{
    while (blocks) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

json_t *json_memory_parse(const char *text, size_t length, size_t flags, json_error_t *error,
                          bool *no_memory)
{
    jmp_buf here;
    *no_memory = false;
    way_out = &here;
    if (setjmp(here) != 0) {
        way_out = NULL;
        json_memory_free();
        *no_memory = true;
        return NULL;
    }
    json_t *json = json_loadb(text, length, flags, error);
    way_out = NULL;
    return json;
}
