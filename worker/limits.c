/* SPDX-License-Identifier: MIT */
#include "worker/limits.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/client_address.h"
#include "common/clock.h"
#include "common/gcra.h"
#include "common/retry_budget.h"
#include "common/siphash.h"

#define US_PER_MINUTE       (60 * US_PER_S)
#define FAILURES_TIMES      10 /* from anywhere for one name, where one address has 1 */
#define FORWARDED_LINES_MAX 16

struct limits {
    struct gcra_table *table;
    const uint64_t *secret;
    bool on[RATE_POLICY_COUNT];
    struct gcra_limit limit[RATE_POLICY_COUNT];
    struct trusted_proxies proxies;
    bool budget_on;
    pthread_mutex_t budget_lock;
    struct retry_budget budget;
};

static void set_limit(struct limits *limits, enum rate_policy policy, uint64_t events,
                      uint64_t period_us, uint64_t burst)
{
    limits->on[policy] = events > 0;
    if (events > 0)
        limits->limit[policy] = gcra_limit_of(events, period_us, burst);
}

struct limits *limits_start(struct child *child)
{
    const struct config *config = &child->config;
    struct limits *limits = calloc(1, sizeof *limits);
    char error[256];
    if (!limits)
        return NULL;
    limits->table = &child->region->buckets.table;
    limits->secret = child->region->header.hash_secret;
    set_limit(limits, RATE_POLICY_LOGIN, config->ratelimit_login, US_PER_MINUTE,
              config->ratelimit_login_burst);
    set_limit(limits, RATE_POLICY_LOGIN_FAILURES, config->ratelimit_login * FAILURES_TIMES,
              US_PER_MINUTE, config->ratelimit_login_burst * FAILURES_TIMES);
    set_limit(limits, RATE_POLICY_READ, config->ratelimit_read, US_PER_S,
              config->ratelimit_read_burst);
    set_limit(limits, RATE_POLICY_WRITE, config->ratelimit_write, US_PER_S,
              config->ratelimit_write_burst);
    /* The supervisor checked it; what could not be read is believed by nobody. */
    trusted_proxies_parse(config->trusted_proxies, &limits->proxies, error, sizeof error);
    limits->budget_on = config->overload_shed == OVERLOAD_SHED_ON;
    pthread_mutex_init(&limits->budget_lock, NULL);
    return limits;
}

/* ---- keys -------------------------------------------------------------------------------- */

/* The policy is part of the key: no two policies share a bucket. */
static uint64_t key_of(const struct limits *limits, enum rate_policy policy, const void *data,
                       size_t length)
{
    uint64_t parts[2] = {policy, siphash24(limits->secret, data, length)};
    return siphash24(limits->secret, parts, sizeof parts);
}

static struct client_address client_of(const struct exchange *exchange)
{
    const struct mg_request_info *info = mg_get_request_info(exchange->connection);
    const char *lines[FORWARDED_LINES_MAX];
    unsigned count = 0, first = FORWARDED_LINES_MAX;
    /* From the last to the first: the nearest proxy's word is at the end. */
    for (int i = info->num_headers; i-- > 0 && first > 0;)
        if (strcasecmp(info->http_headers[i].name, "X-Forwarded-For") == 0) {
            lines[--first] = info->http_headers[i].value;
            count++;
        }
    return client_address(&exchange->services->limits->proxies, &exchange->peer.address,
                          lines + first, count);
}

static uint64_t login_key(const struct exchange *exchange, const char *name, size_t length)
{
    const struct limits *limits = exchange->services->limits;
    struct client_address client = client_of(exchange);
    struct {
        uint64_t name;
        unsigned char address[16];
    } both = {.name = siphash24(limits->secret, name, length)};
    memcpy(both.address, client.bytes, client_address_length(&client));
    return key_of(limits, RATE_POLICY_LOGIN, &both, sizeof both);
}

/* ---- decisions --------------------------------------------------------------------------- */

static uint64_t whole_seconds(uint64_t us)
{
    return (us + US_PER_S - 1) / US_PER_S;
}

