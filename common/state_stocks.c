/* SPDX-License-Identifier: MIT */
#include "common/state_stocks.h"

#include <string.h>

#include "common/clock.h"
#include "common/fault_spec.h"
#include "common/route_word.h"
#include "common/slot_view.h"

#define BYTES_PER_MIB UINT64_C(1048576)

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void put_number_or_none(struct json_out *json, const char *key, bool present, uint64_t value)
{
    json_key(json, key);
    if (present)
        json_uint(json, value);
    else
        json_none(json);
}

/* ---- faults -------------------------------------------------------------------------------- */

/* The target as it is written in the fault's own text. */
static void put_target(struct json_out *json, const char *text)
{
    static const char word[] = " target=";
    const char *start = strstr(text, word);
    start = start ? start + sizeof word - 1 : "";
    json_key(json, "target");
    json_text_n(json, start, strcspn(start, " "));
}

/* The table's clock is monotonic: the wall clock of a moment is as far from now. */
static uint64_t wall_us_at(uint64_t moment_ns, uint64_t now_ns)
{
    uint64_t wall_us = clock_wall_us();
    return moment_ns <= now_ns ? wall_us - (now_ns - moment_ns) / NS_PER_US
                               : wall_us + (moment_ns - now_ns) / NS_PER_US;
}

static void put_fault(struct json_out *json, const struct fault *fault, uint64_t now_ns)
{
    char text[FAULT_TEXT_SIZE], since[CLOCK_RFC3339_SIZE];
    fault_spec_print(fault, text, sizeof text);
    clock_rfc3339(since, wall_us_at(fault->begin_ns, now_ns));
    json_object_begin(json);
    json_key_uint(json, "id", fault->id);
    json_key_string(json, "kind", fault_kind_name(fault->kind));
    put_target(json, text);
    json_key_string(json, "state", fault_state_name(fault->state));
    json_key_string(json, "since", since);
    json_key_uint(json, "ends_in_ms",
                  fault->end_ns > now_ns ? (fault->end_ns - now_ns) / NS_PER_MS : 0);
    json_key_string(json, "text", text);
    json_object_end(json);
}

void state_put_faults(struct json_out *json, const struct region *region)
{
    struct fault_table table;
    uint64_t now_ns = clock_now_ns();
    json_array_begin(json);
    if (region_read_faults(region, &table))
        for (unsigned i = 0; i < FAULTS_MAX; i++) {
            uint32_t state = table.fault[i].state;
            if (state == FAULT_STATE_SCHEDULED || state == FAULT_STATE_ACTIVE)
                put_fault(json, &table.fault[i], now_ns);
        }
    json_array_end(json);
}

/* ---- routes -------------------------------------------------------------------------------- */

void state_put_routes(struct json_out *json, const struct region *region)
{
    const struct board_words *words = &region->board.words;
    uint64_t now_ns = clock_now_ns();
    json_array_begin(json);
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++) {
        enum guard_state state = route_word_state(load(&words->route[i]));
        uint64_t until_ns = load(&words->route_until_ns[i]);
        if (state == GUARD_OPEN)
            continue;
        json_object_begin(json);
        json_key_string(json, "method", endpoint_method(i));
        json_key_string(json, "route", endpoint_route(i));
        json_key_string(json, "state", state == GUARD_TRIAL ? "trial" : "shut");
        put_number_or_none(json, "trial_in_ms", state == GUARD_SHUT && until_ns > now_ns,
                           (until_ns - now_ns) / NS_PER_MS);
        json_object_end(json);
    }
    json_array_end(json);
}

/* ---- stocks -------------------------------------------------------------------------------- */

/* Sums over the workers: gauges of those that live, counters of all that ever did. */
struct fleet {
    unsigned live;
    uint64_t parked, running[CLASS_COUNT], waiting[CLASS_COUNT];
    uint64_t accepts, returned, committed, passed[CLASS_COUNT];
};

/* A gauge of a process killed in the middle may be off by a little, also below zero. */
static uint64_t gauge(const _Atomic int64_t *cell)
{
    int64_t value = atomic_load_explicit(cell, memory_order_relaxed);
    return value > 0 ? (uint64_t)value : 0;
}

static void add_gauges(struct fleet *fleet, const struct slot_metrics *numbers)
{
    fleet->live++;
    fleet->parked += gauge(&numbers->door_parked[0]);
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        fleet->running[class] += gauge(&numbers->bulkhead_inflight[class]);
        fleet->waiting[class] += gauge(&numbers->bulkhead_queued[class]);
    }
}

