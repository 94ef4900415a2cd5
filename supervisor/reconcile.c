/* SPDX-License-Identifier: MIT */
#include "supervisor/reconcile.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "supervisor/accuse.h"
#include "supervisor/control.h"
#include "supervisor/fault_desk.h"
#include "supervisor/gate_reset.h"
#include "supervisor/hang.h"
#include "supervisor/journal.h"
#include "supervisor/notify.h"
#include "supervisor/reload.h"
#include "supervisor/routes.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"
#include "supervisor/welcome.h"

#define TICK_NS           (100 * NS_PER_MS)
#define FIRST_LOOK_LIMIT  (2 * NS_PER_S)    /* then workers start without a verdict */
#define PAUSE_NS          (250 * NS_PER_MS) /* well below the shortest patience with others */
#define KILL_ALL_LIMIT_NS (10 * NS_PER_S)

void reconcile_init(struct supervisor *supervisor)
{
    uint64_t now_ns = clock_now_ns();
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        supervisor->slots[i] = (struct slot_record){.index = i,
                                                    .kind = roster_kind_of(i),
                                                    .pid_fd = -1,
                                                    .since_ns = now_ns,
                                                    .since_wall_us = clock_wall_us()};
    supervisor->reload.successor = supervisor->reload.retiring = -1;
    supervisor->life = LIFE_SETTING_UP;
    supervisor->life_since_ns = now_ns;
    database_init(supervisor, now_ns);
    slot_count_oom_kills(supervisor);
    supervisor->started_event_id =
        journal(supervisor, EVENT_SUPERVISOR_STARTED, NULL, 0, "pid %d, version %s, %u workers",
                (int)supervisor->pid, VERSION, (unsigned)supervisor->config.workers);
}

/* ---- what is wanted ------------------------------------------------------------------------ */

static void want(struct supervisor *supervisor, unsigned slot, uint64_t now_ns)
{
    struct slot_record *record = &supervisor->slots[slot];
    record->wanted = true;
    record->last_event_id = supervisor->started_event_id;
    slot_take(supervisor, record, LIFE_FILL, now_ns);
}

static void go_on_to(struct supervisor *supervisor, enum stage_of_life life, uint64_t now_ns)
{
    supervisor->life = life;
    supervisor->life_since_ns = now_ns;
}

static void step_setting_up(struct supervisor *supervisor, uint64_t now_ns)
{
    struct slot_record *setup = &supervisor->slots[HELPER_SLOT(HELPER_SETUP)];
    if (!setup->wanted) {
        want(supervisor, setup->index, now_ns);
        return;
    }
    if (setup->state != SLOT_EMPTY)
        return;
    if (setup->last_death != DEATH_CLEAN && setup->last_death != DEATH_KILLED) {
        welcome_setup_failed(supervisor, setup);
        reconcile_stop(supervisor, true);
        return;
    }
    want(supervisor, HELPER_SLOT(HELPER_SENTINEL), now_ns);
    if (supervisor->listeners.console.fd >= 0)
        want(supervisor, HELPER_SLOT(HELPER_CONSOLE), now_ns);
    go_on_to(supervisor, LIFE_FIRST_LOOK, now_ns);
}

static void step_first_look(struct supervisor *supervisor, uint64_t now_ns)
{
    if (supervisor->database.verdict.last_tick == 0 &&
        now_ns - supervisor->life_since_ns < FIRST_LOOK_LIMIT)
        return;
    want(supervisor, HELPER_SLOT(HELPER_KEEPER), now_ns);
    for (unsigned i = 0; i < supervisor->config.workers; i++)
        want(supervisor, i, now_ns);
    go_on_to(supervisor, LIFE_SERVING, now_ns);
}

/* systemd hears READY=1 when every slot was tried once and somebody serves. */
static void announce_service(struct supervisor *supervisor)
{
    const struct board *board = &supervisor->board;
    if (supervisor->announced || board->ready + board->degraded == 0)
        return;
    for (unsigned i = 0; i < supervisor->config.workers; i++)
        if (supervisor->slots[i].generation == 1 && supervisor->slots[i].state == SLOT_STARTING)
            return;
    if (!notify("READY=1"))
        return; /* its reader is slow: again at the next tick */
    supervisor->announced = true;
    welcome(supervisor);
}

