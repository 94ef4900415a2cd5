/* SPDX-License-Identifier: MIT */
/* Reading the region into the running totals that series.c makes values of. */
#include "common/series.h"

#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"

static uint64_t counter(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

/* All cells of a counter of any dimensions. */
#define SUM_OF(cells) sum_of(&(cells)[0][0], sizeof(cells) / sizeof(_Atomic uint64_t))
static uint64_t sum_of(const _Atomic uint64_t *cells, size_t number)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < number; i++)
        sum += counter(&cells[i]);
    return sum;
}

/* Where a class has its three counts; COUNT_OF_REQUESTS for one that has none of its own. */
static enum series_count counts_of(enum request_class class)
{
    static const enum series_count own[CLASS_COUNT] = {
        [CLASS_AUTH] = COUNT_OF_AUTH_REQUESTS,
        [CLASS_READ] = COUNT_OF_READ_REQUESTS,
        [CLASS_WRITE] = COUNT_OF_WRITE_REQUESTS,
        [CLASS_HEALTH] = COUNT_OF_HEALTH_REQUESTS,
    };
    return own[class];
}

static bool has_objective(enum request_class class)
{
    return class == CLASS_AUTH || class == CLASS_READ || class == CLASS_WRITE;
}

static void add_answers(uint64_t *count, enum request_class class, unsigned code, uint64_t n)
{
    bool error = code == 500 || code == 504, refused = code == 429 || code == 503;
    enum series_count own = counts_of(class);
    count[COUNT_OF_REQUESTS] += n;
    count[COUNT_OF_OFFERED] += n;
    count[error ? COUNT_OF_ERRORS : refused ? COUNT_OF_REFUSED : COUNT_OF_SERVED] += n;
    if (own != COUNT_OF_REQUESTS) {
        count[own] += n;
        count[own + 1] += error ? n : 0;
        count[own + 2] += refused ? n : 0;
    }
    if (has_objective(class)) {
        count[COUNT_OF_SLO_REQUESTS] += n;
        count[COUNT_OF_SLO_FAILED] += code >= 500 ? n : 0;
    }
    count[COUNT_OF_ANSWERS_429] += code == 429 ? n : 0;
    count[COUNT_OF_ANSWERS_500] += code == 500 ? n : 0;
    count[COUNT_OF_ANSWERS_503] += code == 503 ? n : 0;
    count[COUNT_OF_ANSWERS_504] += code == 504 ? n : 0;
}

static void add_requests(uint64_t *count, const struct slot_metrics *numbers)
{
    for (unsigned e = 0; e < ENDPOINT_COUNT; e++)
        for (unsigned s = 0; s < STATUS_COUNT; s++) {
            uint64_t n = counter(&numbers->http_requests[e][s]);
            if (n > 0)
                add_answers(count, endpoint_class(e), status_code(s), n);
        }
}

static enum series_count count_of_refusal(unsigned refusal)
{
    switch (refusal) {
    case REFUSAL_FULL:
        return COUNT_OF_REFUSED_FULL;
    case REFUSAL_WAITED:
        return COUNT_OF_REFUSED_WAITED;
    case REFUSAL_DEADLINE:
        return COUNT_OF_REFUSED_DEADLINE;
    case REFUSAL_DATABASE:
        return COUNT_OF_REFUSED_DATABASE;
    case REFUSAL_OVERLOADED:
        return COUNT_OF_REFUSED_OVERLOADED;
    case REFUSAL_CIRCUIT_OPEN:
        return COUNT_OF_REFUSED_CIRCUIT_OPEN;
    case REFUSAL_RETRY_BUDGET:
        return COUNT_OF_REFUSED_RETRY_BUDGET;
    default:
        return COUNT_OF_REFUSED_OTHER;
    }
}

