/* SPDX-License-Identifier: MIT */
#include "worker/response.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/utf8.h"
#include "worker/exchange.h"
#include "worker/liveness.h"

#define HEAD_ROOM        1536 /* all headers at their longest have about 1000 bytes */
#define BUFFER_KEPT      (64 * 1024)
#define PROBLEM_ROOM     4096
#define ADVERTISE_LESS_S 5

static const struct {
    unsigned short status;
    const char *slug, *title;
} problems[] = {
#define X(id, status, slug, title) {status, slug, title},
    PROBLEM_LIST(X)
#undef X
};

const char *problem_slug(enum problem problem)
{
    return problems[problem].slug;
}

/* ---- collecting -------------------------------------------------------------------------- */

void response_begin(struct response *response)
{
    /* One large answer must not keep its memory for the life of the thread. */
    if (response->buffer_size > HEAD_ROOM + BUFFER_KEPT) {
        free(response->buffer);
        response->buffer = NULL;
        response->buffer_size = 0;
    }
    response->status = 0;
    response->close = response->cut = response->replayed = false;
    response->body_length = 0;
    response->content_type = response->cache_control = response->allow = NULL;
    response->authenticate = NULL;
    response->rate = NULL;
    response->etag_version = 0;
    response->retry_after_ms = 0;
    response->location[0] = '\0';
}

char *response_room(struct response *response, size_t size)
{
    if (response->buffer_size < HEAD_ROOM + size) {
        size_t wanted = HEAD_ROOM + (size < BUFFER_KEPT / 4 ? BUFFER_KEPT / 4 : size);
        free(response->buffer);
        response->buffer = malloc(wanted);
        response->buffer_size = response->buffer ? wanted : 0;
    }
    return response->buffer ? response->buffer + HEAD_ROOM : NULL;
}

void response_json(struct exchange *exchange, unsigned status, size_t length)
{
    struct response *response = &exchange->response;
    response->status = status;
    response->content_type = "application/json";
    response->body_length = length;
}

void response_json_copy(struct exchange *exchange, unsigned status, const char *json, size_t length)
{
    char *room = response_room(&exchange->response, length);
    if (!room) {
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "There is no memory for the answer.");
        return;
    }
    memcpy(room, json, length);
    response_json(exchange, status, length);
}

void response_empty(struct exchange *exchange, unsigned status)
{
    exchange->response.status = status;
    exchange->response.content_type = NULL;
    exchange->response.body_length = 0;
}

/* ---- problems ---------------------------------------------------------------------------- */

static void problem_head(struct json_out *json, struct exchange *exchange, enum problem problem,
                         const char *detail)
{
    char type[64] = "/problems/";
    strncat(type, problems[problem].slug, sizeof type - sizeof "/problems/");
    json_object_begin(json);
    json_key_string(json, "type", type);
    json_key_string(json, "title", problems[problem].title);
    json_key_uint(json, "status", problems[problem].status);
    if (detail)
        json_key_string(json, "detail", detail);
    json_key_string(json, "instance", exchange->request.id);
    if (exchange->request.traceparent[0])
        json_key_string(json, "traceparent", exchange->request.traceparent);
}

static void problem_end(struct json_out *json, struct exchange *exchange, enum problem problem)
{
    struct response *response = &exchange->response;
    unsigned status = problems[problem].status;
    if (status == 429) {
        /* Not spread: who was limited is one client, and this is its own time. */
        response->retry_after_ms = exchange->retry_floor_ms;
        json_key_uint(json, "retry_after_ms", response->retry_after_ms);
    } else if (status == 503) {
        /* Spread over two seconds, so that all who were refused do not come back at once. A
         * breaker says itself when it is of use. */
        unsigned least_ms = problem == PROBLEM_CIRCUIT_OPEN ? 1 : 1000;
        unsigned spread_ms = problem == PROBLEM_CIRCUIT_OPEN ? 1000 : 2001;
        response->retry_after_ms =
            exchange->retry_floor_ms + least_ms + (unsigned)(exchange_random(exchange) % spread_ms);
        json_key_uint(json, "retry_after_ms", response->retry_after_ms);
    }
    json_object_end(json);
    response->status = status;
    response->content_type = "application/problem+json";
    response->cache_control = "no-store";
    response->body_length = json->overflow ? 0 : json->length;
    response->etag_version = 0;
    response->location[0] = '\0';
}

