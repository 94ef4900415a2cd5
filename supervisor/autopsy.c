/* SPDX-License-Identifier: MIT */
#include "supervisor/autopsy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/supervisor.h"

#define LEFT_MOST_MS (INT64_C(24) * 3600 * 1000) /* no deadline of ours is further away */

/* ---- text ---------------------------------------------------------------------------------- */

void autopsy_copy_text(char *out, size_t size, const char *from, size_t from_size, bool lines)
{
    size_t length = 0;
    for (; length < size - 1 && length < from_size && from[length]; length++) {
        char c = from[length];
        bool plain = (c >= ' ' && c <= '~') || (lines && (c == '\n' || c == '\t'));
        out[length] = plain ? c : '?';
    }
    out[length] = '\0';
}

static void read_file(pid_t pid, const char *name, char *out, size_t size, bool lines)
{
    char path[48], text[PROC_STATUS_SIZE];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    autopsy_copy_text(out, size, text, length > 0 ? (size_t)length : 0, lines);
}

void autopsy_read_proc(pid_t pid, enum proc_when when, struct proc_text *text)
{
    _Static_assert(PROC_STAT_SIZE <= PROC_STATUS_SIZE, "read_file has room for both");
    if (pid <= 0)
        return;
    text->when = when;
    read_file(pid, "status", text->status, sizeof text->status, true);
    read_file(pid, "stat", text->stat, sizeof text->stat, false);
    text->stat[strcspn(text->stat, "\n")] = '\0';
}

/* ---- numbers a child wrote ----------------------------------------------------------------- */

static uint32_t bounded(uint32_t value, uint32_t count)
{
    return value < count ? value : count;
}

static uint64_t elapsed_ms(uint64_t since_ns, uint64_t now_ns)
{
    return now_ns > since_ns ? (now_ns - since_ns) / NS_PER_MS : 0;
}

static int64_t left_ms(uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns == 0)
        return NO_DEADLINE;
    bool over = deadline_ns < now_ns;
    uint64_t ms = (over ? now_ns - deadline_ns : deadline_ns - now_ns) / NS_PER_MS;
    int64_t distance = ms < (uint64_t)LEFT_MOST_MS ? (int64_t)ms : LEFT_MOST_MS;
    return over ? -distance : distance;
}

void autopsy_threads(struct death_report *report, const struct slot *slot, unsigned threads,
                     uint64_t now_ns)
{
    report->thread_count = 0;
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        const struct thread_cell *cell = &slot->cell[i];
        uint32_t busy = atomic_load_explicit(&cell->in_request, memory_order_relaxed);
        if (i >= threads && !busy)
            continue;
        uint64_t since_ns = atomic_load_explicit(&cell->since_ns, memory_order_relaxed);
        uint64_t stage_ms = elapsed_ms(since_ns, now_ns);
        report->thread[report->thread_count++] = (struct death_thread){
            .cell = i,
            .stage = bounded(atomic_load_explicit(&cell->stage, memory_order_relaxed), STAGE_COUNT),
            .endpoint = bounded(atomic_load_explicit(&cell->endpoint, memory_order_relaxed),
                                ENDPOINT_COUNT),
            .in_request = busy != 0,
            /* A cell no thread of this process has used yet tells of the one before. */
            .stage_ms = stage_ms < report->uptime_ms ? stage_ms : report->uptime_ms,
            .left_ms =
                left_ms(atomic_load_explicit(&cell->deadline_ns, memory_order_relaxed), now_ns)};
    }
}

static uint32_t fatal_cell(const struct slot *slot, const struct slot_record *record)
{
    uint32_t crashed = atomic_load_explicit(&slot->crashed_cell, memory_order_relaxed);
    if (record->killed_as == DEATH_HUNG)
        return record->stuck_cell;
    return crashed > 0 && crashed <= CELLS_MAX ? crashed - 1 : NO_CELL;
}