static bool rank_is_gone(struct supervisor *supervisor, unsigned rank, uint64_t now_ns)
{
    bool gone = true;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot_record *record = &supervisor->slots[i];
        if (roster[record->kind].stop_rank != rank)
            continue;
        record->wanted = false;
        if (supervisor->killing_all)
            slot_take(supervisor, record, LIFE_ASKED_TO_DIE, now_ns);
        else if (record->state == SLOT_DRAINING) /* for a reload, perhaps: now it is for good */
            atomic_store(&supervisor->region->board.words.order[i], ORDER_STOP);
        else if (record->state != SLOT_KILLING)
            slot_drain(supervisor, record, ORDER_STOP, now_ns);
        gone = gone && record->state == SLOT_EMPTY;
    }
    return gone;
}

/* True when nobody is left. */
static bool step_stopping(struct supervisor *supervisor, uint64_t now_ns)
{
    for (unsigned rank = 0; rank <= 2; rank++)
        if (!rank_is_gone(supervisor, rank, now_ns) && !supervisor->killing_all)
            return false;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        if (!slot_is_alive(&supervisor->slots[i]))
            continue;
        if (!supervisor->killing_all || now_ns < supervisor->killing_since_ns + KILL_ALL_LIMIT_NS)
            return false;
        supervisor->exit_code = EXIT_TEMPORARY; /* it hangs in the kernel; the lock stays with it */
    }
    return true;
}

/* ---- what is -------------------------------------------------------------------------------- */

void reconcile_notice_pause(struct supervisor *supervisor, uint64_t expected_ns, uint64_t now_ns)
{
    if (now_ns < expected_ns + PAUSE_NS)
        return;
    supervisor->trust_heartbeats_ns = now_ns + DISTRUST_NS;
    supervisor->board.metrics.supervisor_pauses[0][0]++;
    journal(supervisor, EVENT_PAUSED, NULL, 0,
            "this supervisor was stopped for %.1f s: stale heartbeats are its own fault",
            (double)(now_ns - expected_ns) / (double)NS_PER_S);
}

/* ---- what is shown -------------------------------------------------------------------------- */

static void count_fleet(struct supervisor *supervisor)
{
    struct board *board = &supervisor->board;
    int successor = supervisor->reload.active ? supervisor->reload.successor : -1;
    board->configured = (uint32_t)supervisor->config.workers;
    board->worker_slots = board->configured + 1;
    board->ready = board->degraded = board->restarting = board->quarantined = board->draining = 0;
    for (unsigned i = 0; i < board->worker_slots; i++) {
        if ((int)i == successor)
            continue;
        switch (supervisor->slots[i].state) {
        case SLOT_READY:
            board->ready++;
            break;
        case SLOT_DEGRADED:
            board->degraded++;
            break;
        case SLOT_DRAINING:
            board->draining++;
            break;
        case SLOT_QUARANTINED:
            board->quarantined++;
            break;
        case SLOT_EMPTY:
            break;
        default:
            board->restarting++;
            break;
        }
    }
}

static void show_slot(struct supervisor *supervisor, unsigned index, uint64_t now_ns)
{
    const struct slot_record *record = &supervisor->slots[index];
    uint64_t beat_ns = atomic_load_explicit(&region_slot(supervisor->region, index)->heartbeat_ns,
                                            memory_order_relaxed);
    supervisor->board.slot[index] = (struct board_slot){
        .state = record->state,
        .generation = record->generation,
        .pid = record->pid,
        .last_death = record->last_death,
        .restarts = record->restarts,
        .heartbeat_age_ms =
            now_ns > beat_ns && record->pid ? (uint32_t)((now_ns - beat_ns) / NS_PER_MS) : 0,
        .since_wall_us = record->since_wall_us,
        .started_wall_us = record->started_wall_us};
}

