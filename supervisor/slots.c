/* SPDX-License-Identifier: MIT */
#include "supervisor/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/check.h"
#include "common/clock.h"
#include "supervisor/autopsy.h"
#include "supervisor/gate_reset.h"
#include "supervisor/hang.h"
#include "supervisor/journal.h"
#include "supervisor/loop.h"
#include "supervisor/obituary.h"
#include "supervisor/routes.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

#define KILL_LIMIT_NS   (5 * NS_PER_S)
#define DRAIN_MARGIN_NS NS_PER_S /* the child's own limit comes first */
#define REQUESTS_MOST   20000 /* in hand: more than door.parked and worker.threads at their most */

bool slot_is_alive(const struct slot_record *record)
{
    return record->pid > 0;
}

static void enter(struct slot_record *record, enum slot_state state, uint64_t now_ns)
{
    if (state == record->state)
        return;
    record->state = state;
    record->since_ns = now_ns;
    record->since_wall_us = clock_wall_us();
    switch (state) {
    case SLOT_STARTING:
        record->deadline_ns = now_ns + roster[record->kind].start_s * NS_PER_S;
        break;
    case SLOT_DRAINING:
        record->deadline_ns = now_ns + record->drain_ns + DRAIN_MARGIN_NS;
        break;
    case SLOT_KILLING:
        record->deadline_ns = now_ns + KILL_LIMIT_NS;
        break;
    case SLOT_BACKOFF:
    case SLOT_QUARANTINED:
        break; /* set by the policy */
    default:
        record->deadline_ns = 0;
        break;
    }
}

static void spawn(struct supervisor *supervisor, struct slot_record *record)
{
    const struct roster_entry *kind = &roster[record->kind];
    bool again = record->generation > 0;
    record->served = record->asked = record->exited = false;
    record->killed_as = DEATH_CLEAN;
    record->excused = false;
    record->proc.when = PROC_NOT_READ;
    record->proc.status[0] = record->proc.stat[0] = '\0';
    record->stuck_cell = NO_CELL;
    record->round = supervisor->reload.round;
    record->drain_ns = supervisor->config.drain_timeout_s * NS_PER_S;
    record->has_faults = supervisor->config.faults_enabled;
    atomic_store(&supervisor->region->board.words.order[record->index], ORDER_RUN);
    atomic_store(&supervisor->region->board.words.last_death[record->index],
                 (uint32_t)record->last_death);
    int error = spawn_child(supervisor, record);
    if (error) { /* buried like any other failure to start */
        record->exited = true;
        record->wait_code = 0;
        record->wait_status = -error;
        return;
    }
    loop_watch(supervisor, record->pid_fd, LOOP_CHILD, record->index);
    if (kind->serves && again) {
        supervisor->board.metrics.worker_restarts[record->index][record->fill_reason]++;
        record->restarts++;
    }
    record->last_event_id =
        journal(supervisor, again ? EVENT_WORKER_RESTARTED : EVENT_WORKER_STARTED, record,
                record->last_event_id, "started as generation %u", record->generation);
}

void slot_reap(struct slot_record *record)
{
    siginfo_t info = {0};
    if (record->pid <= 0 || record->exited)
        return;
    /* It stays a zombie until it is buried, so that /proc still tells of it. */
    int failed = waitid(P_PID, (id_t)record->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    if (failed && errno == ECHILD) { /* gone, and somebody else took its end */
        record->exited = true;
        record->wait_code = CLD_EXITED;
        record->wait_status = 0;
    } else if (!failed && info.si_pid != 0) {
        record->exited = true;
        record->wait_code = info.si_code;
        record->wait_status = info.si_status;
    }
}

static void send_signal(const struct slot_record *record, int number)
{
    if (record->pid <= 0 || record->exited)
        return;
    if (record->pid_fd < 0 || pidfd_send_signal(record->pid_fd, number, NULL, 0) < 0)
        kill(record->pid, number); /* not reaped yet, so the number is still its own */
}

static void announce(struct supervisor *supervisor, struct slot_record *record, bool ready,
                     uint64_t now_ns)
{
    if (!record->served) {
        journal(supervisor, EVENT_WORKER_READY, record, record->last_event_id, "%s after %.0f ms",
                ready ? "ready" : "degraded",
                (double)(now_ns - record->spawned_ns) / (double)NS_PER_MS);
        record->last_event_id = 0; /* that chain is complete: a kill later has a cause of its own */
    } else {
        journal(supervisor, ready ? EVENT_WORKER_RECOVERED : EVENT_WORKER_DEGRADED, record,
                supervisor->database.event_id, "%s",
                ready ? "serves all again" : "refuses what needs the database");
    }
    record->served = true;
}

/* The kernel counts the processes it killed for memory; did it kill one since we last looked? */
bool slot_count_oom_kills(struct supervisor *supervisor)
{
    char text[16384];
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *row = strstr(text, "\noom_kill ");
    uint64_t kills = row ? strtoull(row + 10, NULL, 10) : supervisor->oom_kills;
    bool more = kills > supervisor->oom_kills;
    supervisor->oom_kills = kills;
    return more;
}

/* The end of the zombie and of what we held of it. */
static void lay_to_rest(struct supervisor *supervisor, struct slot_record *record)
{
    siginfo_t ignored;
    if (record->pid > 0)
        waitid(P_PID, (id_t)record->pid, &ignored, WEXITED | WNOHANG);
    if (record->pid_fd >= 0) {
        /* A child between fork and exec still has it: closing alone would leave it in epoll. */
        epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_DEL, record->pid_fd, NULL);
        close(record->pid_fd);
    }
    record->pid_fd = -1;
    record->pid = 0;
    record->exited = false;
}

