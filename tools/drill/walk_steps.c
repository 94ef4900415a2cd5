/* SPDX-License-Identifier: MIT */
/* The walk's steps: each breaks one thing, waits until all is whole again, and tells with figures
 * what the supervisor saw and what clients met. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/drill/walk_parts.h"

#define RECOVER_S 20 /* the limit of every wait; what is measured is far below it */

static struct board board; /* large; of the moment it is read */

static bool read_board(const struct walk *walk)
{
    const struct region *region = walk->runner->remote.server.region;
    return region && !walk->runner->reopening && region_read_board(region, &board);
}

static bool is_ready_again(const struct walk *walk, const void *slot)
{
    return walk_event(walk, EVENT_WORKER_READY, *(const int *)slot) != NULL;
}

static bool is_whole(const struct walk *walk, const void *unused)
{
    (void)unused;
    return read_board(walk) && board.configured > 0 && board.ready == board.configured &&
           board.db_state == DB_STATE_UP && board.status == 0;
}

static void tell_clients(const struct walk *walk, const struct met *met)
{
    walk_say(
        walk,
        "Clients: %.0f of %.0f requests broken, %.0f told to come back (503), %.0f connections "
        "refused;",
        met->broken + met->timeouts, met->sent, met->told, met->refused);
    walk_say(walk, "         sent again %.0f times, after which %.0f had failed for good.",
             met->attempts - met->sent, met->failed);
}

/* A worker that is ready, in turn. -1: none. */
static int pick(const struct walk *walk, unsigned from)
{
    for (unsigned i = 0; read_board(walk) && i < board.configured; i++) {
        unsigned slot = (from + i) % board.configured;
        if (board.slot[slot].state == SLOT_READY)
            return (int)slot;
    }
    return -1;
}

static struct spec_step signal_to(unsigned number, const char *target)
{
    struct spec_step step = {.kind = STEP_ACT, .act = ACT_SIGNAL, .signal = number, .times = 1};
    snprintf(step.target, sizeof step.target, "%s", target);
    return step;
}

static bool kill_one(struct walk *walk)
{
    if (!walk_begin(walk, "A worker is killed"))
        return false;
    int slot = pick(walk, 0);
    char target[24];
    snprintf(target, sizeof target, "worker:%d", slot);
    walk_do(walk, "$ kill -9 %d          worker %d, in the middle of its work",
            slot < 0 ? 0 : board.slot[slot].pid, slot);
    struct spec_step step = signal_to(SIGKILL, target);
    if (!walk_act(walk, &step))
        return false;
    bool ready = walk_wait(walk, RECOVER_S, is_ready_again, &slot);
    const struct event *died = walk_event(walk, EVENT_WORKER_DIED, slot);
    const struct event *back = walk_event(walk, EVENT_WORKER_READY, slot);
    struct met met;
    walk_met(walk, &met);
    if (died && back) {
        walk_say(walk, "After %.1f ms the supervisor knew (\"%s\").", walk_ms(walk, died),
                 died->text);
        walk_say(walk,
                 "It started pid %d in its place, generation %u: ready %.0f ms after the kill.",
                 back->pid, back->generation, walk_ms(walk, back));
    }
    tell_clients(walk, &met);
    if (met.refused < 0.5)
        walk_say(walk,
                 "Nobody was refused: the listening socket is the supervisor's, not the worker's.");
    walk_look(walk, "ctl events | tail -3;  ctl deaths 1");
    return walk_end(walk, ready && died && met.refused < 0.5);
}

static bool stop_one(struct walk *walk)
{
    if (!walk_begin(walk, "A worker hangs"))
        return false;
    int slot = pick(walk, 1);
    char target[24];
    snprintf(target, sizeof target, "worker:%d", slot);
    walk_do(walk, "$ kill -STOP %d       worker %d: it neither works nor dies",
            slot < 0 ? 0 : board.slot[slot].pid, slot);
    struct spec_step step = signal_to(SIGSTOP, target);
    if (!walk_act(walk, &step))
        return false;
    bool ready = walk_wait(walk, RECOVER_S, is_ready_again, &slot);
    const struct event *hung = walk_event(walk, EVENT_WORKER_HUNG, slot);
    const struct event *back = walk_event(walk, EVENT_WORKER_READY, slot);
    struct met met;
    walk_met(walk, &met);
    if (hung && back) {
        walk_say(walk, "No exit tells of this, only silence: after %.2f s it was judged hung",
                 walk_ms(walk, hung) / 1000);
        walk_say(walk, "(\"%s\"), killed and replaced: pid %d ready at %.2f s.", hung->text,
                 back->pid, walk_ms(walk, back) / 1000);
    }
    tell_clients(walk, &met);
    walk_look(walk, "ctl events | tail -4;  ctl deaths 1");
    return walk_end(walk, ready && hung && met.refused < 0.5);
}

