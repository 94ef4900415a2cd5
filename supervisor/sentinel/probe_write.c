/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/probe_parts.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "common/db/lock_holder.h"

#define GATE_LIMIT_NS       (20 * NS_PER_MS)
#define HOLDER_LIMIT_NS     (3 * NS_PER_S) /* the supervisor ends it long before */
#define GATE_PATIENCE_NS    (300 * NS_PER_MS)
#define WRITE_BUSY_LIMIT_NS (50 * NS_PER_MS)

/* Commits of everybody but us: proof that writing works when the gate is not free for a probe. */
static bool somebody_committed(struct prober *prober)
{
    uint64_t commits = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (i != prober->handle.child->slot_index)
            commits += atomic_load_explicit(
                &region_slot(prober->handle.child->region, i)->metrics.db_commits[0][0],
                memory_order_relaxed);
    bool moved = commits != prober->commits;
    prober->commits = commits;
    return moved;
}

static bool is_of_this_server(const struct prober *prober, pid_t pid)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (atomic_load(&region_slot(prober->handle.child->region, i)->pid) == (int32_t)pid)
            return true;
    return false;
}

/* Name the program outside that holds the write lock of app.db. False: none does. */
static bool say_who_is_in_the_way(struct prober *prober)
{
    char name[LOCK_HOLDER_NAME];
    pid_t holder = lock_holder_of(prober->handle.shm_fd, LOCK_BYTE_WRITE);
    if (holder == 0 || is_of_this_server(prober, holder))
        return false;
    lock_holder_name(holder, name);
    if (holder == LOCK_HOLDER_HIDDEN)
        probe_say(prober, "a program this server cannot see holds the write lock of app.db");
    else
        probe_say(prober, "%s (pid %d), not of this server, holds the write lock of app.db", name,
                  (int)holder);
    return true;
}

/* Who of ours is in the gate, as the slots say. */
struct gate_holder {
    unsigned slot;
    enum gate_stage stage; /* GATE_NONE: no slot says that it holds it */
    uint64_t age_ns;
};

static struct gate_holder gate_holder(const struct prober *prober)
{
    struct region *region = prober->handle.child->region;
    uint64_t now_ns = clock_now_ns();
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot *slot = region_slot(region, i);
        uint32_t stage = atomic_load(&slot->gate_stage);
        uint64_t since_ns = atomic_load(&slot->gate_since_ns);
        if (stage == GATE_HOLDING || stage == GATE_IN_COMMIT)
            return (struct gate_holder){i, (enum gate_stage)stage,
                                        now_ns > since_ns ? now_ns - since_ns : 0};
    }
    return (struct gate_holder){.stage = GATE_NONE};
}

/* Nobody commits and we do not get in. A commit that takes long is the disk's doing; a holder that
 * does nothing is the supervisor's to end, and writers wait for that rather than be refused. */
static void judge_holder(struct prober *prober, const struct gate_holder *holder)
{
    int pid = (int)atomic_load(&region_slot(prober->handle.child->region, holder->slot)->pid);
    unsigned long long age_ms = holder->age_ns / NS_PER_MS;
    prober->watch.write_skipped = holder->stage != GATE_NONE && holder->age_ns < HOLDER_LIMIT_NS;
    if (holder->stage == GATE_IN_COMMIT) {
        prober->watch.write_skipped = 1;
        prober->watch.write_us = holder->age_ns / NS_PER_US;
    } else if (holder->stage == GATE_NONE) {
        prober->watch.write_code = DB_CODE_BUSY;
        probe_say(prober, "the write gate is held, but no process says that it holds it");
    } else if (!prober->watch.write_skipped) {
        prober->watch.write_code = DB_CODE_BUSY;
        probe_say(prober, "the write gate is held by slot %u (pid %d) since %llu ms", holder->slot,
                  pid, age_ms);
    }
}