static unsigned requests_lost(struct supervisor *supervisor, const struct slot *slot, char *words,
                              size_t size)
{
    bool corrupt;
    unsigned lost = obituary_requests(slot, REQUESTS_MOST, &corrupt, words, size);
    supervisor->board.metrics.region_corrupt[0][0] += corrupt;
    return lost;
}

static void bury(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns)
{
    const struct slot *slot = region_slot(supervisor->region, record->index);
    bool killed = record->wait_code == CLD_KILLED && record->wait_status == SIGKILL;
    struct end end = {.wait_code = record->wait_code,
                      .wait_status = record->wait_status,
                      .served = record->served,
                      .asked = record->asked,
                      .once = roster[record->kind].once,
                      .oom = killed && slot_count_oom_kills(supervisor),
                      .killed_as = record->killed_as};
    enum death_class death = obituary_class(&end);
    char manner[64], requests[100] = "", words[256] = "";
    unsigned lost = 0;
    obituary_manner(&end, manner, sizeof manner);
    bool spoke = record->pid > 0 && atomic_load(&slot->generation) == record->generation;
    if (spoke && roster[record->kind].serves)
        lost = requests_lost(supervisor, slot, requests, sizeof requests);
    if (spoke && end.wait_code == CLD_EXITED && end.wait_status != 0)
        autopsy_copy_text(words, sizeof words, slot->last_words, sizeof slot->last_words, false);
    record->last_event_id =
        journal(supervisor, death == DEATH_CLEAN ? EVENT_WORKER_STOPPED : EVENT_WORKER_DIED, record,
                record->last_event_id, "%s after %.1f s (%s)%s%.70s%s%.70s", manner,
                (double)(now_ns - record->spawned_ns) / (double)NS_PER_S, death_name(death),
                lost ? "; lost: " : "", requests, words[0] ? ": " : "", words);
    if (roster[record->kind].serves) {
        supervisor->board.metrics.worker_deaths[death][0]++;
        supervisor->board.metrics.requests_lost[0][0] += lost;
    } else if (!roster[record->kind].once) {
        supervisor->board.metrics.helper_deaths[death][0]++;
    }
    record->last_death = death;
    if (!record->asked)
        record->fill_reason = (enum restart_reason)death; /* the list begins with the deaths */
    if (death != DEATH_CLEAN) {
        autopsy_begin(supervisor, record, death, manner, lost, spoke, now_ns);
        routes_judge_death(supervisor, record, now_ns);
    }
    lay_to_rest(supervisor, record);
}

static void act(struct supervisor *supervisor, struct slot_record *record, enum life_action action,
                uint64_t now_ns)
{
    switch (action) {
    case ACT_SPAWN:
        spawn(supervisor, record);
        break;
    case ACT_ANNOUNCE_READY:
    case ACT_ANNOUNCE_DEGRADED:
        announce(supervisor, record, action == ACT_ANNOUNCE_READY, now_ns);
        break;
    case ACT_TERM:
        record->asked = true;
        send_signal(record, SIGTERM);
        break;
    case ACT_KILL:
        record->asked |= record->killed_as == DEATH_CLEAN;
        record->kill_sent = !(record->killed_as == DEATH_HUNG && supervisor->config.cores);
        send_signal(record, record->kill_sent ? SIGKILL : SIGABRT);
        break;
    case ACT_BURY:
        bury(supervisor, record, now_ns);
        break;
    case ACT_UNKILLABLE:
        send_signal(record, SIGKILL);
        record->deadline_ns = now_ns + 2 * KILL_LIMIT_NS;
        if (!record->kill_sent) { /* SIGABRT, for a core, was not enough */
            record->kill_sent = true;
            break;
        }
        journal(supervisor, EVENT_UNKILLABLE, record, record->last_event_id,
                "does not die of SIGKILL: a system call hangs in the kernel");
        break;
    default:
        break;
    }
}

void slot_take(struct supervisor *supervisor, struct slot_record *record, enum life_event event,
               uint64_t now_ns)
{
    struct life_step step = lifecycle_step(record->state, event);
    enter(record, step.next, now_ns);
    act(supervisor, record, step.action, now_ns);
}

