/* SPDX-License-Identifier: MIT */
/* GET /health and /api/state: the documents say what the board says, and are JSON. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/health.h"
#include "common/region.h"
#include "common/route_word.h"
#include "common/state_json.h"

static struct region *region;
static struct board board;
static int region_fd;

static void publish(void)
{
    change_publish(&region->board.change, &region->board.board, &board, sizeof board);
}

/* Four healthy workers; nothing is published yet. */
static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    memset(&board, 0, sizeof board);
    board.configured = board.ready = 4;
    board.worker_slots = 5;
    board.db_state = DB_STATE_UP;
    board.db_since_wall_us = 1700000000000000;
    for (unsigned i = 0; i < 4; i++)
        board.slot[i] = (struct board_slot){.state = SLOT_READY, .generation = 1, .pid = 100};
    region->header.started_ns = clock_now_ns() - 5 * NS_PER_S;
    region->header.started_wall_us = 1600000000000000;
    region->board.words.db_readable = region->board.words.db_writable = 1;
    snprintf(region->header.version, sizeof region->header.version, "1.2.3");
    return region_fd < 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(region_fd);
    return 0;
}

static json_t *health(void)
{
    char text[HEALTH_JSON_SIZE];
    size_t length = health_json(region, text, sizeof text);
    assert_int_equal(length, strlen(text));
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_at(const json_t *root, const char *key)
{
    return json_string_value(json_object_get(root, key));
}

static json_int_t number_at(const json_t *root, const char *key)
{
    assert_true(json_is_integer(json_object_get(root, key)));
    return json_integer_value(json_object_get(root, key));
}

static void a_healthy_board(void **unused)
{
    (void)unused;
    publish();
    json_t *root = health();
    const json_t *db = json_object_get(root, "db"), *workers = json_object_get(root, "workers");
    assert_string_equal(text_at(root, "status"), "healthy");
    assert_true(json_is_false(json_object_get(root, "degraded")));
    assert_true(json_is_null(json_object_get(root, "reason")));
    assert_string_equal(text_at(root, "load"), "normal");
    assert_string_equal(text_at(db, "state"), "up");
    assert_string_equal(text_at(db, "since"), "2023-11-14T22:13:20.000000Z");
    assert_int_equal(number_at(workers, "configured"), 4);
    assert_int_equal(number_at(workers, "ready"), 4);
    assert_int_equal(number_at(workers, "degraded"), 0);
    assert_int_equal(number_at(workers, "restarting"), 0);
    assert_int_equal(number_at(workers, "quarantined"), 0);
    assert_in_range(number_at(root, "uptime_seconds"), 5, 6);
    assert_string_equal(text_at(root, "version"), "1.2.3");
    assert_int_equal(json_object_size(root), 8);
    assert_true(health_is_ready(region));
    json_decref(root);
}

static void a_degraded_board(void **unused)
{
    (void)unused;
    board.status = HEALTH_DEGRADED;
    board.load = LOAD_STRESSED;
    snprintf(board.reason, sizeof board.reason, "db_unavailable");
    board.db_state = DB_STATE_MOVED;
    board.ready = 0;
    board.degraded = 3;
    board.quarantined = 1;
    for (unsigned i = 0; i < 4; i++)
        board.slot[i].state = i ? SLOT_DEGRADED : SLOT_QUARANTINED;
    publish();
    json_t *root = health();
    assert_string_equal(text_at(root, "status"), "degraded");
    assert_true(json_is_true(json_object_get(root, "degraded")));
    assert_string_equal(text_at(root, "reason"), "db_unavailable");
    assert_string_equal(text_at(root, "load"), "stressed");
    assert_string_equal(text_at(json_object_get(root, "db"), "state"), "moved");
    assert_int_equal(number_at(json_object_get(root, "workers"), "degraded"), 3);
    assert_int_equal(number_at(json_object_get(root, "workers"), "quarantined"), 1);
    assert_true(health_is_ready(region)); /* reads may work still */
    region->board.words.db_writable = 0;
    assert_true(health_is_ready(region));
    region->board.words.db_readable = 0;
    assert_false(health_is_ready(region));
    json_decref(root);
}

static void a_failing_board(void **unused)
{
    (void)unused;
    board.status = HEALTH_FAILING;
    board.ready = 0;
    board.restarting = 4;
    snprintf(board.reason, sizeof board.reason, "no_workers");
    for (unsigned i = 0; i < 4; i++)
        board.slot[i].state = SLOT_BACKOFF;
    publish();
    json_t *root = health();
    assert_string_equal(text_at(root, "status"), "failing");
    assert_true(json_is_true(json_object_get(root, "degraded")));
    assert_int_equal(number_at(json_object_get(root, "workers"), "restarting"), 4);
    assert_false(health_is_ready(region));
    json_decref(root);
}

static void before_the_first_board_it_is_starting(void **unused)
{
    (void)unused;
    json_t *root = health();
    assert_string_equal(text_at(root, "status"), "failing");
    assert_string_equal(text_at(root, "reason"), "starting");
    assert_string_equal(text_at(json_object_get(root, "db"), "state"), "unknown");
    assert_string_equal(text_at(json_object_get(root, "db"), "since"),
                        "2020-09-13T12:26:40.000000Z");
    assert_false(health_is_ready(region));
    json_decref(root);
}

static void the_successor_of_a_reload_serves_too(void **unused)
{
    (void)unused;
    board.ready = 0;
    for (unsigned i = 0; i < 4; i++)
        board.slot[i].state = SLOT_DRAINING;
    board.slot[4].state = SLOT_READY;
    publish();
    assert_true(health_is_ready(region));
}

static void what_cannot_be_written_is_not(void **unused)
{
    (void)unused;
    char text[HEALTH_JSON_SIZE];
    publish();
    assert_int_equal(health_json(region, text, 100), 0);
    atomic_fetch_add(&region->board.change.count, 1); /* its writer died in the middle */
    assert_int_equal(health_json(region, text, sizeof text), 0);
    assert_true(health_is_ready(region)); /* the words are still good */
}

static void every_text_fits(void **unused)
{
    (void)unused;
    memset(board.reason, 1, sizeof board.reason); /* six bytes each when escaped, and no NUL */
    memset(region->header.version, 1, sizeof region->header.version - 1);
    publish();
    json_decref(health());
}

/* ---- /api/state and events ----------------------------------------------------------------- */

static json_t *state(void)
{
    static char text[STATE_JSON_SIZE];
    assert_true(state_json(region, text, sizeof text) > 0);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static void state_shows_the_slots(void **unused)
{
    (void)unused;
    struct slot *slot = region_slot(region, 1);
    board.slot[1] = (struct board_slot){
        .state = SLOT_READY, .generation = 2, .pid = 77, .last_death = DEATH_OOM, .restarts = 1};
    board.slot[2].generation = 9; /* its process has not entered its slot yet */
    slot->generation = 2;
    slot->cell[0].stage = slot->cell[1].stage = STAGE_DB;
    region->config.config.worker_threads = 8;
    publish();
    json_t *root = state();
    const json_t *slots = json_object_get(root, "slots"), *second = json_array_get(slots, 1);
    assert_int_equal(json_array_size(slots), 5 + HELPER_COUNT);
    assert_string_equal(text_at(second, "kind"), "worker");
    assert_string_equal(text_at(second, "state"), "ready");
    assert_string_equal(text_at(second, "last_death"), "oom");
    assert_int_equal(number_at(second, "pid"), 77);
    assert_int_equal(number_at(json_object_get(second, "threads"), "db"), 2);
    assert_int_equal(number_at(json_object_get(second, "threads"), "idle"), 6);
    assert_null(json_object_get(json_array_get(slots, 2), "heartbeat_age_ms"));
    assert_string_equal(text_at(json_array_get(slots, 5), "kind"), "sentinel");
    assert_string_equal(text_at(json_object_get(root, "health"), "status"), "healthy");
    json_decref(root);
}

static void publish_faults(const struct fault_table *table)
{
    change_publish(&region->faults.change, &region->faults.table, table, sizeof *table);
}

static void state_shows_faults_under_way(void **unused)
{
    (void)unused;
    uint64_t now_ns = clock_now_ns();
    struct fault_table table = {0};
    table.fault[3] = (struct fault){.id = 1, .state = FAULT_STATE_ENDED};
    table.fault[7] = (struct fault){.id = 2,
                                    .state = FAULT_STATE_ACTIVE,
                                    .kind = FAULT_CRASH,
                                    .target = FAULT_TARGET_WORKER,
                                    .slot = 1,
                                    .class = FAULT_EVERY,
                                    .endpoint = FAULT_EVERY,
                                    .begin_ns = now_ns - 10 * NS_PER_S,
                                    .end_ns = now_ns + 20 * NS_PER_S};
    publish_faults(&table);
    publish();
    uint64_t began_us = clock_wall_us() - 10 * US_PER_S;
    json_t *root = state();
    const json_t *faults = json_object_get(root, "faults"), *fault = json_array_get(faults, 0);
    char earliest[CLOCK_RFC3339_SIZE], latest[CLOCK_RFC3339_SIZE];
    clock_rfc3339(earliest, began_us - 2 * US_PER_S);
    clock_rfc3339(latest, began_us + 2 * US_PER_S);
    assert_int_equal(json_array_size(faults), 1);
    assert_int_equal(number_at(fault, "id"), 2);
    assert_string_equal(text_at(fault, "kind"), "crash");
    assert_string_equal(text_at(fault, "target"), "worker:1");
    assert_string_equal(text_at(fault, "state"), "active");
    assert_in_range(number_at(fault, "ends_in_ms"), 15000, 20000);
    assert_true(strcmp(text_at(fault, "since"), earliest) > 0);
    assert_true(strcmp(text_at(fault, "since"), latest) < 0);
    assert_non_null(strstr(text_at(fault, "text"), "crash signal=KILL target=worker:1"));
    json_decref(root);
}

static void state_shows_routes_that_are_shut(void **unused)
{
    (void)unused;
    struct board_words *words = &region->board.words;
    words->route[ENDPOINT_ITEM_LIST] = route_word(GUARD_SHUT, 0, 1);
    words->route_until_ns[ENDPOINT_ITEM_LIST] = clock_now_ns() + 30 * NS_PER_S;
    words->route[ENDPOINT_ITEM_PUT] = route_word(GUARD_TRIAL, 2, 7);
    publish();
    json_t *root = state();
    const json_t *routes = json_object_get(root, "routes");
    const json_t *list = json_array_get(routes, 0), *put = json_array_get(routes, 1);
    assert_int_equal(json_array_size(routes), 2);
    assert_string_equal(text_at(list, "method"), "GET");
    assert_string_equal(text_at(list, "route"), "/data/items");
    assert_string_equal(text_at(list, "state"), "shut");
    assert_in_range(number_at(list, "trial_in_ms"), 25000, 30000);
    assert_string_equal(text_at(put, "state"), "trial");
    assert_true(json_is_null(json_object_get(put, "trial_in_ms")));
    json_decref(root);
}

static const json_t *stock_named(const json_t *root, const char *name)
{
    size_t i;
    json_t *stock;
    json_array_foreach(json_object_get(root, "stocks"), i,
                       stock) if (strcmp(text_at(stock, "name"), name) == 0) return stock;
    fail_msg("no stock is called %s", name);
    return NULL;
}

static void assert_stock(const json_t *root, const char *name, json_int_t level, json_int_t limit,
                         const char *flow, json_int_t total)
{
    const json_t *stock = stock_named(root, name);
    assert_int_equal(number_at(stock, "level"), level);
    assert_int_equal(number_at(stock, "limit"), limit);
    if (flow)
        assert_int_equal(number_at(stock, flow), total);
}

/* Worker 0 lives, 1 died: its counters stay, what it held is gone. */
static void state_sums_the_stocks(void **unused)
{
    (void)unused;
    struct config *config = &region->config.config;
    config->door_parked = 100;
    config->bulkhead_auth = 1;
    config->bulkhead_read = 16;
    config->bulkhead_write = 8;
    config->wal_ceiling_mib = 2;
    board.wal_bytes = 5000;
    board.listener_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct slot_metrics *numbers = &region_slot(region, i)->metrics;
        board.listener[i].queue_depth = 3 + i;
        board.listener[i].queue_max = 64;
        region_slot(region, i)->generation = 1;
        numbers->accepts[0][0] = 10;
        numbers->door_returned[0][0] = 5;
        numbers->door_parked[0] = 7;
        numbers->bulkhead_inflight[CLASS_WRITE] = 4;
        numbers->bulkhead_queued[CLASS_WRITE] = 2;
        numbers->bulkhead_inflight[CLASS_AUTH] = -1;
        numbers->http_requests[ENDPOINT_ITEM_PUT][STATUS_200] = 20;
        numbers->http_requests[ENDPOINT_ITEM_CREATE][STATUS_503] = 6;
        numbers->refused[CLASS_WRITE][REFUSAL_FULL] = 6;
        numbers->db_commit_batch[0].sum = 19;
    }
    board.slot[1].state = SLOT_BACKOFF;
    publish();
    json_t *root = state();
    assert_stock(root, "listen_queue", 7, 128, "out_total", 20);
    assert_stock(root, "door", 7, 100, "in_total", 30);
    assert_stock(root, "auth", 0, 1, "out_total", 0);
    assert_stock(root, "read", 0, 16, "out_total", 0);
    assert_stock(root, "write", 6, 8, "out_total", 40);
    assert_stock(root, "write", 6, 8, "waiting", 2);
    assert_stock(root, "write_queue", 4, 8, "out_total", 38);
    assert_stock(root, "wal", 5000, 2 * 1048576, NULL, 0);
    assert_true(json_is_null(json_object_get(stock_named(root, "wal"), "in_total")));
    json_decref(root);
}

/* The longest text of every fault, all of them active, and every route shut. */
static void fill_faults_and_routes(void)
{
    struct fault_table table;
    memset(&table, 0xff, sizeof table);
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        table.fault[i].state = FAULT_STATE_ACTIVE;
        table.fault[i].kind = FAULT_CLOSE_FDS;
        table.fault[i].target = FAULT_TARGET_WORKER;
        table.fault[i].class = CLASS_HEALTH;
        table.fault[i].endpoint = ENDPOINT_ITEM_DELETE;
    }
    publish_faults(&table);
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++) {
        region->board.words.route[i] = route_word(GUARD_SHUT, 0, 1);
        region->board.words.route_until_ns[i] = UINT64_MAX;
    }
}

