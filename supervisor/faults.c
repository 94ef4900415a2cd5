/* SPDX-License-Identifier: MIT */
#include "supervisor/faults.h"

#include <stdio.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/fault_spec.h"
#include "common/region.h"

/* What a strike did to the database shows within this. */
#define AFTERMATH_S 10

static bool is_running(const struct fault *fault)
{
    return fault->state == FAULT_STATE_SCHEDULED || fault->state == FAULT_STATE_ACTIVE;
}

/* A free place, else that of the fault which ended first; -1 when all are running. */
static int find_place(const struct fault_table *table)
{
    int place = -1;
    for (int i = 0; i < FAULTS_MAX; i++) {
        const struct fault *fault = &table->fault[i];
        if (fault->state == FAULT_STATE_FREE)
            return i;
        if (!is_running(fault) && (place < 0 || fault->end_ns < table->fault[place].end_ns))
            place = i;
    }
    return place;
}

/* Helpers first: a reload replaces the workers, but not them. */
static int find_deaf(const struct fault_subject *subjects)
{
    for (int i = FAULT_SLOTS_MAX - 1; i >= 0; i--)
        if (subjects[i].deaf)
            return i;
    return -1;
}

static void refuse_for(unsigned slot, char *error, size_t error_size)
{
    if (slot < WORKER_SLOTS_MAX)
        snprintf(error, error_size,
                 "db: worker %u was started without faults.enabled=yes and does not notice: wait "
                 "until the reload has replaced it",
                 slot);
    else
        snprintf(error, error_size,
                 "db: the %s was started without faults.enabled=yes and does not notice, and a "
                 "reload leaves it as it is: start the server with faults.enabled=yes",
                 slot == HELPER_SLOT(HELPER_SENTINEL) ? "sentinel" : "keeper");
}

int64_t faults_set(struct faults *faults, bool enabled, const struct fault_subject *subjects,
                   const char *spec, uint64_t now_ns, char *error, size_t error_size)
{
    struct fault fault;
    if (!enabled) {
        snprintf(error, error_size,
                 "faults are off: start or reload the server with faults.enabled=yes");
        return -1;
    }
    if (fault_spec_parse(spec, &fault, error, error_size) < 0)
        return -1;
    int deaf = fault.kind == FAULT_DB ? find_deaf(subjects) : -1;
    if (deaf >= 0) {
        refuse_for((unsigned)deaf, error, error_size);
        return -1;
    }
    int place = find_place(&faults->table);
    if (place < 0) {
        snprintf(error, error_size, "the table is full: %d faults are under way; clear some",
                 FAULTS_MAX);
        return -1;
    }
    fault.id = ++faults->last_id;
    fault.state = FAULT_STATE_SCHEDULED;
    fault.begin_ns = now_ns + fault.after_ms * NS_PER_MS;
    fault.end_ns = fault.begin_ns + fault.duration_ms * NS_PER_MS;
    if (fault.end_ns > now_ns + FAULT_DURATION_MAX_MS * NS_PER_MS)
        fault.end_ns = now_ns + FAULT_DURATION_MAX_MS * NS_PER_MS;
    faults->table.fault[place] = fault;
    faults->aimed_ns[place] = 0;
    faults->chosen[place] = -1;
    memset(faults->seen_ns[place], 0, sizeof faults->seen_ns[place]);
    return fault.id;
}

static void end(struct faults *faults, unsigned place, enum fault_end why, uint64_t now_ns,
                struct fault_changes *changes)
{
    struct fault *fault = &faults->table.fault[place];
    fault->state = FAULT_STATE_ENDED;
    fault->end = why;
    fault->end_ns = now_ns;
    changes->ended |= UINT32_C(1) << place;
    changes->table = true;
}