/* The line `systemctl status` shows, when it changed. */
static void tell_status(struct supervisor *supervisor)
{
    const struct board *board = &supervisor->board;
    char text[sizeof supervisor->status_text], quarantined[32] = "";
    if (board->quarantined)
        snprintf(quarantined, sizeof quarantined, ", %u quarantined", board->quarantined);
    snprintf(text, sizeof text, "%u of %u workers ready%s%s%s", board->ready, board->configured,
             quarantined, board->reason[0] ? "; " : "", board->reason);
    if (strcmp(text, supervisor->status_text) != 0 && notify("STATUS=%s", text))
        memcpy(supervisor->status_text, text, sizeof text);
}

static void publish(struct supervisor *supervisor, uint64_t now_ns)
{
    struct board *board = &supervisor->board;
    struct board_part *shared = &supervisor->region->board;
    board->published_ns = now_ns;
    database_show(supervisor);
    count_fleet(supervisor);
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        show_slot(supervisor, i, now_ns);
    aggregate_judge(board);
    atomic_store(&shared->words.health, board->status);
    change_publish(&shared->change, &shared->board, board, sizeof *board);
    database_published(supervisor);
    tell_status(supervisor);
}

/* ---- the step ------------------------------------------------------------------------------- */

static void check_deadline(struct supervisor *supervisor, struct slot_record *record,
                           uint64_t now_ns)
{
    if (record->deadline_ns == 0 || now_ns < record->deadline_ns)
        return;
    if (gate_reset_holds(supervisor, record) && !slot_is_alive(record)) {
        record->deadline_ns = now_ns + TICK_NS;
        return;
    }
    if (record->state == SLOT_BACKOFF || record->state == SLOT_QUARANTINED) {
        uint64_t turn_ns = fork_budget_take(&supervisor->forks, now_ns);
        record->deadline_ns = turn_ns; /* not yet our turn to fork; or 0, and on we go */
        if (turn_ns == 0)
            slot_take(supervisor, record, LIFE_WAIT_OVER, now_ns);
        return;
    }
    if (record->state == SLOT_STARTING) {
        if (hang_fleet_is_stalled(supervisor, now_ns)) { /* its own read waits like all others */
            record->deadline_ns = now_ns + TICK_NS;
            return;
        }
        record->killed_as = DEATH_FAILED_TO_START;
    }
    slot_take(supervisor, record, LIFE_OVERDUE, now_ns);
}

static bool step_life(struct supervisor *supervisor, uint64_t now_ns)
{
    switch (supervisor->life) {
    case LIFE_SETTING_UP:
        step_setting_up(supervisor, now_ns);
        break;
    case LIFE_FIRST_LOOK:
        step_first_look(supervisor, now_ns);
        break;
    case LIFE_SERVING:
        accuse_step(supervisor, now_ns);
        reload_step(supervisor, now_ns);
        announce_service(supervisor);
        break;
    case LIFE_STOPPING:
        return step_stopping(supervisor, now_ns);
    }
    return false;
}

static uint64_t nearest_deadline(const struct supervisor *supervisor)
{
    uint64_t nearest = supervisor->next_tick_ns;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot_record *record = &supervisor->slots[i];
        if (record->exited)
            return 1; /* a start that failed is buried at once */
        if (record->deadline_ns && record->deadline_ns < nearest)
            nearest = record->deadline_ns;
    }
    return nearest;
}

uint64_t reconcile(struct supervisor *supervisor, uint64_t now_ns)
{
    /* Also without their pidfds' word, which may not have been had; and before the strikes of faults
     * are read: who dies after that is buried the next time, when its cause is known. */
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        slot_reap(&supervisor->slots[i]);
    fault_desk_step(supervisor, now_ns);
    database_step(supervisor, now_ns);
    journal_collect(supervisor);
    hang_watch_fleet(supervisor, now_ns);
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct slot_record *record = &supervisor->slots[i];
        slot_settle(supervisor, record, now_ns);
        slot_listen(supervisor, record, now_ns);
        check_deadline(supervisor, record, now_ns);
    }
    routes_step(supervisor, now_ns);
    gate_reset_step(supervisor, now_ns);
    if (!supervisor->gate_reset.active && step_life(supervisor, now_ns))
        return 0;
    if (now_ns >= supervisor->next_aggregate_ns) {
        aggregate_step(supervisor, now_ns);
        slot_count_oom_kills(supervisor);
        supervisor->next_aggregate_ns = now_ns + NS_PER_S;
    }
    control_expire(supervisor, now_ns);
    publish(supervisor, now_ns);
    supervisor->next_tick_ns = now_ns + TICK_NS;
    return nearest_deadline(supervisor);
}

