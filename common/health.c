/* SPDX-License-Identifier: MIT */
#include "common/health.h"

#include "common/clock.h"
#include "common/json_out.h"
#include "common/slot_view.h"

static const char *status_name(uint32_t status)
{
    switch (status) {
    case HEALTH_HEALTHY:
        return "healthy";
    case HEALTH_DEGRADED:
        return "degraded";
    default:
        return "failing";
    }
}

static const char *load_name(uint32_t load)
{
    switch (load) {
    case LOAD_NORMAL:
        return "normal";
    case LOAD_STRESSED:
        return "stressed";
    default:
        return "saturated";
    }
}

/* A board of nothing but zeros would say that all is well. */
static void not_yet_published(struct board *board)
{
    *board = (struct board){.status = HEALTH_FAILING, .reason = "starting"};
}

static void put_database(struct json_out *json, const struct board *board,
                         const struct region_header *header)
{
    char since[CLOCK_RFC3339_SIZE];
    /* Before the first verdict the state has been unknown ever since the start. */
    clock_rfc3339(since,
                  board->db_since_wall_us ? board->db_since_wall_us : header->started_wall_us);
    json_key(json, "db");
    json_object_begin(json);
    json_key_string(json, "state", db_state_name(board->db_state));
    json_key_string(json, "since", since);
    json_object_end(json);
}

static void put_workers(struct json_out *json, const struct board *board)
{
    json_key(json, "workers");
    json_object_begin(json);
    json_key_uint(json, "configured", board->configured);
    json_key_uint(json, "ready", board->ready);
    json_key_uint(json, "degraded", board->degraded);
    json_key_uint(json, "restarting", board->restarting);
    json_key_uint(json, "quarantined", board->quarantined);
    json_object_end(json);
}

size_t health_json(const struct region *region, char *out, size_t size)
{
    struct board board;
    if (!region_read_board(region, &board))
        return 0;
    if (atomic_load(&region->board.change.count) == 0)
        not_yet_published(&board);
    board.reason[sizeof board.reason - 1] = '\0';
    uint64_t now_ns = clock_now_ns(), started_ns = region->header.started_ns;
    struct json_out json;
    json_out_init(&json, out, size);
    json_object_begin(&json);
    json_key_string(&json, "status", status_name(board.status));
    json_key_bool(&json, "degraded", board.status != HEALTH_HEALTHY);
    json_key_string(&json, "reason", board.reason[0] ? board.reason : NULL);
    json_key_string(&json, "load", load_name(board.load));
    put_database(&json, &board, &region->header);
    put_workers(&json, &board);
    json_key_uint(&json, "uptime_seconds",
                  now_ns > started_ns ? (now_ns - started_ns) / NS_PER_S : 0);
    json_key_string(&json, "version", region->header.version);
    json_object_end(&json);
    return json.overflow ? 0 : json.length;
}

/* Counted from the slots, not from board.ready: the successor of a reload serves as well. */
static bool somebody_serves(const struct board *board)
{
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++)
        if (board->slot[i].state == SLOT_READY || board->slot[i].state == SLOT_DEGRADED)
            return true;
    return false;
}

bool health_is_ready(const struct region *region)
{
    const struct board_words *words = &region->board.words;
    if (!atomic_load(&words->db_readable) && !atomic_load(&words->db_writable))
        return false;
    struct board board;
    /* A board that cannot be read now proves nothing: the words alone decide. */
    return !region_read_board(region, &board) || somebody_serves(&board);
}
