/* SPDX-License-Identifier: MIT */
/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BULKHEAD_UTF8_H
#define BULKHEAD_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the valid sequence text begins with (1 to 4), 0 when it is not valid. length > 0. */
size_t utf8_sequence(const char *text, size_t length);

/* True when all of text is valid; *characters (may be NULL) gets the number of code points. */
bool utf8_valid(const char *text, size_t length, size_t *characters);

#endif
