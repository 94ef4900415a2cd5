/* SPDX-License-Identifier: MIT */
/*
 * Set-up: runs once before any worker and is the only process that creates. Its rule: what is not
 * certainly this server's is left as it is. app.id is the memory of a database that once was here;
 * with it and without the database nothing is made, because an empty one in the place of a moved
 * one would be taken for the truth.
 */
#include "supervisor/sentinel/setup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/crypto/key_file.h"
#include "common/crypto/private_file.h"
#include "common/db/schema.h"
#include "common/exit_codes.h"
#include "common/log.h"
#include "supervisor/sentinel/modes.h"

#define BUSY_LIMIT_MS 1000 /* somebody's shell may have the file open for a moment */

void setup_find(const struct db_paths *paths, struct findings *findings)
{
    struct stat status;
    *findings = (struct findings){0};
    inspect_database(paths, &findings->database);
    findings->has_id = lstat(paths->app_id, &status) == 0;
    db_read_app_id_file(paths, findings->id);
    for (int i = DB_FILE_WAL; i < DB_FILE_COUNT; i++)
        findings->has_sidecar[i] = lstat(paths->file[i], &status) == 0;
}

static enum setup_plan decide_without_database(const struct findings *findings, char *why,
                                               size_t why_size)
{
    const char *left = findings->has_sidecar[DB_FILE_WAL]   ? "app.db-wal"
                       : findings->has_sidecar[DB_FILE_SHM] ? "app.db-shm"
                                                            : NULL;
    if (findings->has_id) {
        snprintf(why, why_size,
                 "app.db is gone (app.id says there was one)%s%s%s: moved or deleted",
                 left ? ", its " : "", left ? left : "", left ? " is still there" : "");
        return SETUP_LEAVE;
    }
    if (!left)
        return SETUP_CREATE;
    snprintf(why, why_size,
             "app.db is not there but %s is: bring app.db back, or move %s away to start empty",
             left, left);
    return SETUP_REFUSE;
}

enum setup_plan setup_decide(const struct findings *findings, char *why, size_t why_size)
{
    const struct inspection *database = &findings->database;
    if (database->kind == INSPECT_ABSENT)
        return decide_without_database(findings, why, why_size);
    if (database->kind != INSPECT_OURS) {
        snprintf(why, why_size, "%s", database->text);
        return SETUP_REFUSE;
    }
    if (!findings->has_id)
        return SETUP_ADOPT;
    if (!findings->id[0]) {
        snprintf(why, why_size,
                 "app.id: there is no id in it; remove it when app.db is the right one");
        return SETUP_REFUSE;
    }
    if (strcmp(findings->id, database->app_id) == 0)
        return SETUP_KEEP;
    snprintf(why, why_size, "app.db has the id %s, app.id says %s: replaced", database->app_id,
             findings->id);
    return SETUP_LEAVE;
}

static void write_id(struct child *child, const char *data_dir, const char *id)
{
    char line[48];
    int length = snprintf(line, sizeof line, "%s\n", id);
    int number = -private_file_write(data_dir, "app.id", line, (size_t)length);
    if (number)
        child_give_up(child, EXIT_TEMPORARY, "%s/app.id cannot be written: %s", data_dir,
                      strerror(number));
}

/* Open the file as the workers will: recovers what a crash left in the -wal, makes the sidecars
 * (they stay: their inodes are part of the identity), reads the whole schema once. */