void slot_drain(struct supervisor *supervisor, struct slot_record *record, unsigned order,
                uint64_t now_ns)
{
    atomic_store(&supervisor->region->board.words.order[record->index], order);
    record->wanted = false;
    slot_take(supervisor, record, LIFE_ASKED_TO_DRAIN, now_ns);
}

/* What becomes of a dead slot that is wanted. */
static void judge(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns)
{
    const struct restart_settings settings = {
        .max_deaths = (unsigned)supervisor->config.restart_max_deaths,
        .window_ns = supervisor->config.restart_window_s * NS_PER_S};
    struct restart_decision decision = restart_decide(
        &record->record, &settings, record->excused ? DEATH_KILLED : record->last_death,
        now_ns - record->spawned_ns, now_ns, random_next(&supervisor->random_state));
    uint64_t fork_ns =
        decision.verdict == RESTART_VERDICT_NOW ? fork_budget_take(&supervisor->forks, now_ns) : 0;
    if (fork_ns) /* a hail of deaths: the fleet waits its turn */
        decision = (struct restart_decision){RESTART_VERDICT_WAIT, fork_ns};
    record->deadline_ns = decision.until_ns;
    double wait_s = (double)(decision.until_ns - now_ns) / (double)NS_PER_S;
    char text[TEXT_MAX] = "restarted at once";
    if (decision.verdict != RESTART_VERDICT_NOW)
        snprintf(text, sizeof text, "%s %.3f s",
                 fork_ns                                          ? "waits for its turn to fork for"
                 : decision.verdict == RESTART_VERDICT_QUARANTINE ? "quarantined for"
                                                                  : "restarted after",
                 wait_s);
    if (record->excused)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
                 "; not charged, its route is quarantined");
    switch (decision.verdict) {
    case RESTART_VERDICT_NOW:
        slot_take(supervisor, record, LIFE_RESTART, now_ns);
        break;
    case RESTART_VERDICT_WAIT:
        slot_take(supervisor, record, LIFE_WAIT, now_ns);
        break;
    case RESTART_VERDICT_QUARANTINE:
        record->last_event_id =
            journal(supervisor, EVENT_WORKER_QUARANTINED, record, record->last_event_id,
                    "died more than %u times in %u s: left alone for %.0f s", settings.max_deaths,
                    (unsigned)supervisor->config.restart_window_s, wait_s);
        slot_take(supervisor, record, LIFE_QUARANTINE, now_ns);
        break;
    }
    autopsy_publish(supervisor, text);
}

void slot_settle(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns)
{
    if (record->exited)
        slot_take(supervisor, record, LIFE_EXITED, now_ns);
    if (record->state != SLOT_DEAD)
        return;
    bool again = record->wanted && !roster[record->kind].once && supervisor->life != LIFE_STOPPING;
    if (again && gate_reset_holds(supervisor, record)) { /* judged when it may be filled */
        autopsy_publish(supervisor, "waits until the write gate is made anew");
        return;
    }
    if (again)
        judge(supervisor, record, now_ns);
    else
        slot_take(supervisor, record, LIFE_LEAVE_EMPTY, now_ns);
    autopsy_publish(supervisor, supervisor->life == LIFE_STOPPING
                                    ? "not started again: the service stops"
                                    : "not started again: nobody wants the slot filled");
}

static void check_hang(struct supervisor *supervisor, struct slot_record *record,
                       const struct slot *slot, uint64_t now_ns)
{
    struct hang hang;
    if (!hang_found(supervisor, record, slot, now_ns, &hang))
        return;
    record->killed_as = hang.death;
    record->stuck_cell = hang.cell;
    autopsy_read_proc(record->pid, PROC_BEFORE_KILL, &record->proc);
    record->last_event_id =
        journal(supervisor, EVENT_WORKER_HUNG, record, record->last_event_id, "%s", hang.text);
    slot_take(supervisor, record, LIFE_CONDEMNED, now_ns);
}

void slot_listen(struct supervisor *supervisor, struct slot_record *record, uint64_t now_ns)
{
    const struct slot *slot = region_slot(supervisor->region, record->index);
    if (!slot_is_alive(record) || record->exited ||
        atomic_load_explicit(&slot->generation, memory_order_acquire) != record->generation)
        return; /* still the words of the process before */
    unsigned phase = atomic_load_explicit(&slot->phase, memory_order_relaxed);
    if (phase == PHASE_READY && record->state != SLOT_READY)
        slot_take(supervisor, record, LIFE_SAID_READY, now_ns);
    else if (phase == PHASE_DEGRADED && record->state != SLOT_DEGRADED)
        slot_take(supervisor, record, LIFE_SAID_DEGRADED, now_ns);
    if (record->state != SLOT_KILLING && record->state != SLOT_STARTING &&
        now_ns >= supervisor->trust_heartbeats_ns)
        check_hang(supervisor, record, slot, now_ns);
}
