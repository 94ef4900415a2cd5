/* SPDX-License-Identifier: MIT */
#include "supervisor/console/last_resort.h"

#include <stdio.h>
#include <string.h>

#include "common/slot_view.h"

void last_resort_init(struct last_resort *resort, uint64_t now_ns)
{
    *resort = (struct last_resort){.served_ns = now_ns};
}

/* ---- what the board says ------------------------------------------------------------------- */

static unsigned count(const struct board *board, enum slot_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++)
        n += board->slot[i].state == (uint32_t)state;
    return n;
}

/* Counted from the slots, not from board.ready: the successor of a reload serves as well. */
static bool somebody_serves(const struct board *board)
{
    return count(board, SLOT_READY) + count(board, SLOT_DEGRADED) > 0;
}

/* Nobody is on the way to serve: every slot in use was told to wait. */
static bool everybody_waits(const struct board *board)
{
    unsigned waiting = count(board, SLOT_BACKOFF) + count(board, SLOT_QUARANTINED);
    return waiting > 0 && waiting + count(board, SLOT_EMPTY) == slot_view_worker_slots(board);
}

/* ---- the decision -------------------------------------------------------------------------- */

bool last_resort_decide(struct last_resort *resort, const struct board *board, bool stopping,
                        uint64_t now_ns)
{
    if (stopping || (board && somebody_serves(board))) {
        last_resort_init(resort, now_ns);
    } else if (board &&
               (everybody_waits(board) || now_ns >= resort->served_ns + LAST_RESORT_PATIENCE_NS)) {
        resort->active = true;
    }
    return resort->active;
}

/* ---- the words ----------------------------------------------------------------------------- */

static bool was_ever_started(const struct board *board)
{
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++)
        if (board->slot[i].generation > 0)
            return true;
    return false;
}

/* How the process ended that ended last, among those that nothing has followed yet: of another slot
 * the board says when its present process came, not when the one before it went. NULL: none. */
static const char *last_death(const struct board *board)
{
    const char *name = NULL;
    uint64_t newest_us = 0;
    for (unsigned i = 0; i < slot_view_worker_slots(board); i++) {
        const struct board_slot *slot = &board->slot[i];
        bool is_death = slot->state == SLOT_DEAD || slot->state == SLOT_BACKOFF ||
                        slot->state == SLOT_QUARANTINED;
        if (!is_death || slot->since_wall_us < newest_us)
            continue;
        newest_us = slot->since_wall_us;
        name = death_name(slot->last_death);
    }
    return name;
}

void last_resort_cause(const struct board *board, char out[LAST_RESORT_CAUSE_SIZE])
{
    const struct {
        unsigned count;
        const char *one, *many;
    } parts[] = {
        {count(board, SLOT_QUARANTINED), "is quarantined", "are quarantined"},
        {count(board, SLOT_BACKOFF), "waits to be restarted", "wait to be restarted"},
        {count(board, SLOT_STARTING), "is starting", "are starting"},
        {count(board, SLOT_DRAINING), "is draining", "are draining"},
        {count(board, SLOT_KILLING) + count(board, SLOT_DEAD), "has just died", "have just died"},
    };
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].count)
            length += (size_t)snprintf(out + length, LAST_RESORT_CAUSE_SIZE - length, "%s%u %s",
                                       length ? ", " : "", parts[i].count,
                                       parts[i].count == 1 ? parts[i].one : parts[i].many);
    const char *death = last_death(board);
    if (length == 0)
        snprintf(out, LAST_RESORT_CAUSE_SIZE, "%s",
                 was_ever_started(board) ? "all were drained" : "none was started yet");
    else if (death)
        snprintf(out + length, LAST_RESORT_CAUSE_SIZE - length, "; the last one ended as %s",
                 death);
}
