/* SPDX-License-Identifier: MIT */
#include "common/log_readable.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/utf8.h"

#define TIME_OF_DAY     11 /* in 2026-01-31T23:59:59.123456Z */
#define TIME_OF_DAY_END 23
#define TAIL            6 /* the end of a colour and a newline always fit */

#define DIM  "\033[2m"
#define NONE "\033[0m"

static const char *const level_names[] = {"debug", "info", "warning", "error"};

const char *log_level_name(enum log_level level)
{
    return level_names[level <= LOG_ERROR ? level : LOG_ERROR];
}

int log_level_of(const char *name)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (strcmp(name, level_names[i]) == 0)
            return i;
    return -1;
}

bool terminal_wants_colour(int fd)
{
    const char *none = getenv("NO_COLOR"), *kind = getenv("TERM");
    return isatty(fd) && (!none || !*none) && (!kind || strcmp(kind, "dumb") != 0);
}

/* ---- pieces -------------------------------------------------------------------------------- */

/* Whole or not at all: a cut escape would be worse than a cut text. */
static void put(struct readable *out, const char *text, size_t length)
{
    if (out->length + length + TAIL > out->size)
        return;
    memcpy(out->text + out->length, text, length);
    out->length += length;
}

static void put_colour(struct readable *out, const char *code)
{
    if (out->colour)
        put(out, code, strlen(code));
}

static uint32_t code_point(const char *text, size_t width)
{
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t point = (unsigned char)text[0] & first[width];
    for (size_t i = 1; i < width; i++)
        point = point << 6 | ((unsigned char)text[i] & 0x3F);
    return point;
}

/* What a terminal obeys instead of showing it. */
static bool is_obeyed(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x061C || point == 0x200E ||
           point == 0x200F || (point >= 0x2028 && point <= 0x202E) ||
           (point >= 0x2066 && point <= 0x2069);
}

void readable_text(struct readable *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        char escape[12];
        size_t width = utf8_sequence(text + i, length - i);
        uint32_t point = width ? code_point(text + i, width) : (unsigned char)text[i];
        if (width && !is_obeyed(point)) {
            put(out, text + i, width);
            i += width;
            continue;
        }
        int n = snprintf(escape, sizeof escape,
                         point == '\n'   ? "\\n"
                         : point == '\t' ? "\\t"
                         : point < 0x100 ? "\\x%02x"
                                         : "\\u%04x",
                         point);
        put(out, escape, (size_t)n);
        i += width ? width : 1;
    }
}

static void pad(struct readable *out, size_t from, size_t width)
{
    while (out->length < from + width && out->length + TAIL < out->size)
        out->text[out->length++] = ' ';
}

/* ---- lines --------------------------------------------------------------------------------- */

void readable_begin(struct readable *out, const char *time, enum log_level level,
                    const char *process, int slot, const char *event, const char *message,
                    size_t message_length)
{
    static const char *const colours[] = {DIM, "", "\033[33m", "\033[31m"};
    char number[16] = "";
    size_t time_length = strlen(time);
    put_colour(out, DIM);
    if (time_length >= TIME_OF_DAY_END)
        readable_text(out, time + TIME_OF_DAY, TIME_OF_DAY_END - TIME_OF_DAY);
    else
        readable_text(out, time, time_length);
    put_colour(out, NONE);
    put(out, " ", 1);
    put_colour(out, colours[level <= LOG_ERROR ? level : LOG_ERROR]);
    size_t column = out->length;
    readable_text(out, process, strlen(process));
    if (slot >= 0)
        put(out, number, (size_t)snprintf(number, sizeof number, " %d", slot));
    pad(out, column, 10);
    put(out, " ", 1);
    column = out->length;
    readable_text(out, event, strlen(event));
    pad(out, column, 18);
    put_colour(out, NONE);
    put(out, " ", 1);
    readable_text(out, message, message_length);
}

void readable_field(struct readable *out, const char *key, const char *value, size_t length)
{
    put(out, "  ", 2);
    put_colour(out, DIM);
    readable_text(out, key, strlen(key));
    put(out, "=", 1);
    put_colour(out, NONE);
    readable_text(out, value, length);
}

void readable_end(struct readable *out)
{
    if (out->colour && out->length + TAIL > out->size - TAIL) { /* it may have been cut */
        memcpy(out->text + out->length, NONE, sizeof NONE - 1);
        out->length += sizeof NONE - 1;
    }
    out->text[out->length++] = '\n';
}
