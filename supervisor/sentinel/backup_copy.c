/* SPDX-License-Identifier: MIT */
/* How a copy is made, checked and named; backup.c says when. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto/private_file.h"
#include "common/db/schema.h"
#include "supervisor/sentinel/alarm.h"
#include "supervisor/sentinel/keeper.h"

#define BYTES_PER_MIB     (UINT64_C(1) << 20)
#define STEP_PAGES        64
#define SLICE_NS          (20 * NS_PER_MS)
#define CHECK_LIMIT_NS    (600 * NS_PER_S)
#define SYNC_BYTES        (32 << 20)
#define FD_KEPT_NS        (60 * NS_PER_S)
#define LOOK_AFTER_ONE_NS (60 * NS_PER_S) /* the shortest backup.every */

static void close_source(struct backup *backup)
{
    if (backup->run)
        sqlite3_backup_finish(backup->run);
    backup->run = NULL;
    if (backup->source)
        db_close(backup->source);
    backup->source = NULL;
}

static void close_copy(struct backup *backup)
{
    if (backup->copy)
        sqlite3_close(backup->copy);
    backup->copy = NULL;
}

void backup_copy_close(struct backup *backup)
{
    close_source(backup);
    close_copy(backup);
}

static void fail_from(struct keeper *keeper, sqlite3 *db, const char *what)
{
    struct db_error error;
    db_error_from(&error, db, what);
    backup_fail(keeper, "%s", error.text);
}

/* Nobody reads the copy before it is checked and synced, so it needs no journal of its own. */
static bool open_copy(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(backup->unfinished, &backup->copy, flags, NULL) == SQLITE_OK &&
        !db_exec(backup->copy, "PRAGMA locking_mode = EXCLUSIVE") &&
        !db_exec(backup->copy, "PRAGMA journal_mode = OFF") &&
        !db_exec(backup->copy, "PRAGMA synchronous = OFF") &&
        sqlite3_db_config(backup->copy, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) == SQLITE_OK)
        return true;
    fail_from(keeper, backup->copy, "the copy cannot be made");
    return false;
}

/* The read transaction is begun by its first read. */
static bool open_source(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    struct db_error error;
    if (db_open(&keeper->handle.paths, DB_READER, keeper->handle.child->config.durability,
                &keeper->board.identity, &backup->source, &error) < 0) {
        backup_fail(keeper, "%s", error.text);
        return false;
    }
    sqlite3_busy_timeout(backup->source, 100);
    if (db_exec(backup->source, "BEGIN") ||
        db_exec(backup->source, "SELECT value FROM meta LIMIT 1")) {
        fail_from(keeper, backup->source, "app.db cannot be read");
        return false;
    }
    return true;
}

void backup_copy_begin(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    if (!open_copy(keeper) || !open_source(keeper))
        return;
    backup->run = sqlite3_backup_init(backup->copy, "main", backup->source, "main");
    if (!backup->run)
        fail_from(keeper, backup->copy, "the copy cannot be begun");
}

static void show_progress(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    int total = sqlite3_backup_pagecount(backup->run);
    backup->report.pages_total = (uint64_t)total;
    backup->report.pages_done = (uint64_t)(total - sqlite3_backup_remaining(backup->run));
    backup_publish(keeper);
}

/* All pages are there. The header still says WAL, as in the source; a copy is to be one file that
 * can be opened anywhere, read-only too. */
static void end_copying(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    close_source(backup);
    if (db_exec(backup->copy, "PRAGMA journal_mode = DELETE")) {
        fail_from(keeper, backup->copy, "the copy cannot be completed");
        return;
    }
    backup->phase = BACKUP_CHECKING;
    backup->check_until_ns = clock_now_ns() + CHECK_LIMIT_NS;
}

void backup_copy_some(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    uint64_t end_ns = clock_now_ns() + SLICE_NS, wal_bytes = keeper_wal_bytes(keeper);
    int code;
    if (wal_bytes > keeper->governor.hard_bytes) {
        backup_fail(
            keeper,
            "given up at page %llu of %llu: the log grew to %llu MiB meanwhile (wal.hard); try "
            "when less is written, or raise wal.hard",
            (unsigned long long)backup->report.pages_done,
            (unsigned long long)backup->report.pages_total,
            (unsigned long long)(wal_bytes / BYTES_PER_MIB));
        return;
    }
    do
        code = sqlite3_backup_step(backup->run, STEP_PAGES);
    while (code == SQLITE_OK && clock_now_ns() < end_ns);
    show_progress(keeper);
    if (code == SQLITE_DONE)
        end_copying(keeper);
    else if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED)
        backup_fail(keeper, "the copy failed: %s", sqlite3_errstr(code));
}

