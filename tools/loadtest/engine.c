/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/engine.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/check.h"
#include "common/exit_codes.h"
#include "tools/loadtest/connection.h"
#include "tools/loadtest/judge.h"
#include "tools/loadtest/memory.h"
#include "tools/loadtest/timers.h"

/* Few events at a time: an arrival that falls due waits for the rest of the batch. */
#define EVENTS_AT_ONCE 32
#define BLOCK_REQUESTS 256
/* A 401 renews a token, but not again and again when that does not help. */
#define TOKEN_TRUST_NS (5 * NS_PER_S)

struct block {
    struct block *next;
    struct request requests[BLOCK_REQUESTS];
};

/* Connections, and the requests that wait for one, first come first served. Probes have a lane of
 * their own: what they measure must not be the load's use of its connections. */
struct lane {
    struct connections *pool;
    struct request *waiting, **waiting_end;
};

enum lane_name { LANE_LOAD, LANE_PROBE, LANE_COUNT };

struct engine {
    struct engine_settings settings;
    int epoll_fd, timer_fd, signal_fd;
    struct lane lanes[LANE_COUNT];
    struct timers later; /* requests that are due at a time */
    struct block *blocks;
    struct request *spare;
    uint64_t armed_ns; /* what the timer is set to */
    uint64_t tick_ns;
    engine_tick *tick;
    void *tick_context;
    unsigned interrupts;
    uint64_t random;
    uint64_t numbers; /* of requests */
    char run[16];     /* prefix of X-Request-Id */
    char scratch[REQUEST_BYTES];
};

static exchange_ended attempt_ended;

static void watch(struct engine *engine, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = NULL};
    if (fd < 0 || epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        err(EXIT_TEMPORARY, "event loop");
}

static void open_lane(struct engine *engine, enum lane_name name, unsigned limit)
{
    struct lane *lane = &engine->lanes[name];
    lane->waiting_end = &lane->waiting;
    lane->pool = connections_open(&(struct connections_settings){
        .target = engine->settings.target,
        .epoll_fd = engine->epoll_fd,
        .limit = limit,
        .timeout_ns = engine->settings.timeout_ns,
        .ended = attempt_ended,
        .context = engine,
    });
}

struct engine *engine_open(const struct engine_settings *settings)
{
    struct engine *engine = memory_zeroed(1, sizeof *engine);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    engine->settings = *settings;
    engine->random = settings->seed;
    engine->tick_ns = UINT64_MAX;
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    engine->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    engine->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    watch(engine, engine->timer_fd, EPOLLIN | EPOLLET);
    watch(engine, engine->signal_fd, EPOLLIN);
    open_lane(engine, LANE_LOAD, settings->connections);
    open_lane(engine, LANE_PROBE, PROBE_CONNECTIONS);
    snprintf(engine->run, sizeof engine->run, "lt-%08x", (unsigned)(clock_wall_us() & 0xFFFFFFFF));
    return engine;
}

void engine_close(struct engine *engine)
{
    for (int i = 0; i < LANE_COUNT; i++)
        connections_close(engine->lanes[i].pool);
    timers_free(&engine->later);
    while (engine->blocks) {
        struct block *block = engine->blocks;
        engine->blocks = block->next;
        free(block);
    }
    close(engine->signal_fd);
    close(engine->timer_fd);
    close(engine->epoll_fd);
    free(engine);
}

struct request *engine_request(struct engine *engine, enum request_kind kind, request_done *done,
                               void *context)
{
    if (!engine->spare) {
        struct block *block = memory_zeroed(1, sizeof *block);
        block->next = engine->blocks;
        engine->blocks = block;
        for (int i = 0; i < BLOCK_REQUESTS; i++) {
            block->requests[i].next = engine->spare;
            engine->spare = &block->requests[i];
        }
    }
    struct request *request = engine->spare;
    engine->spare = request->next;
    *request = (struct request){
        .kind = kind, .number = engine->numbers++, .done = done, .context = context};
    return request;
}

static void enqueue(struct engine *engine, struct request *request, uint64_t now_ns)
{
    struct lane *lane = &engine->lanes[request->probe ? LANE_PROBE : LANE_LOAD];
    request->queued_ns = now_ns;
    request->next = NULL;
    *lane->waiting_end = request;
    lane->waiting_end = &request->next;
}

