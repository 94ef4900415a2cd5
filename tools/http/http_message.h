/* SPDX-License-Identifier: MIT */
/*
 * An incremental parser of HTTP/1.1 responses (RFC 9112). Pure: bytes in, a response out; it may be
 * fed in pieces of any size. It owns the body's memory and keeps it between responses.
 *
 * Understood: Content-Length, chunked, bodies that end with the connection, interim responses (1xx,
 * skipped), Connection, Keep-Alive: timeout. Everything that could be read in two ways is an error:
 * two different lengths, a length beside chunked, folded headers.
 * Requests with HEAD are not made by this program, so a response's framing needs no request.
 */
#ifndef BULKHEAD_TOOLS_HTTP_MESSAGE_H
#define BULKHEAD_TOOLS_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_LIMIT 600 /* statuses are below */

#define HTTP_LINE_LIMIT 4096         /* bytes in a status line, header or chunk size */
#define HTTP_HEAD_LIMIT (64u * 1024) /* bytes in all of those of one response */
#define HTTP_BODY_LIMIT (8u << 20)   /* bytes of a body: a page of items is 256 KiB unescaped */

enum http_phase {
    HTTP_STATUS_LINE,
    HTTP_HEADERS,
    HTTP_BODY,             /* `remaining` bytes are to come */
    HTTP_BODY_UNTIL_CLOSE, /* no length: the connection's end is the body's */
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_DATA, /* `remaining` bytes of this chunk are to come */
    HTTP_CHUNK_END,  /* the line end after a chunk */
    HTTP_TRAILERS,
    HTTP_COMPLETE,
};

struct http_response {
    enum http_phase phase;
    int status;
    bool keep_alive;          /* the connection may carry another request */
    int keep_alive_timeout_s; /* as advertised, -1 when it was not */
    char *body;
    size_t body_length;
    size_t body_limit; /* the caller's, kept by a reset; 0: HTTP_BODY_LIMIT */

    /* the parser's own */
    bool chunked;
    bool has_length;
    uint64_t remaining;
    size_t body_capacity;
    size_t head_bytes;
    size_t line_length;
    char line[HTTP_LINE_LIMIT];
};

/* Make ready for a response; memory is kept. A struct of zeros is a valid start. */
void http_response_reset(struct http_response *response);

/* Take bytes; *used says how many belonged to this response (fewer than length only when it is
 * complete). 0, -EPROTO (not HTTP), -EMSGSIZE (over a limit) or -ENOMEM. */
int http_response_feed(struct http_response *response, const char *data, size_t length,
                       size_t *used);

/* The connection ended. 0 when that completes the response, else -EPIPE. */
int http_response_end(struct http_response *response);

/* Release the body's memory. */
void http_response_free(struct http_response *response);

#endif
