/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto/private_file.h"
#include "common/db/schema.h"
#include "supervisor/sentinel/alarm.h"
#include "supervisor/sentinel/keeper.h"

#define BYTES_PER_MIB  (UINT64_C(1) << 20)
#define STEP_PAGES     64
#define SLICE_NS       (20 * NS_PER_MS)
#define LOOK_EVERY_NS  NS_PER_S
#define RETRY_NS       (600 * NS_PER_S) /* a scheduled one that failed */
#define ASKED_LIMIT_NS (15 * NS_PER_S)  /* a request that cannot be begun for so long has failed */
#define CHECK_LIMIT_NS (600 * NS_PER_S)
#define FD_KEPT_NS     (60 * NS_PER_S)

static void publish(struct keeper *keeper)
{
    struct backup_part *shared = &keeper->handle.child->region->backup;
    change_publish(&shared->change, &shared->report, &keeper->backup.report,
                   sizeof keeper->backup.report);
}

static uint64_t asked(const struct keeper *keeper)
{
    return atomic_load(&keeper->handle.child->region->board.words.backup_request);
}

static const char *data_dir(const struct keeper *keeper)
{
    return keeper->handle.child->region->header.data_dir;
}

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

/* Nothing of a copy under way is left. */
static void clear(struct backup *backup)
{
    close_source(backup);
    close_copy(backup);
    if (backup->phase != BACKUP_IDLE)
        backup_remove_unfinished(backup->directory);
    backup->phase = BACKUP_IDLE;
}