unsigned faults_clear(struct faults *faults, uint32_t id, enum fault_end why, uint64_t now_ns,
                      struct fault_changes *changes)
{
    unsigned count = 0;
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        if (!is_running(&faults->table.fault[i]) || (id && faults->table.fault[i].id != id))
            continue;
        end(faults, i, why, now_ns, changes);
        count++;
    }
    if (id == 0)
        faults->beating = false; /* whoever watched has nothing left to watch */
    return count;
}

void faults_beat(struct faults *faults, uint64_t now_ns)
{
    faults->beating = true;
    faults->last_beat_ns = now_ns;
}

/* ---- whom it strikes ----------------------------------------------------------------------- */

static bool is_marked(const struct fault_subject *subject, unsigned place, uint32_t id)
{
    return subject->mark[place].id == id;
}

/* One live worker, not the one in slot `but_not` while there is another; -1 none. */
static int choose_worker(struct faults *faults, const struct fault_subject *subjects, uint64_t seed,
                         int but_not)
{
    unsigned alive[WORKER_SLOTS_MAX], count = 0;
    for (unsigned i = 0; i < WORKER_SLOTS_MAX; i++)
        if (subjects[i].generation && subjects[i].serves && (int)i != but_not)
            alive[count++] = i;
    if (count == 0)
        return but_not >= 0 && subjects[but_not].generation ? but_not : -1;
    faults->random += seed;
    return (int)alive[random_next(&faults->random) % count];
}

static int slot_meant(const struct fault *fault)
{
    for (int i = 0; i < FAULT_SLOTS_MAX; i++)
        if (fault->generation[i])
            return i;
    return -1;
}

/* Name the processes a fault is for. False while there is none. */
static bool aim(struct faults *faults, unsigned place, const struct fault_subject *subjects)
{
    struct fault *fault = &faults->table.fault[place];
    int one = -1;
    bool all = fault->target == FAULT_TARGET_ALL, found = false;
    fault->everybody = fault->target == FAULT_TARGET_DATABASE || (all && !fault->once);
    if (fault->everybody)
        return true;
    memset(fault->generation, 0, sizeof fault->generation);
    if (fault->point == FAULT_POINT_START) {
        fault->generation[fault->slot] = 1; /* whatever process starts there: none need live */
        return true;
    }
    if (fault->target == FAULT_TARGET_ANY)
        one = faults->chosen[place] =
            choose_worker(faults, subjects, fault->seed, faults->chosen[place]);
    else if (!all)
        one = (int)fault->slot;
    for (int i = 0; i < FAULT_SLOTS_MAX; i++) {
        if (!subjects[i].generation || (all ? !subjects[i].serves : i != one))
            continue;
        fault->generation[i] = subjects[i].generation;
        found = true;
    }
    return found;
}

/* ---- the step ------------------------------------------------------------------------------ */

/* A hang that a thread sits in lasts as long as its fault. */
static bool lasts(const struct fault *fault)
{
    return fault->kind == FAULT_HANG && fault->variant != FAULT_HANG_STOP;
}

/* Whether nobody is left whom a `once` fault could strike, and why. */
static enum fault_end is_done(const struct fault *fault, unsigned place,
                              const struct fault_subject *subjects)
{
    bool struck = false;
    for (unsigned i = 0; i < FAULT_SLOTS_MAX; i++) {
        if (!fault->generation[i])
            continue;
        bool marked = is_marked(&subjects[i], place, fault->id);
        bool alive = subjects[i].generation == fault->generation[i];
        struck |= marked;
        if (alive && (!marked || lasts(fault)))
            return FAULT_END_NOT_YET;
    }
    return struck ? FAULT_END_STRUCK : FAULT_END_TARGET_GONE;
}

/* `any` that goes on: one process after the other, at its rate over all of them; what lasts moves
 * only when its process is gone. Who was struck is meant no longer, nor who takes its place. */
