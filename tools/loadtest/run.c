/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

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
    if (!options_need_items(run->options))
        return 0;
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

static struct request *new_request(struct run *run, const struct arrival *arrival,
                                   request_done *done, uint64_t intended_ns)
{
    struct request *request = engine_request(run->engine, REQUEST_READ, done, run);
    int64_t entry;
    request->measured = true;
    request->phase = arrival->phase;
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
    case LOAD_LOGIN:
        request->kind = REQUEST_LOGIN;
        break;
    case LOAD_HEALTH:
        request->kind = REQUEST_HEALTH;
        break;
    case LOAD_GET:
        request->kind = REQUEST_GET;
        request->path = run->options->get;
        break;
    default:
        entry = ledger_pick(run->ledger, arrival->random);
        request->entry = (uint32_t)entry; /* there is one: run_prepare saw to it */
        request->user = ledger_entry(run->ledger, request->entry)->user;
    }
    return request;
}

/* Start the request of an arrival that was intended for this time. */
static void begin(struct run *run, const struct arrival *arrival, uint64_t intended_ns)
{
    struct request *request = new_request(run, arrival, load_done, intended_ns);
    statistics_sent(run->statistics);
    phases_sent(run->profile->phases, arrival->phase);
    run->in_flight += 1;
    engine_submit(run->engine, request);
}

static void load_done(void *context, struct request *request, const struct outcome *outcome,
                      const struct http_response *response)
{
    struct run *run = context;
    uint64_t now_ns = clock_now_ns();
    struct arrival arrival;
    (void)response;
    run->in_flight -= 1;
    profile_result_note(run->profile, request->phase, request->intended_ns - run->start_ns, outcome,
                        now_ns - request->intended_ns);
    if (!run->options->closed || now_ns >= run->stop_ns || engine_interrupts(run->engine) > 0)
        return;
    plan_draw(&run->plan, &arrival);
    begin(run, &arrival, outcome->cause == CAUSE_REFUSED ? now_ns + REFUSED_PAUSE_NS : now_ns);
}

static void probe_done(void *context, struct request *request, const struct outcome *outcome,
                       const struct http_response *response)
{
    struct run *run = context;
    (void)request;
    (void)outcome;
    (void)response;
    run->probes_in_flight -= 1;
}

static void begin_probe(struct run *run, const struct arrival *arrival, uint64_t intended_ns)
{
    struct request *request = new_request(run, arrival, probe_done, intended_ns);
    request->probe = true;
    run->probes_in_flight += 1;
    engine_submit(run->engine, request);
}

static void tick(void *context, uint64_t now_ns)
{
    struct run *run = context;
    const struct plan_settings *plan = &run->options->plan;
    session_renew(run->engine, run->accounts, now_ns);
    if (plan->phases && run->plan.phase < plan->phase_count)
        report_rate(run->report, plan->phases[run->plan.phase].rate);
    report_second(run->report, now_ns - run->start_ns, run->in_flight);
}

/* Answers that are out, for as long as nobody presses Ctrl-C twice. Every attempt has a timeout and
 * every request a number of attempts, so this ends. */
static void await_answers(struct run *run)
{
    while (run->in_flight + run->probes_in_flight > 0 && engine_interrupts(run->engine) < 2)
        engine_step(run->engine, UINT64_MAX);
}

/* A plan and its next arrival. */
struct source {
    struct plan *plan;
    struct arrival next;
    bool more, probe;
};

struct sources {
    struct source all[1 + LOAD_KINDS];
    unsigned count;
};

static void add_source(struct sources *sources, struct plan *plan,
                       const struct plan_settings *settings, bool probe)
{
    struct source *source = &sources->all[sources->count++];
    plan_start(plan, settings);
    *source = (struct source){.plan = plan, .probe = probe};
    source->more = plan_next(plan, &source->next);
}

static void add_sources(struct run *run, struct sources *sources)
{
    const struct plan_settings *load = &run->options->plan;
    add_source(sources, &run->plan, load, false);
    for (int kind = 0; kind < LOAD_KINDS; kind++) {
        struct plan_settings probe = {.rate = run->options->probe_rate[kind],
                                      .duration_ns = load->duration_ns,
                                      .seed = load->seed};
        probe.weight[kind] = 1;
        if (probe.rate > 0)
            add_source(sources, &run->probes[kind], &probe, true);
    }
}

/* The source whose next arrival comes first; NULL when all are at their end. */
static struct source *first_source(struct sources *sources)
{
    struct source *first = NULL;
    for (unsigned i = 0; i < sources->count; i++) {
        struct source *source = &sources->all[i];
        if (source->more && (!first || source->next.offset_ns < first->next.offset_ns))
            first = source;
    }
    return first;
}

