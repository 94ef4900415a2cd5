/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/clock.h"
#include "supervisor/sentinel/inspect.h"
#include "supervisor/sentinel/orphans.h"
#include "supervisor/sentinel/probe_parts.h"
#include "supervisor/sentinel/rescue.h"

#define READ_LIMIT_NS      NS_PER_S
#define READ_BUSY_LIMIT_NS (20 * NS_PER_MS)
#define CHECK_LIMIT_NS     (500 * NS_PER_MS)

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

/* A file nobody vouches for yet: opening a foreign one beside our -wal would be its end. */
static bool is_ours(struct prober *prober, const char *wanted_id)
{
    struct inspection inspection;
    inspect_database(&prober->handle.paths, &inspection);
    switch (inspection.kind) {
    case INSPECT_OURS:
        if (!wanted_id[0] || strcmp(inspection.app_id, wanted_id) == 0)
            return true;
        probe_judge(prober, IDENTITY_REPLACED);
        probe_say(prober, "app.db has the id %.36s, app.id says %.36s: another database",
                  inspection.app_id, wanted_id);
        return false;
    case INSPECT_ABSENT:
        probe_judge(prober, IDENTITY_MISSING);
        break;
    case INSPECT_FOREIGN:
        probe_judge(prober, IDENTITY_REPLACED);
        break;
    case INSPECT_DAMAGED:
        prober->watch.open_code = DB_CODE_NOTADB;
        break;
    case INSPECT_UNREADABLE:
        prober->watch.open_code = DB_CODE_CANTOPEN;
        break;
    }
    probe_say(prober, "%s", inspection.text);
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
    probe_say(prober, "%s cannot be set aside: %s", orphans.names, strerror(number));
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
        probe_say(prober, "app.db is damaged: %.120s", text);
    } else if (code != SQLITE_ROW && code != SQLITE_INTERRUPT) {
        prober->watch.open_code = db_code_of(code);
        probe_say(prober, "app.db cannot be read through: %s", sqlite3_errmsg(handle->db));
    }
    sqlite3_finalize(statement);
    handle_count(handle, DB_OP_CHECK, prober->watch.open_code, start_ns);
    if (prober->watch.open_code != DB_CODE_OK)
        handle_close(handle);
}

/* Open it as a writer; where the disk cannot be written as a reader, so that reads may go on. */
static bool open_handle(struct prober *prober, enum db_role role)
{
    struct handle *handle = &prober->handle;
    const struct db_identity *expected = probe_expected_files(prober);
    struct db_error error;
    int failed = handle_open(handle, role, expected, &error);
    if (failed && error.code == DB_CODE_READONLY) {
        prober->watch.write_code = DB_CODE_READONLY;
        probe_say(prober, "%s", error.text);
        failed = handle_open(handle, DB_READER, expected, &error);
    }
    if (!failed)
        return true;
    prober->watch.open_code = error.code;
    probe_say(prober, "%s", error.text);
    return false;
}

