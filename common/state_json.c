/* SPDX-License-Identifier: MIT */
#include "common/state_json.h"

#include <string.h>

#include "common/clock.h"
#include "common/health.h"
#include "common/slot_view.h"
#include "common/state_stocks.h"

static void put_time(struct json_out *json, const char *key, uint64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, wall_us);
    json_key_string(json, key, wall_us ? text : NULL);
}

/* A text of the region, which may lack its NUL. */
static void put_text(struct json_out *json, const char *key, const char *text, size_t size)
{
    json_key(json, key);
    json_text_n(json, text, strnlen(text, size));
}

const char *gate_stage_name(uint32_t stage)
{
    static const char *const names[] = {
        [GATE_NONE] = "none",
        [GATE_WAITING] = "waiting",
        [GATE_HOLDING] = "holding",
        [GATE_IN_COMMIT] = "in_commit",
    };
    return stage < sizeof names / sizeof names[0] ? names[stage] : "?";
}

/* ---- slots --------------------------------------------------------------------------------- */

/* How many request threads are in each stage; stages without one are left out. */
static void put_threads(struct json_out *json, const struct slot *slot, uint64_t threads)
{
    unsigned in_stage[STAGE_COUNT] = {0};
    for (unsigned i = 0; i < threads && i < CELLS_MAX; i++) {
        uint32_t stage = atomic_load_explicit(&slot->cell[i].stage, memory_order_relaxed);
        if (stage < STAGE_COUNT)
            in_stage[stage]++;
    }
    json_key(json, "threads");
    json_object_begin(json);
    for (unsigned stage = 0; stage < STAGE_COUNT; stage++)
        if (in_stage[stage])
            json_key_uint(json, stage_name(stage), in_stage[stage]);
    json_object_end(json);
}

static void put_breaker(struct json_out *json, const struct breaker_part *part, uint64_t now_ns)
{
    struct breaker_public shown;
    if (!change_try(&part->change, &shown, &part->breaker, sizeof shown)) {
        json_none(json); /* its process died while it wrote */
        return;
    }
    bool waits = shown.state == BREAKER_OPEN && shown.until_ns > now_ns;
    json_object_begin(json);
    json_key_string(json, "state", breaker_state_name(shown.state));
    put_time(json, "since", shown.since_wall_us);
    json_key_uint(json, "calls", shown.calls);
    json_key_uint(json, "failed", shown.failed);
    json_key_uint(json, "slow", shown.slow);
    json_key_uint(json, "running", shown.running);
    json_key(json, "next_probe_ms");
    if (waits)
        json_uint(json, (shown.until_ns - now_ns) / NS_PER_MS);
    else
        json_none(json);
    json_object_end(json);
}

static void put_breakers(struct json_out *json, const struct slot *slot, uint64_t now_ns)
{
    json_key(json, "breakers");
    json_object_begin(json);
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        json_key(json, dependency_name(i));
        put_breaker(json, &slot->breaker[i], now_ns);
    }
    json_object_end(json);
}

/* What the process in a slot says of itself; only of a live one is it true. */
static void put_live(struct json_out *json, const struct region *region, unsigned index,
                     const struct config *config)
{
    const struct slot *slot = &region->slots[index].slot;
    uint64_t age_ns = slot_view_heartbeat_age_ns(region, index, clock_now_ns());
    json_key_uint(json, "heartbeat_age_ms", age_ns / NS_PER_MS);
    json_key_string(json, "gate", gate_stage_name(atomic_load(&slot->gate_stage)));
    if (index >= WORKER_SLOTS_MAX)
        return;
    json_key_uint(json, "open_requests", atomic_load(&slot->open_requests));
    put_threads(json, slot, config->worker_threads);
    put_breakers(json, slot, clock_now_ns());
}

/* The class of the last death means something once there was one. */
static bool has_died(const struct board_slot *slot)
{
    return slot->generation > 1 || slot->state == SLOT_DEAD || slot->state == SLOT_BACKOFF ||
           slot->state == SLOT_QUARANTINED;
}