/* Room for a problem; without memory even for that the answer is its status alone. */
static bool problem_room(struct exchange *exchange, enum problem problem, struct json_out *json)
{
    char *room = response_room(&exchange->response, PROBLEM_ROOM);
    if (room)
        json_out_init(json, room, PROBLEM_ROOM);
    else
        response_empty(exchange, problems[problem].status);
    exchange->reason = problems[problem].slug;
    return room != NULL;
}

void response_problem(struct exchange *exchange, enum problem problem, const char *detail)
{
    struct json_out json;
    if (!problem_room(exchange, problem, &json))
        return;
    problem_head(&json, exchange, problem, detail);
    if (problem == PROBLEM_DATABASE_UNAVAILABLE)
        json_key_string(&json, "reason", "db_unavailable");
    if (problem == PROBLEM_CIRCUIT_OPEN)
        json_key_string(&json, "dependency", dependency_name(exchange->cost.dependency));
    problem_end(&json, exchange, problem);
}

void field_error(struct field_errors *errors, const char *field, const char *problem)
{
    if (errors->count == FIELD_ERRORS_MAX)
        return;
    char *copy = errors->list[errors->count].field;
    size_t length = 0, limit = sizeof errors->list[0].field - 1, rest = strlen(field), width;
    while (rest > 0 && (width = utf8_sequence(field + length, rest)) > 0 &&
           length + width <= limit) {
        memcpy(copy + length, field + length, width);
        length += width;
        rest -= width;
    }
    copy[length] = '\0';
    errors->list[errors->count++].problem = problem;
}

void response_invalid_fields(struct exchange *exchange, const struct field_errors *errors)
{
    struct json_out json;
    if (!problem_room(exchange, PROBLEM_INVALID_FIELDS, &json))
        return;
    problem_head(&json, exchange, PROBLEM_INVALID_FIELDS,
                 "The body does not have the right fields.");
    json_key(&json, "errors");
    json_array_begin(&json);
    for (unsigned i = 0; i < errors->count; i++) {
        json_object_begin(&json);
        json_key_string(&json, "field", errors->list[i].field);
        json_key_string(&json, "problem", errors->list[i].problem);
        json_object_end(&json);
    }
    json_array_end(&json);
    problem_end(&json, exchange, PROBLEM_INVALID_FIELDS);
}

/* ---- the head ---------------------------------------------------------------------------- */

struct head {
    char text[HEAD_ROOM];
    size_t length;
};

static void put_n(struct head *head, const char *text, size_t length)
{
    CHECK(length <= sizeof head->text - head->length);
    memcpy(head->text + head->length, text, length);
    head->length += length;
}

static void put(struct head *head, const char *text)
{
    put_n(head, text, strlen(text));
}

#define PUT(head, literal) put_n(head, literal, sizeof(literal) - 1)

static void put_number(struct head *head, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put_n(head, digits + at, sizeof digits - at);
}

/* name with colon and space; nothing when there is no value. */
static void put_header(struct head *head, const char *name, size_t length, const char *value)
{
    if (!value || !*value)
        return;
    put_n(head, name, length);
    put(head, value);
    PUT(head, "\r\n");
}

#define PUT_HEADER(head, name, value) put_header(head, name ": ", sizeof(name) + 1, value)

