/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "common/labels.h"
#include "tools/bulkheadctl/deaths.h"
#include "tools/bulkheadctl/text.h"

#define EVENTS_SHOWN 12

const char *death_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

long long death_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *death_who(const json_t *report, char *out, size_t size)
{
    const char *kind = death_text(report, "kind");
    if (strcmp(kind, "worker") == 0)
        snprintf(out, size, "worker %lld", death_number(report, "slot"));
    else
        snprintf(out, size, "%s", kind);
    return out;
}

static void show_row(FILE *out, const char *name, const char *text)
{
    if (*text)
        fprintf(out, "  %-14s %s\n", name, text);
}

static void show_head(FILE *out, const json_t *report, bool colour)
{
    char who[64], text[128];
    text_colour(colour, COLOUR_BOLD);
    fprintf(out, "%s, pid %lld, generation %lld: %s (%s)\n", death_who(report, who, sizeof who),
            death_number(report, "pid"), death_number(report, "generation"),
            death_text(report, "manner"), death_text(report, "class"));
    text_colour(colour, COLOUR_NONE);
    show_row(out, "time", death_text(report, "time"));
    snprintf(text, sizeof text, "%.1f s",
             json_number_value(json_object_get(report, "uptime_seconds")));
    show_row(out, "lived", text);
    show_row(out, "then", death_text(report, "decision"));
    snprintf(text, sizeof text, "%lld", death_number(report, "requests_lost"));
    show_row(out, "requests lost", text);
    show_row(out, "blamed route", death_text(report, "blamed_route"));
    show_row(out, "last words", death_text(report, "last_words"));
    if (json_is_integer(json_object_get(report, "heartbeat_age_ms"))) {
        snprintf(text, sizeof text, "%lld ms before", death_number(report, "heartbeat_age_ms"));
        show_row(out, "heartbeat", text);
    }
}

static bool is_busy(const json_t *thread)
{
    return json_is_true(json_object_get(thread, "in_request")) ||
           json_is_true(json_object_get(thread, "fatal"));
}

/* "62 threads: 50 idle, 9 between_requests; 3 busy" */
static void show_thread_groups(FILE *out, const json_t *threads)
{
    unsigned in_stage[STAGE_COUNT + 1] = {0}, busy = 0;
    size_t i;
    json_t *thread;
    json_array_foreach(threads, i, thread)
    {
        unsigned stage = 0;
        while (stage < STAGE_COUNT && strcmp(stage_name(stage), death_text(thread, "stage")) != 0)
            stage++;
        if (is_busy(thread))
            busy++;
        else
            in_stage[stage]++;
    }
    fprintf(out, "\n%zu threads:", json_array_size(threads));
    for (unsigned stage = 0; stage <= STAGE_COUNT; stage++)
        if (in_stage[stage])
            fprintf(out, " %u %s,", in_stage[stage], stage_name(stage));
    fprintf(out, " %u busy\n", busy);
}

static void show_thread(FILE *out, const json_t *thread, bool hung)
{
    fprintf(out, "  thread %-3lld %s %s in %s for %lld ms", death_number(thread, "thread"),
            death_text(thread, "method"), death_text(thread, "route"), death_text(thread, "stage"),
            death_number(thread, "stage_ms"));
    const json_t *deadline = json_object_get(thread, "deadline_ms");
    long long left = json_integer_value(deadline);
    if (json_is_integer(deadline))
        fprintf(out, left < 0 ? ", %lld ms over its deadline" : ", %lld ms left",
                left < 0 ? -left : left);
    if (json_is_true(json_object_get(thread, "fatal")))
        fputs(hung ? "   <- stuck" : "   <- crashed", out);
    fputc('\n', out);
}

static void show_threads(FILE *out, const json_t *report)
{
    const json_t *threads = json_object_get(report, "threads");
    bool hung = json_is_true(json_object_get(report, "hung"));
    size_t i;
    json_t *thread;
    if (json_array_size(threads) == 0)
        return;
    show_thread_groups(out, threads);
    json_array_foreach(threads, i, thread)
    {
        if (is_busy(thread))
            show_thread(out, thread, hung);
    }
}

static void show_surroundings(FILE *out, const json_t *report)
{
    const json_t *database = json_object_get(report, "database");
    const char *evidence = death_text(database, "evidence");
    size_t i;
    json_t *gate;
    fprintf(out, "\ndatabase %s%s%s\n", death_text(database, "state"), *evidence ? ": " : "",
            evidence);
    if (json_array_size(json_object_get(report, "gate")) == 0)
        fputs("gate: nobody holds it or waits for it\n", out);
    json_array_foreach(json_object_get(report, "gate"), i, gate)
    {
        char who[64];
        fprintf(out, "gate: %s pid %lld %s for %lld ms\n", death_who(gate, who, sizeof who),
                death_number(gate, "pid"), death_text(gate, "stage"),
                death_number(gate, "stage_ms"));
    }
}

/* The lines of status that say what it was at; the file has all. */
static void show_proc(FILE *out, const json_t *report)
{
    static const char *const shown[] = {"State:", "Threads:", "VmRSS:", "VmSwap:", "SigPnd:"};
    const json_t *proc = json_object_get(report, "proc");
    size_t i;
    json_t *line;
    if (!*death_text(proc, "taken"))
        return;
    fprintf(out, "\n/proc, %s:", death_text(proc, "taken"));
    json_array_foreach(json_object_get(proc, "status"), i, line)
    {
        const char *text = json_string_value(line);
        for (size_t n = 0; text && n < sizeof shown / sizeof shown[0]; n++)
            if (strncmp(text, shown[n], strlen(shown[n])) == 0)
                fprintf(out, "  %s %s", shown[n],
                        text + strlen(shown[n]) + strspn(text + strlen(shown[n]), " \t"));
    }
    fputc('\n', out);
}

static void show_events(FILE *out, const json_t *report)
{
    const json_t *events = json_object_get(report, "events");
    size_t count = json_array_size(events), from = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0;
    fprintf(out, "\nlast events (%zu of %zu; the file has all)\n", count - from, count);
    for (size_t i = from; i < count; i++) {
        const json_t *event = json_array_get(events, i);
        char who[64] = "";
        if (json_object_get(event, "kind"))
            death_who(event, who, sizeof who);
        fprintf(out, "  %6lld  %s  %-18s %s%s%s\n", death_number(event, "id"),
                death_text(event, "ts"), death_text(event, "event"), who, *who ? ": " : "",
                death_text(event, "text"));
    }
}

void death_show(FILE *out, const json_t *report, bool colour)
{
    show_head(out, report, colour);
    show_threads(out, report);
    show_surroundings(out, report);
    show_proc(out, report);
    show_events(out, report);
}
