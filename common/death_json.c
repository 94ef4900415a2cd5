/* SPDX-License-Identifier: MIT */
#include "common/death_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "common/slot_view.h"
#include "common/state_json.h"

#define NAME_TIME_LENGTH 23 /* 20260131T235959.123456Z */

static const char *kind_of(uint32_t slot, char label[SLOT_LABEL_SIZE])
{
    slot_view_label(slot, label);
    return slot < WORKER_SLOTS_MAX ? "worker" : label;
}

void death_name_file(char out[DEATH_NAME_SIZE], const struct death_report *report)
{
    char when[CLOCK_RFC3339_SIZE], label[SLOT_LABEL_SIZE];
    size_t length = 0;
    clock_rfc3339(when, report->wall_us);
    for (const char *c = when; *c; c++)
        if (*c != '-' && *c != ':')
            out[length++] = *c;
    snprintf(out + length, DEATH_NAME_SIZE - length, "-%s-%" PRIu32 "-%" PRId32 ".json",
             kind_of(report->slot, label), report->slot, report->pid);
}

bool death_name_is_ours(const char *name)
{
    static const char digits[] = "0123456789";
    size_t length = strlen(name);
    return length > NAME_TIME_LENGTH + 6 && length < DEATH_NAME_SIZE && strspn(name, digits) == 8 &&
           name[8] == 'T' && strspn(name + 9, digits) == 6 && name[15] == '.' &&
           strspn(name + 16, digits) == 6 && strncmp(name + NAME_TIME_LENGTH - 1, "Z-", 2) == 0 &&
           strcmp(name + length - 5, ".json") == 0;
}

/* A text of the region, which may lack its NUL; null when there is none. */
static void put_text(struct json_out *json, const char *key, const char *text, size_t size)
{
    json_key(json, key);
    if (text[0])
        json_text_n(json, text, strnlen(text, size));
    else
        json_none(json);
}

static void put_seconds(struct json_out *json, const char *key, uint64_t ms)
{
    json_key_double(json, key, (double)ms / 1000);
}

static void put_number_or_none(struct json_out *json, const char *key, bool known, uint64_t number)
{
    json_key(json, key);
    if (known)
        json_uint(json, number);
    else
        json_none(json);
}

static void put_blame(struct json_out *json, uint32_t endpoint)
{
    char route[80];
    snprintf(route, sizeof route, "%s %s", endpoint_method(endpoint), endpoint_route(endpoint));
    json_key_string(json, "blamed_route", endpoint < ENDPOINT_COUNT ? route : NULL);
}

static void put_who(struct json_out *json, const struct death_report *report,
                    const uint64_t boot_id[2])
{
    char boot[40], when[CLOCK_RFC3339_SIZE], label[SLOT_LABEL_SIZE];
    snprintf(boot, sizeof boot, "%016" PRIx64 "%016" PRIx64, boot_id[0], boot_id[1]);
    clock_rfc3339(when, report->wall_us);
    json_key_string(json, "time", when);
    json_key_string(json, "kind", kind_of(report->slot, label));
    json_key_uint(json, "slot", report->slot);
    json_key_int(json, "pid", report->pid);
    json_key_uint(json, "generation", report->generation);
    json_key_uint(json, "report_id", report->id);
    json_key_string(json, "boot_id", boot);
    put_seconds(json, "uptime_seconds", report->uptime_ms);
    json_key_string(json, "class", death_name(report->class));
    put_text(json, "manner", report->manner, sizeof report->manner);
    json_key_bool(json, "asked", report->asked != 0);
    json_key_bool(json, "hung", report->hung != 0);
    put_text(json, "decision", report->decision, sizeof report->decision);
    json_key_uint(json, "requests_lost", report->requests_lost);
    put_text(json, "last_words", report->last_words, sizeof report->last_words);
    put_number_or_none(json, "heartbeat_age_ms", report->heartbeat_age_ms != UINT64_MAX,
                       report->heartbeat_age_ms);
    put_number_or_none(json, "fatal_thread", report->fatal_cell < CELLS_MAX, report->fatal_cell);
    put_blame(json, report->blamed_endpoint);
}

