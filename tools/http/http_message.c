/* SPDX-License-Identifier: MIT */
#include "tools/http/http_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_response_reset(struct http_response *response)
{
    char *body = response->body;
    size_t capacity = response->body_capacity, limit = response->body_limit;
    /* The line buffer needs no clearing and is most of the struct. */
    memset(response, 0, offsetof(struct http_response, line));
    response->body = body;
    response->body_capacity = capacity;
    response->body_limit = limit;
    response->keep_alive_timeout_s = -1;
}

void http_response_free(struct http_response *response)
{
    free(response->body);
    response->body = NULL;
    response->body_capacity = 0;
}

static size_t body_limit(const struct http_response *response)
{
    return response->body_limit ? response->body_limit : HTTP_BODY_LIMIT;
}

static int append_body(struct http_response *response, const char *data, size_t length)
{
    size_t needed = response->body_length + length;
    if (needed > body_limit(response))
        return -EMSGSIZE;
    if (needed > response->body_capacity) {
        size_t capacity = response->body_capacity ? response->body_capacity : 1024;
        while (capacity < needed)
            capacity *= 2;
        char *body = realloc(response->body, capacity);
        if (!body)
            return -ENOMEM;
        response->body = body;
        response->body_capacity = capacity;
    }
    memcpy(response->body + response->body_length, data, length);
    response->body_length = needed;
    return 0;
}

/* Move bytes into the line buffer up to the line's end. 1 when the line is whole (NUL-terminated,
 * without CR LF), 0 when more is needed, else an error. */
static int take_line(struct http_response *response, const char *data, size_t length, size_t *used)
{
    const char *newline = memchr(data, '\n', length);
    size_t take = newline ? (size_t)(newline - data) : length;
    if (take >= HTTP_LINE_LIMIT - response->line_length)
        return -EMSGSIZE;
    memcpy(response->line + response->line_length, data, take);
    response->line_length += take;
    *used = take + (newline ? 1 : 0);
    response->head_bytes += *used;
    if (response->head_bytes > HTTP_HEAD_LIMIT)
        return -EMSGSIZE;
    if (!newline)
        return 0;
    if (response->line_length > 0 && response->line[response->line_length - 1] == '\r')
        response->line_length -= 1;
    response->line[response->line_length] = '\0';
    bool has_nul = strlen(response->line) != response->line_length;
    response->line_length = 0;
    return has_nul ? -EPROTO : 1;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int parse_status_line(struct http_response *response)
{
    const char *line = response->line;
    if (strncmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ' ||
        !is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) ||
        (line[12] != ' ' && line[12] != '\0'))
        return -EPROTO;
    response->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (response->status < 100 || response->status >= STATUS_LIMIT || response->status == 101)
        return -EPROTO;
    response->keep_alive = line[7] != '0';
    response->phase = HTTP_HEADERS;
    return 0;
}

/* True when the comma-separated list holds the token. */
static bool list_has(const char *list, const char *token)
{
    size_t length = strlen(token);
    while (*list) {
        list += strspn(list, " \t,");
        size_t item = strcspn(list, ",");
        size_t bare = item;
        while (bare > 0 && (list[bare - 1] == ' ' || list[bare - 1] == '\t'))
            bare -= 1;
        if (bare == length && strncasecmp(list, token, length) == 0)
            return true;
        list += item;
    }
    return false;
}

static int parse_length(struct http_response *response, const char *value)
{
    uint64_t length = 0;
    if (!is_digit(*value))
        return -EPROTO;
    for (; is_digit(*value); value++) {
        length = length * 10 + (uint64_t)(*value - '0');
        if (length > body_limit(response))
            return -EMSGSIZE;
    }
    value += strspn(value, " \t");
    if (*value != '\0' || (response->has_length && response->remaining != length))
        return -EPROTO;
    response->has_length = true;
    response->remaining = length;
    return 0;
}

