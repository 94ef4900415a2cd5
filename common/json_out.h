/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON (RFC 8259) into a buffer of the caller. It owns no memory and never allocates, so the
 * supervisor and the logger can use it. Commas are its business; nesting is the caller's.
 * When the buffer is too small it stops writing and `overflow` stays set: check once, at the end.
 * json_text and json_none are not called string and null because jansson has those names, and a
 * program that links both would give its own to libjwt.
 * Strings must be UTF-8; bytes that are not are replaced by U+FFFD, so output is always valid.
 */
#ifndef BULKHEAD_JSON_OUT_H
#define BULKHEAD_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_out {
    char *buffer;
    size_t size;   /* bytes in buffer, one is kept for the final NUL */
    size_t length; /* bytes written, without the NUL */
    bool need_comma;
    bool overflow;
};

void json_out_init(struct json_out *out, char *buffer, size_t size);

void json_object_begin(struct json_out *out);
void json_object_end(struct json_out *out);
void json_array_begin(struct json_out *out);
void json_array_end(struct json_out *out);

/* The next value written belongs to this key. Keys are ASCII of the program, never user input. */
void json_key(struct json_out *out, const char *key);

void json_text(struct json_out *out, const char *text); /* NULL writes null */
void json_text_n(struct json_out *out, const char *text, size_t length);
void json_int(struct json_out *out, int64_t value);
void json_uint(struct json_out *out, uint64_t value);
void json_double(struct json_out *out, double value); /* NaN and infinities write null */
void json_bool(struct json_out *out, bool value);
void json_none(struct json_out *out);
/* Text that is JSON already, taken as one value. */
void json_raw(struct json_out *out, const char *json, size_t length);

/* key and value in one call */
void json_key_string(struct json_out *out, const char *key, const char *text);
void json_key_int(struct json_out *out, const char *key, int64_t value);
void json_key_uint(struct json_out *out, const char *key, uint64_t value);
void json_key_double(struct json_out *out, const char *key, double value);
void json_key_bool(struct json_out *out, const char *key, bool value);

#endif