static void put_slot(struct json_out *json, const struct region *region, const struct board *board,
                     unsigned index, const struct config *config)
{
    const struct board_slot *slot = &board->slot[index];
    char label[SLOT_LABEL_SIZE];
    slot_view_label(index, label);
    json_object_begin(json);
    json_key_uint(json, "slot", index);
    json_key_string(json, "kind", index < WORKER_SLOTS_MAX ? "worker" : label);
    json_key_string(json, "state", slot_state_name(slot->state));
    put_time(json, "since", slot->since_wall_us);
    json_key(json, "pid");
    if (slot->pid > 0)
        json_int(json, slot->pid);
    else
        json_none(json);
    json_key_uint(json, "generation", slot->generation);
    put_time(json, "started_at", slot->started_wall_us);
    json_key_uint(json, "restarts", slot->restarts);
    json_key_string(json, "last_death", has_died(slot) ? death_name(slot->last_death) : NULL);
    if (slot_view_is_live(region, board, index))
        put_live(json, region, index, config);
    json_object_end(json);
}

static void put_slots(struct json_out *json, const struct region *region, const struct board *board)
{
    struct config config;
    if (!region_read_config(region, &config))
        config.worker_threads = CELLS_MAX;
    json_array_begin(json);
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++)
        put_slot(json, region, board, i, &config);
    for (unsigned i = WORKER_SLOTS_MAX; i < SLOTS_MAX; i++)
        put_slot(json, region, board, i, &config);
    json_array_end(json);
}

/* ---- the rest of the board ----------------------------------------------------------------- */

static void put_fleet(struct json_out *json, const struct board *board)
{
    json_key(json, "fleet");
    json_object_begin(json);
    json_key_uint(json, "configured", board->configured);
    json_key_uint(json, "ready", board->ready);
    json_key_uint(json, "degraded", board->degraded);
    json_key_uint(json, "restarting", board->restarting);
    json_key_uint(json, "quarantined", board->quarantined);
    json_key_uint(json, "draining", board->draining);
    json_key_double(json, "cpu_percent", board->cpu_percent);
    json_object_end(json);
}

static void put_database(struct json_out *json, const struct region *region,
                         const struct board *board)
{
    const struct board_words *words = &region->board.words;
    json_key(json, "db");
    json_object_begin(json);
    json_key_string(json, "state", db_state_name(board->db_state));
    put_time(json, "since", board->db_since_wall_us);
    put_text(json, "evidence", board->db_evidence, sizeof board->db_evidence);
    json_key_bool(json, "readable", atomic_load(&words->db_readable) != 0);
    json_key_bool(json, "writable", atomic_load(&words->db_writable) != 0);
    json_key_uint(json, "wal_bytes", board->wal_bytes);
    json_key_uint(json, "epoch", atomic_load(&words->db_epoch));
    json_object_end(json);
}

static void put_rates(struct json_out *json, const char *name, const struct board_class *rates)
{
    json_key(json, name);
    json_object_begin(json);
    json_key_double(json, "requests_per_s", rates->requests_per_s);
    json_key_double(json, "errors_per_s", rates->errors_per_s);
    json_key_double(json, "refused_per_s", rates->refused_per_s);
    json_key_double(json, "p50_ms", rates->p50_ms);
    json_key_double(json, "p95_ms", rates->p95_ms);
    json_key_double(json, "p99_ms", rates->p99_ms);
    json_object_end(json);
}

static void put_classes(struct json_out *json, const struct board *board)
{
    json_key(json, "classes");
    json_object_begin(json);
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        put_rates(json, class_name(i), &board->class[i]);
    put_rates(json, "total", &board->total);
    json_object_end(json);
}

static void put_listeners(struct json_out *json, const struct board *board)
{
    json_key(json, "listeners");
    json_array_begin(json);
    for (unsigned i = 0; i < board->listener_count && i < LISTENERS_MAX; i++) {
        const struct board_listener *listener = &board->listener[i];
        json_object_begin(json);
        put_text(json, "name", listener->name, sizeof listener->name);
        json_key_uint(json, "queue_depth", listener->queue_depth);
        json_key_uint(json, "queue_max", listener->queue_max);
        json_key_uint(json, "drops", listener->drops);
        json_object_end(json);
    }
    json_array_end(json);
}

