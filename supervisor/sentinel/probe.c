/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "supervisor/sentinel/inspect.h"
#include "supervisor/sentinel/orphans.h"

#define READ_LIMIT_NS       NS_PER_S
#define READ_BUSY_LIMIT_NS  (20 * NS_PER_MS)
#define GATE_LIMIT_NS       (20 * NS_PER_MS)
#define GATE_PATIENCE_NS    (300 * NS_PER_MS)
#define WRITE_BUSY_LIMIT_NS (50 * NS_PER_MS)
#define CHECK_LIMIT_NS      (500 * NS_PER_MS)

static const char *const file_names[DB_FILE_COUNT] = {"app.db", "app.db-wal", "app.db-shm"};

void prober_init(struct prober *prober, struct child *child)
{
    *prober = (struct prober){0};
    handle_init(&prober->handle, child);
    /* Ticks go on from those of the process before: the supervisor takes a repeated number for
     * silence. */
    struct watch last;
    if (region_read_watch(child->region, &last))
        prober->watch.tick = last.tick;
}

/* Where this look is; it may be the last thing anybody hears of it. */
static void enter(struct prober *prober, enum probe_step step)
{
    struct watch_part *part = &prober->handle.child->region->watch;
    atomic_store_explicit(&part->step_since_ns, clock_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&part->step, (uint32_t)step, memory_order_release);
}

/* The first thing said is the cause; what follows from it is not said. */
static void say(struct prober *prober, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct prober *prober, const char *format, ...)
{
    va_list arguments;
    if (prober->watch.evidence[0])
        return;
    va_start(arguments, format);
    vsnprintf(prober->watch.evidence, sizeof prober->watch.evidence, format, arguments);
    va_end(arguments);
}

static bool same_file(const struct db_identity *a, const struct db_identity *b, enum db_file file)
{
    return a->inode[file] == b->inode[file] && a->device[file] == b->device[file];
}

/* The files that must be there: the board's, before it has any those we opened; NULL: none yet. */
static const struct db_identity *expected_files(const struct prober *prober)
{
    if (prober->board.identity.inode[DB_FILE_MAIN] != 0)
        return &prober->board.identity;
    return prober->handle.db ? &prober->handle.opened : NULL;
}

static void judge(struct prober *prober, enum identity_verdict verdict)
{
    prober->watch.identity = verdict;
}

static bool files_are(const struct db_identity *a, const struct db_identity *b)
{
    for (enum db_file file = DB_FILE_MAIN; file < DB_FILE_COUNT; file++)
        if (!same_file(a, b, file))
            return false;
    return true;
}

/* A file that others still have open knows whether it has a name left. */
static bool was_deleted(const struct db_identity *file)
{
    char path[64];
    struct stat status;
    for (int fd = CHILD_FD_LISTENERS; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (stat(path, &status) == 0 && (uint64_t)status.st_ino == file->inode[DB_FILE_MAIN] &&
            (uint64_t)status.st_dev == file->device[DB_FILE_MAIN])
            return status.st_nlink == 0;
    }
    return false;
}

static void look_at_missing(struct prober *prober, const struct db_identity *expected)
{
    const char *directory = prober->handle.child->region->header.data_dir;
    judge(prober, IDENTITY_MISSING);
    if (expected && was_deleted(expected))
        say(prober, "app.db was deleted from %.90s", directory);
    else
        say(prober, "app.db is gone from %.100s: moved or deleted", directory);
}

/* Every handle was let go of and nobody is to open what somebody is still putting in place. */
static bool is_settling(struct prober *prober, const struct db_identity *last)
{
    if (prober->handle.db || prober->board.identity_before.inode[DB_FILE_MAIN] == 0 ||
        files_are(last, &prober->watch.seen))
        return false;
    judge(prober, IDENTITY_REPLACED);
    say(prober, "the files of app.db are changing: waiting until they are the same for a while");
    return true;
}

/* The files by name alone. */
static void look_at_files(struct prober *prober)
{
    const struct db_identity *expected = expected_files(prober), *seen = &prober->watch.seen;
    const struct db_identity last = prober->last_seen;
    const char *directory = prober->handle.child->region->header.data_dir;
    enter(prober, PROBE_FILES);
    int number = db_identity_stat(&prober->handle.paths, &prober->watch.seen);
    prober->last_seen = *seen;
    judge(prober, IDENTITY_SAME);
    if (number) {
        judge(prober, IDENTITY_HIDDEN);
        say(prober, "app.db in %.100s cannot be looked at: %s", directory, strerror(number));
        return;
    }
    if (seen->inode[DB_FILE_MAIN] == 0) {
        look_at_missing(prober, expected);
        return;
    }
    if (!expected) {
        is_settling(prober, &last);
        return;
    }
    if (!same_file(expected, seen, DB_FILE_MAIN)) {
        judge(prober, IDENTITY_REPLACED);
        say(prober, "app.db in %.80s is another file than the one in use: replaced", directory);
        return;
    }
    for (enum db_file file = DB_FILE_WAL; file < DB_FILE_COUNT; file++) {
        if (expected->inode[file] == 0 || same_file(expected, seen, file))
            continue;
        judge(prober, IDENTITY_SIDECAR);
        say(prober, "%s %s", file_names[file],
            seen->inode[file] == 0 ? "is gone from beside app.db: moved or deleted"
                                   : "is another file than the one in use: replaced");
    }
}

