/* SPDX-License-Identifier: MIT */
/*
 * Writes the console's answers: status line, headers every answer carries, body; problems as
 * RFC 9457. It decides nothing about what is answered.
 */
#ifndef BULKHEAD_CONSOLE_REPLY_H
#define BULKHEAD_CONSOLE_REPLY_H

#include <civetweb.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/request_id.h"
#include "common/traceparent.h"

struct reply {
    struct mg_connection *connection;
    unsigned keepalive_s; /* what the client is told */
    bool head;            /* headers only */
    bool close;           /* this is the connection's last answer */
    const char *caching;  /* Cache-Control; NULL: no-store, as numbers of this moment want */
    char request_id[REQUEST_ID_SIZE];
    char traceparent[TRACEPARENT_LENGTH + 1]; /* "" none */
};

/* The client's own X-Request-Id when it is usable, else a new one; and its traceparent. */
void reply_begin(struct reply *reply, struct mg_connection *connection);

/* Send a whole answer; extra_headers are complete lines with CRLF, "" for none.
 * Returns the status, which is what civetweb's begin_request wants. */
int reply_send(const struct reply *reply, int status, const char *content_type,
               const char *extra_headers, const char *body, size_t length);

/* An answer of unknown length, sent as it is made (RFC 9112, section 7.1: chunked; to a client of
 * HTTP/1.0 its end is the connection's). Its memory is this, whatever its length. */
#define REPLY_STREAM_SIZE 8192
struct reply_stream {
    const struct reply *reply;
    bool chunked, failed; /* failed: the client is gone, nothing more is sent */
    size_t length;
    char buffer[REPLY_STREAM_SIZE];
};

/* Status 200 and headers; then any number of texts; then the end, which returns the status. */
void reply_stream_begin(struct reply_stream *stream, struct reply *reply, const char *content_type,
                        const char *extra_headers);
void reply_stream_put(struct reply_stream *stream, const char *text, size_t length);
int reply_stream_end(struct reply_stream *stream);

/* Send a problem: its type is /problems/<slug>. With 503 the client is told to come back after a
 * second; the header is the caller's. Returns the status. */
int reply_problem(const struct reply *reply, int status, const char *slug, const char *detail,
                  const char *extra_headers);

#endif
