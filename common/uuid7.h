/* SPDX-License-Identifier: MIT */
/*
 * UUID version 7 (RFC 9562, section 5.7) with the sub-millisecond part of the time in rand_a
 * (section 6.2, method 3): ids made later compare greater as text, so "newest first" is an index
 * scan. Within a process they are strictly increasing in time bits; ties of two processes fall to
 * 62 random bits.
 */
#ifndef BULKHEAD_UUID7_H
#define BULKHEAD_UUID7_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37 /* 36 characters and a NUL */

/* A new id from the wall clock and getrandom(2). Thread-safe. */
void uuid7_make(char out[UUID_TEXT_SIZE]);

/* The pure part: time in nanoseconds, 62 bits of randomness. */
void uuid7_format(char out[UUID_TEXT_SIZE], uint64_t wall_ns, uint64_t random);

/* True when text is a UUID in its canonical lower-case form, of any version. */
bool uuid_valid(const char *text);

#endif