static void a_full_fleet_fits(void **unused)
{
    (void)unused;
    fill_faults_and_routes();
    board.worker_slots = WORKER_SLOTS_MAX;
    board.listener_count = LISTENERS_MAX;
    memset(board.db_evidence, 1, sizeof board.db_evidence);
    memset(region->header.data_dir, 1, sizeof region->header.data_dir);
    for (unsigned i = 0; i < LISTENERS_MAX; i++)
        memset(board.listener[i].name, 1, sizeof board.listener[i].name);
    region->config.config.worker_threads = CELLS_MAX;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot *slot = region_slot(region, i);
        board.slot[i] = (struct board_slot){.state = SLOT_QUARANTINED - 4,
                                            .generation = UINT32_MAX,
                                            .pid = INT32_MAX,
                                            .last_death = DEATH_FAILED_TO_START,
                                            .restarts = UINT32_MAX,
                                            .since_wall_us = 1,
                                            .started_wall_us = 1};
        slot->generation = UINT32_MAX;
        slot->open_requests = INT64_MAX;
        for (unsigned c = 0; c < CELLS_MAX; c++)
            slot->cell[c].stage = c % (STAGE_COUNT + 1);
    }
    publish();
    json_decref(state());
}

static void put_event(uint64_t id)
{
    struct event_entry *entry = &region->events.entry[id % EVENTS_SIZE];
    struct event event = {.id = id, .type = EVENT_WORKER_DIED, .slot = 2, .wall_us = id};
    snprintf(event.text, sizeof event.text, "event \"%u\"", (unsigned)id);
    change_publish(&entry->change, &entry->event, &event, sizeof event);
    atomic_store(&region->events.last_id, id);
}

