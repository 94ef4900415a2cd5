/* SPDX-License-Identifier: MIT */
/*
 * Where a request ends: the little of HTTP/1.1 the door must know before a thread may have the
 * request. Pure. It judges nothing: what it cannot frame is opaque, goes to a thread as it is, and
 * that connection serves nothing after it.
 *
 * The end of a header is found exactly as civetweb finds it (get_http_header_len), so that both
 * always mean the same bytes.
 */
#ifndef BULKHEAD_FRAMING_H
#define BULKHEAD_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing {
    FRAMING_INCOMPLETE, /* the header has not ended yet */
    FRAMING_EXACT,      /* the request's length is known */
    FRAMING_OPAQUE,     /* Transfer-Encoding, a doubtful Content-Length, bytes that are not HTTP */
};

struct frame {
    uint32_t header_length; /* with its empty line */
    uint64_t content_length;
    bool expects;        /* Expect: the body comes only after an answer */
    bool health;         /* target of the kind that reserved threads serve */
    uint32_t attempt;    /* X-Retry-Attempt, 0 when absent or none */
    uint32_t timeout_ms; /* X-Request-Timeout-Ms, 0 when absent or none */
    bool no_path; /* target in absolute or asterisk form, which civetweb drops without a word */
};

/* Look at the bytes received so far. *scanned: how many of them earlier calls saw, 0 at first. */
enum framing frame_request(const char *bytes, size_t length, uint32_t *scanned,
                           struct frame *frame);

/* The value of the first field of this name (lower case) in a header of `length` bytes, without the
 * white space around it; NULL when there is none. */
const char *frame_field(const char *bytes, size_t length, const char *name, size_t *value_length);

#endif
