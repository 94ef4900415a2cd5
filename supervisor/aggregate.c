/* SPDX-License-Identifier: MIT */
#include "supervisor/aggregate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/supervisor.h"

#define ENOUGH_REQUESTS 20 /* fewer than this in 10 s say nothing about a share */

static void sum_slot(struct totals *totals, const struct slot_metrics *slot)
{
    for (unsigned e = 0; e < ENDPOINT_COUNT; e++) {
        enum request_class class = endpoint_class(e);
        for (unsigned s = 0; s < STATUS_COUNT; s++) {
            uint64_t n = atomic_load_explicit(&slot->http_requests[e][s], memory_order_relaxed);
            totals->requests[class] += n;
            totals->errors[class] += s == STATUS_500 || s == STATUS_504 ? n : 0;
            totals->refused[class] += s == STATUS_429 || s == STATUS_503 ? n : 0;
        }
    }
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        histogram_sum_add(&totals->duration[c], &slot->http_request_duration[c]);
}

static void sum_all(struct supervisor *supervisor, struct totals *totals, uint64_t now_ns)
{
    memset(totals, 0, sizeof *totals);
    totals->at_ns = now_ns;
    totals->lost = supervisor->board.metrics.requests_lost[0][0];
    for (unsigned i = 0; i <= supervisor->config.workers; i++)
        sum_slot(totals, &region_slot(supervisor->region, i)->metrics);
    /* What the last resort answered: its own clients, the operators, are not counted. */
    sum_slot(totals, &region_slot(supervisor->region, HELPER_SLOT(HELPER_CONSOLE))->metrics);
}

static double per_second(uint64_t later, uint64_t earlier, double seconds)
{
    return later > earlier && seconds > 0 ? (double)(later - earlier) / seconds : 0;
}

static void rates_of(struct board_class *out, const struct totals *now, const struct totals *before,
                     unsigned class)
{
    double seconds = (double)(now->at_ns - before->at_ns) / (double)NS_PER_S;
    struct histogram_sum duration = now->duration[class];
    histogram_sum_subtract(&duration, &before->duration[class]);
    out->requests_per_s = per_second(now->requests[class], before->requests[class], seconds);
    out->errors_per_s = per_second(now->errors[class], before->errors[class], seconds);
    out->refused_per_s = per_second(now->refused[class], before->refused[class], seconds);
    out->p50_ms = (double)histogram_percentile(&duration, 50) / 1000;
    out->p95_ms = (double)histogram_percentile(&duration, 95) / 1000;
    out->p99_ms = (double)histogram_percentile(&duration, 99) / 1000;
}

/* Health checks say nothing about the service's speed: data and logins do. */
static void total_of(struct board *board, const struct totals *now, const struct totals *before)
{
    static struct histogram_sum all, earlier; /* 6 KB each: not on the stack */
    double seconds = (double)(now->at_ns - before->at_ns) / (double)NS_PER_S;
    memset(&all, 0, sizeof all);
    board->total = (struct board_class){0};
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        board->total.requests_per_s += board->class[c].requests_per_s;
        board->total.errors_per_s += board->class[c].errors_per_s;
        board->total.refused_per_s += board->class[c].refused_per_s;
        if (c == CLASS_HEALTH || c == CLASS_OTHER)
            continue;
        earlier = now->duration[c];
        histogram_sum_subtract(&earlier, &before->duration[c]);
        all.count += earlier.count;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
            all.bucket[i] += earlier.bucket[i];
    }
    board->total.errors_per_s += per_second(now->lost, before->lost, seconds);
    board->total.p50_ms = (double)histogram_percentile(&all, 50) / 1000;
    board->total.p95_ms = (double)histogram_percentile(&all, 95) / 1000;
    board->total.p99_ms = (double)histogram_percentile(&all, 99) / 1000;
}

static uint64_t cpu_ticks_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *after_name = strrchr(text, ')'); /* the name may hold anything */
    unsigned long user = 0, kernel = 0;
    if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                              &user, &kernel) != 2)
        return 0;
    return user + kernel;
}

