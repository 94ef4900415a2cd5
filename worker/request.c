/* SPDX-License-Identifier: MIT */
#include "worker/request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t length;
    bool once;
} known_headers[] = {
#define X(id, name, once) {name, sizeof name - 1, once},
    HEADER_LIST(X)
#undef X
};

static enum header known_header(const char *name)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < HEADER_COUNT; i++)
        if (known_headers[i].length == length && strcasecmp(known_headers[i].name, name) == 0)
            return (enum header)i;
    return HEADER_COUNT;
}

/* Collect the headers we know. False when one came twice that may come once. */
static bool collect_headers(const struct mg_request_info *info, struct request *request)
{
    bool once = true;
    for (int i = 0; i < info->num_headers; i++) {
        enum header header = known_header(info->http_headers[i].name);
        if (header == HEADER_COUNT)
            continue;
        if (!request->header[header])
            request->header[header] = info->http_headers[i].value;
        else if (known_headers[header].once)
            once = false;
    }
    return once;
}

/* Digits to a number; trailing spaces belong to no value (RFC 9112, section 5). */
static bool read_number(const char *text, unsigned max_digits, uint64_t *number)
{
    unsigned digits = 0;
    *number = 0;
    for (; isdigit((unsigned char)*text); text++) {
        if (++digits > max_digits)
            return false;
        *number = *number * 10 + (uint64_t)(*text - '0');
    }
    while (*text == ' ')
        text++;
    return digits > 0 && *text == '\0';
}

static bool all_digits(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && text[digits + strspn(text + digits, " ")] == '\0';
}

static void take_attempt(struct request *request)
{
    uint64_t attempt;
    const char *value = request->header[HEADER_RETRY_ATTEMPT];
    /* Only counted and logged: a value that is none is no reason to refuse. */
    if (value && read_number(value, 6, &attempt))
        request->attempt = (unsigned)attempt;
}

static bool has_token(const char *list, const char *token)
{
    size_t length = strlen(token);
    while (*list) {
        list += strspn(list, ", \t");
        size_t item = strcspn(list, ", \t");
        if (item == length && strncasecmp(list, token, length) == 0)
            return true;
        list += item;
    }
    return false;
}

/* As civetweb decides it: any Connection header without keep-alive closes. */
static bool wants_keep_alive(const struct mg_request_info *info, const char *connection)
{
    if (!connection)
        return strcmp(info->http_version, "1.1") == 0;
    return has_token(connection, "keep-alive") && !has_token(connection, "upgrade") &&
           !has_token(connection, "close");
}

static enum problem judge_length(struct request *request, const char **detail)
{
    const char *length = request->header[HEADER_CONTENT_LENGTH];
    if (!length)
        return PROBLEM_NONE;
    if (!all_digits(length)) {
        *detail = "Content-Length is not a number.";
        return PROBLEM_MALFORMED_REQUEST;
    }
    request->has_length = true;
    if (!read_number(length, 18, &request->content_length) ||
        request->content_length > REQUEST_BODY_MAX_BYTES) {
        *detail = "The request body is larger than 128 KiB.";
        return PROBLEM_CONTENT_TOO_LARGE;
    }
    return PROBLEM_NONE;
}

enum problem request_parse(const struct mg_request_info *info, struct request *request,
                           const char **detail)
{
    *request = (struct request){
        .method = info->request_method,
        .path = info->local_uri_raw ? info->local_uri_raw : "",
        .query = info->query_string,
    };
    bool once = collect_headers(info, request);
    const char *id = request->header[HEADER_REQUEST_ID];
    request_id_take(id, id ? strlen(id) : 0, request->id);
    take_attempt(request);
    const char *trace = request->header[HEADER_TRACEPARENT];
    if (trace)
        traceparent_parse(trace, strlen(trace), request->traceparent);
    request->keep_alive = wants_keep_alive(info, request->header[HEADER_CONNECTION]);
    router_match(request->method, request->path, &request->route);

    if (info->num_headers >= MG_MAX_HEADERS) {
        *detail = "The request has 64 headers or more.";
        return PROBLEM_TOO_MANY_HEADERS;
    }
    if (request->header[HEADER_TRANSFER_ENCODING]) {
        *detail = "Transfer-Encoding is not supported; send a Content-Length.";
        return PROBLEM_NOT_IMPLEMENTED;
    }
    if (!once) {
        *detail = "A header that may occur only once occurs twice.";
        return PROBLEM_MALFORMED_REQUEST;
    }
    if (!request->header[HEADER_HOST] && strcmp(info->http_version, "1.1") == 0) {
        *detail = "The request has no Host header.";
        return PROBLEM_MALFORMED_REQUEST;
    }
    if (strlen(request->path) + (request->query ? strlen(request->query) : 0) >
        REQUEST_TARGET_MAX_BYTES) {
        *detail = "The request target is longer than 8 KiB.";
        return PROBLEM_URI_TOO_LONG;
    }
    if (request->route.result == ROUTE_MALFORMED) {
        *detail = "The path is not valid.";
        return PROBLEM_MALFORMED_REQUEST;
    }
    return judge_length(request, detail);
}

