/* SPDX-License-Identifier: MIT */
/* The picture of top: sections from the most to the least telling; what does not fit is left out,
 * the events take what is left. */
#include "tools/bulkheadctl/top.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "common/state_json.h"
#include "tools/bulkheadctl/event_colour.h"

#define STALE_NS     NS_PER_S /* a board older than this is not the present */
#define TALL         20       /* rows from which there is room for every class and listener */
#define EVENTS_LEAST 3
#define EVENTS_MOST  10 /* of a frame without a limit */

static bool is_tall(const struct frame *frame)
{
    return frame->height == 0 || frame->height >= TALL;
}

/* ---- title --------------------------------------------------------------------------------- */

static void draw_title(struct frame *frame, const struct top_look *look,
                       const struct region *region, pid_t pid, bool paused)
{
    static const char *const status[] = {"healthy", "degraded", "failing"};
    static const enum colour colours[] = {COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED};
    static const char *const load[] = {"normal", "stressed", "saturated"};
    const struct board *board = &look->board;
    const struct region_header *header = &region->header;
    uint32_t level = board->status <= HEALTH_FAILING ? board->status : (uint32_t)HEALTH_FAILING;
    uint32_t load_level = board->load <= LOAD_SATURATED ? board->load : (uint32_t)LOAD_SATURATED;
    uint64_t age_ns = look->now_ns > board->published_ns ? look->now_ns - board->published_ns : 0;
    char up[TEXT_SIZE];
    frame_put(frame, colours[level], "%s", status[level]);
    frame_put(frame, COLOUR_NONE, "%s%.*s", board->reason[0] ? ": " : "", (int)sizeof board->reason,
              board->reason);
    if (paused)
        frame_put(frame, COLOUR_BOLD, "  paused");
    if (age_ns > STALE_NS)
        frame_put(frame, COLOUR_RED, "  supervisor silent for %" PRIu64 " s", age_ns / NS_PER_S);
    frame_put(frame, COLOUR_NONE, "  load %s  CPU %.0f %%  up %s", load[load_level],
              board->cpu_percent,
              text_duration((look->now_ns - header->started_ns) / NS_PER_S, up));
    frame_put(frame, COLOUR_NONE, "  bulkhead %.*s pid %d", (int)sizeof header->version,
              header->version, (int)pid);
    frame_line(frame);
}

/* ---- rates --------------------------------------------------------------------------------- */

static void draw_rates_of(struct frame *frame, const char *name, const struct board_class *rates)
{
    frame_put(frame, COLOUR_NONE, "%-6s %7.1f ", name, rates->requests_per_s);
    frame_put(frame, rates->errors_per_s > 0 ? COLOUR_RED : COLOUR_NONE, "%6.1f ",
              rates->errors_per_s);
    frame_put(frame, rates->refused_per_s > 0 ? COLOUR_YELLOW : COLOUR_NONE, "%7.1f",
              rates->refused_per_s);
    frame_put(frame, COLOUR_NONE, " %8.1f %8.1f %8.1f", rates->p50_ms, rates->p95_ms,
              rates->p99_ms);
    frame_line(frame);
}

static void draw_rates(struct frame *frame, const struct board *board)
{
    frame_put(frame, COLOUR_BOLD, "%-6s %7s %6s %7s %8s %8s %8s", "class", "req/s", "err/s",
              "ref/s", "p50 ms", "p95 ms", "p99 ms");
    frame_line(frame);
    for (unsigned i = 0; i < CLASS_COUNT && is_tall(frame); i++)
        draw_rates_of(frame, class_name(i), &board->class[i]);
    draw_rates_of(frame, "total", &board->total);
}

/* ---- database and listeners ---------------------------------------------------------------- */

static void draw_database(struct frame *frame, const struct top_look *look)
{
    const struct board *board = &look->board;
    char wal[TEXT_SIZE];
    frame_put(frame, COLOUR_NONE, "db ");
    frame_put(frame, board->db_state == DB_STATE_UP ? COLOUR_GREEN : COLOUR_RED, "%s",
              db_state_name(board->db_state));
    frame_put(frame, COLOUR_NONE, "  %.1f commits/s  log %s  lock wait p95 %.1f ms",
              look->commits_per_s, text_bytes(board->wal_bytes, wal), look->lock_wait_ms);
    if (board->db_state != DB_STATE_UP && board->db_evidence[0])
        frame_put(frame, COLOUR_NONE, "  %.*s", (int)sizeof board->db_evidence, board->db_evidence);
    frame_line(frame);
}

static void draw_listeners(struct frame *frame, const struct board *board)
{
    unsigned shown = is_tall(frame) ? LISTENERS_MAX : 1;
    for (unsigned i = 0; i < board->listener_count && i < shown; i++) {
        const struct board_listener *listener = &board->listener[i];
        bool waits = listener->queue_max && listener->queue_depth * 2 > listener->queue_max;
        frame_put(frame, COLOUR_NONE, "listen %.*s  ", (int)sizeof listener->name, listener->name);
        frame_put(frame, waits ? COLOUR_RED : COLOUR_NONE, "%u of %u waiting",
                  listener->queue_depth, listener->queue_max);
        frame_put(frame, listener->drops ? COLOUR_YELLOW : COLOUR_NONE, "  %" PRIu64 " turned away",
                  listener->drops);
        frame_line(frame);
    }
}

/* ---- workers ------------------------------------------------------------------------------- */

