/* SPDX-License-Identifier: MIT */
/*
 * The event loop: carries requests through their attempts to an end. It owns the requests, the
 * queue for connections, the waits between attempts, and the signals (Ctrl-C and SIGTERM are
 * counted, nothing else). What is asked next is the caller's business, who is told by `done`.
 *
 * Kinds of requests. Measured ones are the load: they count in the statistics, follow the
 * policy on trial, and an open loop drops them when no connection gets free in the 100 ms that
 * they wait for one (a pause of this program's own before that drops nothing: it shows as lag, and
 * in the latency).
 * A probe is measured apart from the load, on connections of its own, and never tried again.
 * The others (logins, preparation, audit) are patient: they are tried again until give_up_ns.
 *
 * A request is submitted, never sent, from within `done`: the loop sends.
 */
#ifndef BULKHEAD_LOADTEST_ENGINE_H
#define BULKHEAD_LOADTEST_ENGINE_H

#include "common/clock.h"
#include "tools/http/target.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/request.h"
#include "tools/loadtest/retry.h"
#include "tools/loadtest/statistics.h"

#define DROP_AFTER_NS     (100 * NS_PER_MS)
#define PROBE_CONNECTIONS 64u /* beside those of the load */

struct engine_settings {
    const struct target *target;
    struct account *accounts;
    struct ledger *ledger;
    struct statistics *statistics;
    struct retry_policy policy; /* of measured requests */
    bool drop_late;             /* measured requests that wait too long; not in a closed loop */
    unsigned connections;
    uint64_t timeout_ns; /* of an attempt */
    uint64_t seed;       /* of the jitter */
};

struct engine;

/* Blocks SIGINT and SIGTERM: from here on they are counted. Ends the process when the system has no
 * descriptors for it. */
struct engine *engine_open(const struct engine_settings *settings);
void engine_close(struct engine *engine);

/* A new request of this kind, to be filled in and submitted. */
struct request *engine_request(struct engine *engine, enum request_kind kind, request_done *done,
                               void *context);

/* Take a request for its first attempt at due_ns; the past means at once. */
void engine_submit(struct engine *engine, struct request *request);

/* Sleep until wake_ns or an earlier event, then do what is due. */
void engine_step(struct engine *engine, uint64_t wake_ns);

/* Send what waits for a connection, as far as there are any. */
void engine_dispatch(struct engine *engine);

/* Call tick once a second from first_ns on, before the events of that second's end are handled. */
typedef void engine_tick(void *context, uint64_t now_ns);
void engine_on_tick(struct engine *engine, uint64_t first_ns, engine_tick *tick, void *context);

/* How often Ctrl-C or SIGTERM came. After the first, measured requests are not tried again. */
unsigned engine_interrupts(const struct engine *engine);

/* Count what came while nobody was in engine_step. */
void engine_count_signals(struct engine *engine);

/* Connections opened so far, those of probes left out. */
uint64_t engine_connections_opened(const struct engine *engine);

const struct engine_settings *engine_settings(const struct engine *engine);

#endif