/* A line ended by CRLF is left as text NUL NUL, and the next begins behind; a bare LF leaves one
 * NUL, white space before the first header is lost with the line's end. The empty line after the
 * last header is left as CR NUL. Anything else there was taken for the end of the header and is
 * not. */
bool request_head_is_whole(const struct mg_request_info *info)
{
    const char *end = info->http_version + strlen(info->http_version);
    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *header = &info->http_headers[i];
        const char *name_end = header->name + strlen(header->name);
        if (header->name != end + 2)
            return false;
        if (header->value > name_end + 1 && name_end[1] == '\0')
            return false; /* a space before the colon */
        end = header->value + strlen(header->value);
    }
    if (end - info->request_method > REQUEST_HEAD_MAX_BYTES - 4 || end[1] != '\0')
        return false;
    if (info->num_headers > 0)
        return end[2] == '\r' && end[3] == '\0';
    return end[2] == '\0' && end[3] == '\0';
}

/* `type` or `type; charset=utf-8` */
static bool media_type_is(const char *value, const char *type)
{
    size_t length = strlen(type);
    if (strncasecmp(value, type, length) != 0)
        return false;
    value += length;
    value += strspn(value, " \t");
    if (*value == '\0')
        return true;
    if (*value != ';')
        return false;
    value += 1 + strspn(value + 1, " \t");
    static const char *const charsets[] = {"charset=utf-8", "charset=\"utf-8\""};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(charsets[i]);
        if (strncasecmp(value, charsets[i], n) == 0 && value[n + strspn(value + n, " \t")] == '\0')
            return true;
    }
    return *value == '\0';
}

static enum problem judge_body(const struct request *request, const char **detail)
{
    enum endpoint endpoint = request->route.endpoint;
    const char *type = request->header[HEADER_CONTENT_TYPE];
    if (endpoint != ENDPOINT_LOGIN && endpoint != ENDPOINT_ITEM_CREATE &&
        endpoint != ENDPOINT_ITEM_PUT && endpoint != ENDPOINT_ITEM_PATCH)
        return PROBLEM_NONE;
    if (!request->has_length) {
        *detail = "A request with a body must say its Content-Length.";
        return PROBLEM_LENGTH_REQUIRED;
    }
    if (type &&
        (media_type_is(type, "application/json") ||
         (endpoint == ENDPOINT_ITEM_PATCH && media_type_is(type, "application/merge-patch+json"))))
        return PROBLEM_NONE;
    *detail = endpoint == ENDPOINT_ITEM_PATCH
                  ? "The body must be application/merge-patch+json or application/json, in UTF-8."
                  : "The body must be application/json, in UTF-8.";
    return PROBLEM_UNSUPPORTED_MEDIA_TYPE;
}

enum problem request_judge(struct request *request, const char **detail)
{
    const char *timeout = request->header[HEADER_TIMEOUT];
    const char *expect = request->header[HEADER_EXPECT];
    if (expect && strcasecmp(expect, "100-continue") != 0) {
        *detail = "The only expectation this server meets is 100-continue.";
        return PROBLEM_EXPECTATION_FAILED;
    }
    request->expects_continue = expect && request->content_length > 0;
    if (timeout && (!read_number(timeout, 5, &request->timeout_ms) || request->timeout_ms < 1 ||
                    request->timeout_ms > REQUEST_TIMEOUT_MAX_MS)) {
        request->timeout_ms = 0;
        *detail = "X-Request-Timeout-Ms must be a whole number from 1 to 60000.";
        return PROBLEM_MALFORMED_REQUEST;
    }
    return judge_body(request, detail);
}
