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

#define REQUEST_ID_SIZE 65

struct reply {
    struct mg_connection *connection;
    unsigned keepalive_s; /* what the client is told */
    bool head;            /* headers only */
    bool close;           /* this is the connection's last answer */
    const char *caching;  /* Cache-Control; NULL: no-store, as numbers of this moment want */
    char request_id[REQUEST_ID_SIZE];
};

/* The client's own X-Request-Id when it is 1-64 of [A-Za-z0-9._-], else a new one. */
void reply_begin(struct reply *reply, struct mg_connection *connection);

/* Send a whole answer; extra_headers are complete lines with CRLF, "" for none.
 * Returns the status, which is what civetweb's begin_request wants. */
int reply_send(const struct reply *reply, int status, const char *content_type,
               const char *extra_headers, const char *body, size_t length);

/* Send a problem: its type is /problems/<slug>. Returns the status. */
int reply_problem(const struct reply *reply, int status, const char *slug, const char *detail,
                  const char *extra_headers);

#endif