static void settle(struct child *child, const struct db_paths *paths, const char *id, bool demo)
{
    const char *data_dir = child->region->header.data_dir;
    struct db_identity files;
    struct db_error error;
    sqlite3 *db;
    char seen_id[40];
    /* What was judged is what is opened, and the one that may create creates nothing here. Only
     * app.db: the sidecars may not be there yet. */
    db_identity_stat(paths, &files);
    struct db_identity main_file = {.device = {files.device[DB_FILE_MAIN]},
                                    .inode = {files.inode[DB_FILE_MAIN]}};
    snprintf(main_file.app_id, sizeof main_file.app_id, "%s", id);
    if (main_file.inode[DB_FILE_MAIN] == 0)
        child_give_up(child, EXIT_TEMPORARY, "%s: app.db vanished during set-up", data_dir);
    /* A copy made by VACUUM INTO is not in WAL mode. */
    if (db_open(paths, DB_ADOPTER, child->config.durability, &main_file, &db, &error) < 0)
        child_give_up(child, EXIT_TEMPORARY, "%s: %s", data_dir, error.text);
    sqlite3_busy_timeout(db, BUSY_LIMIT_MS);
    int result = schema_check(db, &error);
    if (result == 0 && db_read_app_id(db, seen_id) < 0) {
        db_error_from(&error, db, "app.db: its id cannot be read");
        result = -1;
    }
    if (result == 0 && demo)
        result = setup_demo(db, data_dir, &error);
    db_close(db);
    if (result < 0)
        child_give_up(child, EXIT_TEMPORARY, "%s: %s", data_dir, error.text);
    db_identity_stat(paths, &files);
    if (files.inode[DB_FILE_WAL] == 0 || files.inode[DB_FILE_SHM] == 0)
        child_give_up(child, EXIT_BUG, "%s: SQLite left no app.db-wal or -shm", data_dir);
}

static void make_key(struct child *child, const char *data_dir)
{
    struct key_file keys;
    char error[256];
    int number = -key_file_make(data_dir);
    if (number)
        child_give_up(child, EXIT_TEMPORARY, "%s/jwt.key cannot be made: %s", data_dir,
                      strerror(number));
    if (key_file_read(data_dir, &keys, error, sizeof error) < 0)
        child_give_up(child, EXIT_CONFIGURATION, "%s", error);
}

static void carry_out(struct child *child, const struct db_paths *paths, bool demo)
{
    const char *data_dir = child->region->header.data_dir;
    struct findings findings;
    struct db_error error;
    char why[200] = "";
    setup_find(paths, &findings);
    switch (setup_decide(&findings, why, sizeof why)) {
    case SETUP_REFUSE:
        child_give_up(child, EXIT_TEMPORARY, "%s: %s", data_dir, why);
    case SETUP_LEAVE:
        log_warning("setup", "%s: %s; nothing is created, serving degraded", data_dir, why);
        make_key(child, data_dir);
        return;
    case SETUP_CREATE:
        if (setup_create_database(paths, data_dir, findings.database.app_id, &error) < 0)
            child_give_up(child, EXIT_TEMPORARY, "%s: %s", data_dir, error.text);
        log_info("setup", "created %s", paths->file[DB_FILE_MAIN]);
        break;
    case SETUP_ADOPT:
        log_info("setup", "%s: taking over a database without app.id", paths->file[DB_FILE_MAIN]);
        break;
    case SETUP_KEEP:
        break;
    }
    settle(child, paths, findings.database.app_id, demo);
    /* Only now: a database that cannot be opened is not adopted. */
    if (!findings.has_id)
        write_id(child, data_dir, findings.database.app_id);
    make_key(child, data_dir);
}

int setup_run(int argc, char **argv)
{
    static struct child child;
    struct db_paths paths;
    bool demo = false;
    child_enter(&child, "setup", argc, argv);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--demo") == 0)
            demo = true;
        else if (strcmp(argv[i], CHILD_ARGUMENT) == 0)
            i++;
        else
            child_give_up(&child, EXIT_CONFIGURATION, "%s: no such flag", argv[i]);
    }
    const char *data_dir = child.region->header.data_dir;
    const char *network = inspect_network_filesystem(data_dir);
    if (network)
        child_give_up(&child, EXIT_CONFIGURATION,
                      "%s lies on %s: a database of several processes needs a local file system",
                      data_dir, network);
    db_paths_set(&paths, data_dir);
    carry_out(&child, &paths, demo);
    return EXIT_ASKED;
}
