/* SPDX-License-Identifier: MIT */
#include "tools/report/events.h"

#include <err.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/exit_codes.h"
#include "tools/report/axis.h"
#include "tools/report/document.h"

static enum tone tone_of(const char *name)
{
    static const char *const bad[] = {
        "worker_died",  "worker_hung", "worker_quarantined", "worker_degraded",   "db_unavailable",
        "breaker_open", "gate_reset",  "supervisor_paused",  "route_quarantined", "unkillable"};
    static const char *const good[] = {"worker_ready", "worker_recovered", "db_recovered",
                                       "breaker_closed", "route_released"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strcmp(name, bad[i]) == 0)
            return TONE_DOUBTFUL;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (strcmp(name, good[i]) == 0)
            return TONE_GOOD;
    return TONE_PLAIN;
}

uint64_t report_wall_us(const char *rfc3339)
{
    struct tm when = {0};
    const char *rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &when);
    if (!rest)
        return 0;
    uint64_t us = 0, unit = 100000;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            us += (uint64_t)(*rest - '0') * unit;
    time_t seconds = timegm(&when);
    return strcmp(rest, "Z") == 0 && seconds > 0 ? (uint64_t)seconds * 1000000 + us : 0;
}

static void *grown(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count, size);
    if (!memory)
        errx(EXIT_TEMPORARY, "no memory for %zu × %zu bytes", count, size);
    return memory;
}

static char *copy(const char *text)
{
    char *memory = strdup(text ? text : "");
    if (!memory)
        errx(EXIT_TEMPORARY, "no memory for a text");
    return memory;
}

/* "worker 2: killed by SIGKILL after 3.5 s", "keeper: ready after 2 ms"; without a kind the text.
 */
static char *describe(const json_t *event)
{
    const char *text = json_string_value(json_object_get(event, "text"));
    const char *kind = json_string_value(json_object_get(event, "kind"));
    const json_t *slot = json_object_get(event, "slot");
    char *described, number[24] = "";
    if (!kind)
        return copy(text);
    if (strcmp(kind, "worker") == 0 && json_is_integer(slot))
        snprintf(number, sizeof number, " %lld", (long long)json_integer_value(slot));
    if (asprintf(&described, "%s%s: %s", kind, number, text ? text : "") < 0)
        errx(EXIT_TEMPORARY, "no memory for a text");
    return described;
}

static void keep(struct report_events *events, const char *line, uint64_t start_wall_us,
                 double before_s, double end_s)
{
    json_t *event = json_loads(line, 0, NULL);
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *ts = json_string_value(json_object_get(event, "ts"));
    uint64_t wall_us = ts ? report_wall_us(ts) : 0;
    double at_s = ((double)wall_us - (double)start_wall_us) / 1e6;
    if (!name || wall_us == 0) {
        events->skipped += 1;
    } else if (at_s >= -before_s && at_s <= end_s) {
        events->all = grown(events->all, events->count + 1, sizeof *events->all);
        events->all[events->count++] = (struct report_event){
            .id = (uint64_t)json_integer_value(json_object_get(event, "id")),
            .cause_id = (uint64_t)json_integer_value(json_object_get(event, "cause_id")),
            .at_s = at_s,
            .name = copy(name),
            .text = describe(event),
        };
    }
    json_decref(event);
}

static double end_of_fault(const struct report_events *events, size_t start, double end_s)
{
    for (size_t i = start + 1; i < events->count; i++)
        if (strcmp(events->all[i].name, "fault_end") == 0 &&
            events->all[i].cause_id == events->all[start].id)
            return events->all[i].at_s;
    return end_s;
}

static void make_bands(struct report_events *events, double end_s)
{
    if (events->count > 0)
        events->bands = grown(NULL, events->count, sizeof *events->bands);
    for (size_t i = 0; i < events->count; i++) {
        const struct report_event *event = &events->all[i];
        struct plot_band band = {.from_s = event->at_s, .to_s = event->at_s};
        band.tone = tone_of(event->name);
        band.label = band.tone == TONE_DOUBTFUL ? event->name : NULL;
        if (strcmp(event->name, "fault_start") == 0) {
            band.to_s = end_of_fault(events, i, end_s);
            band.label = event->text;
            band.tone = TONE_BAD;
        }
        if (band.tone != TONE_PLAIN)
            events->bands[events->band_count++] = band;
    }
}

void report_events_read(struct report_events *events, FILE *in, uint64_t start_wall_us,
                        double before_s, double end_s)
{
    char *line = NULL;
    size_t size = 0;
    *events = (struct report_events){0};
    while (getline(&line, &size, in) >= 0)
        if (line[strspn(line, " \t\r\n")])
            keep(events, line, start_wall_us, before_s, end_s);
    free(line);
    make_bands(events, end_s);
}

void report_events_free(struct report_events *events)
{
    for (size_t i = 0; i < events->count; i++) {
        free(events->all[i].name);
        free(events->all[i].text);
    }
    free(events->all);
    free(events->bands);
    *events = (struct report_events){0};
}

void report_events_write(FILE *out, const struct report_events *events)
{
    static const char *const columns[] = {"#at", "event", "what", NULL};
    if (events->count == 0)
        return;
    document_section(out, "What the server did", NULL);
    document_table_begin(out, columns);
    for (size_t i = 0; i < events->count; i++) {
        const struct report_event *event = &events->all[i];
        char at[AXIS_LABEL];
        snprintf(at, sizeof at, "%.2f s", event->at_s);
        enum tone tone = strcmp(event->name, "fault_start") == 0 ? TONE_BAD : TONE_PLAIN;
        document_row(out, tone, columns, (const char *const[]){at, event->name, event->text, NULL});
    }
    document_table_end(out);
}