/* Requests of a class that were answered, without those refused: they never came in. */
static void add_passed(struct fleet *fleet, const struct slot_metrics *numbers)
{
    uint64_t refused[CLASS_COUNT] = {0}, answered[CLASS_COUNT] = {0};
    for (unsigned class = 0; class < CLASS_COUNT; class ++)
        for (unsigned reason = 0; reason < REFUSAL_COUNT; reason++)
            refused[class] += load(&numbers->refused[class][reason]);
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++)
        for (unsigned status = 0; status < STATUS_COUNT; status++)
            answered[endpoint_class(i)] += load(&numbers->http_requests[i][status]);
    for (unsigned class = 0; class < CLASS_COUNT; class ++)
        if (answered[class] > refused[class])
            fleet->passed[class] += answered[class] - refused[class];
}

static void add_counters(struct fleet *fleet, const struct slot_metrics *numbers)
{
    fleet->accepts += load(&numbers->accepts[0][0]);
    fleet->returned += load(&numbers->door_returned[0][0]);
    fleet->committed += load(&numbers->db_commit_batch[0].sum);
    add_passed(fleet, numbers);
}

static struct fleet sum_fleet(const struct region *region, const struct board *board)
{
    struct fleet fleet = {0};
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++) {
        const struct slot_metrics *numbers = &region->slots[i].slot.metrics;
        if (slot_view_was_used(region, i))
            add_counters(&fleet, numbers);
        if (slot_view_is_live(region, board, i))
            add_gauges(&fleet, numbers);
    }
    return fleet;
}

struct stock {
    const char *name, *unit;
    uint64_t level, waiting, limit, in_total, out_total;
    bool has_waiting, has_in, has_out;
};

static void put_stock(struct json_out *json, const struct stock *stock)
{
    json_object_begin(json);
    json_key_string(json, "name", stock->name);
    json_key_string(json, "unit", stock->unit);
    json_key_uint(json, "level", stock->level);
    put_number_or_none(json, "waiting", stock->has_waiting, stock->waiting);
    json_key_uint(json, "limit", stock->limit);
    put_number_or_none(json, "in_total", stock->has_in, stock->in_total);
    put_number_or_none(json, "out_total", stock->has_out, stock->out_total);
    json_object_end(json);
}

/* All listeners as one: nobody counts accepted connections by listener. */
static void put_listen_queue(struct json_out *json, const struct board *board,
                             const struct fleet *fleet)
{
    struct stock stock = {.name = "listen_queue",
                          .unit = "connections",
                          .out_total = fleet->accepts,
                          .has_out = true};
    for (unsigned i = 0; i < board->listener_count && i < LISTENERS_MAX; i++) {
        stock.level += board->listener[i].queue_depth;
        stock.limit += board->listener[i].queue_max;
    }
    put_stock(json, &stock);
}

static void put_door(struct json_out *json, const struct config *config, const struct fleet *fleet)
{
    put_stock(json, &(struct stock){.name = "door",
                                    .unit = "connections",
                                    .level = fleet->parked,
                                    .limit = (uint64_t)config->door_parked * fleet->live,
                                    .in_total = fleet->accepts + fleet->returned,
                                    .has_in = true});
}

static void put_compartment(struct json_out *json, enum request_class class, uint64_t permits,
                            const struct fleet *fleet)
{
    put_stock(json, &(struct stock){.name = class_name(class),
                                    .unit = "requests",
                                    .level = fleet->running[class] + fleet->waiting[class],
                                    .waiting = fleet->waiting[class],
                                    .limit = permits * fleet->live,
                                    .out_total = fleet->passed[class],
                                    .has_waiting = true,
                                    .has_out = true});
}

/* A write holds a permit from when it is put in the queue until its group is committed. */
static void put_write_queue(struct json_out *json, const struct config *config,
                            const struct fleet *fleet)
{
    put_stock(json, &(struct stock){.name = "write_queue",
                                    .unit = "writes",
                                    .level = fleet->running[CLASS_WRITE],
                                    .limit = (uint64_t)config->bulkhead_write * fleet->live,
                                    .out_total = fleet->committed,
                                    .has_out = true});
}

/* Nobody counts what is written to the log or emptied out of it: only the level is known. */
static void put_wal(struct json_out *json, const struct board *board, const struct config *config)
{
    put_stock(json, &(struct stock){.name = "wal",
                                    .unit = "bytes",
                                    .level = board->wal_bytes,
                                    .limit = (uint64_t)config->wal_ceiling_mib * BYTES_PER_MIB});
}

void state_put_stocks(struct json_out *json, const struct region *region, const struct board *board)
{
    struct config config;
    json_array_begin(json);
    if (region_read_config(region, &config)) {
        struct fleet fleet = sum_fleet(region, board);
        put_listen_queue(json, board, &fleet);
        put_door(json, &config, &fleet);
        put_compartment(json, CLASS_AUTH, (uint64_t)config.bulkhead_auth, &fleet);
        put_compartment(json, CLASS_READ, (uint64_t)config.bulkhead_read, &fleet);
        put_compartment(json, CLASS_WRITE, (uint64_t)config.bulkhead_write, &fleet);
        put_write_queue(json, &config, &fleet);
        put_wal(json, board, &config);
    }
    json_array_end(json);
}