void engine_submit(struct engine *engine, struct request *request)
{
    uint64_t now_ns = clock_now_ns();
    if (request->due_ns > now_ns)
        timers_add(&engine->later, request->due_ns, request);
    else
        enqueue(engine, request, now_ns);
}

static void request_over(struct engine *engine, struct request *request,
                         const struct outcome *outcome, const struct http_response *response,
                         uint64_t now_ns)
{
    struct statistics *statistics = engine->settings.statistics;
    enum load_kind kind = request_load_kind(request);
    if (request->probe)
        statistics_probe(statistics, kind, outcome, now_ns - request->intended_ns);
    else if (request->measured && outcome->cause == CAUSE_NONE)
        statistics_request_ok(statistics, kind, now_ns - request->intended_ns);
    else if (request->measured)
        statistics_request_failed(statistics, kind, outcome);
    request->done(request->context, request, outcome, response);
    request->next = engine->spare;
    engine->spare = request;
}

/* A patient request is given up at once when the answer will not change. */
static bool is_final(const struct request *request, const struct outcome *outcome)
{
    if (outcome->cause == CAUSE_WRONG)
        return request->kind != REQUEST_WALK;
    if (outcome->cause != CAUSE_HTTP || outcome->status / 100 != 4)
        return false;
    if (outcome->status == 401)
        return request->kind == REQUEST_LOGIN; /* others wait for a fresh token */
    return outcome->status != 408 && outcome->status != 429;
}

static bool try_again(struct engine *engine, const struct request *request,
                      const struct outcome *outcome, uint64_t now_ns, uint64_t *wait_ns)
{
    uint64_t random = random_next(&engine->random);
    if (request->probe)
        return false;
    if (request->measured)
        return engine->interrupts == 0 &&
               retry_decide(&engine->settings.policy, outcome, request->attempt, random, wait_ns);
    *wait_ns = retry_wait_ns(RETRY_FULL_JITTER, request->attempt, random);
    return !is_final(request, outcome) && now_ns + *wait_ns < request->give_up_ns;
}

static void attempt_failed(struct engine *engine, struct request *request,
                           const struct outcome *outcome, const struct exchange_end *end,
                           uint64_t now_ns)
{
    const struct http_response *response = end ? end->response : NULL;
    struct account *account = &engine->settings.accounts[request->user];
    uint64_t wait_ns;
    if (request->measured && !request->probe)
        statistics_attempt_failed(engine->settings.statistics, outcome,
                                  end ? now_ns - request->attempt_start_ns : 0);
    if (request->kind == REQUEST_CREATE && judge_uncertain(outcome, end && end->sent, response))
        ledger_uncertain(engine->settings.ledger, request->entry);
    bool renews = account->renew_at_ns != UINT64_MAX; /* nobody's account has no password to send */
    if (outcome->status == 401 && renews && now_ns > account->obtained_ns + TOKEN_TRUST_NS)
        account->renew_at_ns = now_ns;
    if (try_again(engine, request, outcome, now_ns, &wait_ns)) {
        request->attempt += 1;
        request->due_ns = now_ns + wait_ns;
        engine_submit(engine, request);
    } else {
        request_over(engine, request, outcome, response, now_ns);
    }
}

/* The pool's report: an answer came, or will not. */
static void attempt_ended(void *context, const struct exchange_end *end)
{
    struct engine *engine = context;
    struct request *request = end->owner;
    uint64_t now_ns = clock_now_ns();
    struct outcome outcome = {.cause = end->cause};
    if (end->response)
        outcome = judge_answer(request, end->response, engine->settings.ledger);
    if (outcome.cause == CAUSE_NONE)
        request_over(engine, request, &outcome, end->response, now_ns);
    else
        attempt_failed(engine, request, &outcome, end, now_ns);
}

/* Until when the request's attempt waits for a connection. From when it began to wait, not from
 * when it was due: between the two lies a pause of this program, which is no fault of the server's.
 */
static uint64_t latest_ns(const struct engine *engine, const struct request *request)
{
    return request->measured && engine->settings.drop_late ? request->queued_ns + DROP_AFTER_NS
                                                           : UINT64_MAX;
}

