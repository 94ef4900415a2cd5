/* SPDX-License-Identifier: MIT */
/* status and workers: the board as text for people, or as the JSON of the console's /api/state. */
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

/* ---- the table of slots -------------------------------------------------------------------- */

enum colour slot_colour(uint32_t state)
{
    switch (state) {
    case SLOT_READY:
        return COLOUR_GREEN;
    case SLOT_STARTING:
    case SLOT_DEGRADED:
    case SLOT_DRAINING:
        return COLOUR_YELLOW;
    case SLOT_EMPTY:
        return COLOUR_NONE;
    default:
        return COLOUR_RED;
    }
}

static uint64_t seconds_since(uint64_t wall_us)
{
    uint64_t now_us = clock_wall_us();
    return wall_us && wall_us < now_us ? (now_us - wall_us) / US_PER_S : 0;
}

static void print_slot(const struct invocation *invocation, const struct region *region,
                       const struct board *board, unsigned index)
{
    const struct board_slot *slot = &board->slot[index];
    char label[SLOT_LABEL_SIZE], age[TEXT_SIZE], pid[16] = "-", beat[24] = "-", busy[24] = "-";
    slot_view_label(index, label);
    if (slot->pid > 0)
        snprintf(pid, sizeof pid, "%d", slot->pid);
    if (slot_view_is_live(region, board, index)) {
        uint64_t age_ns = slot_view_heartbeat_age_ns(region, index, clock_now_ns());
        snprintf(beat, sizeof beat, "%" PRIu64 " ms", age_ns / NS_PER_MS);
        if (index < WORKER_SLOTS_MAX)
            snprintf(busy, sizeof busy, "%" PRIu64,
                     atomic_load(&region->slots[index].slot.open_requests));
    }
    printf("  %-8s  ", label);
    text_colour(invocation->colour, slot_colour(slot->state));
    printf("%-11s", slot_state_name(slot->state));
    text_colour(invocation->colour, COLOUR_NONE);
    printf("  %-13s  %8s  %5u  %8u  %9s  %8s  %s\n",
           text_duration(seconds_since(slot->since_wall_us), age), pid, slot->generation,
           slot->restarts, beat, busy, slot->restarts ? death_name(slot->last_death) : "-");
}

static void print_slots(const struct invocation *invocation, const struct region *region,
                        const struct board *board)
{
    text_colour(invocation->colour, COLOUR_BOLD);
    printf("  %-8s  %-11s  %-13s  %8s  %5s  %8s  %9s  %8s  %s\n", "slot", "state", "for", "pid",
           "gen", "restarts", "heartbeat", "requests", "last death");
    text_colour(invocation->colour, COLOUR_NONE);
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++)
        if (board->slot[i].state != SLOT_EMPTY) /* the spare slot */
            print_slot(invocation, region, board, i);
    for (unsigned i = WORKER_SLOTS_MAX; i < SLOTS_MAX; i++)
        if (board->slot[i].state != SLOT_EMPTY)
            print_slot(invocation, region, board, i);
}

/* ---- the screen ---------------------------------------------------------------------------- */

static void print_title(const struct invocation *invocation, const struct server *server,
                        const struct board *board)
{
    static const char *const status[] = {"healthy", "degraded", "failing"};
    static const char *const load[] = {"normal", "stressed", "saturated"};
    static const enum colour colours[] = {COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED};
    const struct region_header *header = &server->region->header;
    uint32_t level = board->status <= HEALTH_FAILING ? board->status : (uint32_t)HEALTH_FAILING;
    uint32_t load_level = board->load <= LOAD_SATURATED ? board->load : (uint32_t)LOAD_SATURATED;
    char up[TEXT_SIZE];
    text_colour(invocation->colour, colours[level]);
    printf("%s", status[level]);
    text_colour(invocation->colour, COLOUR_NONE);
    printf("%s%.*s, load %s, CPU %.0f %%\n", board->reason[0] ? ": " : "",
           (int)sizeof board->reason, board->reason, load[load_level], board->cpu_percent);
    printf("bulkhead %.*s, up %s, supervisor pid %d, data in %s\n", (int)sizeof header->version,
           header->version, text_duration((clock_now_ns() - header->started_ns) / NS_PER_S, up),
           (int)server->pid, header->data_dir);
}

static void print_workers_line(const struct board *board)
{
    printf("\nWorkers: %u configured, %u ready", board->configured, board->ready);
    const struct {
        unsigned count;
        const char *name;
    } others[] = {{board->degraded, "degraded"},
                  {board->restarting, "restarting"},
                  {board->quarantined, "quarantined"},
                  {board->draining, "draining"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].count)
            printf(", %u %s", others[i].count, others[i].name);
    putchar('\n');
}

static void print_database(const struct invocation *invocation, const struct board *board)
{
    char since[TEXT_SIZE], wal[TEXT_SIZE];
    enum colour colour = board->db_state == DB_STATE_UP ? COLOUR_GREEN : COLOUR_RED;
    printf("\nDatabase: ");
    text_colour(invocation->colour, colour);
    printf("%s", db_state_name(board->db_state));
    text_colour(invocation->colour, COLOUR_NONE);
    if (board->db_since_wall_us)
        printf(" for %s", text_duration(seconds_since(board->db_since_wall_us), since));
    printf(", write-ahead log %s\n", text_bytes(board->wal_bytes, wal));
    if (board->db_evidence[0])
        printf("  %.*s\n", (int)sizeof board->db_evidence, board->db_evidence);
}