static void move_on(struct faults *faults, unsigned place, const struct fault_subject *subjects,
                    uint64_t now_ns, struct fault_changes *changes)
{
    struct fault *fault = &faults->table.fault[place];
    int slot = slot_meant(fault);
    bool strikes = fault_kind_strikes(fault->kind);
    bool alive = slot >= 0 && subjects[slot].generation == fault->generation[slot];
    bool struck = slot >= 0 && strikes && is_marked(&subjects[slot], place, fault->id) &&
                  subjects[slot].mark[place].struck_ns >= faults->aimed_ns[place];
    if (alive && !struck)
        return;
    if (slot >= 0) {
        fault->generation[slot] = 0;
        changes->table = true;
    }
    if (strikes && fault->per_second &&
        now_ns < faults->aimed_ns[place] + NS_PER_S / fault->per_second)
        return;
    if (!aim(faults, place, subjects))
        return;
    faults->aimed_ns[place] = now_ns;
    changes->table = true;
}

static void step_active(struct faults *faults, unsigned place, const struct fault_subject *subjects,
                        uint64_t now_ns, struct fault_changes *changes)
{
    const struct fault *fault = &faults->table.fault[place];
    enum fault_end why = fault->once ? is_done(fault, place, subjects) : FAULT_END_NOT_YET;
    if (why != FAULT_END_NOT_YET)
        end(faults, place, why, now_ns, changes);
    else if (fault->target == FAULT_TARGET_ANY && !fault->once)
        move_on(faults, place, subjects, now_ns, changes);
}

struct fault_changes faults_step(struct faults *faults, bool enabled,
                                 const struct fault_subject *subjects, uint64_t now_ns)
{
    struct fault_changes changes = {0};
    if (!enabled)
        faults_clear(faults, 0, FAULT_END_DISABLED, now_ns, &changes);
    if (faults->beating && now_ns > faults->last_beat_ns + FAULTS_BEAT_LIMIT_MS * NS_PER_MS)
        faults_clear(faults, 0, FAULT_END_NO_HEARTBEAT, now_ns, &changes);
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        struct fault *fault = &faults->table.fault[i];
        if (is_running(fault) && now_ns >= fault->end_ns) {
            end(faults, i, FAULT_END_EXPIRED, now_ns, &changes);
        } else if (fault->state == FAULT_STATE_SCHEDULED && now_ns >= fault->begin_ns &&
                   aim(faults, i, subjects)) {
            fault->state = FAULT_STATE_ACTIVE;
            faults->aimed_ns[i] = now_ns;
            changes.started |= UINT32_C(1) << i;
            changes.table = true;
        } else if (fault->state == FAULT_STATE_ACTIVE) {
            step_active(faults, i, subjects, now_ns, &changes);
        }
    }
    return changes;
}

bool faults_struck(struct faults *faults, const struct fault_subject *subjects, unsigned place,
                   unsigned slot)
{
    const struct fault *fault = &faults->table.fault[place];
    uint64_t struck_ns = subjects[slot].mark[place].struck_ns;
    if (fault->state == FAULT_STATE_FREE || !is_marked(&subjects[slot], place, fault->id) ||
        struck_ns == faults->seen_ns[place][slot])
        return false;
    faults->seen_ns[place][slot] = struck_ns;
    return true;
}

const struct fault *faults_cause_of_database(const struct faults *faults, uint64_t now_ns)
{
    const struct fault *newest = NULL;
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        const struct fault *fault = &faults->table.fault[i];
        bool strikes_it = fault->kind == FAULT_CLOSE_FDS ||
                          (fault->kind == FAULT_SCRIBBLE && fault->variant == FAULT_INTO_GATE);
        bool struck = strikes_it && fault->state == FAULT_STATE_ENDED &&
                      fault->end == FAULT_END_STRUCK &&
                      now_ns < fault->end_ns + AFTERMATH_S * NS_PER_S;
        bool active = fault->state == FAULT_STATE_ACTIVE && (strikes_it || fault->kind == FAULT_DB);
        if ((active || struck) && (!newest || fault->id > newest->id))
            newest = fault;
    }
    return newest;
}
