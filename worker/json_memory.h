/* SPDX-License-Identifier: MIT */
/*
 * The memory of a parsed body. jansson does not look whether a string it scans found room for every
 * byte, and runs past the end of one that did not (2.14, load.c: lex_scan_string). So a parse that
 * gets no memory is left at once, from within its allocator, and all it had taken is given back;
 * for that a thread's body lies in blocks of its own. Whatever else allocates through jansson
 * (libjwt, which also frees by free()) gets plain malloc.
 */
#ifndef BULKHEAD_JSON_MEMORY_H
#define BULKHEAD_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Once, before there are threads. */
void json_memory_start(void);

/* json_loadb(). NULL with *no_memory when there was none. What is returned lives until this
 * thread's json_memory_free(). */
json_t *json_memory_parse(const char *text, size_t length, size_t flags, json_error_t *error,
                          bool *no_memory);

/* The request is over; json_decref() was called. */
void json_memory_free(void);

#endif