/* Count the decision, note it for the headers, refuse if it says so. */
static bool heed(struct exchange *exchange, enum rate_policy policy, struct gcra_decision decision,
                 const char *detail)
{
    static const enum rate_result results[] = {[GCRA_ALLOWED] = RATE_ALLOWED,
                                               [GCRA_LIMITED] = RATE_LIMITED,
                                               [GCRA_PASSED_FULL] = RATE_PASSED_FULL};
    const struct gcra_limit *limit = &exchange->services->limits->limit[policy];
    counter_increment(
        &exchange_metrics(exchange)->ratelimit_decisions[policy][results[decision.result]]);
    if (decision.result == GCRA_PASSED_FULL)
        return true;
    exchange->rate =
        (struct rate_note){.policy = policy,
                           .quota = limit->burst,
                           .window_s = whole_seconds(limit->interval_us * limit->burst),
                           .remaining = decision.remaining,
                           .whole_s = whole_seconds(decision.whole_us)};
    exchange->response.rate = &exchange->rate;
    if (decision.result == GCRA_ALLOWED)
        return true;
    exchange->compartment_full = true; /* so many lines are enough in the log */
    exchange->retry_floor_ms = (unsigned)((decision.wait_us + US_PER_MS - 1) / US_PER_MS);
    response_problem(exchange, PROBLEM_RATE_LIMITED, detail);
    return false;
}

bool limits_take_request(struct exchange *exchange)
{
    struct limits *limits = exchange->services->limits;
    bool writes = endpoint_class(exchange->request.route.endpoint) == CLASS_WRITE;
    enum rate_policy policy = writes ? RATE_POLICY_WRITE : RATE_POLICY_READ;
    if (!limits->on[policy])
        return true;
    uint64_t key = key_of(limits, policy, &exchange->user.user_id, sizeof exchange->user.user_id);
    return heed(exchange, policy,
                gcra_charge(limits->table, &limits->limit[policy], key, clock_now_ns() / NS_PER_US),
                writes ? "This user writes too often; nothing was changed."
                       : "This user reads too often.");
}

bool limits_take_login(struct exchange *exchange, const char *name, size_t length)
{
    struct limits *limits = exchange->services->limits;
    uint64_t now_us = clock_now_ns() / NS_PER_US;
    if (!limits->on[RATE_POLICY_LOGIN])
        return true;
    uint64_t failures = key_of(limits, RATE_POLICY_LOGIN_FAILURES, name, length);
    if (!heed(
            exchange, RATE_POLICY_LOGIN_FAILURES,
            gcra_look(limits->table, &limits->limit[RATE_POLICY_LOGIN_FAILURES], failures, now_us),
            "Too many logins by this name have failed."))
        return false;
    return heed(exchange, RATE_POLICY_LOGIN,
                gcra_charge(limits->table, &limits->limit[RATE_POLICY_LOGIN],
                            login_key(exchange, name, length), now_us),
                "Too many logins by this name from this address.");
}

void limits_login_failed(struct exchange *exchange, const char *name, size_t length)
{
    struct limits *limits = exchange->services->limits;
    if (!limits->on[RATE_POLICY_LOGIN_FAILURES])
        return;
    uint64_t key = key_of(limits, RATE_POLICY_LOGIN_FAILURES, name, length);
    gcra_charge(limits->table, &limits->limit[RATE_POLICY_LOGIN_FAILURES], key,
                clock_now_ns() / NS_PER_US);
}

/* ---- the retry budget -------------------------------------------------------------------- */

bool limits_take_attempt(struct exchange *exchange)
{
    struct limits *limits = exchange->services->limits;
    enum request_class class = endpoint_class(exchange->request.route.endpoint);
    if (!limits->budget_on || (class != CLASS_AUTH && class != CLASS_READ && class != CLASS_WRITE))
        return true;
    pthread_mutex_lock(&limits->budget_lock);
    bool taken = retry_budget_take(&limits->budget, exchange->request.attempt > 0, clock_now_ns());
    pthread_mutex_unlock(&limits->budget_lock);
    if (taken)
        return true;
    counter_increment(&exchange_metrics(exchange)->refused[class][REFUSAL_RETRY_BUDGET]);
    exchange->compartment_full = true;
    /* A 503 is spread over two seconds from 1 s on; these over four from 2 s on. */
    exchange->retry_floor_ms = 1000 + (exchange_random(exchange) & 1 ? 2000 : 0);
    response_problem(exchange, PROBLEM_RETRY_BUDGET,
                     "Too many of the requests here are retries; nothing was changed.");
    return false;
}