/* ---- what is asked -------------------------------------------------------------------------- */

void reconcile_stop(struct supervisor *supervisor, bool at_once)
{
    if (at_once && !supervisor->killing_all)
        supervisor->killing_since_ns = clock_now_ns();
    supervisor->killing_all |= at_once;
    if (supervisor->life == LIFE_STOPPING)
        return;
    go_on_to(supervisor, LIFE_STOPPING, clock_now_ns());
    notify("STOPPING=1");
    journal(supervisor, EVENT_DRAIN, NULL, 0, "%s",
            at_once ? "stopping at once" : "stopping when everything is answered");
}

bool reconcile_reload(struct supervisor *supervisor, int only_slot, char *why, size_t why_size)
{
    struct config fresh;
    if (supervisor->life != LIFE_SERVING) {
        snprintf(why, why_size, "the service is %s",
                 supervisor->life == LIFE_STOPPING ? "stopping" : "starting");
        journal(supervisor, EVENT_RELOAD, NULL, 0, "not done: %s", why);
        return false;
    }
    if (options_read_again(&supervisor->options, &fresh, why, why_size) < 0) {
        journal(supervisor, EVENT_RELOAD, NULL, 0, "not done: %s", why);
        return false;
    }
    /* What is bound to the life of this process stays as it is. */
    fresh.workers = supervisor->config.workers;
    memcpy(fresh.data_dir, supervisor->config.data_dir, sizeof fresh.data_dir);
    memcpy(fresh.console_listen, supervisor->config.console_listen, sizeof fresh.console_listen);
    memcpy(fresh.listen, supervisor->config.listen, sizeof fresh.listen);
    fresh.listen_count = supervisor->config.listen_count;
    supervisor->config = fresh;
    change_publish(&supervisor->region->config.change, &supervisor->region->config.config,
                   &supervisor->config, sizeof supervisor->config);
    reload_begin(supervisor, only_slot);
    return true;
}

bool reconcile_restart(struct supervisor *supervisor, unsigned slot, char *why, size_t why_size)
{
    struct slot_record *record = &supervisor->slots[slot];
    uint64_t now_ns = clock_now_ns();
    if (gate_reset_holds(supervisor, record)) {
        snprintf(why, why_size, "the write gate is being made anew: everybody starts again");
        return false;
    }
    if (record->state == SLOT_BACKOFF || record->state == SLOT_QUARANTINED) {
        record->fill_reason = RESTART_OPERATOR;
        slot_take(supervisor, record, LIFE_FILL, now_ns);
        return true;
    }
    unsigned wanted = 0;
    for (unsigned i = 0; i <= supervisor->config.workers; i++)
        wanted += supervisor->slots[i].wanted;
    if (!record->wanted && record->state == SLOT_EMPTY && wanted < supervisor->config.workers &&
        supervisor->life == LIFE_SERVING) {
        record->fill_reason = RESTART_OPERATOR;
        want(supervisor, slot, now_ns);
        return true;
    }
    if (!record->wanted || supervisor->reload.active) {
        snprintf(why, why_size, "slot %u is %s%s", slot, slot_state_name(record->state),
                 supervisor->reload.active ? " and workers are being replaced already" : "");
        return false;
    }
    return reconcile_reload(supervisor, (int)slot, why, why_size);
}

bool reconcile_drain(struct supervisor *supervisor, unsigned slot, char *why, size_t why_size)
{
    struct slot_record *record = &supervisor->slots[slot];
    if (!record->wanted || supervisor->life != LIFE_SERVING || supervisor->reload.active) {
        snprintf(why, why_size, "slot %u is %s%s", slot, slot_state_name(record->state),
                 supervisor->reload.active ? " and workers are being replaced" : "");
        return false;
    }
    record->last_event_id = journal(supervisor, EVENT_DRAIN, record, 0, "asked by the operator");
    slot_drain(supervisor, record, ORDER_DRAIN, clock_now_ns());
    return true;
}
