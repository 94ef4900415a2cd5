/* SPDX-License-Identifier: MIT */
/*
 * Allocation for a program that cannot do anything useful without memory: it ends, saying so.
 */
#ifndef BULKHEAD_LOADTEST_MEMORY_H
#define BULKHEAD_LOADTEST_MEMORY_H

#include <stddef.h>

/* realloc for count elements of size bytes, overflow checked; never NULL for count > 0. */
void *memory_resize(void *old, size_t count, size_t size);

/* count zeroed elements; never NULL for count > 0. */
void *memory_zeroed(size_t count, size_t size);

#endif
