/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/probe_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"

static const char *const file_names[DB_FILE_COUNT] = {"app.db", "app.db-wal", "app.db-shm"};

/* Where this look is; it may be the last thing anybody hears of it. */
void probe_enter(struct prober *prober, enum probe_step step)
{
    struct watch_part *part = &prober->handle.child->region->watch;
    atomic_store_explicit(&part->step_since_ns, clock_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&part->step, (uint32_t)step, memory_order_release);
}

/* The first thing said is the cause; what follows from it is not said. */
void probe_say(struct prober *prober, const char *format, ...)
{
    va_list arguments;
    if (prober->watch.evidence[0])
        return;
    va_start(arguments, format);
    vsnprintf(prober->watch.evidence, sizeof prober->watch.evidence, format, arguments);
    va_end(arguments);
}

bool probe_same_file(const struct db_identity *a, const struct db_identity *b, enum db_file file)
{
    return a->inode[file] == b->inode[file] && a->device[file] == b->device[file];
}

/* The files that must be there: the board's, before it has any those we opened; NULL: none yet. */
const struct db_identity *probe_expected_files(const struct prober *prober)
{
    if (prober->board.identity.inode[DB_FILE_MAIN] != 0)
        return &prober->board.identity;
    return prober->handle.db ? &prober->handle.opened : NULL;
}

void probe_judge(struct prober *prober, enum identity_verdict verdict)
{
    prober->watch.identity = verdict;
}

static bool files_are(const struct db_identity *a, const struct db_identity *b)
{
    for (enum db_file file = DB_FILE_MAIN; file < DB_FILE_COUNT; file++)
        if (!probe_same_file(a, b, file))
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
    probe_judge(prober, IDENTITY_MISSING);
    if (expected && was_deleted(expected))
        probe_say(prober, "app.db was deleted from %.90s", directory);
    else
        probe_say(prober, "app.db is gone from %.100s: moved or deleted", directory);
}

/* Every handle was let go of and nobody is to open what somebody is still putting in place. */
static bool is_settling(struct prober *prober, const struct db_identity *last)
{
    if (prober->handle.db || prober->board.identity_before.inode[DB_FILE_MAIN] == 0 ||
        files_are(last, &prober->watch.seen))
        return false;
    probe_judge(prober, IDENTITY_REPLACED);
    probe_say(prober,
              "the files of app.db are changing: waiting until they are the same for a while");
    return true;
}

/* The files by name alone. */
void probe_look_at_files(struct prober *prober)
{
    const struct db_identity *expected = probe_expected_files(prober), *seen = &prober->watch.seen;
    const struct db_identity last = prober->last_seen;
    const char *directory = prober->handle.child->region->header.data_dir;
    probe_enter(prober, PROBE_FILES);
    int number = db_identity_stat(&prober->handle.paths, &prober->watch.seen);
    prober->last_seen = *seen;
    probe_judge(prober, IDENTITY_SAME);
    if (number) {
        probe_judge(prober, IDENTITY_HIDDEN);
        probe_say(prober, "app.db in %.100s cannot be looked at: %s", directory, strerror(number));
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
    if (!probe_same_file(expected, seen, DB_FILE_MAIN)) {
        probe_judge(prober, IDENTITY_REPLACED);
        probe_say(prober, "app.db in %.80s is another file than the one in use: replaced",
                  directory);
        return;
    }
    for (enum db_file file = DB_FILE_WAL; file < DB_FILE_COUNT; file++) {
        if (expected->inode[file] == 0 || probe_same_file(expected, seen, file))
            continue;
        probe_judge(prober, IDENTITY_SIDECAR);
        probe_say(prober, "%s %s", file_names[file],
                  seen->inode[file] == 0 ? "is gone from beside app.db: moved or deleted"
                                         : "is another file than the one in use: replaced");
    }
}