static bool kill_all(struct walk *walk)
{
    if (!walk_begin(walk, "All workers are killed at once"))
        return false;
    walk_do(walk, "$ kill -9 of all four");
    struct spec_step step = signal_to(SIGKILL, "all");
    if (!walk_act(walk, &step))
        return false;
    bool ready = true;
    for (int slot = 0; slot < 4; slot++)
        ready = ready && walk_wait(walk, RECOVER_S, is_ready_again, &slot);
    ready = ready && walk_wait(walk, RECOVER_S, is_whole, NULL);
    double first = (double)NAN, last = 0;
    for (int slot = 0; slot < 4; slot++) {
        double ms = walk_ms(walk, walk_event(walk, EVENT_WORKER_READY, slot));
        first = fmin(first, ms);
        last = fmax(last, ms);
    }
    struct met met;
    walk_met(walk, &met);
    walk_say(walk,
             "%u deaths; the first new worker served after %.0f ms, the fourth after %.0f ms.",
             walk_events(walk, EVENT_WORKER_DIED), first, last);
    tell_clients(walk, &met);
    if (met.refused < 0.5)
        walk_say(walk, "Nobody was refused: connections waited in the kernel's queue, which "
                       "outlives the fleet.");
    walk_look(walk, "ctl workers;  ctl deaths");
    return walk_end(walk, ready && met.refused < 0.5);
}

static bool supervisor_is_dead(const struct walk *walk, const void *unused)
{
    (void)unused;
    return walk->runner->house.supervisor == 0;
}

static bool new_fleet_serves(const struct walk *walk, const void *unused)
{
    return walk_events(walk, EVENT_WORKER_READY) >= 4 && is_whole(walk, unused);
}

static bool kill_supervisor(struct walk *walk)
{
    struct runner *runner = walk->runner;
    if (!walk_begin(walk, "The supervisor itself is killed"))
        return false;
    walk_do(walk, "$ kill -9 %d          and a new one is started at once, as systemd would",
            runner->house.supervisor);
    struct spec_step step = signal_to(SIGKILL, "supervisor");
    struct spec_step start = {.kind = STEP_ACT, .act = ACT_START_SUPERVISOR, .times = 1};
    runner->evidence->orphans_gone_ns = 0;
    if (!walk_act(walk, &step) || !walk_wait(walk, RECOVER_S, supervisor_is_dead, NULL) ||
        !turn_act(runner, &start))
        return false;
    bool ready = walk_wait(walk, RECOVER_S, new_fleet_serves, NULL);
    const struct event *back = walk_event(walk, EVENT_WORKER_READY, -1);
    struct met met;
    walk_met(walk, &met);
    if (runner->evidence->orphans_gone_ns > walk->began_ns)
        walk_say(walk,
                 "Its workers saw that they were orphans, answered what they had, and ended: the "
                 "last after %.2f s.",
                 (double)(runner->evidence->orphans_gone_ns - walk->began_ns) / (double)NS_PER_S);
    walk_say(walk,
             "The new one (pid %d) waited for them, so that two fleets never share a database,",
             runner->house.supervisor);
    walk_say(walk, "and its first worker served %.2f s after the kill.",
             walk_ms(walk, back) / 1000);
    tell_clients(walk, &met);
    walk_say(walk,
             "This is the one death that closes the port. Under systemd its socket stays open.");
    walk_look(walk, "ctl status;  ctl events | head");
    return walk_end(walk, ready);
}

static bool database_is_lost(const struct walk *walk, const void *unused)
{
    (void)unused;
    return walk_event(walk, EVENT_DB_UNAVAILABLE, -1) != NULL;
}

static bool database_is_back(const struct walk *walk, const void *unused)
{
    return walk_event(walk, EVENT_DB_RECOVERED, -1) && is_whole(walk, unused);
}

static bool move_database(struct walk *walk)
{
    if (!walk_begin(walk, "The database is moved away, and back"))
        return false;
    walk_do(walk, "$ mv app.db* away/");
    struct spec_step away = {.kind = STEP_ACT, .act = ACT_DB_MOVE, .times = 1};
    struct spec_step back = {.kind = STEP_ACT, .act = ACT_DB_RESTORE, .times = 1};
    if (!walk_act(walk, &away))
        return false;
    bool seen = walk_wait(walk, RECOVER_S, database_is_lost, NULL);
    const struct event *lost = walk_event(walk, EVENT_DB_UNAVAILABLE, -1);
    if (lost)
        walk_say(walk, "Found after %.0f ms: \"%s\".", walk_ms(walk, lost), lost->text);
    walk_say(walk,
             "/health says degraded and why; every request is refused at once, with its cause.");
    walk_look(walk, "ctl status");
    if (!walk_stay(walk, walk->fast ? 0.5 : 6))
        return false;
    size_t mark = walk->mark;
    struct met met;
    walk_do(walk, "$ mv away/app.db* .");
    if (!walk_act(walk, &back))
        return false;
    bool whole = walk_wait(walk, RECOVER_S, database_is_back, NULL);
    double back_ms = walk_ms(walk, walk_event(walk, EVENT_DB_RECOVERED, -1));
    walk->mark = mark;
    unsigned deaths = walk_events(walk, EVENT_WORKER_DIED);
    walk_met(walk, &met);
    walk_say(walk, "Up again %.0f ms after the file was back. Workers that died for it: %u.",
             back_ms, deaths);
    if (deaths == 0)
        walk_say(walk, "None was restarted, for restarting does not bring a file back.");
    tell_clients(walk, &met);
    walk_say(walk, "Who asked meanwhile was told so at once, and what he asked for had no effect.");
    walk_look(walk, "ctl events | tail;  ctl history");
    return walk_end(walk, seen && whole && deaths == 0 && met.refused < 0.5);
}

bool walk_steps(struct walk *walk)
{
    return kill_one(walk) && stop_one(walk) && kill_all(walk) && kill_supervisor(walk) &&
           move_database(walk);
}
