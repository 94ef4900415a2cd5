/* SPDX-License-Identifier: MIT */
/*
 * A request as its head tells it: guards against what civetweb lets pass, the headers this API
 * knows, the query of the item list. Pure: it looks at parsed headers and decides; reading the body
 * is body.h's. Text it points to lies in civetweb's buffer until the request ends.
 *
 * civetweb is lenient where a proxy in front may not be (the first of two Content-Lengths counts,
 * Transfer-Encoding beats Content-Length, headers past the 64th vanish, a folded line ends the
 * header): such requests are refused and the connection closed, so that nobody can make two
 * readers of one stream disagree (RFC 9112, section 11.2).
 */
#ifndef BULKHEAD_REQUEST_H
#define BULKHEAD_REQUEST_H

#include <civetweb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/request_id.h"
#include "common/router.h"
#include "common/traceparent.h"
#include "common/uuid7.h"
#include "worker/problem.h"

#define REQUEST_HEAD_MAX_BYTES   16384 /* civetweb's buffer for request line and headers */
#define REQUEST_TARGET_MAX_BYTES 8192
#define REQUEST_BODY_MAX_BYTES   (128 * 1024)
#define REQUEST_TIMEOUT_MAX_MS   60000
#define IDEMPOTENCY_KEY_SIZE     256
#define TRACEPARENT_LENGTH       55
#define ETAGS_MAX                16

/* The headers that mean something here. All may occur only once but X-Request-Id and the like,
 * where the first counts. */
#define HEADER_LIST(X)                              \
    X(HOST, "Host", true)                           \
    X(EXPECT, "Expect", true)                       \
    X(IF_MATCH, "If-Match", true)                   \
    X(CONNECTION, "Connection", false)              \
    X(TRACEPARENT, "traceparent", false)            \
    X(CONTENT_TYPE, "Content-Type", true)           \
    X(REQUEST_ID, "X-Request-Id", false)            \
    X(AUTHORIZATION, "Authorization", true)         \
    X(IF_NONE_MATCH, "If-None-Match", true)         \
    X(CONTENT_LENGTH, "Content-Length", true)       \
    X(RETRY_ATTEMPT, "X-Retry-Attempt", false)      \
    X(IDEMPOTENCY_KEY, "Idempotency-Key", true)     \
    X(TRANSFER_ENCODING, "Transfer-Encoding", true) \
    X(TIMEOUT, "X-Request-Timeout-Ms", true)

#define X(id, name, once) HEADER_##id,
enum header { HEADER_LIST(X) HEADER_COUNT };
#undef X

struct request {
    const char *method, *path, *query; /* as sent; query is NULL without one */
    const char *header[HEADER_COUNT];  /* values, NULL when absent */
    struct route route;
    bool keep_alive;       /* the client's wish, read as civetweb reads it */
    bool expects_continue; /* waits for 100 before it sends the body */
    bool has_length;
    uint64_t content_length;
    uint64_t timeout_ms;                      /* X-Request-Timeout-Ms, 0 without one */
    unsigned attempt;                         /* X-Retry-Attempt */
    char id[REQUEST_ID_SIZE];                 /* "" when the client gave none that is usable */
    char traceparent[TRACEPARENT_LENGTH + 1]; /* "" likewise */
    char *body;                               /* body.h */
    size_t body_length;
};

/* Fill *request from the head. PROBLEM_NONE, or what is wrong with its framing and *detail: then
 * the connection must be closed, because nobody knows where the next request begins. Id,
 * traceparent and route are filled in any case. */
enum problem request_parse(const struct mg_request_info *info, struct request *request,
                           const char **detail);

/* What civetweb's parser swallowed without a trace, told from the bytes it left in its buffer: a
 * space before a colon, a line ended by LF alone, a line that is no header and ended the header
 * early. False: refuse. */
bool request_head_is_whole(const struct mg_request_info *info);

/* What does not endanger the framing: timeout, expectation, body length and type.
 * PROBLEM_NONE, or the problem and *detail. */
enum problem request_judge(struct request *request, const char **detail);

/* ---- parts, for their users and for tests ------------------------------------------------ */

struct page_query {
    unsigned limit;
    char before_id[UUID_TEXT_SIZE]; /* "" from the newest */
};

/* The query of the item list. NULL, or what is wrong with it. */
const char *request_page_query(const char *query, struct page_query *page);

/* A cursor is the id of the last item shown, without its dashes: opaque to clients. */
#define CURSOR_SIZE 33
void request_cursor(const char id[UUID_TEXT_SIZE], char out[CURSOR_SIZE]);

struct etag_list {
    bool any; /* "*" */
    unsigned count;
    struct {
        uint64_t version;
        bool weak;
    } tag[ETAGS_MAX]; /* only tags this server could have given; the others match nothing */
};

/* If-Match and If-None-Match (RFC 9110, section 13.1). False when malformed or too long. */
bool request_etags(const char *value, struct etag_list *list);
bool request_etag_in(const struct etag_list *list, uint64_t version, bool weak_comparison);

/* Idempotency-Key, bare or quoted, 1–255 visible ASCII characters. False when it is none. */
bool request_idempotency_key(const char *value, char out[IDEMPOTENCY_KEY_SIZE]);

#endif
