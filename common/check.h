/* SPDX-License-Identifier: MIT */
/*
 * CHECK() guards what cannot be: a broken invariant of this program. It stays in release builds,
 * prints where and what, and aborts. It is never used for input, a file, or a child's words.
 */
#ifndef BULKHEAD_CHECK_H
#define BULKHEAD_CHECK_H

__attribute__((noreturn)) void check_failed(const char *what, const char *file, int line);

#define CHECK(condition)                                  \
    do {                                                  \
        if (!(condition))                                 \
            check_failed(#condition, __FILE__, __LINE__); \
    } while (0)

#endif