static void start_attempt(struct engine *engine, struct lane *lane, struct request *request,
                          uint64_t now_ns)
{
    const struct engine_settings *settings = &engine->settings;
    const struct ledger_entry *entry = NULL;
    if (request->kind == REQUEST_READ || request->kind == REQUEST_CREATE ||
        request->kind == REQUEST_VERIFY)
        entry = ledger_entry(settings->ledger, request->entry);
    size_t length = request_write(engine->scratch, request, settings->target,
                                  &settings->accounts[request->user], entry, engine->run);
    CHECK(length > 0); /* names and passwords are limited where they are read */
    request->attempt_start_ns = now_ns;
    if (request->measured && !request->probe)
        statistics_attempt(settings->statistics);
    connections_send(lane->pool, request, engine->scratch, length, now_ns);
}

static void dispatch_lane(struct engine *engine, struct lane *lane, uint64_t now_ns)
{
    static const struct outcome dropped = {.cause = CAUSE_DROPPED};
    while (lane->waiting) {
        struct request *request = lane->waiting;
        bool available = connections_available(lane->pool);
        if (!available && now_ns <= latest_ns(engine, request))
            return;
        lane->waiting = request->next;
        if (!lane->waiting)
            lane->waiting_end = &lane->waiting;
        if (available)
            start_attempt(engine, lane, request, now_ns);
        else
            attempt_failed(engine, request, &dropped, NULL, now_ns);
    }
}

void engine_dispatch(struct engine *engine)
{
    uint64_t now_ns = clock_now_ns();
    for (int i = 0; i < LANE_COUNT; i++)
        dispatch_lane(engine, &engine->lanes[i], now_ns);
}

void engine_count_signals(struct engine *engine)
{
    struct signalfd_siginfo info;
    while (read(engine->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        engine->interrupts += 1;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Set the timer for the next thing that is due. The timeout for epoll_wait: 0 or -1. */
static int arm(struct engine *engine, uint64_t wake_ns)
{
    wake_ns = earlier(wake_ns, timers_next_ns(&engine->later));
    wake_ns = earlier(wake_ns, engine->tick_ns);
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct lane *lane = &engine->lanes[i];
        wake_ns = earlier(wake_ns, connections_deadline_ns(lane->pool));
        if (lane->waiting)
            wake_ns = earlier(wake_ns, latest_ns(engine, lane->waiting));
    }
    uint64_t now_ns = clock_now_ns();
    if (wake_ns <= now_ns)
        return 0;
    /* A timer that fires too early only wakes us once more; setting it anew for every answer, whose
     * deadline is always a little later, would be a system call each. */
    bool will_fire = engine->armed_ns > now_ns && engine->armed_ns <= wake_ns;
    if (!will_fire && wake_ns != UINT64_MAX) {
        struct itimerspec when = {.it_value = clock_timespec(wake_ns)};
        CHECK(timerfd_settime(engine->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
        engine->armed_ns = wake_ns;
    }
    return -1;
}

void engine_step(struct engine *engine, uint64_t wake_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    engine_dispatch(engine);
    int n = epoll_wait(engine->epoll_fd, events, EVENTS_AT_ONCE, arm(engine, wake_ns));
    CHECK(n >= 0 || errno == EINTR);
    uint64_t now_ns = clock_now_ns();
    while (engine->tick_ns <= now_ns) {
        engine->tick(engine->tick_context, engine->tick_ns);
        engine->tick_ns += NS_PER_S;
    }
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            connections_event(events[i].data.ptr, events[i].events, now_ns);
        else
            engine_count_signals(engine); /* or the timer, which says nothing but "wake" */
    }
    for (int i = 0; i < LANE_COUNT; i++)
        connections_expire(engine->lanes[i].pool, now_ns);
    struct request *request;
    while ((request = timers_take(&engine->later, now_ns)))
        enqueue(engine, request, now_ns);
    engine_dispatch(engine);
}

void engine_on_tick(struct engine *engine, uint64_t first_ns, engine_tick *tick, void *context)
{
    engine->tick = tick;
    engine->tick_context = context;
    engine->tick_ns = first_ns;
}

unsigned engine_interrupts(const struct engine *engine)
{
    return engine->interrupts;
}

uint64_t engine_connections_opened(const struct engine *engine)
{
    return connections_opened(engine->lanes[LANE_LOAD].pool);
}

const struct engine_settings *engine_settings(const struct engine *engine)
{
    return &engine->settings;
}
