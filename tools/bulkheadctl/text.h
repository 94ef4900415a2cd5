/* SPDX-License-Identifier: MIT */
/* Numbers and colours for people. */
#ifndef BULKHEADCTL_TEXT_H
#define BULKHEADCTL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TEXT_SIZE 48

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW };

/* The sequence that begins a colour (ECMA-48, SGR); COLOUR_NONE ends it. */
const char *text_colour_code(enum colour colour);

/* Switch stdout to a colour when `on`. */
void text_colour(bool on, enum colour colour);

/* "3 d 4 h", "12 min 5 s", "7 s": the two largest units. */
const char *text_duration(uint64_t seconds, char out[TEXT_SIZE]);

/* "0 B", "1.2 MiB". */
const char *text_bytes(uint64_t bytes, char out[TEXT_SIZE]);

#endif