static void print_rates(const char *name, const struct board_class *rates)
{
    printf("  %-8s  %10.1f  %10.1f  %10.1f  %8.1f  %8.1f  %8.1f\n", name, rates->requests_per_s,
           rates->errors_per_s, rates->refused_per_s, rates->p50_ms, rates->p95_ms, rates->p99_ms);
}

static void print_classes(const struct invocation *invocation, const struct board *board)
{
    printf("\nRequests over the last 10 s\n");
    text_colour(invocation->colour, COLOUR_BOLD);
    printf("  %-8s  %10s  %10s  %10s  %8s  %8s  %8s\n", "class", "requests/s", "errors/s",
           "refused/s", "p50 ms", "p95 ms", "p99 ms");
    text_colour(invocation->colour, COLOUR_NONE);
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        print_rates(class_name(i), &board->class[i]);
    print_rates("total", &board->total);
}

static void print_listeners(const struct board *board)
{
    for (unsigned i = 0; i < board->listener_count && i < LISTENERS_MAX; i++) {
        const struct board_listener *listener = &board->listener[i];
        printf("%sListener %.*s: %u of %u waiting, %" PRIu64 " turned away\n", i ? "" : "\n",
               (int)sizeof listener->name, listener->name, listener->queue_depth,
               listener->queue_max, listener->drops);
    }
}

/* ---- breakers ------------------------------------------------------------------------------ */

static void print_breaker(const struct invocation *invocation, unsigned slot, unsigned dependency,
                          const struct breaker_public *shown)
{
    char since[TEXT_SIZE];
    uint64_t now_ns = clock_now_ns();
    printf("  worker %-2u  %-8s  ", slot, dependency_name(dependency));
    text_colour(invocation->colour, shown->state == BREAKER_HALF_OPEN ? COLOUR_YELLOW : COLOUR_RED);
    printf("%-11s", breaker_state_name(shown->state));
    text_colour(invocation->colour, COLOUR_NONE);
    printf("  for %s: ", text_duration(seconds_since(shown->since_wall_us), since));
    if (shown->state == BREAKER_FORCED_OPEN)
        printf("the verdict on the database refuses for all\n");
    else if (shown->state == BREAKER_HALF_OPEN)
        printf("one call finds out whether it works\n");
    else
        printf("next probe in %.1f s\n", shown->until_ns > now_ns
                                             ? (double)(shown->until_ns - now_ns) / (double)NS_PER_S
                                             : 0.0);
}

/* Those that are not as usual; where there are none, nothing. */
static void print_breakers(const struct invocation *invocation, const struct region *region,
                           const struct board *board)
{
    bool titled = false;
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++)
        for (unsigned dependency = 0; dependency < DEPENDENCY_COUNT; dependency++) {
            const struct breaker_part *part = &region->slots[i].slot.breaker[dependency];
            struct breaker_public shown;
            if (!slot_view_is_live(region, board, i) ||
                !change_try(&part->change, &shown, &part->breaker, sizeof shown) ||
                shown.state == BREAKER_CLOSED || shown.state == BREAKER_DISABLED)
                continue;
            if (!titled)
                printf("\nCircuit breakers that are not closed\n");
            titled = true;
            print_breaker(invocation, i, dependency, &shown);
        }
}

/* Open the server and read its board. 0 or an exit code. */
static int look(struct server *server, const struct invocation *invocation, struct board *board)
{
    int code = server_open(server, invocation);
    if (code)
        return code;
    if (!region_read_board(server->region, board))
        return complain(invocation, EXIT_TEMPORARY, "the supervisor's board cannot be read");
    return 0;
}

static int print_json(const struct invocation *invocation, const struct region *region,
                      size_t (*write)(const struct region *, char *, size_t))
{
    static char text[STATE_JSON_SIZE];
    if (write(region, text, sizeof text) == 0)
        return complain(invocation, EXIT_TEMPORARY, "the supervisor's board cannot be read");
    puts(text);
    return EXIT_ASKED;
}

int command_status(const struct invocation *invocation)
{
    struct server server;
    struct board board;
    int code = look(&server, invocation, &board);
    if (code)
        return code;
    if (invocation->json)
        return print_json(invocation, server.region, state_json);
    print_title(invocation, &server, &board);
    print_workers_line(&board);
    print_slots(invocation, server.region, &board);
    print_database(invocation, &board);
    print_breakers(invocation, server.region, &board);
    print_classes(invocation, &board);
    print_listeners(&board);
    return EXIT_ASKED;
}

int command_workers(const struct invocation *invocation)
{
    struct server server;
    struct board board;
    int code = look(&server, invocation, &board);
    if (code)
        return code;
    if (invocation->json)
        return print_json(invocation, server.region, state_slots_json);
    print_slots(invocation, server.region, &board);
    return EXIT_ASKED;
}