static void assert_events(uint64_t since, json_int_t first, size_t count)
{
    static char text[EVENTS_JSON_SIZE];
    assert_true(state_events_json(region, since, text, sizeof text) > 0);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *events = json_object_get(root, "events");
    assert_int_equal(json_array_size(events), count);
    if (count) {
        assert_int_equal(number_at(json_array_get(events, 0), "id"), first);
        assert_string_equal(text_at(json_array_get(events, 0), "tone"), "bad");
    }
    json_decref(root);
}

static void events_come_in_pages_of_what_the_ring_holds(void **unused)
{
    (void)unused;
    assert_events(0, 0, 0);
    for (uint64_t id = 1; id <= 3; id++)
        put_event(id);
    assert_events(0, 1, 3);
    assert_events(2, 3, 1);
    assert_events(3, 0, 0);
    assert_events(UINT64_MAX, 0, 0);
    for (uint64_t id = 4; id <= EVENTS_SIZE + 10; id++)
        put_event(id);
    assert_events(0, 11, EVENTS_PAGE);
    assert_events(EVENTS_SIZE, EVENTS_SIZE + 1, 10);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_healthy_board),
        EACH(a_degraded_board),
        EACH(a_failing_board),
        EACH(before_the_first_board_it_is_starting),
        EACH(the_successor_of_a_reload_serves_too),
        EACH(what_cannot_be_written_is_not),
        EACH(every_text_fits),
        EACH(state_shows_the_slots),
        EACH(state_shows_faults_under_way),
        EACH(state_shows_routes_that_are_shut),
        EACH(state_sums_the_stocks),
        EACH(a_full_fleet_fits),
        EACH(events_come_in_pages_of_what_the_ring_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
