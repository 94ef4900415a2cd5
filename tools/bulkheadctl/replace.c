/* SPDX-License-Identifier: MIT */
/*
 * restart, drain, reload, stop: one request to the supervisor, and with --wait a look at the board
 * until what was asked for has happened.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/server.h"

#define LOOK_EVERY_MS 50

/* What has to have happened. */
struct goal {
    uint32_t gone[WORKER_SLOTS_MAX]; /* the generation that shall go; 0: none */
    unsigned serving;                /* slots that shall serve then */
};

static bool has_process(const struct board_slot *slot)
{
    return slot->pid > 0 && slot->generation != 0;
}

static bool is_serving(const struct board_slot *slot)
{
    return slot->state == SLOT_READY || slot->state == SLOT_DEGRADED;
}

/* Taken from the board before the request: as many shall serve afterwards as do now, and one more
 * when the slot to restart does not; a drained slot stays empty. */
static bool set_goal(struct goal *goal, const struct server *server,
                     const struct invocation *invocation)
{
    struct board board;
    bool all = strcmp(invocation->verb, "reload") == 0;
    bool refills = strcmp(invocation->verb, "drain") != 0;
    *goal = (struct goal){0};
    if (!region_read_board(server->region, &board))
        return false;
    for (unsigned i = 0; i < slot_view_worker_slots(&board); i++) {
        const struct board_slot *slot = &board.slot[i];
        bool meant = all || i == invocation->slot;
        if (meant && has_process(slot))
            goal->gone[i] = slot->generation;
        if (refills && (is_serving(slot) || (meant && !all)))
            goal->serving++;
    }
    if (goal->serving > board.configured)
        goal->serving = board.configured;
    return true;
}

/* The new process may be in another slot than the old: replacing goes through the spare one. */
static bool is_reached(const struct goal *goal, const struct server *server)
{
    struct board board;
    unsigned serving = 0;
    if (!region_read_board(server->region, &board))
        return false;
    for (unsigned i = 0; i < slot_view_worker_slots(&board); i++) {
        const struct board_slot *slot = &board.slot[i];
        if (goal->gone[i] && has_process(slot) && slot->generation == goal->gone[i])
            return false;
        serving += is_serving(slot);
    }
    return serving >= goal->serving;
}

static int wait_until_done(const struct server *server, const struct invocation *invocation,
                           const struct goal *goal)
{
    uint64_t give_up_ns = clock_now_ns() + invocation->timeout_s * NS_PER_S;
    while (!is_reached(goal, server)) {
        if (server_ended_within(server, LOOK_EVERY_MS))
            return complain(invocation, EXIT_TEMPORARY, "%s: the server ended meanwhile",
                            invocation->verb);
        if (clock_now_ns() > give_up_ns)
            return complain(invocation, EXIT_REFUSED,
                            "%s: not done after %u s; `bulkheadctl status` and `bulkheadctl "
                            "events` say why",
                            invocation->verb, invocation->timeout_s);
    }
    return announce(invocation, "%s: done", invocation->verb);
}

int command_replace(const struct invocation *invocation)
{
    struct server server;
    struct answer answer;
    struct goal goal;
    char request[32];
    int code =
        invocation->wait ? server_open(&server, invocation) : server_find(&server, invocation);
    if (code)
        return code;
    if (invocation->wait && !set_goal(&goal, &server, invocation))
        return complain(invocation, EXIT_TEMPORARY, "the supervisor's board cannot be read");
    if (strcmp(invocation->verb, "reload") == 0)
        snprintf(request, sizeof request, "reload");
    else
        snprintf(request, sizeof request, "%s %u", invocation->verb, invocation->slot);
    code = server_ask(&server, invocation, request, &answer);
    if (code)
        return code;
    if (!answer.ok)
        return complain(invocation, EXIT_REFUSED, "%s: %s", request, answer.text);
    return invocation->wait ? wait_until_done(&server, invocation, &goal)
                            : announce(invocation, "%s", answer.text);
}

int command_stop(const struct invocation *invocation)
{
    struct server server;
    struct answer answer;
    int code = server_find(&server, invocation);
    if (!code)
        code = server_ask(&server, invocation, "stop", &answer);
    if (code)
        return code;
    if (!answer.ok)
        return complain(invocation, EXIT_REFUSED, "stop: %s", answer.text);
    bool dots = !invocation->json && isatty(STDERR_FILENO);
    uint64_t started_ns = clock_now_ns(),
             give_up_ns = started_ns + invocation->timeout_s * NS_PER_S;
    bool ended = false;
    while (!ended && clock_now_ns() < give_up_ns) {
        ended = server_ended_within(&server, clock_ms_until(give_up_ns, clock_now_ns(), 500));
        if (dots && !ended)
            fputc('.', stderr);
    }
    if (dots)
        fputc('\n', stderr);
    if (!ended)
        return complain(invocation, EXIT_REFUSED, "stop: accepted, but not ended after %u s",
                        invocation->timeout_s);
    return announce(invocation, "stopped after %.1f s",
                    (double)(clock_now_ns() - started_ns) / (double)NS_PER_S);
}