/* True when a step of the ramp has broken: no more load. */
static bool ramp_is_over(struct run *run)
{
    const struct phases *steps = run->profile->phases;
    uint64_t elapsed_ns = clock_now_ns() - run->start_ns;
    while (run->options->shape == SHAPE_RAMP && run->judged < steps->count) {
        const struct phase *step = &steps->all[run->judged];
        switch (ramp_judge(step, phase_is_over(step, elapsed_ns))) {
        case STEP_PENDING:
            return false;
        case STEP_HOLDS:
            run->judged += 1;
            break;
        default:
            return true;
        }
    }
    return false;
}

/* Start what is due by now; false when the load is over. */
static bool begin_due(struct run *run, struct sources *sources)
{
    uint64_t now_ns;
    struct source *source;
    while ((source = first_source(sources)) &&
           run->start_ns + source->next.offset_ns <= (now_ns = clock_now_ns())) {
        uint64_t intended_ns = run->start_ns + source->next.offset_ns;
        statistics_lag(run->statistics, now_ns - intended_ns);
        if (source->probe)
            begin_probe(run, &source->next, intended_ns);
        else
            begin(run, &source->next, intended_ns);
        source->more = plan_next(source->plan, &source->next);
    }
    return source && !ramp_is_over(run);
}

static void load_by_plan(struct run *run)
{
    struct sources sources = {0};
    const struct source *next;
    add_sources(run, &sources);
    bool more = true;
    while (more && (next = first_source(&sources)) && engine_interrupts(run->engine) == 0) {
        engine_step(run->engine, run->start_ns + next->next.offset_ns);
        more = begin_due(run, &sources);
        engine_dispatch(run->engine);
    }
    if (run->options->shape == SHAPE_RAMP && clock_now_ns() < run->stop_ns && ramp_is_over(run))
        run->stop_ns = clock_now_ns();
    /* The last gap belongs to the run: n seconds at r requests/s take n seconds. */
    while (engine_interrupts(run->engine) == 0 && clock_now_ns() < run->stop_ns)
        engine_step(run->engine, run->stop_ns);
}

static void load_by_answers(struct run *run)
{
    plan_start(&run->plan, &run->options->plan);
    for (unsigned i = 0; i < run->options->connections; i++) {
        struct arrival arrival;
        plan_draw(&run->plan, &arrival);
        begin(run, &arrival, run->start_ns);
    }
    while (clock_now_ns() < run->stop_ns && engine_interrupts(run->engine) == 0)
        engine_step(run->engine, run->stop_ns);
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec used = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

/* Linux, Documentation/scheduler/sched-stats.rst: the second number. 0 where it is not told. */
static uint64_t thread_starved_ns(void)
{
    uint64_t starved_ns = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (!file || fscanf(file, "%*u %" SCNu64, &starved_ns) != 1)
        starved_ns = 0;
    if (file)
        fclose(file);
    return starved_ns;
}

static struct slow_clients *start_slow_clients(const struct run *run)
{
    struct slow_settings settings = {.target = engine_settings(run->engine)->target,
                                     .token = run->accounts->all[0].token};
    unsigned count = 0;
    for (int kind = 0; kind < SLOW_KINDS; kind++)
        count += settings.count[kind] = run->options->slow[kind];
    return count > 0 ? slow_clients_start(&settings) : NULL;
}

void run_load(struct run *run)
{
    struct slow_clients *slow = start_slow_clients(run);
    run->start_wall_us = clock_wall_us();
    run->start_ns = clock_now_ns();
    uint64_t cpu_before_ns = thread_cpu_ns(), starved_before_ns = thread_starved_ns();
    run->stop_ns = run->start_ns + run->options->plan.duration_ns;
    report_start(run->report, run->start_wall_us);
    engine_on_tick(run->engine, run->start_ns + NS_PER_S, tick, run);
    if (run->options->closed)
        load_by_answers(run);
    else
        load_by_plan(run);
    run->cpu_ns = thread_cpu_ns() - cpu_before_ns;
    run->starved_ns = thread_starved_ns() - starved_before_ns;
    if (engine_interrupts(run->engine) > 0)
        run->stop_ns = clock_now_ns();
    await_answers(run);
    run->finish_ns = clock_now_ns();
    run->interrupted = engine_interrupts(run->engine) > 0;
    if (slow)
        slow_clients_stop(slow, run->profile->slow);
    engine_on_tick(run->engine, UINT64_MAX, NULL, NULL);
    report_last_second(run->report, run->finish_ns - run->start_ns, run->in_flight);
}
