/* SPDX-License-Identifier: MIT */
/* events: the supervisor's ring of what happened, as lines; --follow waits for more. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "common/state_json.h"
#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/event_colour.h"
#include "tools/bulkheadctl/server.h"
#include "tools/bulkheadctl/text.h"

#define LOOK_EVERY_MS    200
#define FOLLOW_BEGINNING 10 /* events shown before following, without --since */

enum colour event_colour(uint32_t type)
{
    static const enum colour colours[EVENT_TONE_COUNT] = {
        [EVENT_TONE_INFO] = COLOUR_NONE,    [EVENT_TONE_GOOD] = COLOUR_GREEN,
        [EVENT_TONE_WARN] = COLOUR_YELLOW,  [EVENT_TONE_BAD] = COLOUR_RED,
        [EVENT_TONE_FAULT] = COLOUR_YELLOW,
    };
    return colours[event_tone(type)];
}

static void print_line(const struct invocation *invocation, const struct event *event)
{
    char when[CLOCK_RFC3339_SIZE], who[64] = "";
    clock_rfc3339(when, event->wall_us);
    if (event->slot >= 0) {
        char label[SLOT_LABEL_SIZE];
        slot_view_label((unsigned)event->slot, label);
        snprintf(who, sizeof who, "%s%s pid %d: ", event->slot < WORKER_SLOTS_MAX ? "worker " : "",
                 label, event->pid);
    }
    printf("%6" PRIu64 "  %s  ", event->id, when);
    text_colour(invocation->colour, event_colour(event->type));
    printf("%-20s", event_name(event->type));
    text_colour(invocation->colour, COLOUR_NONE);
    printf("  %s%.*s\n", who, (int)sizeof event->text, event->text);
}

static void print_json_line(const struct event *event)
{
    char line[2048];
    struct json_out json;
    json_out_init(&json, line, sizeof line);
    state_event_json(&json, event);
    puts(line);
}

/* Print the events after `since`; returns the newest id there was. */
static uint64_t print_events(const struct invocation *invocation, const struct region *region,
                             uint64_t since)
{
    uint64_t last = state_last_event(region), oldest = state_oldest_since(region);
    for (uint64_t id = since < oldest ? oldest : since; id < last;) {
        struct event event;
        if (!region_read_event(region, ++id, &event))
            continue; /* overwritten while we looked */
        if (invocation->json)
            print_json_line(&event);
        else
            print_line(invocation, &event);
    }
    fflush(stdout);
    return last;
}

int command_events(const struct invocation *invocation)
{
    struct server server;
    int code = server_open(&server, invocation);
    if (code)
        return code;
    uint64_t seen = invocation->since;
    if (invocation->follow && !invocation->since_given) {
        uint64_t last = state_last_event(server.region);
        seen = last > FOLLOW_BEGINNING ? last - FOLLOW_BEGINNING : 0;
    }
    seen = print_events(invocation, server.region, seen);
    while (invocation->follow) {
        bool ended = server_ended_within(&server, LOOK_EVERY_MS);
        seen = print_events(invocation, server.region, seen);
        if (ended)
            return complain(invocation, EXIT_TEMPORARY, "the server ended");
    }
    return EXIT_ASKED;
}
