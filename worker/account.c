/* SPDX-License-Identifier: MIT */
#include "worker/account.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"

/* In an outage every request fails in the same way: so many lines a second say enough. */
#define DATABASE_LINES_PER_S    100
#define COMPARTMENT_LINES_PER_S 1

/* Lines of one kind in the current second. Two threads at the turn of a second may both reset the
 * count, so a few lines more can slip through. */
struct line_limit {
    _Atomic uint64_t second, lines, suppressed;
};

static bool may_write(struct line_limit *limit, uint64_t second, uint64_t most,
                      uint64_t *suppressed)
{
    if (atomic_exchange(&limit->second, second) != second)
        atomic_store(&limit->lines, 0);
    if (atomic_fetch_add(&limit->lines, 1) >= most) {
        atomic_fetch_add(&limit->suppressed, 1);
        return false;
    }
    *suppressed = atomic_exchange(&limit->suppressed, 0);
    return true;
}

static bool failed_for_database(const struct exchange *exchange)
{
    enum request_class class = endpoint_class(exchange->request.route.endpoint);
    if (exchange->db_refused)
        return true;
    /* Whatever a data request failed of while the database was down, that is why. */
    return exchange->response.status >= 500 &&
           (class == CLASS_READ || class == CLASS_WRITE || class == CLASS_AUTH) &&
           !atomic_load_explicit(&exchange->services->child->region->board.words.db_readable,
                                 memory_order_relaxed);
}

/* Whether this request gets a line, and how many before it got none. */
static bool wants_line(const struct exchange *exchange, uint64_t *suppressed)
{
    static struct line_limit database, compartment;
    const struct config *config = &exchange->services->child->config;
    uint64_t second = exchange->wall_us / US_PER_S;
    bool is_error = exchange->response.status >= 500;
    if (config->log_requests == LOG_REQUESTS_NONE ||
        (config->log_requests == LOG_REQUESTS_ERRORS && !is_error) ||
        !log_wants(is_error ? LOG_WARNING : LOG_INFO))
        return false;
    if (exchange->db_refused)
        return may_write(&database, second, DATABASE_LINES_PER_S, suppressed);
    if (exchange->compartment_full)
        return may_write(&compartment, second, COMPARTMENT_LINES_PER_S, suppressed);
    return true;
}

/* `GET /health 200`, without printf: every request has one. A method can be any word. */
static void set_message(char message[96], const char *method, const char *route, unsigned status)
{
    size_t method_length = strnlen(method, 16), route_length = strnlen(route, 64);
    char *at = message;
    memcpy(at, method, method_length);
    at += method_length;
    *at++ = ' ';
    memcpy(at, route, route_length);
    at += route_length;
    *at++ = ' ';
    *at++ = (char)('0' + status / 100 % 10);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at = '\0';
}

static void write_line(const struct exchange *exchange, uint64_t duration_us, uint64_t queue_us)
{
    const struct request *request = &exchange->request;
    unsigned status = exchange->response.status;
    const char *method = request->method ? request->method : "?";
    const char *route = endpoint_route(request->route.endpoint);
    uint64_t suppressed = 0;
    if (!wants_line(exchange, &suppressed))
        return;
    struct log_field fields[14] = {
        log_text("request_id", request->id),
        log_text("method", method),
        log_text("route", route),
        log_number("status", status),
        log_number("duration_us", (int64_t)duration_us),
        log_number("queue_us", (int64_t)(queue_us + exchange->cost.queue_us)),
        log_number("db_us", (int64_t)exchange->cost.db_us),
    };
    size_t n = 7;
    if (exchange->user.name[0])
        fields[n++] = log_text("user", exchange->user.name);
    if (request->attempt > 0)
        fields[n++] = log_number("attempt", request->attempt);
    if (exchange->reason)
        fields[n++] = log_text("reason", exchange->reason);
    if (request->traceparent[0])
        fields[n++] = log_text("traceparent", request->traceparent);
    if (failed_for_database(exchange))
        fields[n++] = log_flag("db_unavailable", true);
    if (suppressed > 0)
        fields[n++] = log_number("suppressed", (int64_t)suppressed);
    char message[96];
    set_message(message, method, route, status);
    log_event_text(status >= 500 ? LOG_WARNING : LOG_INFO, "request", fields, message);
}

void account_request(const struct exchange *exchange, uint64_t end_ns)
{
    const struct front_door_peer *peer = &exchange->peer;
    struct slot_metrics *numbers = exchange_metrics(exchange);
    enum endpoint endpoint = exchange->request.route.endpoint;
    enum request_class class = endpoint_class(endpoint);
    unsigned attempt = exchange->request.attempt;
    if (peer->address.ss_family == AF_UNSPEC)
        return;
    uint64_t duration_us = (end_ns - peer->first_byte_ns) / NS_PER_US;
    uint64_t queue_us = (peer->admitted_ns - peer->first_byte_ns) / NS_PER_US;
    /* How long a client took to send, or to give up, says nothing of the service: else a few slow
     * ones would make it look slow to everybody. */
    if (exchange->response.status != 408 && exchange->response.status != 499)
        histogram_record(&numbers->http_request_duration[class], duration_us);
    histogram_record(&numbers->http_queue[class], queue_us);
    counter_increment(&numbers->http_attempts[attempt < ATTEMPT_MORE ? attempt : ATTEMPT_MORE][0]);
    write_line(exchange, duration_us, queue_us);
    /* Last, right before the request leaves the supervisor's sight (worker/server.c): killed before
     * this it is a lost request although its client may have the answer, after it an answered one.
     * So of all requests read, those counted here are short by at most requests_lost_total. */
    counter_increment(&numbers->http_requests[endpoint][status_index(exchange->response.status)]);
}