static void look_open(struct prober *prober)
{
    struct handle *handle = &prober->handle;
    char wanted_id[40];
    if (handle->db)
        return;
    probe_enter(prober, PROBE_OPEN);
    /* Without app.id (a restored copy; set-up writes it) any database of ours will do. */
    db_read_app_id_file(&handle->paths, wanted_id);
    if (!is_ours(prober, wanted_id))
        return;
    /* All handles are let go of: this is the only one, so it may do what none beside others may. */
    bool alone = prober->board.identity_before.inode[DB_FILE_MAIN] != 0;
    if (alone && !set_aside(prober))
        return;
    if (!open_handle(prober, alone ? DB_ADOPTER : DB_WRITER))
        return;
    /* The open made the sidecars when there were none. */
    prober->watch.seen = prober->last_seen = handle->opened;
    if (wanted_id[0] && strcmp(handle->opened.app_id, wanted_id) != 0) {
        handle_close(handle); /* it was changed between the two looks */
        probe_judge(prober, IDENTITY_REPLACED);
        probe_say(prober, "app.db is another database than app.id says");
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
    if (sqlite3_file_control(handle->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        !file || !file->pMethods)
        return DB_CODE_OK;
    int code = file->pMethods->xFileSize(file, &size);
    if (code == SQLITE_OK && size >= (sqlite3_int64)sizeof header)
        code = file->pMethods->xRead(file, header, sizeof header, 0);
    if (code != SQLITE_OK)
        return db_code_of(code);
    if (size < (sqlite3_int64)sizeof header || memcmp(header, "SQLite format 3", 16) != 0) {
        probe_say(prober,
                  "app.db does not begin like a database any more: overwritten or truncated");
        return DB_CODE_CORRUPT;
    }
    /* A checkpoint in progress writes the header before the pages it counts, so a size that does
     * not fit proves nothing; one that also fell does. (VACUUM shrinks a file, but it fits then.)
     */
    if (prober->file_inode == handle->opened.inode[DB_FILE_MAIN] && size < prober->file_size &&
        size < size_by_header(header)) {
        probe_say(prober, "app.db shrank from %lld to %lld bytes: truncated",
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
    probe_enter(prober, PROBE_READ);
    handle->stop_at_ns = start_ns + READ_LIMIT_NS;
    handle->busy_until_ns = start_ns + READ_BUSY_LIMIT_NS;
    enum db_code code = DB_CODE_OK;
    if (db_read_app_id(handle->db, app_id) < 0) {
        struct db_error error;
        db_error_from(&error, handle->db, "app.db cannot be read");
        code = error.code == DB_CODE_OK ? DB_CODE_CORRUPT : error.code;
        probe_say(prober, "%s",
                  error.code == DB_CODE_OK ? "app.db: there is no id in its table meta"
                                           : error.text);
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
        probe_say(prober, "app.db cannot be read: %s", db_code_name(code));
}

static void look_at_room(struct prober *prober)
{
    struct statvfs room;
    prober->watch.wal_bytes = db_wal_bytes(&prober->handle.paths);
    if (statvfs(prober->handle.child->region->header.data_dir, &room) < 0)
        return;
    prober->watch.free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    prober->watch.room_bytes = (uint64_t)room.f_blocks * room.f_frsize;
}

/* Nothing stops while DATADIR/lock is not the file we hold, but nothing guards it either. Told
 * once. */
static void look_at_lock(struct prober *prober)
{
    struct child *child = prober->handle.child;
    char path[300];
    struct stat held, named;
    snprintf(path, sizeof path, "%s/lock", child->region->header.data_dir);
    if (fstat(CHILD_FD_LOCK, &held) < 0)
        return;
    bool gone = stat(path, &named) < 0 ? errno == ENOENT
                                       : held.st_ino != named.st_ino || held.st_dev != named.st_dev;
    if (gone && !prober->lock_is_gone)
        child_report(child, EVENT_NOTE,
                     "DATADIR/lock was deleted or replaced: restart the service, or a second one "
                     "may get in");
    prober->lock_is_gone = gone;
}

/* After these the connection may know less than the file: the next look opens it anew. */
static bool is_spoilt(uint32_t code)
{
    return code == DB_CODE_IOERR || code == DB_CODE_READONLY || code == DB_CODE_FSYNC ||
           code == DB_CODE_CORRUPT || code == DB_CODE_NOTADB || code == DB_CODE_CANTOPEN ||
           code == DB_CODE_PROTOCOL;
}

void prober_look(struct prober *prober)
{
    struct watch *watch = &prober->watch;
    struct region *region = prober->handle.child->region;
    if (handle_is_outdated(&prober->handle)) {
        rescue_lost_sidecar(&prober->handle);
        handle_renew(&prober->handle);
    }
    /* Others may still have handles: nothing is opened, and silence is what can be said. */
    if (atomic_load(&region->board.words.db_closing))
        return;
    *watch = (struct watch){.tick = watch->tick + 1};
    region_read_board(region, &prober->board);
    probe_look_at_files(prober);
    if (watch->identity == IDENTITY_SAME)
        look_open(prober);
    if (watch->identity == IDENTITY_SAME && prober->handle.db) {
        look_read(prober);
        if (watch->write_code == DB_CODE_OK) /* else it could not even be opened for writing */
            probe_look_write(prober);
        if (is_spoilt(watch->read_code) || is_spoilt(watch->write_code))
            handle_close(&prober->handle);
    }
    look_at_room(prober);
    look_at_lock(prober);
    probe_enter(prober, PROBE_RESTING);
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
        if (!probe_same_file(&now, &prober->last_seen, file))
            return true;
    return false;
}
