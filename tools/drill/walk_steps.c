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
#define FLEET     4  /* workers of the walk's server */

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

/* What the load tester has not written down is not known, and not told. */
static void tell_clients(const struct walk *walk, bool known, const struct met *met)
{
    if (!known) {
        walk_say(walk,
                 "Clients: what they met is not known: the load tester has not written it down, "
                 "or waits for too many answers.");
        return;
    }
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
    bool known = walk_met(walk, &met);
    if (walk_is_over(walk))
        return false;
    if (died && back) {
        walk_say(walk, "After %.1f ms the supervisor knew (\"%s\").", walk_ms(walk, died),
                 died->text);
        walk_say(walk,
                 "It started pid %d in its place, generation %u: ready %.0f ms after the kill.",
                 back->pid, back->generation, walk_ms(walk, back));
    }
    tell_clients(walk, known, &met);
    if (known && met.refused < 0.5)
        walk_say(walk,
                 "Nobody was refused: the listening socket is the supervisor's, not the worker's.");
    walk_look(walk, "ctl events | tail -3;  ctl deaths 1");
    return walk_end(walk, ready && died && known && met.refused < 0.5);
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
    bool known = walk_met(walk, &met);
    if (walk_is_over(walk))
        return false;
    if (hung && back) {
        walk_say(walk, "No exit tells of this, only silence: after %.2f s it was judged hung",
                 walk_ms(walk, hung) / 1000);
        walk_say(walk, "(\"%s\"), killed and replaced: pid %d ready at %.2f s.", hung->text,
                 back->pid, walk_ms(walk, back) / 1000);
    }
    tell_clients(walk, known, &met);
    walk_look(walk, "ctl events | tail -4;  ctl deaths 1");
    return walk_end(walk, ready && hung && known && met.refused < 0.5);
}

/* How many of the four are back, and when the first and the last of them served. */
static void tell_fleet(const struct walk *walk)
{
    double first_ms = (double)NAN, last_ms = (double)NAN;
    unsigned back = 0, deaths = walk_events(walk, EVENT_WORKER_DIED);
    for (int slot = 0; slot < FLEET; slot++) {
        const struct event *ready = walk_event(walk, EVENT_WORKER_READY, slot);
        back += ready != NULL;
        first_ms = fmin(first_ms, walk_ms(walk, ready));
        last_ms = fmax(last_ms, walk_ms(walk, ready));
    }
    if (back == FLEET)
        walk_say(walk,
                 "%u deaths; the first new worker served after %.0f ms, the fourth after %.0f ms.",
                 deaths, first_ms, last_ms);
    else
        walk_say(walk, "%u deaths; only %u of four workers served again within %d s.", deaths, back,
                 RECOVER_S);
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
    for (int slot = 0; slot < FLEET; slot++)
        ready = ready && walk_wait(walk, RECOVER_S, is_ready_again, &slot);
    ready = ready && walk_wait(walk, RECOVER_S, is_whole, NULL);
    struct met met;
    bool known = walk_met(walk, &met);
    if (walk_is_over(walk))
        return false;
    tell_fleet(walk);
    tell_clients(walk, known, &met);
    if (known && met.refused < 0.5)
        walk_say(walk, "Nobody was refused: connections waited in the kernel's queue, which "
                       "outlives the fleet.");
    walk_look(walk, "ctl workers;  ctl deaths");
    return walk_end(walk, ready && known && met.refused < 0.5);
}

static bool supervisor_is_dead(const struct walk *walk, const void *unused)
{
    (void)unused;
    return walk->runner->house.supervisor == 0;
}

static bool new_fleet_serves(const struct walk *walk, const void *unused)
{
    return walk_events(walk, EVENT_WORKER_READY) >= FLEET && is_whole(walk, unused);
}

/* The workers that live now. Their supervisor's death makes them orphans. */
static unsigned list_workers(const struct walk *walk, pid_t pid[FLEET])
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < FLEET && read_board(walk); slot++)
        if (slot_view_is_live(walk->runner->remote.server.region, &board, slot))
            pid[count++] = board.slot[slot].pid;
    return count;
}

/* Orphans are this program's to reap: who has ended has no process any more. */
static unsigned count_alive(const pid_t *pid, unsigned count)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < count; i++)
        alive += kill(pid[i], 0) == 0;
    return alive;
}

static void tell_orphans(const struct walk *walk, unsigned alive)
{
    const struct runner *runner = walk->runner;
    const struct event *back = walk_event(walk, EVENT_WORKER_READY, -1);
    double gone_ms =
        ((double)runner->evidence->orphans_gone_ns - (double)walk->began_ns) / (double)NS_PER_MS;
    if (alive > 0)
        walk_say(walk, "%u of its workers, orphans now, have not ended.", alive);
    else if (gone_ms > 0)
        walk_say(walk, "Its children saw that they were orphans, and ended: the last after %.2f s.",
                 gone_ms / 1000);
    if (!back)
        walk_say(walk, "No worker of the new one (pid %d) serves.", runner->house.supervisor);
    else if (alive == 0 && gone_ms > 0 && walk_ms(walk, back) > gone_ms)
        walk_say(walk,
                 "The new one (pid %d) let none of its own serve before, so that two fleets never "
                 "share a database:",
                 runner->house.supervisor);
    if (back)
        walk_say(walk, "its first worker served %.2f s after the kill.",
                 walk_ms(walk, back) / 1000);
}