/* Who waits for the gate or holds it; the dead one still says so. */
static void add_gate(struct death_report *report, const struct supervisor *supervisor,
                     uint64_t now_ns)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot *slot = region_slot(supervisor->region, i);
        uint32_t stage = atomic_load_explicit(&slot->gate_stage, memory_order_relaxed);
        if (supervisor->slots[i].pid <= 0 || stage == GATE_NONE)
            continue;
        uint64_t ms =
            elapsed_ms(atomic_load_explicit(&slot->gate_since_ns, memory_order_relaxed), now_ns);
        report->gate[report->gate_count++] =
            (struct death_gate){.slot = i,
                                .stage = bounded(stage, GATE_IN_COMMIT + 1),
                                .pid = (int32_t)supervisor->slots[i].pid,
                                .since_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX};
    }
}

/* The ring is ours alone to write, so it needs no change counter to be read here. */
static void add_events(struct death_report *report, const struct supervisor *supervisor)
{
    uint64_t last = supervisor->events;
    uint64_t first = last > DEATH_EVENTS ? last - DEATH_EVENTS + 1 : 1;
    for (uint64_t id = first; id <= last; id++)
        report->event[report->event_count++] =
            supervisor->region->events.entry[id % EVENTS_SIZE].event;
}

/* ---- the report ---------------------------------------------------------------------------- */

static void add_words(struct death_report *report, const struct supervisor *supervisor,
                      const struct slot_record *record, uint64_t now_ns)
{
    const struct slot *slot = region_slot(supervisor->region, record->index);
    report->heartbeat_age_ms =
        elapsed_ms(atomic_load_explicit(&slot->heartbeat_ns, memory_order_relaxed), now_ns);
    report->fatal_cell = fatal_cell(slot, record);
    autopsy_copy_text(report->last_words, sizeof report->last_words, slot->last_words,
                      sizeof slot->last_words, false);
    if (roster[record->kind].serves)
        autopsy_threads(report, slot, (unsigned)supervisor->config.worker_threads, now_ns);
}

void autopsy_begin(struct supervisor *supervisor, struct slot_record *record,
                   enum death_class death, const char *manner, unsigned lost, bool spoke,
                   uint64_t now_ns)
{
    struct death_report *report = &supervisor->report;
    if (record->proc.when == PROC_NOT_READ)
        autopsy_read_proc(record->pid, PROC_AT_REAPING, &record->proc);
    memset(report, 0, sizeof *report);
    report->id = supervisor->deaths + 1;
    report->wall_us = clock_wall_us();
    report->uptime_ms = record->pid > 0 ? elapsed_ms(record->spawned_ns, now_ns) : 0;
    report->heartbeat_age_ms = UINT64_MAX;
    report->slot = record->index;
    report->pid = (int32_t)record->pid;
    report->generation = record->generation;
    report->class = death;
    report->asked = record->asked;
    report->hung = record->killed_as == DEATH_HUNG;
    report->requests_lost = lost;
    report->fatal_cell = NO_CELL;
    report->db_state = supervisor->database.verdict.state;
    report->blamed_endpoint = ENDPOINT_COUNT;
    snprintf(report->manner, sizeof report->manner, "%s", manner);
    autopsy_copy_text(report->db_evidence, sizeof report->db_evidence,
                      supervisor->database.verdict.evidence,
                      sizeof supervisor->database.verdict.evidence, false);
    report->proc = record->proc;
    add_gate(report, supervisor, now_ns);
    if (spoke)
        add_words(report, supervisor, record, now_ns);
}

void autopsy_publish(struct supervisor *supervisor, const char *decision)
{
    struct death_report *report = &supervisor->report;
    struct deaths *deaths = &supervisor->region->deaths;
    if (report->id == 0)
        return;
    snprintf(report->decision, sizeof report->decision, "%s", decision);
    add_events(report, supervisor);
    struct death_entry *entry = &deaths->entry[report->id % DEATHS_SIZE];
    change_publish(&entry->change, &entry->report, report, sizeof *report);
    supervisor->deaths = report->id;
    atomic_store_explicit(&deaths->last_id, report->id, memory_order_release);
    report->id = 0;
}