static void add_counters(uint64_t *count, const struct slot_metrics *numbers)
{
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        for (unsigned r = 0; r < REFUSAL_COUNT; r++)
            count[count_of_refusal(r)] += counter(&numbers->refused[c][r]);
    for (unsigned p = 0; p < RATE_POLICY_COUNT; p++)
        count[COUNT_OF_RATE_LIMITED] += counter(&numbers->ratelimit_decisions[p][RATE_LIMITED]);
    for (unsigned a = 0; a < ATTEMPT_COUNT; a++)
        count[COUNT_OF_RETRIES] += a == ATTEMPT_FIRST ? 0 : counter(&numbers->http_attempts[a][0]);
    count[COUNT_OF_DEADLINE_EXCEEDED] += SUM_OF(numbers->deadline_exceeded);
    count[COUNT_OF_ACCEPTS] += SUM_OF(numbers->accepts);
    count[COUNT_OF_COMMITS] += SUM_OF(numbers->db_commits);
    count[COUNT_OF_DB_ERRORS] += SUM_OF(numbers->db_errors);
    count[COUNT_OF_LOG_DROPPED] += SUM_OF(numbers->log_dropped);
    count[COUNT_OF_FAULT_HITS] += SUM_OF(numbers->fault_hits);
}

/* What the workers timed. The sentinel's looks at the database are not what requests met. */
static void add_times(struct histogram_sum *times, const struct slot_metrics *numbers)
{
    const struct histogram *duration = numbers->http_request_duration;
    histogram_sum_add(&times[TIMES_OF_AUTH], &duration[CLASS_AUTH]);
    histogram_sum_add(&times[TIMES_OF_READ], &duration[CLASS_READ]);
    histogram_sum_add(&times[TIMES_OF_WRITE], &duration[CLASS_WRITE]);
    histogram_sum_add(&times[TIMES_OF_HEALTH], &duration[CLASS_HEALTH]);
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        histogram_sum_add(&times[TIMES_OF_DOOR_WAIT], &numbers->http_queue[c]);
    histogram_sum_add(&times[TIMES_OF_DB_READ], &numbers->db_query_duration[DB_OP_READ]);
    histogram_sum_add(&times[TIMES_OF_DB_WRITE], &numbers->db_query_duration[DB_OP_COMMIT]);
    histogram_sum_add(&times[TIMES_OF_LOCK_WAIT], &numbers->db_lock_wait[0]);
    histogram_sum_add(&times[TIMES_OF_COMMIT_BATCH], &numbers->db_commit_batch[0]);
}

static void sum_data(struct series_look *look)
{
    static const enum series_times parts[] = {TIMES_OF_AUTH, TIMES_OF_READ, TIMES_OF_WRITE};
    struct histogram_sum *data = &look->times[TIMES_OF_DATA];
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        data->sum += look->times[parts[p]].sum;
        data->count += look->times[parts[p]].count;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
            data->bucket[i] += look->times[parts[p]].bucket[i];
    }
    look->count[COUNT_OF_SLO_TIMED] = data->count;
    look->count[COUNT_OF_SLO_SLOW] = data->count - histogram_count_to(data, SERIES_SLOW_US);
}

static double gauge(const _Atomic int64_t *cell)
{
    return (double)atomic_load_explicit(cell, memory_order_relaxed);
}

/* Whatever refuses, or lets a single call through to see whether it may stop refusing. */
static bool breaker_is_open(int64_t state)
{
    return state != BREAKER_CLOSED && state != BREAKER_DISABLED;
}