/* Threads that do something, by stage: "db 3 hash 1". */
static void threads_of(const struct slot *slot, char *out, size_t size)
{
    unsigned in_stage[STAGE_COUNT] = {0};
    size_t length = 0;
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        uint32_t stage = atomic_load_explicit(&slot->cell[i].stage, memory_order_relaxed);
        if (stage < STAGE_COUNT)
            in_stage[stage]++;
    }
    snprintf(out, size, "-");
    for (unsigned stage = STAGE_BETWEEN + 1; stage < STAGE_COUNT && length < size; stage++)
        if (in_stage[stage])
            length += (size_t)snprintf(out + length, size - length, "%s%s %u", length ? " " : "",
                                       stage_name(stage), in_stage[stage]);
}

static void draw_breakers(struct frame *frame, const struct slot *slot)
{
    bool any = false;
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        struct breaker_public shown;
        const struct breaker_part *part = &slot->breaker[i];
        if (!change_try(&part->change, &shown, &part->breaker, sizeof shown) ||
            shown.state == BREAKER_CLOSED || shown.state == BREAKER_DISABLED)
            continue;
        any = true;
        frame_put(frame, COLOUR_RED, " %s %s", dependency_name(i), breaker_state_name(shown.state));
    }
    if (!any)
        frame_put(frame, COLOUR_NONE, " closed");
}

static void draw_slot(struct frame *frame, const struct top_look *look, const struct region *region,
                      unsigned index)
{
    const struct board_slot *slot = &look->board.slot[index];
    const struct slot *own = &region->slots[index].slot;
    char label[SLOT_LABEL_SIZE], pid[16] = "-", threads[200];
    bool live = slot_view_is_live(region, &look->board, index);
    slot_view_label(index, label);
    if (slot->pid > 0)
        snprintf(pid, sizeof pid, "%d", slot->pid);
    frame_put(frame, COLOUR_NONE, "%-8s ", label);
    frame_put(frame, slot_colour(slot->state), "%-11s", slot_state_name(slot->state));
    frame_put(frame, COLOUR_NONE, " %7s %4u %4u", pid, slot->generation, slot->restarts);
    if (live) {
        uint64_t age_ms = slot_view_heartbeat_age_ns(region, index, look->now_ns) / NS_PER_MS;
        frame_put(frame, age_ms > 1000 ? COLOUR_RED : COLOUR_NONE, " %5" PRIu64, age_ms);
    } else {
        frame_put(frame, COLOUR_NONE, " %5s", "-");
    }
    if (live && index < WORKER_SLOTS_MAX) {
        threads_of(own, threads, sizeof threads);
        frame_put(frame, COLOUR_NONE, " %5" PRIu64, atomic_load(&own->open_requests));
        draw_breakers(frame, own);
        frame_put(frame, COLOUR_NONE, "  %s", threads);
    } else if (!live && slot->last_death && slot->state != SLOT_EMPTY) {
        frame_put(frame, COLOUR_NONE, "     - %s", death_name(slot->last_death));
    }
    frame_line(frame);
}

/* Those that need a look first: with few rows the ready ones are counted, not shown. */
static void draw_workers(struct frame *frame, const struct top_look *look,
                         const struct region *region)
{
    unsigned rows = frame_rows_left(frame), used = 0, shown = 0;
    unsigned keep = is_tall(frame) ? EVENTS_LEAST : 1;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        used += look->board.slot[i].state != SLOT_EMPTY;
    if (rows < 2)
        return;
    unsigned most = frame->height == 0 || rows > used + 1 + keep ? used
                    : rows > keep + 2                            ? rows - keep - 2
                                                                 : rows - 2;
    frame_put(frame, COLOUR_BOLD, "%-8s %-11s %7s %4s %4s %5s %5s %s", "slot", "state", "pid",
              "gen", "rest", "beat", "busy", "breakers  threads");
    frame_line(frame);
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < SLOTS_MAX && shown < most; i++) {
            uint32_t state = look->board.slot[i].state;
            bool first = most < used && state != SLOT_READY;
            if (state == SLOT_EMPTY || first != (most < used && pass == 0))
                continue;
            if (most == used && pass == 1)
                continue;
            draw_slot(frame, look, region, i);
            shown++;
        }
    if (shown < used) {
        frame_put(frame, COLOUR_NONE, "and %u more", used - shown);
        frame_line(frame);
    }
}

/* ---- events -------------------------------------------------------------------------------- */

static void draw_event(struct frame *frame, const struct event *event)
{
    char when[CLOCK_RFC3339_SIZE], label[SLOT_LABEL_SIZE] = "";
    clock_rfc3339(when, event->wall_us);
    if (event->slot >= 0)
        slot_view_label((unsigned)event->slot, label);
    frame_put(frame, COLOUR_NONE, "%.8s ", when + 11);
    frame_put(frame, event_colour(event->type), "%-18s", event_name(event->type));
    frame_put(frame, COLOUR_NONE, " %s%s%s%.*s",
              event->slot >= 0 && event->slot < WORKER_SLOTS_MAX ? "worker " : "", label,
              label[0] ? ": " : "", (int)sizeof event->text, event->text);
    frame_line(frame);
}

/* The last ones that fit, oldest first. */
static void draw_events(struct frame *frame, const struct region *region)
{
    uint64_t last = state_last_event(region), oldest = state_oldest_since(region);
    unsigned rows = frame->height ? frame_rows_left(frame) : EVENTS_MOST;
    uint64_t id = last > rows ? last - rows : 0;
    for (id = id > oldest ? id : oldest; id < last;) {
        struct event event;
        if (region_read_event(region, ++id, &event))
            draw_event(frame, &event);
    }
}

void top_draw(struct frame *frame, const struct top_look *look, const struct region *region,
              pid_t pid, bool paused)
{
    draw_title(frame, look, region, pid, paused);
    draw_rates(frame, &look->board);
    draw_database(frame, look);
    draw_listeners(frame, &look->board);
    draw_workers(frame, look, region);
    draw_events(frame, region);
}
