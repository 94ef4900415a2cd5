/* SPDX-License-Identifier: MIT */
/*
 * A response: collected in the exchange's buffer, head and body leave in one write. It owns the
 * buffer, the order of the headers and the form of problems (RFC 9457). It does not decide.
 */
#ifndef BULKHEAD_RESPONSE_H
#define BULKHEAD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/problem.h"

struct exchange;

struct response {
    unsigned status; /* 0: nothing was decided yet */
    bool close;      /* the connection ends with this response */
    bool cut;        /* only half of the body is sent, and the connection ends there (a fault) */
    bool replayed;
    size_t body_length;
    const char *content_type; /* NULL: there is no content */
    const char *cache_control;
    const char *allow;
    const char *authenticate;
    uint64_t etag_version; /* 0: no ETag */
    unsigned retry_after_ms;
    const struct rate_note *rate; /* of limits.h; NULL: no limit was asked */
    char location[80];            /* "" none */
    char *buffer; /* room for the head, then the body; kept from request to request */
    size_t buffer_size;
    uint64_t date_s; /* of `date` */
    char date[32];
};

/* Forget the response before; the buffer stays. */
void response_begin(struct response *response);

/* Room for a body of up to `size` bytes. NULL when there is no memory. */
char *response_room(struct response *response, size_t size);

/* A JSON body that lies in the room already, or somewhere else (then it is copied). */
void response_json(struct exchange *exchange, unsigned status, size_t length);
void response_json_copy(struct exchange *exchange, unsigned status, const char *json,
                        size_t length);

/* A status without content. */
void response_empty(struct exchange *exchange, unsigned status);

/* A problem; detail is a sentence, or NULL. */
void response_problem(struct exchange *exchange, enum problem problem, const char *detail);

/* Which fields of a body are wrong and how: a 422 with the list. */
#define FIELD_ERRORS_MAX 8
struct field_errors {
    unsigned count;
    struct {
        char field[64]; /* as the client wrote it, cut where it is longer; "" the whole body */
        const char *problem;
    } list[FIELD_ERRORS_MAX]; /* later ones are left out */
};
void field_error(struct field_errors *errors, const char *field, const char *problem);
void response_invalid_fields(struct exchange *exchange, const struct field_errors *errors);

/* The body as it will be sent; body_length bytes, NULL when there is none. */
char *response_body(const struct response *response);

/* Send it. Decides keep-alive first. */
void response_send(struct exchange *exchange);

const char *problem_slug(enum problem problem);

#endif