/* A file nobody vouches for yet: opening a foreign one beside our -wal would be its end. */
static bool is_ours(struct prober *prober, const char *wanted_id)
{
    struct inspection inspection;
    inspect_database(&prober->handle.paths, &inspection);
    switch (inspection.kind) {
    case INSPECT_OURS:
        if (!wanted_id[0] || strcmp(inspection.app_id, wanted_id) == 0)
            return true;
        judge(prober, IDENTITY_REPLACED);
        say(prober, "app.db has the id %.36s, app.id says %.36s: another database",
            inspection.app_id, wanted_id);
        return false;
    case INSPECT_ABSENT:
        judge(prober, IDENTITY_MISSING);
        break;
    case INSPECT_FOREIGN:
        judge(prober, IDENTITY_REPLACED);
        break;
    case INSPECT_DAMAGED:
        prober->watch.open_code = DB_CODE_NOTADB;
        break;
    case INSPECT_UNREADABLE:
        prober->watch.open_code = DB_CODE_CANTOPEN;
        break;
    }
    say(prober, "%s", inspection.text);
    return false;
}

/* Nobody has the files open: move away what would be the end of app.db. */
static bool set_aside(struct prober *prober)
{
    struct orphans orphans;
    int number = orphans_set_aside(&prober->handle.paths, &prober->board.identity_before,
                                   &prober->watch.seen, &orphans);
    if (orphans.count > 0)
        child_report(prober->handle.child, EVENT_NOTE, "set aside as *%s: %s", orphans.suffix,
                     orphans.names);
    if (number == 0)
        return true;
    prober->watch.open_code = DB_CODE_CANTOPEN;
    say(prober, "%s cannot be set aside: %s", orphans.names, strerror(number));
    return false;
}

/* What was let go of for a reason is read through before it is trusted again; what does not fit
 * into the time is not. */
