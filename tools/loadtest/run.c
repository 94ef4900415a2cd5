/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/run.h"

#include <errno.h>

#include "common/uuid7.h"

#define PREPARED_ITEMS      50u
#define PREPARE_PATIENCE_NS (30 * NS_PER_S)
#define PREPARE_STEP_NS     (2 * NS_PER_MS)
#define LIST_PAGE           20u
/* In a closed loop a refused connection costs next to nothing: without a pause this program would
 * do nothing but connect, and take the processor from the server that is starting again. */
#define REFUSED_PAUSE_NS (10 * NS_PER_MS)

struct preparation {
    unsigned left;
    struct outcome failure;
};

static void prepare_done(void *context, struct request *request, const struct outcome *outcome,
                         const struct http_response *response)
{
    struct preparation *preparation = context;
    (void)request;
    (void)response;
    preparation->left -= 1;
    if (outcome->cause != CAUSE_NONE)
        preparation->failure = *outcome;
}

static void write_new_item(struct run *run, struct request *request, unsigned user)
{
    char key[UUID_TEXT_SIZE];
    uuid7_make(key);
    request->kind = REQUEST_CREATE;
    request->user = user;
    request->entry = ledger_add(run->ledger, user, key);
}

int run_prepare(struct run *run, struct outcome *outcome)
{
    struct preparation preparation = {.left = PREPARED_ITEMS};
    uint64_t now_ns = clock_now_ns();
    for (unsigned i = 0; i < PREPARED_ITEMS; i++) {
        struct request *request =
            engine_request(run->engine, REQUEST_CREATE, prepare_done, &preparation);
        /* one after the other: fifty connections at one instant may all be one worker's */
        request->due_ns = now_ns + i * PREPARE_STEP_NS;
        request->give_up_ns = now_ns + PREPARE_PATIENCE_NS;
        write_new_item(run, request, i % run->accounts->count);
        engine_submit(run->engine, request);
    }
    while (preparation.left > 0) {
        engine_step(run->engine, UINT64_MAX);
        if (engine_interrupts(run->engine) > 0)
            return -EINTR;
    }
    *outcome = preparation.failure;
    return outcome->cause == CAUSE_NONE ? 0 : -EIO;
}

static void load_done(void *context, struct request *request, const struct outcome *outcome,
                      const struct http_response *response);

/* Start the request of an arrival that was intended for this time. */
static void begin(struct run *run, const struct arrival *arrival, uint64_t intended_ns)
{
    struct request *request = engine_request(run->engine, REQUEST_READ, load_done, run);
    int64_t entry;
    request->measured = true;
    request->intended_ns = request->due_ns = intended_ns;
    request->user = (unsigned)(arrival->random % run->accounts->count);
    switch (arrival->kind) {
    case LOAD_WRITE:
        write_new_item(run, request, request->user);
        break;
    case LOAD_LIST:
        request->kind = REQUEST_LIST;
        request->limit = LIST_PAGE;
        break;
    default:
        entry = ledger_pick(run->ledger, arrival->random);
        request->entry = (uint32_t)entry; /* there is one: run_prepare saw to it */
        request->user = ledger_entry(run->ledger, request->entry)->user;
    }
    statistics_sent(run->statistics);
    run->in_flight += 1;
    engine_submit(run->engine, request);
}

static void load_done(void *context, struct request *request, const struct outcome *outcome,
                      const struct http_response *response)
{
    struct run *run = context;
    uint64_t now_ns = clock_now_ns();
    struct arrival arrival;
    (void)request;
    (void)response;
    run->in_flight -= 1;
    if (!run->options->closed || now_ns >= run->stop_ns || engine_interrupts(run->engine) > 0)
        return;
    plan_draw(&run->plan, &arrival);
    begin(run, &arrival, outcome->cause == CAUSE_REFUSED ? now_ns + REFUSED_PAUSE_NS : now_ns);
}

static void tick(void *context, uint64_t now_ns)
{
    struct run *run = context;
    session_renew(run->engine, run->accounts, now_ns);
    report_second(run->report, now_ns - run->start_ns, run->in_flight);
}

/* Answers that are out, for as long as nobody presses Ctrl-C twice. Every attempt has a timeout and
 * every request a number of attempts, so this ends. */
static void await_answers(struct run *run)
{
    while (run->in_flight > 0 && engine_interrupts(run->engine) < 2)
        engine_step(run->engine, UINT64_MAX);
}

static void load_by_plan(struct run *run)
{
    struct arrival arrival;
    bool more = plan_next(&run->plan, &arrival);
    while (more && engine_interrupts(run->engine) == 0) {
        uint64_t intended_ns = run->start_ns + arrival.offset_ns, now_ns;
        engine_step(run->engine, intended_ns);
        while (more && intended_ns <= (now_ns = clock_now_ns())) {
            statistics_lag(run->statistics, now_ns - intended_ns);
            begin(run, &arrival, intended_ns);
            more = plan_next(&run->plan, &arrival);
            intended_ns = run->start_ns + arrival.offset_ns;
        }
        engine_dispatch(run->engine);
    }
    /* The last gap belongs to the run: n seconds at r requests/s take n seconds. */
    while (engine_interrupts(run->engine) == 0 && clock_now_ns() < run->stop_ns)
        engine_step(run->engine, run->stop_ns);
}

static void load_by_answers(struct run *run)
{
    for (unsigned i = 0; i < run->options->connections; i++) {
        struct arrival arrival;
        plan_draw(&run->plan, &arrival);
        begin(run, &arrival, run->start_ns);
    }
    while (clock_now_ns() < run->stop_ns && engine_interrupts(run->engine) == 0)
        engine_step(run->engine, run->stop_ns);
}

void run_load(struct run *run)
{
    plan_start(&run->plan, &run->options->plan);
    run->start_wall_us = clock_wall_us();
    run->start_ns = clock_now_ns();
    run->stop_ns = run->start_ns + run->options->plan.duration_ns;
    report_start(run->report, run->start_wall_us);
    engine_on_tick(run->engine, run->start_ns + NS_PER_S, tick, run);
    if (run->options->closed)
        load_by_answers(run);
    else
        load_by_plan(run);
    if (engine_interrupts(run->engine) > 0)
        run->stop_ns = clock_now_ns();
    await_answers(run);
    run->finish_ns = clock_now_ns();
    engine_on_tick(run->engine, UINT64_MAX, NULL, NULL);
    report_last_second(run->report, run->finish_ns - run->start_ns, run->in_flight);
}