static int parse_header(struct http_response *response)
{
    char *name = response->line;
    size_t name_length = strcspn(name, ": \t");
    if (name_length == 0 || name[name_length] != ':')
        return -EPROTO; /* also a folded line, which starts with a blank */
    name[name_length] = '\0';
    const char *value = name + name_length + 1;
    value += strspn(value, " \t");
    if (strcasecmp(name, "Content-Length") == 0)
        return parse_length(response, value);
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        if (response->chunked || strcasecmp(value, "chunked") != 0)
            return -EPROTO;
        response->chunked = true;
    } else if (strcasecmp(name, "Connection") == 0) {
        if (list_has(value, "close"))
            response->keep_alive = false;
        else if (list_has(value, "keep-alive"))
            response->keep_alive = true;
    } else if (strcasecmp(name, "Keep-Alive") == 0) {
        const char *timeout = strcasestr(value, "timeout=");
        if (timeout && is_digit(timeout[8]))
            response->keep_alive_timeout_s = (int)(strtoul(timeout + 8, NULL, 10) & 0xFFFFFF);
    }
    return 0;
}

/* The empty line after the headers: how the body is delimited (RFC 9112, section 6.3). */
static int end_headers(struct http_response *response)
{
    if (response->status < 200) {
        /* An interim response. The head's size is kept, so that an endless row of them ends. */
        size_t head_bytes = response->head_bytes;
        http_response_reset(response);
        response->head_bytes = head_bytes;
        return 0;
    }
    if (response->chunked && response->has_length)
        return -EPROTO;
    if (response->status == 204 || response->status == 304) {
        response->phase = HTTP_COMPLETE;
    } else if (response->chunked) {
        response->phase = HTTP_CHUNK_SIZE;
    } else if (response->has_length) {
        response->phase = response->remaining > 0 ? HTTP_BODY : HTTP_COMPLETE;
    } else {
        response->phase = HTTP_BODY_UNTIL_CLOSE;
        response->keep_alive = false;
    }
    return 0;
}

static int parse_chunk_size(struct http_response *response)
{
    char *end;
    size_t digits = strspn(response->line, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 8)
        return -EPROTO;
    response->remaining = strtoul(response->line, &end, 16);
    if (*end != '\0' && *end != ';' && *end != ' ' && *end != '\t')
        return -EPROTO;
    response->phase = response->remaining > 0 ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
    return 0;
}

static int take_whole_line(struct http_response *response)
{
    switch (response->phase) {
    case HTTP_STATUS_LINE:
        return parse_status_line(response);
    case HTTP_HEADERS:
        return response->line[0] ? parse_header(response) : end_headers(response);
    case HTTP_CHUNK_SIZE:
        return parse_chunk_size(response);
    case HTTP_CHUNK_END:
        response->phase = HTTP_CHUNK_SIZE;
        /* Small chunks are no reason to run into the head's limit. */
        response->head_bytes = 0;
        return response->line[0] ? -EPROTO : 0;
    case HTTP_TRAILERS:
        if (!response->line[0])
            response->phase = HTTP_COMPLETE;
        return 0;
    default:
        return -EPROTO;
    }
}

static int take_body(struct http_response *response, const char *data, size_t length, size_t *used)
{
    bool open_ended = response->phase == HTTP_BODY_UNTIL_CLOSE;
    *used = open_ended || length < response->remaining ? length : (size_t)response->remaining;
    int error = append_body(response, data, *used);
    if (error || open_ended)
        return error;
    response->remaining -= *used;
    if (response->remaining == 0)
        response->phase = response->phase == HTTP_BODY ? HTTP_COMPLETE : HTTP_CHUNK_END;
    return 0;
}

int http_response_feed(struct http_response *response, const char *data, size_t length,
                       size_t *used)
{
    *used = 0;
    while (*used < length && response->phase != HTTP_COMPLETE) {
        size_t step = 0;
        int result;
        if (response->phase == HTTP_BODY || response->phase == HTTP_BODY_UNTIL_CLOSE ||
            response->phase == HTTP_CHUNK_DATA) {
            result = take_body(response, data + *used, length - *used, &step);
        } else {
            result = take_line(response, data + *used, length - *used, &step);
            if (result == 1)
                result = take_whole_line(response);
        }
        if (result < 0)
            return result;
        *used += step;
    }
    return 0;
}

int http_response_end(struct http_response *response)
{
    if (response->phase != HTTP_BODY_UNTIL_CLOSE)
        return -EPIPE;
    response->phase = HTTP_COMPLETE;
    return 0;
}
