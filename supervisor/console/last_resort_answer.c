/* SPDX-License-Identifier: MIT */
#include "supervisor/console/last_resort_answer.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/health.h"
#include "common/http/framing.h"
#include "common/json_out.h"
#include "common/request_id.h"
#include "common/router.h"
#include "common/traceparent.h"

#define TARGET_SIZE     256 /* no path of ours is half as long */
#define METHOD_SIZE     16
#define RETRY_LEAST_MS  1000
#define RETRY_SPREAD_MS 2001

/* What the answer repeats of the request. */
struct asked {
    struct route route;
    char id[REQUEST_ID_SIZE];
    char traceparent[TRACEPARENT_LENGTH + 1]; /* "" none */
};

/* ---- reading ------------------------------------------------------------------------------- */

/* Copy up to one of the characters in `ends`. Returns where that is, NULL when it does not come or
 * there is no room. */
static const char *copy_word(const char *from, const char *end, const char *ends, char *out,
                             size_t size)
{
    size_t length = 0;
    for (; from < end && (*from == '\0' || !strchr(ends, *from)); from++) {
        if (length == size - 1)
            return NULL;
        out[length++] = *from;
    }
    out[length] = '\0';
    return from < end ? from : NULL;
}

static void read_route(const char *head, size_t length, struct route *route)
{
    char method[METHOD_SIZE], target[TARGET_SIZE];
    const char *end = head + length, *line_end = memchr(head, '\n', length);
    *route = (struct route){.result = ROUTE_MALFORMED, .endpoint = ENDPOINT_MALFORMED};
    if (!line_end)
        return;
    const char *at = copy_word(head, line_end, " ", method, sizeof method);
    if (!at || memchr(head, '\0', (size_t)(line_end - head)))
        return;
    if (copy_word(at + 1, end, " ?\r\n", target, sizeof target))
        router_match(method, target, route);
    else
        *route = (struct route){.result = ROUTE_NOT_FOUND,
                                .endpoint = ENDPOINT_UNMATCHED,
                                .head = strcmp(method, "HEAD") == 0};
}

static void read_asked(const char *head, size_t length, struct asked *asked)
{
    size_t id_length = 0, trace_length = 0;
    const char *id = frame_field(head, length, "x-request-id", &id_length);
    const char *trace = frame_field(head, length, "traceparent", &trace_length);
    read_route(head, length, &asked->route);
    request_id_choose(id, id_length, asked->id);
    asked->traceparent[0] = '\0';
    if (trace)
        traceparent_parse(trace, trace_length, asked->traceparent);
}

/* ---- writing ------------------------------------------------------------------------------- */

static const char *status_line(unsigned status)
{
    switch (status) {
    case 200:
        return "200 OK";
    case 408:
        return "408 Request Timeout";
    case 431:
        return "431 Request Header Fields Too Large";
    default:
        return "503 Service Unavailable";
    }
}

static void put(struct last_resort_answer *answer, const struct asked *asked, unsigned status,
                const char *content_type, unsigned retry_ms, const char *body, size_t body_length)
{
    char date[CLOCK_HTTP_DATE_SIZE], retry[40] = "", trace[TRACEPARENT_LENGTH + 20] = "";
    clock_http_date(date, clock_wall_us());
    if (retry_ms)
        snprintf(retry, sizeof retry, "Retry-After: %u\r\n", (retry_ms + 999) / 1000);
    if (asked->traceparent[0])
        snprintf(trace, sizeof trace, "traceparent: %s\r\n", asked->traceparent);
    int n = snprintf(answer->bytes, sizeof answer->bytes,
                     "HTTP/1.1 %s\r\n"
                     "Date: %s\r\n"
                     "Content-Type: %s\r\n"
                     "Content-Length: %zu\r\n"
                     "Connection: close\r\n"
                     "X-Request-Id: %s\r\n"
                     "%s%s"
                     "X-Content-Type-Options: nosniff\r\n"
                     "Cache-Control: no-store\r\n\r\n",
                     status_line(status), date, content_type, body_length, asked->id, trace, retry);
    answer->status = status;
    answer->endpoint = asked->route.endpoint;
    answer->length = (size_t)n;
    if (asked->route.head)
        return;
    CHECK(answer->length + body_length <= sizeof answer->bytes);
    memcpy(answer->bytes + answer->length, body, body_length);
    answer->length += body_length;
}

