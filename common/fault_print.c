/* SPDX-License-Identifier: MIT */
/* Faults as people and programs read them: names, one line of text, JSON, the list of keys. */
#include "common/fault_spec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/region.h"
#include "common/slot_view.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define NAME_FUNCTION(function, LIST)                        \
    const char *function(unsigned value)                     \
    {                                                        \
        static const char *const names[] = {LIST(X)};        \
        return value < COUNT_OF(names) ? names[value] : "?"; \
    }
#define X(id, name) name,
NAME_FUNCTION(fault_state_name, FAULT_STATE_LIST)
NAME_FUNCTION(fault_end_name, FAULT_END_LIST)
NAME_FUNCTION(fault_point_name, FAULT_POINT_LIST)
/* clang-format off */
static NAME_FUNCTION(crash_name, FAULT_CRASH_LIST)
static NAME_FUNCTION(hang_name, FAULT_HANG_LIST)
static NAME_FUNCTION(into_name, FAULT_INTO_LIST)
static NAME_FUNCTION(of_name, FAULT_OF_LIST)
static NAME_FUNCTION(db_effect_name, FAULT_DB_LIST)
static NAME_FUNCTION(op_name, FAULT_OP_LIST)
/* clang-format on */
#undef X

    struct line {
    char *out;
    size_t size, used;
};

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    if (line->used >= line->size)
        return;
    va_start(arguments, format);
    int n = vsnprintf(line->out + line->used, line->size - line->used, format, arguments);
    va_end(arguments);
    line->used += n > 0 ? (size_t)n : 0;
}

static void put_target(struct line *line, const struct fault *fault)
{
    static const char *const names[] = {[FAULT_TARGET_ANY] = "any",
                                        [FAULT_TARGET_ALL] = "all",
                                        [FAULT_TARGET_DATABASE] = "database"};
    char label[SLOT_LABEL_SIZE];
    slot_view_label(fault->slot < SLOTS_MAX ? fault->slot : 0, label);
    if (fault->target == FAULT_TARGET_WORKER)
        put(line, " target=worker:%u", fault->slot);
    else if (fault->target == FAULT_TARGET_HELPER)
        put(line, " target=%s", label);
    else
        put(line, " target=%s", fault->target < COUNT_OF(names) ? names[fault->target] : "?");
}

static void put_variant(struct line *line, const struct fault *fault)
{
    switch ((enum fault_kind)fault->kind) {
    case FAULT_CRASH:
        put(line, " signal=%s", crash_name(fault->variant));
        break;
    case FAULT_HANG:
        put(line, " mode=%s", hang_name(fault->variant));
        break;
    case FAULT_ERROR:
        put(line, " status=%u", fault->variant);
        break;
    case FAULT_SCRIBBLE:
        put(line, " into=%s", into_name(fault->variant));
        break;
    case FAULT_RESOURCE:
        put(line, " of=%s", of_name(fault->variant));
        if (fault->percent)
            put(line, " percent=%u", fault->percent);
        if (fault->mib)
            put(line, " mib=%u", fault->mib);
        break;
    case FAULT_DB:
        put(line, " effect=%s", db_effect_name(fault->variant));
        if (fault->op != FAULT_OP_ALL)
            put(line, " op=%s", op_name(fault->op));
        break;
    default:
        break;
    }
}

void fault_spec_print(const struct fault *fault, char *out, size_t size)
{
    struct line line = {.out = out, .size = size};
    put(&line, "%s", fault_kind_name(fault->kind));
    put_variant(&line, fault);
    put_target(&line, fault);
    if (fault->kind == FAULT_CRASH || fault->kind == FAULT_HANG || fault->kind == FAULT_SLOW ||
        fault->kind == FAULT_OMISSION)
        put(&line, " point=%s", fault_point_name(fault->point));
    if (fault->class < CLASS_COUNT)
        put(&line, " class=%s", class_name(fault->class));
    if (fault->endpoint < ENDPOINT_COUNT)
        put(&line, " route=%s:%s", endpoint_method(fault->endpoint),
            endpoint_route(fault->endpoint));
    if (fault->delay_ms)
        put(&line, " delay=%ums", fault->delay_ms);
    if (fault->jitter_ms)
        put(&line, " jitter=%ums", fault->jitter_ms);
    if (fault->ramp_ms)
        put(&line, " ramp=%ums", fault->ramp_ms);
    if (fault->repeat)
        put(&line, " repeat=yes");
    if (fault->per_second)
        put(&line, " per_second=%u", fault->per_second);
    if (fault->per_million != FAULT_ALWAYS_PPM)
        put(&line, " per_million=%u", fault->per_million);
    if (fault->seed != 1)
        put(&line, " seed=%" PRIu64, fault->seed);
    if (fault->after_ms)
        put(&line, " after=%ums", fault->after_ms);
    put(&line, " duration=%ums", fault->duration_ms);
}

static void put_json(struct json_out *json, const struct fault *fault, uint64_t now_ns)
{
    char text[FAULT_TEXT_SIZE], label[SLOT_LABEL_SIZE];
    bool running = fault->state == FAULT_STATE_ACTIVE || fault->state == FAULT_STATE_SCHEDULED;
    fault_spec_print(fault, text, sizeof text);
    json_object_begin(json);
    json_key_uint(json, "id", fault->id);
    json_key_string(json, "state", fault_state_name(fault->state));
    json_key_string(json, "kind", fault_kind_name(fault->kind));
    json_key_string(json, "spec", text);
    json_key(json, "end");
    json_text(json, fault->end ? fault_end_name(fault->end) : NULL);
    json_key_uint(json, "event_id", fault->event_id);
    json_key_uint(json, "left_ms",
                  running && fault->end_ns > now_ns ? (fault->end_ns - now_ns) / NS_PER_MS : 0);
    json_key(json, "targets");
    json_array_begin(json);
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (fault->generation[i]) {
            slot_view_label(i, label);
            json_text(json, label);
        }
    json_array_end(json);
    json_object_end(json);
}

void fault_table_json(struct json_out *json, const struct fault_table *table, uint64_t now_ns)
{
    json_array_begin(json);
    for (unsigned i = 0; i < FAULTS_MAX; i++)
        if (table->fault[i].state != FAULT_STATE_FREE)
            put_json(json, &table->fault[i], now_ns);
    json_array_end(json);
}
