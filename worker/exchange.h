/* SPDX-License-Identifier: MIT */
/*
 * One request and its response, from begin_request to end_request. There is one for each request
 * thread, used again and again, so that a request costs no allocation of ours.
 */
#ifndef BULKHEAD_EXCHANGE_H
#define BULKHEAD_EXCHANGE_H

#include <civetweb.h>
#include <pthread.h>

#include "common/child.h"
#include "common/http/front_door.h"
#include "worker/rate_note.h"
#include "worker/request.h"
#include "worker/response.h"
#include "worker/store.h"
#include "worker/token.h"

struct hasher;
struct limits;

/* What all handlers of a worker share. */
struct services {
    struct child *child;
    const struct key_file *keys;
    struct token_cache *tokens;
    struct hasher *hasher;
    struct limits *limits;
};

struct exchange {
    const struct services *services;
    struct mg_connection *connection;
    struct front_door_peer peer;
    uint64_t wall_us;     /* when it began: log, Date, tokens */
    uint64_t deadline_ns; /* monotonic */
    struct request request;
    struct response response;
    struct identity user;   /* of the token or the login; name "" when nobody is known */
    struct rate_note rate;  /* what the response says of the limit that was asked */
    struct store_cost cost; /* of all calls of the store together */
    bool body_pending;      /* some of the request's body is not read */
    bool db_refused;        /* the database's state is why it failed */
    bool compartment_full;
    bool on_trial;           /* the one request of a route's trial */
    uint32_t trial;          /* its number, or that of one this request may take; 0 none */
    unsigned retry_floor_ms; /* no use in coming back before */
    const char *reason;      /* for the log: the problem's slug, or NULL */
    uint64_t random;         /* state of the generator for request ids and jitter */

    /* A body that comes too slowly is cut by the main thread (body.c). */
    pthread_mutex_t body_lock;
    int body_fd; /* -1 when no body is being read */
    uint64_t body_limit_ns;
};

/* Not for secrets: ids of requests, spreading of retries. */
static inline uint64_t exchange_random(struct exchange *exchange)
{
    /* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
    uint64_t z = (exchange->random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline struct slot_metrics *exchange_metrics(const struct exchange *exchange)
{
    return &exchange->services->child->slot->metrics;
}

#endif