/* quick_check's verdict, one line. The result code of the statement. */
static int ask_quick_check(sqlite3 *db, char *verdict, size_t size)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        snprintf(verdict, size, "%.100s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return code;
}

static void finish(struct keeper *keeper);

void backup_copy_check(struct keeper *keeper, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    struct handle *handle = &keeper->handle;
    struct db_error error;
    char verdict[104] = "", app_id[40];
    if (now_ns >= backup->check_until_ns) {
        backup_fail(keeper, "the copy could not be checked within %d s",
                    (int)(CHECK_LIMIT_NS / NS_PER_S));
        return;
    }
    alarm_set_beating(backup->copy, backup->check_until_ns - now_ns, handle->child, handle->epoch);
    int code = ask_quick_check(backup->copy, verdict, sizeof verdict);
    alarm_clear();
    if (db_code_of(code) == DB_CODE_INTERRUPT)
        return; /* something else is due first: from the beginning, then */
    if (code != SQLITE_ROW)
        fail_from(keeper, backup->copy, "the copy cannot be checked");
    else if (strcmp(verdict, "ok") != 0)
        backup_fail(keeper, "the copy is damaged, app.db may be too: %s", verdict);
    else if (schema_check(backup->copy, &error) < 0)
        backup_fail(keeper, "the copy: %s", error.text);
    else if (db_read_app_id(backup->copy, app_id) < 0)
        backup_fail(keeper, "the copy: there is no id in it");
    else
        finish(keeper);
}

/* fsync asks nobody while it runs, and on a slow disk a large file takes long: most of it is
 * written piece by piece before, with the heart beating in between. */
static int bring_to_disk(struct keeper *keeper, int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    for (off_t offset = 0; offset < status.st_size; offset += SYNC_BYTES) {
        sync_file_range(fd, offset, SYNC_BYTES,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                            SYNC_FILE_RANGE_WAIT_AFTER);
        child_heartbeat(keeper->handle.child);
    }
    keeper->backup.report.bytes = (uint64_t)status.st_size;
    return fsync(fd) < 0 ? -errno : 0;
}

/* On the disk under its own name. Negative errno, or the descriptor. */
static int give_name(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    int fd = open(backup->unfinished, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int error = bring_to_disk(keeper, fd);
    if (!error && rename(backup->unfinished, backup->path) < 0)
        error = -errno;
    if (!error)
        error = private_file_sync_directory(backup->directory);
    if (!error)
        return fd;
    close(fd);
    return error;
}

static void finish(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    close_copy(backup);
    int fd = give_name(keeper), old_fd = backup->fd;
    if (fd < 0) {
        backup_fail(keeper, "%s cannot be brought to the disk: %s", backup->report.name,
                    strerror(-fd));
        return;
    }
    backup->phase = BACKUP_IDLE;
    backup->fd = fd;
    backup->close_fd_ns = clock_now_ns() + FD_KEPT_NS;
    backup->report.result = BACKUP_DONE;
    backup->report.fd = fd;
    backup->report.took_ms = (clock_now_ns() - backup->started_ns) / NS_PER_MS;
    backup_publish(keeper);
    /* Only now: the number may be used again, and somebody may just be taking what it stands for.
     */
    if (old_fd >= 0)
        close(old_fd);
    /* Whatever the names say of the time, one was just made. */
    backup->next_look_ns = clock_now_ns() + LOOK_AFTER_ONE_NS;
    unsigned kept = backup_prune(backup->directory, keeper->handle.child->config.backup_keep,
                                 backup->report.name, clock_wall_us() / US_PER_S);
    child_report(keeper->handle.child, EVENT_BACKUP, "%s: %llu KiB in %llu ms, checked%s",
                 backup->report.name, (unsigned long long)(backup->report.bytes >> 10),
                 (unsigned long long)backup->report.took_ms,
                 kept ? "; older ones could not be deleted" : "");
}
