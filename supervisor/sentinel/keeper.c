/* SPDX-License-Identifier: MIT */
/*
 * The keeper: the only process that checkpoints, and only while it holds the gate. SQLite before
 * 3.51.3 can corrupt a database when one process restarts the -wal while another checkpoints on a
 * stale index; behind the gate that cannot happen (docs/architecture.md, "The database").
 * It also purges what is old, makes backups (backup.h) and writes the reports on deaths (deaths.h).
 * Every hold of the gate is short, because all writers wait behind it. It opens nothing while the
 * board says that app.db is not to be read, and writes nothing while it says that it is not to be
 * written, but that a checkpoint may make room (governor.c).
 */
#include "supervisor/sentinel/keeper.h"

#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "common/db/lock_holder.h"
#include "common/exit_codes.h"
#include "common/fault.h"
#include "common/log.h"
#include "supervisor/sentinel/alarm.h"
#include "supervisor/sentinel/deaths.h"
#include "supervisor/sentinel/modes.h"
#include "supervisor/sentinel/rescue.h"

#define REST_MS         100
#define STEP_EVERY_NS   NS_PER_S
#define GATE_LIMIT_NS   (100 * NS_PER_MS)
#define BUSY_LIMIT_NS   (20 * NS_PER_MS)
#define BYTES_PER_MIB   (UINT64_C(1) << 20)

uint64_t keeper_wal_bytes(const struct keeper *keeper)
{
    struct stat status;
    if (stat(keeper->handle.paths.file[DB_FILE_WAL], &status) < 0)
        return 0;
    return (uint64_t)status.st_size;
}

bool keeper_enter_gate(struct keeper *keeper)
{
    struct child *child = keeper->handle.child;
    uint64_t start_ns = clock_now_ns();
    int taken = gate_lock(&child->region->gate, child->slot, start_ns + GATE_LIMIT_NS);
    histogram_record(&child->slot->metrics.db_lock_wait[0],
                     (clock_now_ns() - start_ns) / NS_PER_US);
    if (taken < 0)
        return false;
    if (taken == 1)
        counter_increment(&child->slot->metrics.gate_owner_died[0][0]);
    /* Only the holder can be sure: nobody else changes files behind the gate. */
    if (db_identity_check(&keeper->handle.paths, &keeper->board.identity) == IDENTITY_SAME) {
        keeper->handle.busy_until_ns = clock_now_ns() + BUSY_LIMIT_NS;
        return true;
    }
    handle_count(&keeper->handle, DB_OP_IDENTITY, DB_CODE_IDENTITY, clock_now_ns());
    keeper_leave_gate(keeper);
    return false;
}

void keeper_leave_gate(struct keeper *keeper)
{
    gate_unlock(&keeper->handle.child->region->gate, keeper->handle.child->slot);
}