static void measure_cpu(struct supervisor *supervisor, uint64_t now_ns)
{
    struct aggregate *aggregate = &supervisor->aggregate;
    uint64_t ticks = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (supervisor->slots[i].pid > 0)
            ticks += cpu_ticks_of(supervisor->slots[i].pid);
    double seconds = (double)(now_ns - aggregate->cpu_at_ns) / (double)NS_PER_S;
    double possible =
        seconds * (double)sysconf(_SC_CLK_TCK) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    /* A child that died took its ticks along: then there is no figure for this second. */
    if (ticks >= aggregate->cpu_ticks && possible > 0)
        supervisor->board.cpu_percent = 100 * (double)(ticks - aggregate->cpu_ticks) / possible;
    aggregate->cpu_ticks = ticks;
    aggregate->cpu_at_ns = now_ns;
}

void aggregate_step(struct supervisor *supervisor, uint64_t now_ns)
{
    struct aggregate *aggregate = &supervisor->aggregate;
    struct board *board = &supervisor->board;
    struct totals *now = &aggregate->ring[aggregate->next];
    sum_all(supervisor, now, now_ns);
    const struct totals *newest =
        &aggregate->ring[(aggregate->next + AGGREGATE_SECONDS) % (AGGREGATE_SECONDS + 1)];
    for (unsigned c = 0; aggregate->filled > 0 && c < CLASS_COUNT; c++)
        if (now->requests[c] < newest->requests[c])
            board->metrics.region_corrupt[0][0]++;
    if (aggregate->filled <= AGGREGATE_SECONDS)
        aggregate->filled++;
    aggregate->next = (aggregate->next + 1) % (AGGREGATE_SECONDS + 1);
    const struct totals *before = aggregate->filled > AGGREGATE_SECONDS
                                      ? &aggregate->ring[aggregate->next]
                                      : &aggregate->ring[0];
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        rates_of(&board->class[c], now, before, c);
    total_of(board, now, before);
    measure_cpu(supervisor, now_ns);
    board->listener_count = supervisor->listeners.public_count;
    for (unsigned i = 0; i < board->listener_count; i++)
        listener_measure(&supervisor->listeners.public[i], &board -> listener[i]);
}

static void reason_of_database(struct board *board)
{
    enum db_state state = (enum db_state)board->db_state;
    if (verdict_allows_reads(state))
        snprintf(board->reason, sizeof board->reason, "db_%s", db_state_name(state));
    else
        snprintf(board->reason, sizeof board->reason, "db_unavailable");
}

void aggregate_judge(struct board *board)
{
    const struct board_class *total = &board->total;
    double requests = total->requests_per_s;
    double error_share = requests > 0 ? total->errors_per_s / requests : 0;
    bool enough = requests * AGGREGATE_SECONDS >= ENOUGH_REQUESTS;
    bool slow = enough && total->p95_ms > 2000, failing_often = enough && error_share > 0.05;

    board->status = HEALTH_DEGRADED;
    if (board->ready + board->degraded == 0) {
        board->status = HEALTH_FAILING;
        snprintf(board->reason, sizeof board->reason, "no_workers");
    } else if (board->db_state != DB_STATE_UP) {
        reason_of_database(board);
    } else if (board->quarantined > 0) {
        snprintf(board->reason, sizeof board->reason, "worker_quarantined");
    } else if (board->ready == 0) { /* the database is well, but for no worker */
        snprintf(board->reason, sizeof board->reason, "workers_degraded");
    } else if (slow || failing_often) {
        snprintf(board->reason, sizeof board->reason, slow ? "slow" : "errors");
    } else {
        board->status = HEALTH_HEALTHY;
        board->reason[0] = '\0';
    }

    /* The bands of load: 200 ms, 0.1 %, half the CPU; 2 s, 5 %, four fifths. */
    if (slow || failing_often || board->cpu_percent > 80)
        board->load = LOAD_SATURATED;
    else if (enough && (total->p95_ms > 200 || error_share > 0.001))
        board->load = LOAD_STRESSED;
    else
        board->load = board->cpu_percent > 50 ? LOAD_STRESSED : LOAD_NORMAL;
}