static void add_levels(double *level, const struct slot_metrics *numbers)
{
    level[LEVEL_OF_DOOR_PARKED] += gauge(&numbers->door_parked[0]);
    level[LEVEL_OF_HTTP_INFLIGHT] += gauge(&numbers->http_inflight[0]);
    level[LEVEL_OF_AUTH_INFLIGHT] += gauge(&numbers->bulkhead_inflight[CLASS_AUTH]);
    level[LEVEL_OF_READ_INFLIGHT] += gauge(&numbers->bulkhead_inflight[CLASS_READ]);
    level[LEVEL_OF_WRITE_INFLIGHT] += gauge(&numbers->bulkhead_inflight[CLASS_WRITE]);
    level[LEVEL_OF_AUTH_QUEUED] += gauge(&numbers->bulkhead_queued[CLASS_AUTH]);
    level[LEVEL_OF_READ_QUEUED] += gauge(&numbers->bulkhead_queued[CLASS_READ]);
    level[LEVEL_OF_WRITE_QUEUED] += gauge(&numbers->bulkhead_queued[CLASS_WRITE]);
    for (unsigned d = 0; d < DEPENDENCY_COUNT; d++)
        level[LEVEL_OF_BREAKERS_OPEN] += breaker_is_open(
            atomic_load_explicit(&numbers->circuit_breaker_state[d], memory_order_relaxed));
}

static void look_at_slots(struct series_look *look, const struct region *region,
                          const struct board *board)
{
    double oldest_ms = NAN;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot_metrics *numbers = &region->slots[i].slot.metrics;
        if (!slot_view_was_used(region, i))
            continue;
        add_requests(look->count, numbers);
        add_counters(look->count, numbers);
        if (i >= WORKER_SLOTS_MAX)
            continue;
        add_times(look->times, numbers);
        if (!slot_view_is_live(region, board, i))
            continue;
        add_levels(look->level, numbers);
        oldest_ms = fmax(oldest_ms, (double)slot_view_heartbeat_age_ns(region, i, look->at_ns) /
                                        (double)NS_PER_MS);
    }
    look->level[LEVEL_OF_HEARTBEAT_AGE_MS] = oldest_ms;
}

static void look_at_board(struct series_look *look, const struct board *board)
{
    uint64_t lost = board->metrics.requests_lost[0][0];
    double *level = look->level;
    look->count[COUNT_OF_LOST] = lost;
    look->count[COUNT_OF_ERRORS] += lost;
    look->count[COUNT_OF_OFFERED] += lost;
    look->count[COUNT_OF_SLO_REQUESTS] += lost;
    look->count[COUNT_OF_SLO_FAILED] += lost;
    for (unsigned d = 0; d < DEATH_COUNT; d++)
        look->count[COUNT_OF_DEATHS] += d == DEATH_CLEAN ? 0 : board->metrics.worker_deaths[d][0];
    for (unsigned i = 0; i < WORKER_SLOTS_MAX; i++)
        for (unsigned r = 0; r < RESTART_REASON_COUNT; r++)
            look->count[COUNT_OF_RESTARTS] += board->metrics.worker_restarts[i][r];
    for (unsigned i = 0; i < board->listener_count && i < LISTENERS_MAX; i++) {
        look->count[COUNT_OF_LISTEN_DROPS] += board->listener[i].drops;
        level[LEVEL_OF_LISTEN_QUEUE] += board->listener[i].queue_depth;
    }
    level[LEVEL_OF_DB_UP] = board->db_state == DB_STATE_UP || board->db_state == DB_STATE_SLOW;
    level[LEVEL_OF_WAL_BYTES] = (double)board->wal_bytes;
    level[LEVEL_OF_WORKERS_READY] = board->ready;
    level[LEVEL_OF_WORKERS_DEGRADED] = board->degraded;
    level[LEVEL_OF_WORKERS_RESTARTING] = board->restarting;
    level[LEVEL_OF_WORKERS_QUARANTINED] = board->quarantined;
    level[LEVEL_OF_CPU_PERCENT] = board->cpu_percent;
}

void series_look(struct series_look *look, const struct region *region, const struct board *board,
                 uint64_t now_ns)
{
    memset(look, 0, sizeof *look);
    look->at_ns = now_ns;
    memcpy(look->boot_id, region->header.boot_id, sizeof look->boot_id);
    look_at_slots(look, region, board);
    look_at_board(look, board);
    sum_data(look);
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++)
        look->level[LEVEL_OF_FAULTS_ACTIVE] +=
            atomic_load_explicit(&region->faults.active_of_kind[kind], memory_order_relaxed);
}
