/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/memory.h"

#include <err.h>
#include <stdlib.h>

#include "common/exit_codes.h"

void *memory_resize(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count, size);
    if (!memory && count > 0)
        errx(EXIT_TEMPORARY, "no memory for %zu × %zu bytes", count, size);
    return memory;
}

void *memory_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory && count > 0)
        errx(EXIT_TEMPORARY, "no memory for %zu × %zu bytes", count, size);
    return memory;
}