static void look_through(struct prober *prober)
{
    struct handle *handle = &prober->handle;
    sqlite3_stmt *statement = NULL;
    uint64_t start_ns = clock_now_ns();
    handle->stop_at_ns = start_ns + CHECK_LIMIT_NS;
    int code = sqlite3_prepare_v2(handle->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    handle->stop_at_ns = 0;
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : "";
    if (code == SQLITE_ROW && text && strcmp(text, "ok") != 0) {
        prober->watch.open_code = DB_CODE_CORRUPT;
        say(prober, "app.db is damaged: %.120s", text);
    } else if (code != SQLITE_ROW && code != SQLITE_INTERRUPT) {
        prober->watch.open_code = db_code_of(code);
        say(prober, "app.db cannot be read through: %s", sqlite3_errmsg(handle->db));
    }
    sqlite3_finalize(statement);
    handle_count(handle, DB_OP_CHECK, prober->watch.open_code, start_ns);
    if (prober->watch.open_code != DB_CODE_OK)
        handle_close(handle);
}

static void look_open(struct prober *prober)
{
    struct handle *handle = &prober->handle;
    const struct db_identity *expected = expected_files(prober);
    struct db_error error;
    char wanted_id[40];
    if (handle->db)
        return;
    enter(prober, PROBE_OPEN);
    /* Without app.id (a restored copy; set-up writes it) any database of ours will do. */
    db_read_app_id_file(&handle->paths, wanted_id);
    if (!is_ours(prober, wanted_id))
        return;
    /* All handles are let go of: this is the only one, so it may do what none beside others may. */
    bool alone = prober->board.identity_before.inode[DB_FILE_MAIN] != 0;
    if (alone && !set_aside(prober))
        return;
    if (handle_open(handle, alone ? DB_ADOPTER : DB_WRITER, expected, &error) < 0) {
        prober->watch.open_code = error.code;
        say(prober, "%s", error.text);
        return;
    }
    /* The open made the sidecars when there were none. */
    prober->watch.seen = prober->last_seen = handle->opened;
    if (wanted_id[0] && strcmp(handle->opened.app_id, wanted_id) != 0) {
        handle_close(handle); /* it was changed between the two looks */
        judge(prober, IDENTITY_REPLACED);
        say(prober, "app.db is another database than app.id says");
        return;
    }
    if (alone)
        look_through(prober);
}

static int64_t big_endian(const unsigned char *bytes, unsigned count)
{
    int64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The size app.db should have by its own header (sqlite.org/fileformat2.html, section 1.3). */
static int64_t size_by_header(const unsigned char *header)
{
    int64_t page_size = big_endian(header + 16, 2);
    return big_endian(header + 28, 4) * (page_size == 1 ? 65536 : page_size);
}

/* The first page as it is on the disk: reads through the connection see the copies in -wal and
 * cache. Through SQLite's own descriptor, because closing another would drop its locks. */
static enum db_code look_at_header(struct prober *prober)
{
    const struct handle *handle = &prober->handle;
    sqlite3_file *file = NULL;
    unsigned char header[100];
    sqlite3_int64 size = 0;
    if (sqlite3_file_control(handle->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) !=
            SQLITE_OK ||
        !file || !file->pMethods)
        return DB_CODE_OK;
    int code = file->pMethods->xFileSize(file, &size);
    if (code == SQLITE_OK && size >= (sqlite3_int64)sizeof header)
        code = file->pMethods->xRead(file, header, sizeof header, 0);
    if (code != SQLITE_OK)
        return db_code_of(code);
    if (size < (sqlite3_int64)sizeof header || memcmp(header, "SQLite format 3", 16) != 0) {
        say(prober, "app.db does not begin like a database any more: overwritten or truncated");
        return DB_CODE_CORRUPT;
    }
    /* A checkpoint in progress writes the header before the pages it counts, so a size that does
     * not fit proves nothing; one that also fell does. (VACUUM shrinks a file, but it fits then.)
     */
    if (prober->file_inode == handle->opened.inode[DB_FILE_MAIN] && size < prober->file_size &&
        size < size_by_header(header)) {
        say(prober, "app.db shrank from %lld to %lld bytes: truncated",
            (long long)prober->file_size, (long long)size);
        return DB_CODE_CORRUPT;
    }
    prober->file_size = size;
    prober->file_inode = handle->opened.inode[DB_FILE_MAIN];
    return DB_CODE_OK;
}

static void look_read(struct prober *prober)
{
    struct handle *handle = &prober->handle;
    uint64_t start_ns = clock_now_ns();
    char app_id[40];
    enter(prober, PROBE_READ);
    handle->stop_at_ns = start_ns + READ_LIMIT_NS;
    handle->busy_until_ns = start_ns + READ_BUSY_LIMIT_NS;
    enum db_code code = DB_CODE_OK;
    if (db_read_app_id(handle->db, app_id) < 0) {
        struct db_error error;
        db_error_from(&error, handle->db, "app.db cannot be read");
        code = error.code == DB_CODE_OK ? DB_CODE_CORRUPT : error.code;
        say(prober, "%s",
            error.code == DB_CODE_OK ? "app.db: there is no id in its table meta" : error.text);
    } else {
        code = look_at_header(prober);
    }
    handle->stop_at_ns = 0;
    prober->watch.read_us = (clock_now_ns() - start_ns) / NS_PER_US;
    prober->watch.read_code = code;
    handle_count(handle, DB_OP_READ, code, start_ns);
    if (code == DB_CODE_OK)
        memcpy(prober->watch.seen.app_id, handle->opened.app_id, sizeof app_id);
    else
        say(prober, "app.db cannot be read: %s", db_code_name(code));
}

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

static void say_who_holds_the_gate(struct prober *prober)
{
    struct region *region = prober->handle.child->region;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot *slot = region_slot(region, i);
        uint32_t stage = atomic_load(&slot->gate_stage);
        if (stage != GATE_HOLDING && stage != GATE_IN_COMMIT)
            continue;
        say(prober, "the write gate is held by slot %u (pid %d)%s since %llu ms", i,
            (int)atomic_load(&slot->pid), stage == GATE_IN_COMMIT ? " in a commit" : "",
            (unsigned long long)((clock_now_ns() - atomic_load(&slot->gate_since_ns)) / NS_PER_MS));
        return;
    }
    say(prober, "the write gate is held, but no process says that it holds it");
}

/* One step of the probe's transaction. False, with the look's code and evidence, when it failed. */
static bool step(struct prober *prober, enum db_op op, const char *sql)
{
    struct handle *handle = &prober->handle;
    uint64_t start_ns = clock_now_ns();
    int failed = db_exec(handle->db, sql);
    handle_count(handle, op, db_code_of(failed), start_ns);
    if (!failed)
        return true;
    struct db_error error;
    db_error_from(&error, handle->db, "app.db cannot be written");
    prober->watch.write_code = db_code_of(failed);
    if (prober->watch.write_code == DB_CODE_BUSY)
        say(prober, "a program outside this server holds the write lock of app.db");
    say(prober, "%s", error.text);
    return false;
}

/* A small transaction, behind the gate. The files are compared before its commit, as every writer
 * does: a commit to an unlinked file would succeed. */
static void write_probe(struct prober *prober)
{
    struct handle *handle = &prober->handle;
    const struct db_identity *expected = expected_files(prober);
    uint64_t start_ns = clock_now_ns();
    enter(prober, PROBE_WRITE);
    handle->busy_until_ns = start_ns + WRITE_BUSY_LIMIT_NS;
    bool written = step(prober, DB_OP_BEGIN, "BEGIN IMMEDIATE") &&
                   step(prober, DB_OP_WRITE, "UPDATE probe SET tick = tick + 1 WHERE id = 1");
    if (written && db_identity_check(&handle->paths, expected) != IDENTITY_SAME) {
        handle_count(handle, DB_OP_IDENTITY, DB_CODE_IDENTITY, clock_now_ns());
        prober->watch.write_code = DB_CODE_IDENTITY;
        say(prober, "the files of app.db changed while it was being written");
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

static void look_write(struct prober *prober)
{
    struct child *child = prober->handle.child;
    uint64_t start_ns = clock_now_ns();
    bool committed = somebody_committed(prober);
    enter(prober, PROBE_RESTING); /* the gate is no disk: its waits are bounded */
    int taken = gate_lock(&child->region->gate, child->slot, start_ns + GATE_LIMIT_NS);
    /* Nobody commits and the gate is taken: a writer may be waiting in it for a foreign lock, which
     * ends within its 200 ms, or have lost its CPU. Only our own look tells which. */
    if (taken == -ETIMEDOUT && !committed)
        taken = gate_lock(&child->region->gate, child->slot, start_ns + GATE_PATIENCE_NS);
    histogram_record(&child->slot->metrics.db_lock_wait[0],
                     (clock_now_ns() - start_ns) / NS_PER_US);
    if (taken == -ETIMEDOUT && committed) {
        prober->watch.write_skipped = 1;
    } else if (taken == -ETIMEDOUT) {
        prober->watch.write_code = DB_CODE_BUSY;
        say_who_holds_the_gate(prober);
    } else if (taken < 0) {
        prober->watch.write_code = DB_CODE_UNAVAILABLE;
        say(prober, "the write gate is broken: %s", strerror(-taken));
    } else {
        if (taken == 1)
            counter_increment(&child->slot->metrics.gate_owner_died[0][0]);
        write_probe(prober);
        gate_unlock(&child->region->gate, child->slot);
    }
}

static void look_at_room(struct prober *prober)
{
    struct stat wal;
    struct statvfs room;
    if (stat(prober->handle.paths.file[DB_FILE_WAL], &wal) == 0)
        prober->watch.wal_bytes = (uint64_t)wal.st_size;
    if (statvfs(prober->handle.child->region->header.data_dir, &room) < 0)
        return;
    prober->watch.free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    prober->watch.room_bytes = (uint64_t)room.f_blocks * room.f_frsize;
}

/* After these the connection may know less than the file: the next look opens it anew. */
static bool is_spoilt(uint32_t code)
{
    return code == DB_CODE_IOERR || code == DB_CODE_FSYNC || code == DB_CODE_CORRUPT || code == DB_CODE_NOTADB ||
           code == DB_CODE_CANTOPEN || code == DB_CODE_PROTOCOL;
}

void prober_look(struct prober *prober)
{
    struct watch *watch = &prober->watch;
    struct region *region = prober->handle.child->region;
    *watch = (struct watch){.tick = watch->tick + 1};
    if (handle_is_outdated(&prober->handle))
        handle_renew(&prober->handle);
    region_read_board(region, &prober->board);
    look_at_files(prober);
    if (watch->identity == IDENTITY_SAME)
        look_open(prober);
    if (watch->identity == IDENTITY_SAME && prober->handle.db) {
        look_read(prober);
        look_write(prober);
        if (is_spoilt(watch->read_code) || is_spoilt(watch->write_code))
            handle_close(&prober->handle);
    }
    look_at_room(prober);
    enter(prober, PROBE_RESTING);
    watch->tick_ns = clock_now_ns();
    change_publish(&region->watch.change, &region->watch.watch, watch, sizeof *watch);
}

bool prober_has_news(const struct prober *prober)
{
    struct db_identity now;
    if (handle_is_outdated(&prober->handle))
        return true;
    db_identity_stat(&prober->handle.paths, &now);
    for (enum db_file file = DB_FILE_MAIN; file < DB_FILE_COUNT; file++)
        if (!same_file(&now, &prober->last_seen, file))
            return true;
    return false;
}