/* Move the -wal into app.db and empty it; copying is cut after budget_ns. The gate is held. */
static enum db_code checkpoint(struct keeper *keeper, uint64_t budget_ns)
{
    uint64_t start_ns = clock_now_ns();
    /* It fsyncs: to whoever measures how long the gate is held this is a commit. */
    gate_mark_commit(keeper->handle.child->slot);
    alarm_set(keeper->handle.db, budget_ns);
    fault_strike(FAULT_POINT_IN_CHECKPOINT);
    sqlite3 *db = keeper->handle.db;
    enum db_code code = db_code_of_call(
        db, sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
    alarm_clear();
    /* BUSY: a reader still needs the -wal. What it does not need was moved; no error. */
    bool put_off = code == DB_CODE_BUSY || code == DB_CODE_INTERRUPT;
    handle_count(&keeper->handle, DB_OP_CHECKPOINT, put_off ? DB_CODE_OK : code, start_ns);
    return code;
}

/* A connection that met one of these may know less than the file. */
static void close_when_spoilt(struct keeper *keeper, enum db_code code)
{
    if (code == DB_CODE_OK || code == DB_CODE_BUSY || code == DB_CODE_FULL ||
        code == DB_CODE_INTERRUPT)
        return;
    log_warning("checkpoint_failed", "the write-ahead log could not be emptied: %s (%s)",
                db_code_name(code), sqlite3_errmsg(keeper->handle.db));
    backup_let_go(keeper, "the log could not be emptied meanwhile");
    handle_close(&keeper->handle);
}

/* Above wal.hard somebody should know who reads for so long. */
static void name_who_pins(struct keeper *keeper, uint64_t now_ns)
{
    char name[LOCK_HOLDER_NAME];
    uint64_t bytes = keeper_wal_bytes(keeper);
    pid_t holder = lock_holder_of_oldest_read(keeper->handle.shm_fd);
    if (!governor_names(&keeper->governor, bytes, holder, now_ns))
        return;
    lock_holder_name(holder, name);
    child_report(keeper->handle.child, EVENT_WAL_PINNED,
                 "app.db-wal has %llu MiB and cannot be emptied: pid %d (%s) reads an old state "
                 "of app.db; it ends with its transaction",
                 (unsigned long long)(bytes / BYTES_PER_MIB), (int)holder, name);
}

static void try_checkpoint(struct keeper *keeper, uint64_t now_ns)
{
    struct board_words *words = &keeper->handle.child->region->board.words;
    if (keeper->backup.source) /* our own reader is in the way; wal.hard ends it */
        return;
    if (!governor_may_checkpoint(atomic_load(&words->db_state), atomic_load(&words->db_writable)) ||
        !governor_wants_try(&keeper->governor, keeper_wal_bytes(keeper), now_ns))
        return;
    if (!keeper_enter_gate(keeper)) {
        governor_put_off(&keeper->governor, now_ns);
        return;
    }
    enum db_code code = checkpoint(keeper, keeper->governor.budget_ns);
    keeper_leave_gate(keeper);
    governor_note(&keeper->governor, code, now_ns);
    if (code == DB_CODE_BUSY)
        name_who_pins(keeper, now_ns);
    close_when_spoilt(keeper, code);
}

/* Whether app.db may be read, with the connection open. */
static bool is_allowed(struct keeper *keeper, uint64_t now_ns)
{
    struct region *region = keeper->handle.child->region;
    struct db_error error;
    if (!atomic_load(&region->board.words.db_readable))
        return false;
    if (!region_read_board(region, &keeper->board) ||
        keeper->board.identity.inode[DB_FILE_MAIN] == 0)
        return false;
    if (keeper->handle.db)
        return true;
    if (now_ns < keeper->next_open_ns)
        return false;
    keeper->next_open_ns = now_ns + STEP_EVERY_NS;
    if (handle_open(&keeper->handle, DB_WRITER, &keeper->board.identity, &error) == 0)
        return true;
    log_warning("keeper_waits", "%s", error.text);
    return false;
}

/* What is done once a second. */
static void keep_house(struct keeper *keeper)
{
    struct child *child = keeper->handle.child;
    struct config config;
    /* A reload replaces workers; the keeper takes what is new where it is. */
    if (region_read_config(child->region, &config)) {
        child->config = config;
        governor_set_limits(&keeper->governor, config.wal_soft_mib, config.wal_hard_mib);
    }
    if (keeper->handle.db && atomic_load(&child->region->board.words.db_writable))
        keeper_purge(keeper);
}

static void keep(struct keeper *keeper)
{
    uint64_t now_ns = clock_now_ns();
    if (handle_is_outdated(&keeper->handle)) {
        backup_let_go(keeper, "the files of app.db changed meanwhile");
        rescue_lost_sidecar(&keeper->handle);
        handle_renew(&keeper->handle);
    }
    bool allowed = is_allowed(keeper, now_ns);
    if (allowed)
        try_checkpoint(keeper, now_ns);
    backup_step(keeper, allowed && keeper->handle.db, now_ns);
    if (!allowed || now_ns < keeper->next_second_ns)
        return;
    keeper->next_second_ns = now_ns + STEP_EVERY_NS;
    keep_house(keeper);
}

/* Reports need no database; a full disk is asked again once a second. */
static void keep_deaths(struct keeper *keeper)
{
    uint64_t now_ns = clock_now_ns();
    if (now_ns >= keeper->next_deaths_ns && !deaths_step(keeper->handle.child))
        keeper->next_deaths_ns = now_ns + STEP_EVERY_NS;
}

int keeper_run(int argc, char **argv)
{
    static struct child child;
    static struct keeper keeper;
    child_enter(&child, "keeper", argc, argv);
    handle_init(&keeper.handle, &child);
    governor_init(&keeper.governor, child.config.wal_soft_mib, child.config.wal_hard_mib);
    backup_init(&keeper);
    keep(&keeper);
    child_set_phase(&child, PHASE_READY);
    while (!child_wait_ms(&child, backup_is_active(&keeper.backup) ? 1 : REST_MS) &&
           !child_is_orphan(&child)) {
        keep_deaths(&keeper);
        keep(&keeper);
    }
    deaths_step(&child); /* who died while the service stopped */
    backup_end(&keeper);
    rescue_lost_sidecar(&keeper.handle);
    handle_close(&keeper.handle);
    return EXIT_ASKED;
}
