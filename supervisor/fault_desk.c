/* SPDX-License-Identifier: MIT */
#include "supervisor/fault_desk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault_spec.h"
#include "common/json_out.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"

/* Too large for a stack. */
static struct fault_subject subjects[SLOTS_MAX];

static void look_at_slots(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot_record *record = &supervisor->slots[i];
        const struct slot *slot = region_slot(supervisor->region, i);
        const struct roster_entry *kind = &roster[record->kind];
        bool lives = record->pid > 0 && !record->exited && !kind->once;
        bool works = record->state == SLOT_READY || record->state == SLOT_DEGRADED;
        subjects[i].generation = lives && works ? record->generation : 0;
        subjects[i].serves = kind->serves;
        subjects[i].deaf = lives && (kind->rights & REGION_USES_GATE) && !record->has_faults;
        for (unsigned place = 0; place < FAULTS_MAX; place++) {
            const struct fault_mark *mark = &slot->fault_mark[place];
            subjects[i].mark[place].id = atomic_load_explicit(&mark->id, memory_order_acquire);
            subjects[i].mark[place].struck_ns =
                atomic_load_explicit(&mark->struck_ns, memory_order_relaxed);
        }
    }
}

static void publish(struct supervisor *supervisor)
{
    struct faults_part *shared = &supervisor->region->faults;
    const struct fault_table *table = &supervisor->faults.table;
    uint32_t of_kind[FAULT_KIND_COUNT] = {0};
    bool any = false;
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        if (table->fault[i].state != FAULT_STATE_ACTIVE)
            continue;
        of_kind[table->fault[i].kind]++;
        any = true;
    }
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++)
        atomic_store_explicit(&shared->active_of_kind[kind], of_kind[kind], memory_order_relaxed);
    change_publish(&shared->change, &shared->table, table, sizeof *table);
    supervisor->faults_version++;
    atomic_store_explicit(&shared->active, any ? supervisor->faults_version : 0,
                          memory_order_release);
}

static void tell_changes(struct supervisor *supervisor, const struct fault_changes *changes)
{
    char text[FAULT_TEXT_SIZE];
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        struct fault *fault = &supervisor->faults.table.fault[i];
        if (changes->started & UINT32_C(1) << i) {
            fault_spec_print(fault, text, sizeof text);
            fault->event_id = journal(supervisor, EVENT_FAULT_START, NULL, 0,
                                      "fault %" PRIu32 ": %.130s", fault->id, text);
        }
        if (changes->ended & UINT32_C(1) << i)
            journal(supervisor, EVENT_FAULT_END, NULL, fault->event_id,
                    "fault %" PRIu32 " (%s): %s", fault->id, fault_kind_name(fault->kind),
                    fault_end_name(fault->end));
    }
    if (changes->table)
        publish(supervisor);
}

/* Whom a fault has struck: what happens to it next has that cause. */
static void note_strikes(struct supervisor *supervisor)
{
    for (unsigned place = 0; place < FAULTS_MAX; place++) {
        const struct fault *fault = &supervisor->faults.table.fault[place];
        if (fault->event_id == 0 ||
            !(fault_kind_strikes(fault->kind) || fault->kind == FAULT_RESOURCE))
            continue;
        for (unsigned i = 0; i < SLOTS_MAX; i++)
            if (faults_struck(&supervisor->faults, subjects, place, i))
                supervisor->slots[i].last_event_id = fault->event_id;
    }
}

void fault_desk_step(struct supervisor *supervisor, uint64_t now_ns)
{
    if (!supervisor->config.faults_enabled && supervisor->faults.last_id == 0)
        return; /* there never was one */
    look_at_slots(supervisor);
    struct fault_changes changes =
        faults_step(&supervisor->faults, supervisor->config.faults_enabled, subjects, now_ns);
    tell_changes(supervisor, &changes);
    note_strikes(supervisor);
}

uint64_t fault_desk_cause_of_database(const struct supervisor *supervisor)
{
    const struct fault *fault = faults_cause_of_database(&supervisor->faults, clock_now_ns());
    return fault ? fault->event_id : 0;
}

/* ---- the verbs ----------------------------------------------------------------------------- */

static void say(struct json_out *json, bool ok, const char *text)
{
    json_key_bool(json, "ok", ok);
    json_key_string(json, ok ? "message" : "error", text);
}

static void obey_set(struct supervisor *supervisor, const char *spec, struct json_out *json)
{
    char text[256];
    uint64_t now_ns = clock_now_ns();
    look_at_slots(supervisor);
    int64_t id = faults_set(&supervisor->faults, supervisor->config.faults_enabled, subjects, spec,
                            now_ns, text, sizeof text);
    if (id < 0) {
        say(json, false, text);
        return;
    }
    fault_desk_step(supervisor, now_ns);
    snprintf(text, sizeof text, "fault %" PRId64 " is set", id);
    say(json, true, text);
    json_key_int(json, "id", id);
}

/* 0 for "all", -1 for what is neither that nor an id. */
static int64_t parse_which(const char *which)
{
    char *end;
    if (strcmp(which, "all") == 0)
        return 0;
    if (*which < '1' || *which > '9')
        return -1;
    unsigned long id = strtoul(which, &end, 10);
    return *end || id > UINT32_MAX ? -1 : (int64_t)id;
}

static void obey_clear(struct supervisor *supervisor, const char *which, struct json_out *json)
{
    char text[128];
    struct fault_changes changes = {0};
    int64_t id = parse_which(which);
    if (id < 0) {
        snprintf(text, sizeof text, "clear %.40s: allowed: the id of a fault, or all", which);
        say(json, false, text);
        return;
    }
    unsigned count = faults_clear(&supervisor->faults, (uint32_t)id, FAULT_END_CLEARED,
                                  clock_now_ns(), &changes);
    tell_changes(supervisor, &changes);
    bool found = id == 0 || count > 0;
    if (found)
        snprintf(text, sizeof text, "%u cleared", count);
    else
        snprintf(text, sizeof text, "no fault %" PRId64 " is scheduled or active", id);
    say(json, found, text);
}

static void obey_beat(struct supervisor *supervisor, struct json_out *json)
{
    if (!supervisor->config.faults_enabled) {
        say(json, false, "faults are off: start or reload the server with faults.enabled=yes");
        return;
    }
    faults_beat(&supervisor->faults, clock_now_ns());
    say(json, true, "all faults are cleared when the next beat does not come within 5 s");
}

void fault_desk_obey(struct supervisor *supervisor, const char *words, char *out, size_t size)
{
    struct json_out json;
    json_out_init(&json, out, size);
    json_object_begin(&json);
    if (strncmp(words, "set ", 4) == 0) {
        obey_set(supervisor, words + 4, &json);
    } else if (strncmp(words, "clear ", 6) == 0) {
        obey_clear(supervisor, words + 6, &json);
    } else if (strcmp(words, "beat") == 0) {
        obey_beat(supervisor, &json);
    } else if (strcmp(words, "list") == 0) {
        say(&json, true, "faults");
        json_key(&json, "faults");
        fault_table_json(&json, &supervisor->faults.table, clock_now_ns());
    } else {
        say(&json, false, "faults: known: set KIND key=value ..., clear ID, clear all, list, beat");
    }
    json_object_end(&json);
}