static void put_thread(struct json_out *json, const struct death_thread *thread, uint32_t fatal)
{
    json_object_begin(json);
    json_key_uint(json, "thread", thread->cell);
    json_key_string(json, "stage", stage_name(thread->stage));
    json_key_uint(json, "stage_ms", thread->stage_ms);
    json_key_bool(json, "in_request", thread->in_request != 0);
    if (thread->cell == fatal)
        json_key_bool(json, "fatal", true);
    if (thread->in_request) {
        json_key_string(json, "method", endpoint_method(thread->endpoint));
        json_key_string(json, "route", endpoint_route(thread->endpoint));
        json_key(json, "deadline_ms"); /* until it; negative beyond */
        if (thread->left_ms == NO_DEADLINE)
            json_none(json);
        else
            json_int(json, thread->left_ms);
    }
    json_object_end(json);
}

static void put_threads(struct json_out *json, const struct death_report *report)
{
    json_key(json, "threads");
    json_array_begin(json);
    for (uint32_t i = 0; i < report->thread_count && i < CELLS_MAX; i++)
        put_thread(json, &report->thread[i], report->fatal_cell);
    json_array_end(json);
}

static void put_gate(struct json_out *json, const struct death_report *report)
{
    json_key(json, "gate");
    json_array_begin(json);
    for (uint32_t i = 0; i < report->gate_count && i < SLOTS_MAX; i++) {
        const struct death_gate *gate = &report->gate[i];
        char label[SLOT_LABEL_SIZE];
        json_object_begin(json);
        json_key_uint(json, "slot", gate->slot);
        json_key_string(json, "kind", kind_of(gate->slot, label));
        json_key_int(json, "pid", gate->pid);
        json_key_string(json, "stage", gate_stage_name(gate->stage));
        json_key_uint(json, "stage_ms", gate->since_ms);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_database(struct json_out *json, const struct death_report *report)
{
    json_key(json, "database");
    json_object_begin(json);
    json_key_string(json, "state", db_state_name(report->db_state));
    put_text(json, "evidence", report->db_evidence, sizeof report->db_evidence);
    json_object_end(json);
}

static void put_proc(struct json_out *json, const struct proc_text *proc)
{
    static const char *const when[] = {[PROC_NOT_READ] = NULL,
                                       [PROC_BEFORE_KILL] = "before the kill",
                                       [PROC_AT_REAPING] = "at reaping"};
    size_t size = strnlen(proc->status, sizeof proc->status);
    json_key(json, "proc");
    json_object_begin(json);
    json_key_string(json, "taken", proc->when < 3 ? when[proc->when] : NULL);
    json_key(json, "status");
    json_array_begin(json);
    for (size_t at = 0; at < size;) {
        const char *end = memchr(proc->status + at, '\n', size - at);
        size_t length = end ? (size_t)(end - proc->status) - at : size - at;
        json_text_n(json, proc->status + at, length);
        at += length + 1;
    }
    json_array_end(json);
    put_text(json, "stat", proc->stat, sizeof proc->stat);
    json_object_end(json);
}

static void put_events(struct json_out *json, const struct death_report *report)
{
    json_key(json, "events");
    json_array_begin(json);
    for (uint32_t i = 0; i < report->event_count && i < DEATH_EVENTS; i++)
        state_event_json(json, &report->event[i]);
    json_array_end(json);
}

size_t death_json(const struct death_report *report, const uint64_t boot_id[2], char *out,
                  size_t size)
{
    struct json_out json;
    json_out_init(&json, out, size > 0 ? size - 1 : 0);
    json_object_begin(&json);
    put_who(&json, report, boot_id);
    put_threads(&json, report);
    put_gate(&json, report);
    put_database(&json, report);
    put_proc(&json, &report->proc);
    put_events(&json, report);
    json_object_end(&json);
    if (json.overflow)
        return 0;
    out[json.length] = '\n';
    out[json.length + 1] = '\0';
    return json.length + 1;
}
