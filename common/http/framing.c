/* SPDX-License-Identifier: MIT */
#include "common/http/framing.h"

#include <string.h>
#include <strings.h>

/* Digits a Content-Length may have: no sum of header and body overflows. */
#define CONTENT_LENGTH_DIGITS 15

/* Length of the header with its empty line, 0 when that has not come. */
static size_t header_end(const char *bytes, size_t length, size_t from)
{
    const char *end = bytes + length;
    for (const char *p = bytes + from; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
        if (end - p > 1 && p[1] == '\n')
            return (size_t)(p - bytes) + 2;
        if (p > bytes && p[-1] == '\r' && end - p > 2 && p[1] == '\r' && p[2] == '\n')
            return (size_t)(p - bytes) + 3;
    }
    return 0;
}

/* civetweb gives up at the first of these, before the header has ended. */
static bool has_control(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if ((c < ' ' && c != '\r' && c != '\n') || c == 127)
            return true;
    }
    return false;
}

static bool parse_length(const char *value, const char *end, uint64_t *length)
{
    while (end > value && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    if (value == end || end - value > CONTENT_LENGTH_DIGITS)
        return false;
    uint64_t n = 0;
    for (; value < end; value++) {
        if (*value < '0' || *value > '9')
            return false;
        n = n * 10 + (uint64_t)(*value - '0');
    }
    *length = n;
    return true;
}

/* The value when this line is the named field, else NULL. A space before the colon counts too:
 * civetweb takes it, so a smuggler's field must not be overlooked here. */
static const char *field_value(const char *line, const char *end, const char *name, size_t size)
{
    if ((size_t)(end - line) <= size || strncasecmp(line, name, size) != 0)
        return NULL;
    for (line += size; line < end && (*line == ' ' || *line == '\t'); line++)
        ;
    return line < end && *line == ':' ? line + 1 : NULL;
}

/* A small number with nothing but white space around it; else 0. */
static uint32_t parse_small(const char *value, const char *end)
{
    uint64_t n = 0;
    return parse_length(value, end, &n) && n <= UINT32_MAX ? (uint32_t)n : 0;
}

/* What the application's clients say of time and of attempts; the first counts. */
static void parse_extra(const char *line, const char *end, struct frame *frame)
{
    const char *value = field_value(line, end, "x-request-timeout-ms", 20);
    if (value != NULL && frame->timeout_ms == 0)
        frame->timeout_ms = parse_small(value, end);
    value = field_value(line, end, "x-retry-attempt", 15);
    if (value != NULL && frame->attempt == 0)
        frame->attempt = parse_small(value, end);
}

static bool is_health(const char *bytes, const char *end)
{
    static const char *const prefixes[] = {"/health", "/v1/health", "/openapi.json"};
    const char *target = memchr(bytes, ' ', (size_t)(end - bytes));
    if (target == NULL)
        return false;
    target++;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if ((size_t)(end - target) >= n && memcmp(target, prefixes[i], n) == 0)
            return true;
    }
    return false;
}

/* RFC 9112, section 3.2: "*", or a whole URI as a proxy is asked for it. */
static bool is_no_path(const char *bytes, const char *end)
{
    const char *target = memchr(bytes, ' ', (size_t)(end - bytes));
    if (target == NULL || ++target == end)
        return false;
    const char *stop = memchr(target, ' ', (size_t)(end - target));
    size_t length = (size_t)((stop != NULL ? stop : end) - target);
    return *target == '*' || (*target != '/' && memmem(target, length, "://", 3) != NULL);
}

static enum framing parse_fields(const char *line, const char *end, struct frame *frame)
{
    bool known = false;
    while (line < end) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));
        if (eol == NULL)
            eol = end;
        const char *value = NULL;
        switch (*line | 0x20) {
        case 'c':
            value = field_value(line, eol, "content-length", 14);
            if (value != NULL && (known || !parse_length(value, eol, &frame->content_length)))
                return FRAMING_OPAQUE;
            known |= value != NULL;
            break;
        case 't':
            if (field_value(line, eol, "transfer-encoding", 17) != NULL)
                return FRAMING_OPAQUE;
            break;
        case 'e':
            frame->expects |= field_value(line, eol, "expect", 6) != NULL;
            break;
        case 'x':
            parse_extra(line, eol, frame);
            break;
        default: /* a folded line could be the rest of a field that matters */
            if (*line == ' ' || *line == '\t')
                return FRAMING_OPAQUE;
        }
        line = eol + 1;
    }
    return FRAMING_EXACT;
}

enum framing frame_request(const char *bytes, size_t length, uint32_t *scanned, struct frame *frame)
{
    size_t seen = *scanned;
    size_t size = header_end(bytes, length, seen > 3 ? seen - 3 : 0);
    if (size == 0) {
        *scanned = (uint32_t)length;
        return has_control(bytes + seen, length - seen) ? FRAMING_OPAQUE : FRAMING_INCOMPLETE;
    }
    *frame = (struct frame){.header_length = (uint32_t)size};
    const char *end = bytes + size;
    const char *line = memchr(bytes, '\n', size);
    frame->health = is_health(bytes, line);
    frame->no_path = is_no_path(bytes, line);
    return parse_fields(line + 1, end, frame);
}

const char *frame_field(const char *bytes, size_t length, const char *name, size_t *value_length)
{
    const char *end = bytes + length, *line = memchr(bytes, '\n', length);
    size_t size = strlen(name);
    while (line != NULL && ++line < end) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));
        const char *stop = eol != NULL ? eol : end;
        const char *value = field_value(line, stop, name, size);
        if (value != NULL) {
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
                stop--;
            *value_length = (size_t)(stop - value);
            return value;
        }
        line = eol;
    }
    return NULL;
}