static const char *status_line(unsigned status)
{
    static const struct {
        unsigned short status;
        const char *line;
    } lines[] = {
        {200, "HTTP/1.1 200 OK\r\n"},
        {201, "HTTP/1.1 201 Created\r\n"},
        {204, "HTTP/1.1 204 No Content\r\n"},
        {304, "HTTP/1.1 304 Not Modified\r\n"},
        {400, "HTTP/1.1 400 Bad Request\r\n"},
        {401, "HTTP/1.1 401 Unauthorized\r\n"},
        {404, "HTTP/1.1 404 Not Found\r\n"},
        {405, "HTTP/1.1 405 Method Not Allowed\r\n"},
        {408, "HTTP/1.1 408 Request Timeout\r\n"},
        {411, "HTTP/1.1 411 Length Required\r\n"},
        {412, "HTTP/1.1 412 Precondition Failed\r\n"},
        {413, "HTTP/1.1 413 Content Too Large\r\n"},
        {414, "HTTP/1.1 414 URI Too Long\r\n"},
        {415, "HTTP/1.1 415 Unsupported Media Type\r\n"},
        {417, "HTTP/1.1 417 Expectation Failed\r\n"},
        {422, "HTTP/1.1 422 Unprocessable Content\r\n"},
        {429, "HTTP/1.1 429 Too Many Requests\r\n"},
        {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
        {500, "HTTP/1.1 500 Internal Server Error\r\n"},
        {501, "HTTP/1.1 501 Not Implemented\r\n"},
        {503, "HTTP/1.1 503 Service Unavailable\r\n"},
        {504, "HTTP/1.1 504 Gateway Timeout\r\n"},
        {505, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (lines[i].status == status)
            return lines[i].line;
    check_failed("a status has its line", __FILE__, __LINE__);
}

static const char *date_of(struct response *response, uint64_t wall_us)
{
    uint64_t second = wall_us / US_PER_S;
    if (response->date_s != second) {
        clock_http_date(response->date, wall_us);
        response->date_s = second;
    }
    return response->date;
}

static void put_content(struct head *head, const struct response *response)
{
    PUT_HEADER(head, "Content-Type", response->content_type);
    /* 204 and 304 have no content and say no length (RFC 9110, section 8.6). */
    if (response->status == 204 || response->status == 304)
        return;
    PUT(head, "Content-Length: ");
    put_number(head, response->body_length);
    PUT(head, "\r\n");
}

/* draft-ietf-httpapi-ratelimit-headers: the policy's quota and window, and what is left of it. */
static void put_rate(struct head *head, const struct rate_note *rate)
{
    const char *name = rate_policy_name(rate->policy);
    PUT(head, "RateLimit-Policy: \"");
    put(head, name);
    PUT(head, "\";q=");
    put_number(head, rate->quota);
    PUT(head, ";w=");
    put_number(head, rate->window_s);
    PUT(head, "\r\nRateLimit: \"");
    put(head, name);
    PUT(head, "\";r=");
    put_number(head, rate->remaining);
    PUT(head, ";t=");
    put_number(head, rate->whole_s);
    PUT(head, "\r\n");
}

static void put_head(struct head *head, struct exchange *exchange)
{
    struct response *response = &exchange->response;
    put(head, status_line(response->status));
    PUT_HEADER(head, "Date", date_of(response, exchange->wall_us));
    put_content(head, response);
    if (response->close) {
        PUT(head, "Connection: close\r\n");
    } else {
        PUT(head, "Connection: keep-alive\r\nKeep-Alive: timeout=");
        put_number(head, exchange->services->child->config.keepalive_timeout_s - ADVERTISE_LESS_S);
        PUT(head, "\r\n");
    }
    PUT_HEADER(head, "X-Request-Id", exchange->request.id);
    PUT_HEADER(head, "traceparent", exchange->request.traceparent);
    PUT(head, "X-Content-Type-Options: nosniff\r\n");
    PUT_HEADER(head, "Cache-Control", response->cache_control);
    if (response->etag_version > 0) {
        PUT(head, "ETag: \"");
        put_number(head, response->etag_version);
        PUT(head, "\"\r\n");
    }
    PUT_HEADER(head, "Location", response->location);
    PUT_HEADER(head, "Allow", response->allow);
    PUT_HEADER(head, "WWW-Authenticate", response->authenticate);
    if (response->replayed)
        PUT(head, "Idempotency-Replayed: true\r\n");
    if (response->rate)
        put_rate(head, response->rate);
    if (response->retry_after_ms > 0) {
        PUT(head, "Retry-After: ");
        put_number(head, (response->retry_after_ms + 999) / 1000);
        PUT(head, "\r\n");
    }
    PUT(head, "\r\n");
}

/* ---- sending ----------------------------------------------------------------------------- */

char *response_body(const struct response *response)
{
    return response->buffer && response->body_length > 0 ? response->buffer + HEAD_ROOM : NULL;
}

void response_send(struct exchange *exchange)
{
    struct response *response = &exchange->response;
    struct head head;
    if (!exchange->request.keep_alive || exchange->peer.last)
        response->close = true;
    /* Before the head is made, and before civetweb looks: it must close when we said so. */
    if (response->close)
        mg_disable_connection_keep_alive(exchange->connection);
    head.length = 0;
    put_head(&head, exchange);
    size_t body_length = exchange->request.route.head ? 0 : response->body_length;
    char *start = response->buffer ? response->buffer + HEAD_ROOM - head.length : head.text;
    if (response->buffer)
        memcpy(start, head.text, head.length);
    /* The door bounds how long a reader may take. */
    liveness_stage(STAGE_WRITE_RESPONSE);
    int length = (int)(head.length + (response->cut ? body_length / 2 : body_length));
    if (mg_write(exchange->connection, start, (size_t)length) != length || response->cut)
        mg_disable_connection_keep_alive(exchange->connection);
}
