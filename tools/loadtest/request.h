/* SPDX-License-Identifier: MIT */
/*
 * One request: what is asked, for whom, and how far it is. A request has one attempt or several;
 * an attempt is one exchange on a connection. This module writes an attempt's bytes; it sends
 * nothing.
 */
#ifndef BULKHEAD_LOADTEST_REQUEST_H
#define BULKHEAD_LOADTEST_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/http/target.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/outcome.h"
#include "tools/loadtest/plan.h"
#include "tools/loadtest/retry.h"

enum request_kind {
    REQUEST_READ,   /* GET of the item of a ledger entry */
    REQUEST_CREATE, /* POST of a ledger entry */
    REQUEST_LIST,   /* GET of the newest 20 */
    REQUEST_LOGIN,
    REQUEST_HEALTH, /* GET /health */
    REQUEST_GET,    /* GET of `path`, whoever answers */
    REQUEST_WALK,   /* the audit: a page of the list, from a cursor */
    REQUEST_VERIFY, /* the audit: GET of the item of a ledger entry */
};

#define REQUEST_CURSOR_SIZE 512
#define REQUEST_BYTES       (16u * 1024) /* room for any request written here */
#define TOKEN_LIMIT         4096         /* bytes of a token */

struct account {
    char *name;
    char *password;
    char *token;          /* "" before the first login; owned */
    uint64_t obtained_ns; /* when the token came */
    uint64_t renew_at_ns; /* when it wants renewal */
    bool login_under_way;
    bool login_failed; /* the last login ended without a token */
    struct outcome login_outcome;
};

struct request;
struct http_response;

/* The request is over; it is released after the call. response is NULL without an answer. */
typedef void request_done(void *context, struct request *request, const struct outcome *outcome,
                          const struct http_response *response);

struct request {
    struct request *next; /* in a queue */
    enum request_kind kind;
    bool measured;             /* counts in the run's statistics, and may be dropped when late */
    bool probe;                /* measured, but apart from the load and on connections of its own */
    unsigned phase;            /* of the plan */
    uint64_t number;           /* of the request, unique in this process */
    unsigned attempt;          /* 0 for the first */
    unsigned user;             /* index of the account */
    uint32_t entry;            /* of the ledger: READ, CREATE, VERIFY */
    uint64_t intended_ns;      /* latency counts from here */
    uint64_t due_ns;           /* of this attempt */
    uint64_t queued_ns;        /* when this attempt began to wait for a connection */
    uint64_t attempt_start_ns; /* when it was given to a connection */
    uint64_t give_up_ns;       /* unmeasured requests: the end of patience */
    const char *path;          /* GET: with its slash */
    const char *cursor;        /* WALK: "" for the first page */
    unsigned limit;            /* LIST, WALK: items a page */
    request_done *done;
    void *context;
};

/* The kind of load this is; LOAD_READ for what is no load. */
enum load_kind request_load_kind(const struct request *request);

/* Write the bytes of the request's attempt. `run` is a short name of this run for X-Request-Id.
 * Returns their number, 0 when they do not fit in REQUEST_BYTES (a password beyond all measure). */
size_t request_write(char out[REQUEST_BYTES], const struct request *request,
                     const struct target *target, const struct account *account,
                     const struct ledger_entry *entry, const char *run);

#endif