/* One step of the probe's transaction. False, with the look's code and evidence, when it failed. */
static bool step(struct prober *prober, enum db_op op, const char *sql)
{
    struct handle *handle = &prober->handle;
    uint64_t start_ns = clock_now_ns();
    int failed = db_exec(handle->db, sql);
    handle_count(handle, op, db_code_of_call(handle->db, failed), start_ns);
    if (!failed)
        return true;
    struct db_error error;
    db_error_from(&error, handle->db, "app.db cannot be written");
    prober->watch.write_code = db_code_of_call(handle->db, failed);
    if (prober->watch.write_code == DB_CODE_BUSY)
        say_who_is_in_the_way(prober);
    probe_say(prober, "%s", error.text);
    return false;
}

/* A small transaction, behind the gate. The files are compared before its commit, as every writer
 * does: a commit to an unlinked file would succeed. */
static void write_probe(struct prober *prober)
{
    struct handle *handle = &prober->handle;
    const struct db_identity *expected = probe_expected_files(prober);
    uint64_t start_ns = clock_now_ns();
    probe_enter(prober, PROBE_WRITE);
    handle->busy_until_ns = start_ns + WRITE_BUSY_LIMIT_NS;
    bool written = step(prober, DB_OP_BEGIN, "BEGIN IMMEDIATE") &&
                   step(prober, DB_OP_WRITE, "UPDATE probe SET tick = tick + 1 WHERE id = 1");
    if (written && db_identity_check(&handle->paths, expected) != IDENTITY_SAME) {
        handle_count(handle, DB_OP_IDENTITY, DB_CODE_IDENTITY, clock_now_ns());
        prober->watch.write_code = DB_CODE_IDENTITY;
        probe_say(prober, "the files of app.db changed while it was being written");
        written = false;
    }
    if (written) {
        gate_mark_commit(handle->child->slot);
        if (step(prober, DB_OP_COMMIT, "COMMIT"))
            counter_increment(&handle->child->slot->metrics.db_commits[0][0]);
    }
    if (!sqlite3_get_autocommit(handle->db))
        db_exec(handle->db, "ROLLBACK");
    prober->watch.write_us = (clock_now_ns() - start_ns) / NS_PER_US;
}

/* Take the gate: soon, or, when nothing else explains that nobody commits, with some patience. */
static int enter_gate(struct prober *prober, bool committed, bool *foreign,
                      struct gate_holder *holder)
{
    struct child *child = prober->handle.child;
    uint64_t start_ns = clock_now_ns();
    int taken = gate_lock(&child->region->gate, child->slot, start_ns + GATE_LIMIT_NS);
    if (taken == -ETIMEDOUT && !committed) {
        /* A writer may be waiting in the gate for a lock outside of it, which can be seen from
         * here, or for the disk, or have lost its CPU, which only patience tells. */
        *foreign = say_who_is_in_the_way(prober);
        *holder = gate_holder(prober);
        if (!*foreign && holder->stage != GATE_IN_COMMIT) {
            taken = gate_lock(&child->region->gate, child->slot, start_ns + GATE_PATIENCE_NS);
            *holder = gate_holder(prober);
        }
        if (taken == -ETIMEDOUT && !*foreign)
            *foreign = say_who_is_in_the_way(prober);
    }
    histogram_record(&child->slot->metrics.db_lock_wait[0],
                     (clock_now_ns() - start_ns) / NS_PER_US);
    return taken;
}

void probe_look_write(struct prober *prober)
{
    struct child *child = prober->handle.child;
    struct gate_holder holder = {.stage = GATE_NONE};
    bool committed = somebody_committed(prober), foreign = false;
    probe_enter(prober, PROBE_RESTING); /* the gate is no disk: its waits are bounded */
    int taken = enter_gate(prober, committed, &foreign, &holder);
    if (taken == -ETIMEDOUT && committed) {
        prober->watch.write_skipped = 1;
    } else if (taken == -ETIMEDOUT && foreign) {
        prober->watch.write_code = DB_CODE_BUSY;
    } else if (taken == -ETIMEDOUT) {
        judge_holder(prober, &holder);
    } else if (taken < 0) {
        prober->watch.write_code = DB_CODE_UNAVAILABLE;
        probe_say(prober, "the write gate is broken: %s", strerror(-taken));
    } else {
        if (taken == 1)
            counter_increment(&child->slot->metrics.gate_owner_died[0][0]);
        write_probe(prober);
        gate_unlock(&child->region->gate, child->slot);
    }
}
