/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/orphans.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

static bool same(const struct db_identity *a, const struct db_identity *b, enum db_file file)
{
    return a->inode[file] == b->inode[file] && a->device[file] == b->device[file];
}

bool orphan_is(enum db_file sidecar, const struct db_identity *before,
               const struct db_identity *now)
{
    if (now->inode[sidecar] == 0)
        return false;
    bool old_main = same(before, now, DB_FILE_MAIN), old_sidecar = same(before, now, sidecar);
    /* With app.db another file, a sidecar that stayed is of the old one; one that changed with it
     * came with it. With app.db the same, a sidecar that changed is a stranger: what the right one
     * held was moved into app.db before the handles were closed. */
    return old_main ? !old_sidecar : old_sidecar;
}

int orphans_set_aside(const struct db_paths *paths, const struct db_identity *before,
                      const struct db_identity *now, struct orphans *orphans)
{
    static const char *const names[DB_FILE_COUNT] = {"app.db", "app.db-wal", "app.db-shm"};
    uint64_t wall_us = clock_wall_us();
    time_t wall = (time_t)(wall_us / US_PER_S);
    struct tm utc;
    char date[20];
    *orphans = (struct orphans){0};
    gmtime_r(&wall, &utc);
    strftime(date, sizeof date, "%Y%m%dT%H%M%S", &utc);
    /* With microseconds: a second orphan must never overwrite the first. */
    snprintf(orphans->suffix, sizeof orphans->suffix, ".orphan-%s.%06uZ", date,
             (unsigned)(wall_us % US_PER_S));
    for (enum db_file file = DB_FILE_WAL; file < DB_FILE_COUNT; file++) {
        char target[sizeof paths->file[0] + sizeof orphans->suffix];
        if (!orphan_is(file, before, now))
            continue;
        snprintf(target, sizeof target, "%s%s", paths->file[file], orphans->suffix);
        if (rename(paths->file[file], target) < 0) {
            snprintf(orphans->names, sizeof orphans->names, "%s", names[file]);
            return errno;
        }
        size_t used = strlen(orphans->names);
        snprintf(orphans->names + used, sizeof orphans->names - used, "%s%s", used ? ", " : "",
                 names[file]);
        orphans->count++;
    }
    return 0;
}