static size_t finished(const struct json_out *json)
{
    return json->overflow ? 0 : json->length;
}

size_t state_json(const struct region *region, char *out, size_t size)
{
    const struct region_header *header = &region->header;
    char health[HEALTH_JSON_SIZE];
    struct board board;
    size_t health_length = health_json(region, health, sizeof health);
    if (health_length == 0 || !region_read_board(region, &board))
        return 0;
    struct json_out json;
    json_out_init(&json, out, size);
    json_object_begin(&json);
    json_key(&json, "health");
    json_raw(&json, health, health_length);
    json_key_int(&json, "supervisor_pid", header->supervisor_pid);
    put_time(&json, "started_at", header->started_wall_us);
    put_text(&json, "data_dir", header->data_dir, sizeof header->data_dir);
    put_fleet(&json, &board);
    json_key(&json, "slots");
    put_slots(&json, region, &board);
    put_database(&json, region, &board);
    put_classes(&json, &board);
    put_listeners(&json, &board);
    json_key(&json, "faults");
    state_put_faults(&json, region);
    json_key(&json, "routes");
    state_put_routes(&json, region);
    json_key(&json, "stocks");
    state_put_stocks(&json, region, &board);
    json_key_uint(&json, "last_event_id", state_last_event(region));
    json_object_end(&json);
    return finished(&json);
}

size_t state_slots_json(const struct region *region, char *out, size_t size)
{
    struct board board;
    if (!region_read_board(region, &board))
        return 0;
    struct json_out json;
    json_out_init(&json, out, size);
    put_slots(&json, region, &board);
    return finished(&json);
}

/* ---- events -------------------------------------------------------------------------------- */

void state_event_json(struct json_out *json, const struct event *event)
{
    json_object_begin(json);
    json_key_uint(json, "id", event->id);
    json_key(json, "cause_id");
    if (event->cause_id)
        json_uint(json, event->cause_id);
    else
        json_none(json);
    put_time(json, "ts", event->wall_us);
    json_key_string(json, "event", event_name(event->type));
    json_key_string(json, "tone", event_tone_name(event_tone(event->type)));
    if (event->slot >= 0) {
        char label[SLOT_LABEL_SIZE];
        slot_view_label((unsigned)event->slot, label);
        json_key_int(json, "slot", event->slot);
        json_key_string(json, "kind", event->slot < WORKER_SLOTS_MAX ? "worker" : label);
        json_key_int(json, "pid", event->pid);
        json_key_uint(json, "generation", event->generation);
    }
    put_text(json, "text", event->text, sizeof event->text);
    json_object_end(json);
}

uint64_t state_last_event(const struct region *region)
{
    return atomic_load_explicit(&region->events.last_id, memory_order_acquire);
}

uint64_t state_oldest_since(const struct region *region)
{
    uint64_t last = state_last_event(region);
    return last > EVENTS_SIZE ? last - EVENTS_SIZE : 0;
}

size_t state_events_json(const struct region *region, uint64_t since, char *out, size_t size)
{
    uint64_t last = state_last_event(region), oldest = state_oldest_since(region);
    if (since < oldest)
        since = oldest;
    struct json_out json;
    json_out_init(&json, out, size);
    json_object_begin(&json);
    json_key_uint(&json, "last_id", last);
    json_key(&json, "events");
    json_array_begin(&json);
    unsigned given = 0;
    for (uint64_t id = since + 1; since < last && id <= last && given < EVENTS_PAGE; id++) {
        struct event event;
        if (!region_read_event(region, id, &event))
            continue; /* overwritten while we looked */
        state_event_json(&json, &event);
        given++;
    }
    json_array_end(&json);
    json_object_end(&json);
    return finished(&json);
}
