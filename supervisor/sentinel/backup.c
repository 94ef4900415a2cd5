/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/backup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto/private_file.h"
#include "supervisor/sentinel/keeper.h"

#define BYTES_PER_MIB  (UINT64_C(1) << 20)
#define LOOK_EVERY_NS  NS_PER_S
#define RETRY_NS       (600 * NS_PER_S) /* a scheduled one that failed */
#define ASKED_LIMIT_NS (15 * NS_PER_S)  /* a request that cannot be begun for so long has failed */

void backup_publish(struct keeper *keeper)
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

/* Nothing of a copy under way is left. */
static void clear(struct backup *backup)
{
    backup_copy_close(backup);
    if (backup->phase != BACKUP_IDLE)
        backup_remove_unfinished(backup->directory);
    backup->phase = BACKUP_IDLE;
}

void backup_fail(struct keeper *keeper, const char *format, ...)
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
    backup_publish(keeper);
    child_report(keeper->handle.child, EVENT_BACKUP_FAILED, "no backup: %s", backup->report.text);
}

/* ---- beginning ---------------------------------------------------------------------------- */

static bool make_directory(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    struct stat status;
    if (mkdir(backup->directory, 0700) == 0)
        private_file_sync_directory(data_dir(keeper));
    else if (errno != EEXIST) {
        backup_fail(keeper, "the directory backup cannot be made: %s", strerror(errno));
        return false;
    }
    if (lstat(backup->directory, &status) == 0 && S_ISDIR(status.st_mode))
        return true;
    backup_fail(keeper, "backup in the data directory is not a directory");
    return false;
}

static bool has_room(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    struct statvfs room;
    struct stat status;
    if (statvfs(backup->directory, &room) < 0 ||
        stat(keeper->handle.paths.file[DB_FILE_MAIN], &status) < 0) {
        backup_fail(keeper, "the room on the disk cannot be told: %s", strerror(errno));
        return false;
    }
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    uint64_t copy_bytes = (uint64_t)status.st_size + keeper_wal_bytes(keeper);
    uint64_t reserve_bytes = keeper->handle.child->config.disk_reserve_mib * BYTES_PER_MIB;
    uint64_t needed_bytes =
        backup_room_needed(copy_bytes, (uint64_t)room.f_blocks * room.f_frsize, reserve_bytes);
    if (free_bytes >= needed_bytes)
        return true;
    backup_fail(keeper, "%llu MiB are free on the disk, %llu MiB are needed",
                (unsigned long long)(free_bytes / BYTES_PER_MIB),
                (unsigned long long)(needed_bytes / BYTES_PER_MIB + 1));
    return false;
}

/* The name of this second; false when it is taken: the next one is waited for. A name ahead of the
 * clock would be taken for a newer backup than those made after it. */
static bool choose_name(struct backup *backup)
{
    struct stat status;
    char name[BACKUP_NAME_SIZE];
    backup_name(name, clock_wall_us() / US_PER_S);
    snprintf(backup->path, sizeof backup->path, "%s/%s", backup->directory, name);
    snprintf(backup->unfinished, sizeof backup->unfinished, "%s%s", backup->path,
             BACKUP_UNFINISHED);
    return lstat(backup->path, &status) < 0;
}

static void begin(struct keeper *keeper, uint64_t now_ns)
{
    struct backup *backup = &keeper->backup;
    /* First: a request that comes from here on may have seen writes this copy does not have. */
    backup->report = (struct backup_report){
        .request = asked(keeper), .result = BACKUP_RUNNING, .pid = getpid(), .fd = -1};
    snprintf(backup->report.name, sizeof backup->report.name, "%s", strrchr(backup->path, '/') + 1);
    backup->started_ns = now_ns;
    backup->asked_since_ns = 0;
    if (!make_directory(keeper) || !has_room(keeper))
        return;
    backup->phase = BACKUP_COPYING;
    backup_publish(keeper);
    backup_copy_begin(keeper);
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
        backup_publish(keeper);
        close(backup->fd);
        backup->fd = -1;
    }
    if (may && (wanted || is_due(keeper, now_ns)) && choose_name(backup)) {
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
        backup_fail(keeper, "the database is %s", db_state_name(atomic_load(&words->db_state)));
    else if (may)
        backup_fail(keeper,
                    "the names of these seconds are taken: was the clock set back? Ask again");
    else
        backup_fail(
            keeper,
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
            backup_copy_some(keeper);
        else
            backup_fail(keeper, "app.db went away meanwhile");
        break;
    case BACKUP_CHECKING:
        backup_copy_check(keeper, now_ns);
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
        backup_fail(keeper, "%s", why);
}

void backup_init(struct keeper *keeper)
{
    struct backup *backup = &keeper->backup;
    *backup = (struct backup){.fd = -1};
    snprintf(backup->directory, sizeof backup->directory, "%.300s/backup", data_dir(keeper));
    backup_remove_unfinished(backup->directory);
    /* A keeper killed in the middle of a report left it unreadable until the next one. */
    if (!region_read_backup(keeper->handle.child->region, &backup->report))
        backup->report =
            (struct backup_report){.request = asked(keeper), .result = BACKUP_RUNNING, .fd = -1};
    if (backup->report.result == BACKUP_RUNNING)
        backup_fail(keeper, "the keeper ended while it made one; ask again");
}

void backup_end(struct keeper *keeper)
{
    if (backup_is_active(&keeper->backup))
        backup_fail(keeper, "the server stops");
    if (keeper->backup.fd >= 0)
        close(keeper->backup.fd);
}