static void fail(struct keeper *keeper, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fail(struct keeper *keeper, const char *format, ...)
{
    struct backup *backup = &keeper->backup;
    va_list arguments;
    clear(backup);
    backup->report.result = BACKUP_FAILED;
    backup->asked_since_ns = 0;
    backup->next_look_ns = clock_now_ns() + RETRY_NS;
    va_start(arguments, format);
    vsnprintf(backup->report.text, sizeof backup->report.text, format, arguments);
    va_end(arguments);
    publish(keeper);
    child_report(keeper->handle.child, EVENT_BACKUP_FAILED, "no backup: %s", backup->report.text);
}

static void fail_from(struct keeper *keeper, sqlite3 *db, const char *what)
{
    struct db_error error;
    db_error_from(&error, db, what);
    fail(keeper, "%s", error.text);
}

/* ---- beginning ---------------------------------------------------------------------------- */

static bool make_directory(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    struct stat status;
    if (mkdir(backup->directory, 0700) == 0)
        private_file_sync_directory(data_dir(keeper));
    else if (errno != EEXIST) {
        fail(keeper, "the directory backup cannot be made: %s", strerror(errno));
        return false;
    }
    if (lstat(backup->directory, &status) == 0 && S_ISDIR(status.st_mode))
        return true;
    fail(keeper, "backup in the data directory is not a directory");
    return false;
}

static bool has_room(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    struct statvfs room;
    struct stat status;
    if (statvfs(backup->directory, &room) < 0 ||
        stat(keeper->handle.paths.file[DB_FILE_MAIN], &status) < 0) {
        fail(keeper, "the room on the disk cannot be told: %s", strerror(errno));
        return false;
    }
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    uint64_t copy_bytes = (uint64_t)status.st_size + keeper_wal_bytes(keeper);
    if (backup_has_room(free_bytes, copy_bytes))
        return true;
    fail(keeper, "%llu MiB are free on the disk, %llu MiB and %d MiB of reserve are needed",
         (unsigned long long)(free_bytes / BYTES_PER_MIB),
         (unsigned long long)(copy_bytes / BYTES_PER_MIB + 1), BACKUP_RESERVE_MIB);
    return false;
}

/* A name nobody has. Two backups of one second: the later one is named by the next. */
static void choose_name(struct backup *backup)
{
    struct stat status;
    uint64_t second = clock_wall_us() / US_PER_S;
    do {
        backup_name(backup->report.name, second++);
        snprintf(backup->path, sizeof backup->path, "%s/%s", backup->directory,
                 backup->report.name);
    } while (lstat(backup->path, &status) == 0);
    snprintf(backup->unfinished, sizeof backup->unfinished, "%s%s", backup->path,
             BACKUP_UNFINISHED);
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
        fail(keeper, "%s", error.text);
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

static void begin(struct keeper *keeper, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    /* First: a request that comes from here on may have seen writes this copy does not have. */
    backup->report = (struct backup_report){
        .request = asked(keeper), .result = BACKUP_RUNNING, .pid = getpid(), .fd = -1};
    backup->started_ns = now_ns;
    backup->asked_since_ns = 0;
    if (!make_directory(keeper) || !has_room(keeper))
        return;
    backup->phase = BACKUP_COPYING;
    choose_name(backup);
    publish(keeper);
    if (!open_copy(keeper) || !open_source(keeper))
        return;
    backup->run = sqlite3_backup_init(backup->copy, "main", backup->source, "main");
    if (!backup->run)
        fail_from(keeper, backup->copy, "the copy cannot be begun");
}

/* ---- copying, checking, finishing ---------------------------------------------------------- */

static void show_progress(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    int total = sqlite3_backup_pagecount(backup->run);
    backup->report.pages_total = (uint64_t)total;
    backup->report.pages_done = (uint64_t)(total - sqlite3_backup_remaining(backup->run));
    publish(keeper);
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

static void copy_some(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    uint64_t end_ns = clock_now_ns() + SLICE_NS, wal_bytes = keeper_wal_bytes(keeper);
    int code;
    if (wal_bytes > keeper->governor.hard_bytes) {
        fail(keeper,
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
        fail(keeper, "the copy failed: %s", sqlite3_errstr(code));
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

static void check(struct keeper *keeper, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    struct handle *handle = &keeper->handle;
    struct db_error error;
    char verdict[104] = "", app_id[40];
    if (now_ns >= backup->check_until_ns) {
        fail(keeper, "the copy could not be checked within %d s", (int)(CHECK_LIMIT_NS / NS_PER_S));
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
        fail(keeper, "the copy is damaged, app.db may be too: %s", verdict);
    else if (schema_check(backup->copy, &error) < 0)
        fail(keeper, "the copy: %s", error.text);
    else if (db_read_app_id(backup->copy, app_id) < 0)
        fail(keeper, "the copy: there is no id in it");
    else
        finish(keeper);
}

/* On the disk under its own name. Negative errno, or the descriptor. */
static int give_name(struct backup *backup)
{
    int fd = open(backup->unfinished, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 || rename(backup->unfinished, backup->path) < 0 ? -errno : 0;
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
    struct stat status = {0};
    close_copy(backup);
    int fd = give_name(backup), old_fd = backup->fd;
    if (fd < 0) {
        fail(keeper, "%s cannot be brought to the disk: %s", backup->report.name, strerror(-fd));
        return;
    }
    fstat(fd, &status);
    backup->phase = BACKUP_IDLE;
    backup->fd = fd;
    backup->close_fd_ns = clock_now_ns() + FD_KEPT_NS;
    backup->report.result = BACKUP_DONE;
    backup->report.fd = fd;
    backup->report.bytes = (uint64_t)status.st_size;
    backup->report.took_ms = (clock_now_ns() - backup->started_ns) / NS_PER_MS;
    publish(keeper);
    /* Only now: the number may be used again, and somebody may just be taking what it stands for.
     */
    if (old_fd >= 0)
        close(old_fd);
    unsigned kept = backup_prune(backup->directory, keeper->handle.child->config.backup_keep);
    child_report(keeper->handle.child, EVENT_BACKUP, "%s: %llu KiB in %llu ms, checked%s",
                 backup->report.name, (unsigned long long)(backup->report.bytes >> 10),
                 (unsigned long long)backup->report.took_ms,
                 kept ? "; older ones could not be deleted" : "");
}

/* ---- when --------------------------------------------------------------------------------- */

static bool is_due(struct keeper *keeper, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    struct stat status;
    if (now_ns < backup->next_look_ns || keeper->handle.child->config.backup_every_min == 0)
        return false;
    backup->next_look_ns = now_ns + LOOK_EVERY_NS;
    uint64_t now_s = clock_wall_us() / US_PER_S;
    uint64_t birth_s =
        stat(keeper->handle.paths.app_id, &status) == 0 ? (uint64_t)status.st_mtime : now_s;
    return backup_is_due(backup_newest(backup->directory, now_s), birth_s,
                         keeper->handle.child->config.backup_every_min, now_s);
}

static void step_idle(struct keeper *keeper, bool has_database, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    bool wanted = asked(keeper) > backup->report.request;
    bool may = has_database && keeper_wal_bytes(keeper) <= keeper->governor.hard_bytes;
    if (backup->fd >= 0 && now_ns >= backup->close_fd_ns) {
        backup->report.fd = -1;
        publish(keeper);
        close(backup->fd);
        backup->fd = -1;
    }
    if (may && (wanted || is_due(keeper, now_ns))) {
        begin(keeper, now_ns);
        return;
    }
    if (!wanted)
        return;
    if (backup->asked_since_ns == 0)
        backup->asked_since_ns = now_ns;
    const struct board_words *words = &keeper->handle.child->region->board.words;
    bool fenced = !atomic_load(&words->db_readable);
    if (!fenced && now_ns < backup->asked_since_ns + ASKED_LIMIT_NS)
        return;
    backup->report = (struct backup_report){.request = asked(keeper), .pid = getpid(), .fd = -1};
    if (fenced || !has_database)
        fail(keeper, "the database is %s", db_state_name(atomic_load(&words->db_state)));
    else
        fail(keeper,
             "app.db-wal has %llu MiB and cannot be emptied; the event wal_pinned names who reads",
             (unsigned long long)(keeper_wal_bytes(keeper) / BYTES_PER_MIB));
}

void backup_step(struct keeper *keeper, bool has_database, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    switch (backup->phase) {
    case BACKUP_IDLE:
        step_idle(keeper, has_database, now_ns);
        break;
    case BACKUP_COPYING:
        if (has_database)
            copy_some(keeper);
        else
            fail(keeper, "app.db went away meanwhile");
        break;
    case BACKUP_CHECKING:
        check(keeper, now_ns);
        break;
    }
}

bool backup_is_active(const struct backup *backup)
{
    return backup->phase != BACKUP_IDLE;
}

void backup_let_go(struct keeper *keeper, const char *why)
{
    if (keeper->backup.source)
        fail(keeper, "%s", why);
}

void backup_init(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    *backup = (struct backup){.fd = -1};
    snprintf(backup->directory, sizeof backup->directory, "%.300s/backup", data_dir(keeper));
    backup_remove_unfinished(backup->directory);
    region_read_backup(keeper->handle.child->region, &backup->report);
    if (backup->report.result == BACKUP_RUNNING)
        fail(keeper, "the keeper ended while it made one; ask again");
}

void backup_end(struct keeper *keeper)
{
    if (backup_is_active(&keeper->backup))
        fail(keeper, "the server stops");
    if (keeper->backup.fd >= 0)
        close(keeper->backup.fd);
}
