/* SPDX-License-Identifier: MIT */
#include "supervisor/journal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/supervisor.h"

static enum log_level level_of(unsigned type)
{
    static const enum log_level levels[EVENT_TONE_COUNT] = {
        [EVENT_TONE_INFO] = LOG_INFO,     [EVENT_TONE_GOOD] = LOG_INFO,
        [EVENT_TONE_WARN] = LOG_WARNING,  [EVENT_TONE_BAD] = LOG_ERROR,
        [EVENT_TONE_FAULT] = LOG_WARNING,
    };
    return levels[event_tone(type)];
}

static void publish(struct supervisor *supervisor, struct event *event)
{
    event->id = ++supervisor->events;
    struct event_entry *entry = &supervisor->region->events.entry[event->id % EVENTS_SIZE];
    change_publish(&entry->change, &entry->event, event, sizeof *event);
    atomic_store_explicit(&supervisor->region->events.last_id, event->id, memory_order_release);
}

static void write_log(const struct event *event, const char *kind)
{
    const struct log_field fields[] = {
        log_number("event_id", (int64_t)event->id),
        event->cause_id ? log_number("cause_id", (int64_t)event->cause_id) : log_text("", NULL),
        log_text("kind", kind),
        event->slot >= 0 ? log_number("child_slot", event->slot) : log_text("", NULL),
        event->slot >= 0 ? log_number("child_pid", event->pid) : log_text("", NULL),
        event->type == EVENT_DB_UNAVAILABLE ? log_flag("db_unavailable", true) : log_text("", NULL),
        {0},
    };
    log_event(level_of(event->type), event_name(event->type), fields, "%s", event->text);
}

uint64_t journal(struct supervisor *supervisor, unsigned event_type,
                 const struct slot_record *about, uint64_t cause_id, const char *format, ...)
{
    struct event event = {.cause_id = cause_id,
                          .wall_us = clock_wall_us(),
                          .type = event_type,
                          .slot = about ? (int32_t)about->index : -1,
                          .pid = about ? (int32_t)about->pid : 0,
                          .generation = about ? about->generation : 0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(event.text, sizeof event.text, format, arguments);
    va_end(arguments);
    publish(supervisor, &event);
    write_log(&event, about ? roster[about->kind].name : NULL);
    return event.id;
}

static void make_printable(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (; *text; text++)
        if (!isprint((unsigned char)*text))
            *text = '?';
}

static void collect_from(struct supervisor *supervisor, struct slot_record *record)
{
    const struct slot *slot = region_slot(supervisor->region, record->index);
    uint64_t head = atomic_load_explicit(&slot->outbox_head, memory_order_acquire);
    if (head < record->outbox_read) { /* a counter that fell was scribbled on */
        supervisor->board.metrics.region_corrupt[0][0]++;
        record->outbox_read = head;
    }
    if (head - record->outbox_read > OUTBOX_SIZE)
        record->outbox_read = head - OUTBOX_SIZE;
    for (; record->outbox_read < head; record->outbox_read++) {
        struct outbox_event copy;
        memcpy(&copy, &slot->outbox[record->outbox_read % OUTBOX_SIZE], sizeof copy);
        make_printable(copy.text, sizeof copy.text);
        if (copy.type >= EVENT_COUNT) {
            supervisor->board.metrics.region_corrupt[0][0]++;
            continue;
        }
        journal(supervisor, copy.type, record, record->last_event_id, "%s", copy.text);
    }
}

void journal_collect(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        collect_from(supervisor, &supervisor->slots[i]);
}
