/* SPDX-License-Identifier: MIT */
/* The parts of a request head that have a grammar of their own (request.h). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "worker/request.h"
#include "worker/store.h"

#define LIMIT_DEFAULT 20

/* ---- Idempotency-Key --------------------------------------------------------------------- */

bool request_idempotency_key(const char *value, char out[IDEMPOTENCY_KEY_SIZE])
{
    size_t length = strlen(value), n = 0;
    while (length > 0 && value[length - 1] == ' ')
        length--;
    bool quoted = length >= 2 && value[0] == '"' && value[length - 1] == '"';
    size_t end = quoted ? length - 1 : length;
    for (size_t i = quoted ? 1 : 0; i < end; i++) {
        char c = value[i];
        if (quoted && c == '\\') { /* a string of RFC 8941: only " and \ are escaped */
            if (++i >= end || (value[i] != '"' && value[i] != '\\'))
                return false;
            c = value[i];
        } else if (c == '"') {
            return false;
        }
        if (c < 0x21 || c > 0x7E || n >= IDEMPOTENCY_KEY_SIZE - 1)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

/* ---- entity tags ------------------------------------------------------------------------- */

/* Length of one quoted tag, 0 when there is none. */
static size_t tag_length(const char *text)
{
    if (text[0] != '"')
        return 0;
    for (size_t i = 1; text[i]; i++) {
        if (text[i] == '"')
            return i + 1;
        if ((unsigned char)text[i] < 0x21 || text[i] == 0x7F)
            return 0;
    }
    return 0;
}

/* The version in a tag of ours, 0 when it is none of ours. */
static uint64_t tag_version(const char *tag, size_t length)
{
    uint64_t version = 0;
    if (length < 3 || length > 20 || tag[1] == '0')
        return 0;
    for (size_t i = 1; i + 1 < length; i++) {
        if (!isdigit((unsigned char)tag[i]))
            return 0;
        version = version * 10 + (uint64_t)(tag[i] - '0');
    }
    return version;
}

bool request_etags(const char *value, struct etag_list *list)
{
    unsigned tags = 0;
    *list = (struct etag_list){0};
    value += strspn(value, " ");
    if (value[0] == '*' && value[1 + strspn(value + 1, " ")] == '\0') {
        list->any = true;
        return true;
    }
    while (*value) {
        bool weak = strncmp(value, "W/", 2) == 0;
        value += weak ? 2 : 0;
        size_t length = tag_length(value);
        if (length == 0)
            return false;
        uint64_t version = tag_version(value, length);
        if (version > 0) {
            if (list->count == ETAGS_MAX)
                return false;
            list->tag[list->count].version = version;
            list->tag[list->count++].weak = weak;
        }
        tags++;
        value += length;
        value += strspn(value, " ");
        if (*value == '\0')
            break;
        if (*value != ',')
            return false;
        value += strspn(value, ", ");
    }
    return tags > 0;
}

bool request_etag_in(const struct etag_list *list, uint64_t version, bool weak_comparison)
{
    if (list->any)
        return true;
    for (unsigned i = 0; i < list->count; i++)
        if (list->tag[i].version == version && (weak_comparison || !list->tag[i].weak))
            return true;
    return false;
}

/* ---- the query of the item list ---------------------------------------------------------- */

/* Decode one name or value of a query, up to a stop character. NULL when it is malformed or longer
 * than any that is known, else where it ended. */
static const char *query_word(const char *text, const char *stops, char *out, size_t size)
{
    size_t n = 0;
    while (*text && !strchr(stops, *text)) {
        char c = *text++;
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            char hex[3] = {text[0], text[0] ? text[1] : '\0', '\0'};
            if (!isxdigit((unsigned char)hex[0]) || !isxdigit((unsigned char)hex[1]))
                return NULL;
            c = (char)strtol(hex, NULL, 16);
            text += 2;
        }
        if (n + 1 >= size || c == '\0')
            return NULL;
        out[n++] = c;
    }
    out[n] = '\0';
    return text;
}

static bool cursor_to_id(const char *cursor, char id[UUID_TEXT_SIZE])
{
    if (strlen(cursor) != CURSOR_SIZE - 1)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < CURSOR_SIZE - 1; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            id[n++] = '-';
        id[n++] = cursor[i];
    }
    id[n] = '\0';
    return uuid_valid(id);
}

void request_cursor(const char id[UUID_TEXT_SIZE], char out[CURSOR_SIZE])
{
    size_t n = 0;
    for (size_t i = 0; id[i]; i++)
        if (id[i] != '-')
            out[n++] = id[i];
    out[n] = '\0';
}

static bool read_limit(const char *value, unsigned *limit)
{
    size_t digits = strspn(value, "0123456789");
    if (digits < 1 || digits > 3 || value[digits] != '\0')
        return false;
    *limit = (unsigned)strtoul(value, NULL, 10);
    return *limit >= 1 && *limit <= PAGE_MAX;
}

const char *request_page_query(const char *query, struct page_query *page)
{
    bool has_limit = false, has_cursor = false;
    *page = (struct page_query){.limit = LIMIT_DEFAULT};
    while (query && *query) {
        char name[16], value[64] = "";
        query = query_word(query, "=&", name, sizeof name);
        if (query && *query == '=')
            query = query_word(query + 1, "&", value, sizeof value);
        if (!query)
            return "The query is malformed, or has a parameter that is not known.";
        if (strcmp(name, "limit") == 0 && !has_limit) {
            has_limit = true;
            if (!read_limit(value, &page->limit))
                return "limit must be a whole number from 1 to 100.";
        } else if (strcmp(name, "cursor") == 0 && !has_cursor) {
            has_cursor = true;
            if (!cursor_to_id(value, page->before_id))
                return "cursor is not one this server gave.";
        } else {
            return "The query has a parameter that is not known, or one that occurs twice.";
        }
        if (*query == '&')
            query++;
    }
    return NULL;
}
