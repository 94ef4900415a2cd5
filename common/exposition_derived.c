/* SPDX-License-Identifier: MIT */
#include "common/exposition_derived.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/route_word.h"
#include "common/slot_view.h"

/* A label's value: backslash, quote and newline escaped as the format says, other bytes that are
 * not printable ASCII replaced, so that no text of the board can break a line. */
static void put_label_value(FILE *out, const char *text, size_t limit)
{
    for (size_t i = 0; i < limit && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\\' || c == '"')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else
            fputc(c >= 0x20 && c < 0x7f ? c : '?', out);
    }
}

static void put_seconds(FILE *out, uint64_t us)
{
    fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", us / US_PER_S, us % US_PER_S);
}

static void derived_worker_state(FILE *out, const struct exposition_view *view, const char *name)
{
    for (unsigned i = 0; i < slot_view_worker_slots(&view->board); i++)
        for (unsigned state = 0; state < SLOT_STATE_COUNT; state++)
            fprintf(out, "%s{slot=\"%u\",state=\"%s\"} %d\n", name, i, slot_state_name(state),
                    view->board.slot[i].state == state);
}

static void derived_worker_generation(FILE *out, const struct exposition_view *view,
                                      const char *name)
{
    for (unsigned i = 0; i < slot_view_worker_slots(&view->board); i++)
        fprintf(out, "%s{slot=\"%u\"} %" PRIu32 "\n", name, i, view->board.slot[i].generation);
}

static void derived_worker_heartbeat_age(FILE *out, const struct exposition_view *view,
                                         const char *name)
{
    for (unsigned i = 0; i < slot_view_worker_slots(&view->board); i++) {
        if (!view->live[i])
            continue;
        fprintf(out, "%s{slot=\"%u\"} ", name, i);
        put_seconds(out, slot_view_heartbeat_age_ns(view->region, i, view->now_ns) / NS_PER_US);
    }
}

static void derived_workers(FILE *out, const struct exposition_view *view, const char *name)
{
    unsigned in_state[SLOT_STATE_COUNT] = {0};
    for (unsigned i = 0; i < slot_view_worker_slots(&view->board); i++)
        if (view->board.slot[i].state < SLOT_STATE_COUNT)
            in_state[view->board.slot[i].state]++;
    for (unsigned state = 0; state < SLOT_STATE_COUNT; state++)
        fprintf(out, "%s{state=\"%s\"} %u\n", name, slot_state_name(state), in_state[state]);
}

static void derived_route_quarantined(FILE *out, const struct exposition_view *view,
                                      const char *name)
{
    for (unsigned i = 0; i < ENDPOINT_COUNT; i++) {
        enum request_class class = endpoint_class(i);
        if (class == CLASS_HEALTH || class == CLASS_OTHER)
            continue; /* never shut */
        uint64_t word =
            atomic_load_explicit(&view->region->board.words.route[i], memory_order_relaxed);
        fprintf(out, "%s{method=\"%s\",route=\"%s\"} %d\n", name, endpoint_method(i),
                endpoint_route(i), route_word_state(word) != GUARD_OPEN);
    }
}

static void derived_db_up(FILE *out, const struct exposition_view *view, const char *name)
{
    uint32_t state = view->board.db_state;
    fprintf(out, "%s %d\n", name, state == DB_STATE_UP || state == DB_STATE_SLOW);
}

static void derived_db_state(FILE *out, const struct exposition_view *view, const char *name)
{
    for (unsigned state = 0; state < DB_STATE_COUNT; state++)
        fprintf(out, "%s{state=\"%s\"} %d\n", name, db_state_name(state),
                view->board.db_state == state);
}

static void derived_db_wal_bytes(FILE *out, const struct exposition_view *view, const char *name)
{
    fprintf(out, "%s %" PRIu64 "\n", name, view->board.wal_bytes);
}

/* One line for each listener; `value` picks the number. */
static void put_listeners(FILE *out, const struct exposition_view *view, const char *name,
                          uint64_t (*value)(const struct board_listener *))
{
    unsigned count = view->board.listener_count;
    for (unsigned i = 0; i < count && i < LISTENERS_MAX; i++) {
        const struct board_listener *listener = &view->board.listener[i];
        fprintf(out, "%s{listener=\"", name);
        put_label_value(out, listener->name, sizeof listener->name);
        fprintf(out, "\"} %" PRIu64 "\n", value(listener));
    }
}

static uint64_t queue_depth(const struct board_listener *listener)
{
    return listener->queue_depth;
}

static uint64_t queue_max(const struct board_listener *listener)
{
    return listener->queue_max;
}

static uint64_t drops(const struct board_listener *listener)
{
    return listener->drops;
}

static void derived_listen_queue_depth(FILE *out, const struct exposition_view *view,
                                       const char *name)
{
    put_listeners(out, view, name, queue_depth);
}

static void derived_listen_queue_max(FILE *out, const struct exposition_view *view,
                                     const char *name)
{
    put_listeners(out, view, name, queue_max);
}

static void derived_listen_drops(FILE *out, const struct exposition_view *view, const char *name)
{
    put_listeners(out, view, name, drops);
}

static void derived_fault_active(FILE *out, const struct exposition_view *view, const char *name)
{
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++)
        fprintf(
            out, "%s{kind=\"%s\"} %" PRIu32 "\n", name, fault_kind_name(kind),
            atomic_load_explicit(&view->region->faults.active_of_kind[kind], memory_order_relaxed));
}

static void derived_process_start(FILE *out, const struct exposition_view *view, const char *name)
{
    fprintf(out, "%s ", name);
    put_seconds(out, view->region->header.started_wall_us);
}

static void derived_build_info(FILE *out, const struct exposition_view *view, const char *name)
{
    fprintf(out, "%s{version=\"", name);
    put_label_value(out, view->region->header.version, sizeof view->region->header.version);
    fputs("\"} 1\n", out);
}

#define SLOT_COUNTER(id, name, d1, d2, spread, help)
#define SLOT_GAUGE(id, name, d1, spread, help)
#define SLOT_HISTOGRAM(id, name, d1, scale, help)
#define BOARD_COUNTER(id, name, d1, d2, help)
#define DERIVED(id, name, type, labels, help) derived_##id,

exposition_derived_writer *const exposition_derived[] = {
#include "common/metrics.def"
};