static bool kill_supervisor(struct walk *walk)
{
    struct runner *runner = walk->runner;
    pid_t worker[FLEET];
    if (!walk_begin(walk, "The supervisor itself is killed"))
        return false;
    walk_do(walk, "$ kill -9 %d          and a new one is started at once, as systemd would",
            runner->house.supervisor);
    struct spec_step step = signal_to(SIGKILL, "supervisor");
    struct spec_step start = {.kind = STEP_ACT, .act = ACT_START_SUPERVISOR, .times = 1};
    unsigned workers = list_workers(walk, worker);
    runner->evidence->orphans_gone_ns = 0;
    if (!walk_act(walk, &step) || !walk_wait(walk, RECOVER_S, supervisor_is_dead, NULL) ||
        !turn_act(runner, &start))
        return false;
    bool ready = walk_wait(walk, RECOVER_S, new_fleet_serves, NULL);
    struct met met;
    bool known = walk_met(walk, &met);
    if (walk_is_over(walk))
        return false;
    unsigned alive = count_alive(worker, workers);
    tell_orphans(walk, alive);
    tell_clients(walk, known, &met);
    walk_say(walk,
             "This is the one death that closes the port. Under systemd its socket stays open.");
    walk_look(walk, "ctl status;  ctl events | head");
    return walk_end(walk, ready && known && workers == FLEET && alive == 0);
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

/* The answer to a question that was asked after the thing was broken. */
static bool health_says_so(const struct walk *walk, const void *unused)
{
    const struct evidence *evidence = walk->runner->evidence;
    const struct look *look =
        evidence->look_count ? &evidence->look[evidence->look_count - 1] : NULL;
    (void)unused;
    return look && look->sent_ns > walk->began_ns &&
           (look->result == LOOK_DEGRADED || look->result == LOOK_FAILING);
}

static bool take_database(struct walk *walk)
{
    struct spec_step away = {.kind = STEP_ACT, .act = ACT_DB_MOVE, .times = 1};
    walk_do(walk, "$ mv app.db* away/");
    if (!walk_act(walk, &away))
        return false;
    bool seen = walk_wait(walk, RECOVER_S, database_is_lost, NULL);
    const struct event *lost = walk_event(walk, EVENT_DB_UNAVAILABLE, -1);
    if (seen)
        walk_say(walk, "Found after %.0f ms: \"%s\".", walk_ms(walk, lost), lost->text);
    bool told = seen && walk_wait(walk, RECOVER_S, health_says_so, NULL);
    if (told)
        walk_say(walk, "/health says degraded.");
    return told;
}

/* True when the server says that it is up, and all of it is. */
static bool bring_database(struct walk *walk, unsigned *deaths)
{
    struct spec_step back = {.kind = STEP_ACT, .act = ACT_DB_RESTORE, .times = 1};
    size_t mark = walk->mark;
    walk_do(walk, "$ mv away/app.db* .");
    if (!walk_act(walk, &back))
        return false;
    bool whole = walk_wait(walk, RECOVER_S, database_is_back, NULL);
    double back_ms = walk_ms(walk, walk_event(walk, EVENT_DB_RECOVERED, -1));
    walk->mark = mark;
    *deaths = walk_events(walk, EVENT_WORKER_DIED);
    if (!isnan(back_ms))
        walk_say(walk, "Up again %.0f ms after the file was back. Workers that died for it: %u.",
                 back_ms, *deaths);
    if (whole && *deaths == 0)
        walk_say(walk, "None was restarted, for restarting does not bring a file back.");
    return whole;
}

static bool move_database(struct walk *walk)
{
    unsigned deaths = 0;
    if (!walk_begin(walk, "The database is moved away, and back"))
        return false;
    bool told = take_database(walk);
    walk_look(walk, "ctl status");
    if (!walk_stay(walk, walk->fast ? 0.5 : 6))
        return false;
    bool whole = bring_database(walk, &deaths);
    struct met met;
    bool known = walk_met(walk, &met);
    if (walk_is_over(walk))
        return false;
    tell_clients(walk, known, &met);
    walk_look(walk, "ctl events | tail;  ctl history");
    return walk_end(walk, told && whole && known && deaths == 0 && met.refused < 0.5);
}

bool walk_steps(struct walk *walk)
{
    return kill_one(walk) && stop_one(walk) && kill_all(walk) && kill_supervisor(walk) &&
           move_database(walk);
}
