/* SPDX-License-Identifier: MIT */
#include "supervisor/console/components.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"

static const struct {
    const char *id, *label, *group;
} names[COMPONENT_WORKER] = {
    [COMPONENT_LISTENER] = {"listener", "listener", "door"},
    [COMPONENT_DOOR] = {"door", "door", "door"},
    [COMPONENT_AUTH] = {"auth", "auth", "compartments"},
    [COMPONENT_READ] = {"read", "read", "compartments"},
    [COMPONENT_WRITE] = {"write", "write", "compartments"},
    [COMPONENT_DB_READ] = {"db_read", "database reads", "database"},
    [COMPONENT_DB_WRITE] = {"db_write", "database commits", "database"},
    [COMPONENT_DATABASE] = {"database", "database", "database"},
};

/* ---- looking ------------------------------------------------------------------------------- */

static uint64_t counter(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static bool is_unserved(unsigned status)
{
    return status == STATUS_429 || status == STATUS_500 || status == STATUS_503 ||
           status == STATUS_504;
}

static uint64_t calls_of(const struct slot_metrics *numbers, enum db_op op)
{
    uint64_t calls = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        calls += counter(&numbers->db_query_duration[op].bucket[i]);
    return calls;
}

/* WAITED is a compartment's alone; DEADLINE is counted by both. */
static void look_at_refusals(struct components_look *look, const struct slot_metrics *numbers)
{
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        look->door_refused += counter(&numbers->refused[c][REFUSAL_OVERLOADED]) +
                              counter(&numbers->refused[c][REFUSAL_RETRY]);
    look->reads.aborted += counter(&numbers->refused[CLASS_READ][REFUSAL_CIRCUIT_OPEN]);
    look->writes.aborted += counter(&numbers->refused[CLASS_WRITE][REFUSAL_CIRCUIT_OPEN]);
}

/* What the board's verdict fences off is among the errors, as UNAVAILABLE, and was not timed. A
 * CONSTRAINT is the request's own affair: the database did what it should. */
static void look_at_database(struct components_look *look, const struct slot_metrics *numbers)
{
    look->reads.timed += calls_of(numbers, DB_OP_READ);
    look->writes.timed += calls_of(numbers, DB_OP_COMMIT);
    for (unsigned code = 0; code < DB_CODE_COUNT; code++) {
        if (code == DB_CODE_CONSTRAINT)
            continue;
        uint64_t read_errors = counter(&numbers->db_errors[DB_OP_READ][code]);
        *(code == DB_CODE_UNAVAILABLE ? &look->reads.aborted : &look->reads.failed) += read_errors;
        look->writes.failed += counter(&numbers->db_errors[DB_OP_COMMIT][code]);
        look->writes.aborted += counter(&numbers->db_errors[DB_OP_BEGIN][code]) +
                                counter(&numbers->db_errors[DB_OP_WRITE][code]);
    }
}

static void look_at_worker(struct components_look *look, const struct slot_metrics *numbers,
                           unsigned index)
{
    for (unsigned e = 0; e < ENDPOINT_COUNT; e++)
        for (unsigned s = 0; s < STATUS_COUNT; s++) {
            uint64_t n = counter(&numbers->http_requests[e][s]);
            look->slot[index].requests += n;
            look->slot[index].unserved += is_unserved(s) ? n : 0;
        }
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        if (c != CLASS_HEALTH)
            histogram_sum_add(&look->slot[index].times, &numbers->http_request_duration[c]);
    look_at_refusals(look, numbers);
    look_at_database(look, numbers);
}

void components_look(struct components_look *look, const struct region *region,
                     const struct board *board, uint64_t now_ns)
{
    memset(look, 0, sizeof *look);
    look->at_ns = now_ns;
    for (unsigned i = 0; i < WORKER_SLOTS_MAX; i++) {
        if (!slot_view_was_used(region, i))
            continue;
        look->slot[i].live = slot_view_is_live(region, board, i);
        look_at_worker(look, &region->slots[i].slot.metrics, i);
    }
}

/* ---- cells --------------------------------------------------------------------------------- */

static double growth(uint64_t before, uint64_t after)
{
    return after > before ? (double)(after - before) : 0;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static void put(float cell[CELL_VALUES], double requests_per_s, double error_share, double p95_ms)
{
    cell[CELL_REQUESTS_PER_S] = (float)requests_per_s;
    cell[CELL_ERROR_SHARE] = (float)error_share;
    cell[CELL_P95_MS] = (float)p95_ms;
}

static void put_class(float cell[CELL_VALUES], const double *values, enum series_id requests,
                      enum series_id errors, enum series_id refused, enum series_id p95)
{
    put(cell, values[requests], share(values[errors] + values[refused], values[requests]),
        values[p95]);
}

struct tries {
    double per_s, failed_per_s;
};

static struct tries tries_between(const struct database_calls *before,
                                  const struct database_calls *after, double seconds)
{
    double failed = growth(before->failed, after->failed);
    double aborted = growth(before->aborted, after->aborted);
    /* an error is counted a moment before its call is timed */
    double timed = fmax(growth(before->timed, after->timed), failed);
    return (struct tries){(timed + aborted) / seconds, (failed + aborted) / seconds};
}

static void put_tries(float cell[CELL_VALUES], struct tries tries, bool up, double p95_ms)
{
    put(cell, tries.per_s, up ? share(tries.failed_per_s, tries.per_s) : 1, p95_ms);
}

static void put_worker(float cell[CELL_VALUES], const struct components_look *before,
                       const struct components_look *after, unsigned index, double seconds)
{
    struct histogram_sum times = after->slot[index].times;
    double requests = growth(before->slot[index].requests, after->slot[index].requests);
    double unserved = growth(before->slot[index].unserved, after->slot[index].unserved);
    histogram_sum_subtract(&times, &before->slot[index].times);
    double p95_ms =
        times.count ? (double)histogram_percentile(&times, 95) / (double)US_PER_MS : NAN;
    if (!after->slot[index].live)
        put(cell, NAN, NAN, NAN);
    else
        put(cell, requests / seconds, share(unserved, requests), p95_ms);
}

static void put_database(const struct components_look *before, const struct components_look *after,
                         const double *values, double seconds,
                         float cells[COMPONENTS_MAX][CELL_VALUES])
{
    struct tries reads = tries_between(&before->reads, &after->reads, seconds);
    struct tries writes = tries_between(&before->writes, &after->writes, seconds);
    struct tries all = {reads.per_s + writes.per_s, reads.failed_per_s + writes.failed_per_s};
    double read_ms = values[SERIES_db_read_p95_ms], write_ms = values[SERIES_db_write_p95_ms];
    put_tries(cells[COMPONENT_DB_READ], reads, true, read_ms);
    put_tries(cells[COMPONENT_DB_WRITE], writes, true, write_ms);
    put_tries(cells[COMPONENT_DATABASE], all, values[SERIES_db_up] > 0, fmax(read_ms, write_ms));
}

void components_between(const struct components_look *before, const struct components_look *after,
                        const double values[SERIES_NUMBER],
                        float cells[COMPONENTS_MAX][CELL_VALUES])
{
    double seconds = (double)(after->at_ns - before->at_ns) / (double)NS_PER_S;
    double accepts = values[SERIES_accepts_per_s], drops = values[SERIES_listen_drops_per_s];
    double shed = growth(before->door_refused, after->door_refused) / seconds;
    for (unsigned i = 0; i < WORKER_SLOTS_MAX; i++)
        put_worker(cells[COMPONENT_WORKER + i], before, after, i, seconds);
    put(cells[COMPONENT_LISTENER], accepts, share(drops, accepts + drops), NAN);
    put(cells[COMPONENT_DOOR], values[SERIES_requests_per_s],
        share(shed, values[SERIES_requests_per_s]), values[SERIES_door_wait_p95_ms]);
    put_class(cells[COMPONENT_AUTH], values, SERIES_auth_requests_per_s, SERIES_auth_errors_per_s,
              SERIES_auth_refused_per_s, SERIES_auth_p95_ms);
    put_class(cells[COMPONENT_READ], values, SERIES_read_requests_per_s, SERIES_read_errors_per_s,
              SERIES_read_refused_per_s, SERIES_read_p95_ms);
    put_class(cells[COMPONENT_WRITE], values, SERIES_write_requests_per_s,
              SERIES_write_errors_per_s, SERIES_write_refused_per_s, SERIES_write_p95_ms);
    put_database(before, after, values, seconds, cells);
}

void components_describe(struct json_out *json, unsigned workers)
{
    json_array_begin(json);
    for (unsigned i = 0; i < COMPONENT_WORKER + workers; i++) {
        char id[32], label[32];
        bool worker = i >= COMPONENT_WORKER;
        snprintf(id, sizeof id, "worker:%u", i - COMPONENT_WORKER);
        snprintf(label, sizeof label, "worker %u", i - COMPONENT_WORKER);
        json_object_begin(json);
        json_key_string(json, "id", worker ? id : names[i].id);
        json_key_string(json, "label", worker ? label : names[i].label);
        json_key_string(json, "group", worker ? "workers" : names[i].group);
        json_object_end(json);
    }
    json_array_end(json);
}