static void put_problem(struct last_resort_answer *answer, const struct asked *asked,
                        unsigned status, const char *slug, const char *title, const char *detail,
                        unsigned retry_ms)
{
    char body[1024], type[64];
    struct json_out json;
    snprintf(type, sizeof type, "/problems/%s", slug);
    json_out_init(&json, body, sizeof body);
    json_object_begin(&json);
    json_key_string(&json, "type", type);
    json_key_string(&json, "title", title);
    json_key_uint(&json, "status", status);
    json_key_string(&json, "detail", detail);
    json_key_string(&json, "instance", asked->id);
    if (asked->traceparent[0])
        json_key_string(&json, "traceparent", asked->traceparent);
    if (retry_ms) {
        json_key_string(&json, "reason", "no_workers");
        json_key_uint(&json, "retry_after_ms", retry_ms);
    }
    json_object_end(&json);
    put(answer, asked, status, "application/problem+json", retry_ms, body, json.length);
}

static void refuse(struct last_resort_answer *answer, const struct asked *asked, const char *cause,
                   uint64_t random)
{
    char detail[LAST_RESORT_ANSWER_SIZE / 4];
    snprintf(detail, sizeof detail, "No worker can serve: %s. Nothing was changed.", cause);
    answer->refused = true;
    put_problem(answer, asked, 503, "no-workers", "No worker can serve", detail,
                RETRY_LEAST_MS + (unsigned)(random % RETRY_SPREAD_MS));
}

void last_resort_answer(const struct region *region, const char *cause, const char *head,
                        size_t length, uint64_t random, struct last_resort_answer *answer)
{
    static const char live[] = "{\"status\":\"live\"}", ready[] = "{\"status\":\"ready\"}",
                      not_ready[] = "{\"status\":\"not_ready\"}";
    char health[HEALTH_JSON_SIZE];
    size_t health_length;
    struct asked asked;
    answer->refused = false;
    read_asked(head, length, &asked);
    unsigned endpoint =
        asked.route.result == ROUTE_FOUND ? asked.route.endpoint : (unsigned)ENDPOINT_COUNT;
    if (endpoint == ENDPOINT_HEALTH && (health_length = health_json(region, health, sizeof health)))
        put(answer, &asked, 200, "application/json", 0, health, health_length);
    else if (endpoint == ENDPOINT_HEALTH_LIVE)
        put(answer, &asked, 200, "application/json", 0, live, sizeof live - 1);
    else if (endpoint == ENDPOINT_HEALTH_READY && health_is_ready(region))
        put(answer, &asked, 200, "application/json", 0, ready, sizeof ready - 1);
    else if (endpoint == ENDPOINT_HEALTH_READY)
        put(answer, &asked, 503, "application/json", 1000, not_ready, sizeof not_ready - 1);
    else
        refuse(answer, &asked, cause, random);
}

void last_resort_turn_away(unsigned status, struct last_resort_answer *answer)
{
    struct asked asked = {.route = {.result = ROUTE_MALFORMED, .endpoint = ENDPOINT_MALFORMED}};
    request_id_choose(NULL, 0, asked.id); /* the client's own may be in the part that is not here */
    answer->refused = false;
    if (status == 431)
        put_problem(answer, &asked, 431, "too-many-headers", "Request header fields too large",
                    "The header is larger than 16 KiB.", 0);
    else
        put_problem(answer, &asked, 408, "request-timeout", "Request timeout",
                    "The request did not arrive completely in time.", 0);
}
