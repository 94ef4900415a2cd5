/* SPDX-License-Identifier: MIT */
#include "common/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

void json_out_init(struct json_out *out, char *buffer, size_t size)
{
    *out = (struct json_out){.buffer = buffer, .size = size};
    if (size > 0)
        buffer[0] = '\0';
}

static void put(struct json_out *out, const char *text, size_t length)
{
    if (out->overflow || length >= out->size - out->length) {
        out->overflow = true;
        return;
    }
    memcpy(out->buffer + out->length, text, length);
    out->length += length;
    out->buffer[out->length] = '\0';
}

/* Everything that is a value starts here: a comma where one is due. */
static void value(struct json_out *out, const char *text, size_t length)
{
    if (out->need_comma)
        put(out, ",", 1);
    put(out, text, length);
    out->need_comma = true;
}

static void open_with(struct json_out *out, const char *bracket)
{
    value(out, bracket, 1);
    out->need_comma = false;
}

static void close_with(struct json_out *out, const char *bracket)
{
    put(out, bracket, 1);
    out->need_comma = true;
}

void json_object_begin(struct json_out *out)
{
    open_with(out, "{");
}

void json_object_end(struct json_out *out)
{
    close_with(out, "}");
}

void json_array_begin(struct json_out *out)
{
    open_with(out, "[");
}

void json_array_end(struct json_out *out)
{
    close_with(out, "]");
}

/* The escape of a control character, quote or backslash; NULL when the byte stands for itself. */
static const char *escape_of(unsigned char c, char scratch[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (c >= 0x20)
            return NULL;
        snprintf(scratch, 8, "\\u%04x", (unsigned)c);
        return scratch;
    }
}

/* ASCII that stands for itself: not controls, quote and backslash. */
static const bool is_plain[256] = {
    [0x20 ... 0x21] = true,
    [0x23 ... 0x5B] = true,
    [0x5D ... 0x7F] = true,
};

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* How many bytes at the start are plain. Nearly all text is, so eight at a time: the lowest byte
 * that is not has its high bit set in `other` (one above it may have by a borrow). */
static size_t plain_run(const char *text, size_t length)
{
    size_t i = 0;
    for (; length - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, text + i, 8);
        uint64_t other = w | (w - EACH_BYTE(0x20)) | ((w ^ EACH_BYTE('"')) - EACH_BYTE(1)) |
                         ((w ^ EACH_BYTE('\\')) - EACH_BYTE(1));
        if (other & EACH_BYTE(0x80))
            break;
    }
    while (i < length && is_plain[(unsigned char)text[i]])
        i++;
    return i;
}

/* Text that needs no escape, with its quotes, a comma where one is due, and what follows it. */
static void put_plain(struct json_out *out, const char *text, size_t length, bool is_key)
{
    size_t most = out->size - out->length, with = 2u + out->need_comma + is_key;
    if (out->overflow || most <= with || length >= most - with) {
        out->overflow = true;
        return;
    }
    char *at = out->buffer + out->length;
    if (out->need_comma)
        *at++ = ',';
    *at++ = '"';
    memcpy(at, text, length);
    at += length;
    *at++ = '"';
    if (is_key)
        *at++ = ':';
    *at = '\0';
    out->length = (size_t)(at - out->buffer);
    out->need_comma = !is_key;
}

static void put_escaped(struct json_out *out, const char *text, size_t length)
{
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
    size_t clean = 0;                                 /* start of the run not yet written */
    value(out, "\"", 1);
    for (size_t i = 0; i < length && !out->overflow; i += plain_run(text + i, length - i)) {
        char scratch[8];
        const char *escape = escape_of((unsigned char)text[i], scratch);
        size_t width = escape ? 1 : utf8_sequence(text + i, length - i);
        if (escape || width == 0) {
            put(out, text + clean, i - clean);
            put(out, escape ? escape : replacement, strlen(escape ? escape : replacement));
            i += 1;
            clean = i;
        } else {
            i += width;
        }
    }
    put(out, text + clean, length - clean);
    put(out, "\"", 1);
}

void json_text_n(struct json_out *out, const char *text, size_t length)
{
    if (plain_run(text, length) == length)
        put_plain(out, text, length, false);
    else
        put_escaped(out, text, length);
}

void json_text(struct json_out *out, const char *text)
{
    if (text)
        json_text_n(out, text, strlen(text));
    else
        json_none(out);
}

void json_key(struct json_out *out, const char *key)
{
    size_t length = strlen(key);
    if (plain_run(key, length) == length) {
        put_plain(out, key, length, true);
    } else {
        put_escaped(out, key, length);
        put(out, ":", 1);
        out->need_comma = false;
    }
}

/* By hand: every log line has half a dozen numbers, and snprintf takes ten times as long. */
static void decimal(struct json_out *out, bool negative, uint64_t magnitude)
{
    char text[24];
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (negative)
        text[--at] = '-';
    value(out, text + at, sizeof text - at);
}

void json_int(struct json_out *out, int64_t number)
{
    decimal(out, number < 0, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

void json_uint(struct json_out *out, uint64_t number)
{
    decimal(out, false, number);
}

void json_double(struct json_out *out, double number)
{
    char text[32];
    if (!isfinite(number)) {
        json_none(out);
        return;
    }
    value(out, text, (size_t)snprintf(text, sizeof text, "%.9g", number));
}

void json_bool(struct json_out *out, bool truth)
{
    value(out, truth ? "true" : "false", truth ? 4 : 5);
}

void json_none(struct json_out *out)
{
    value(out, "null", 4);
}

void json_raw(struct json_out *out, const char *json, size_t length)
{
    value(out, json, length);
}

void json_key_string(struct json_out *out, const char *key, const char *text)
{
    json_key(out, key);
    json_text(out, text);
}

void json_key_int(struct json_out *out, const char *key, int64_t number)
{
    json_key(out, key);
    json_int(out, number);
}

void json_key_uint(struct json_out *out, const char *key, uint64_t number)
{
    json_key(out, key);
    json_uint(out, number);
}

void json_key_double(struct json_out *out, const char *key, double number)
{
    json_key(out, key);
    json_double(out, number);
}

void json_key_bool(struct json_out *out, const char *key, bool truth)
{
    json_key(out, key);
    json_bool(out, truth);
}
