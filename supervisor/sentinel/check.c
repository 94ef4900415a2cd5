/* SPDX-License-Identifier: MIT */
/*
 * `sentinel --check DATADIR`: what would keep this directory from being served, in one line.
 * Exit 0 (it can be served), 75 (may pass by itself or with a copy brought back), 78 (a person must
 * change something). Needs no supervisor, makes no file, takes no lock; a server may be running.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/crypto/key_file.h"
#include "common/exit_codes.h"
#include "supervisor/sentinel/modes.h"
#include "supervisor/sentinel/setup.h"

#define BYTES_PER_MIB    (UINT64_C(1) << 20)
#define RESERVE_BYTES    (64 * BYTES_PER_MIB)
#define RESERVE_PER_CENT 2

static int refuse(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(int exit_code, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "check: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return exit_code;
}

/* The supervisor makes a directory that is not there; can it? */
static int check_parent(const char *directory)
{
    char parent[4096];
    if (snprintf(parent, sizeof parent, "%s", directory) >= (int)sizeof parent)
        return refuse(EXIT_CONFIGURATION, "%s: the path is too long", directory);
    for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--)
        parent[n - 1] = '\0';
    char *slash = strrchr(parent, '/');
    if (!slash)
        snprintf(parent, sizeof parent, ".");
    else
        slash[slash == parent ? 1 : 0] = '\0';
    if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) < 0)
        return refuse(EXIT_TEMPORARY, "%s: it is not there and cannot be made: %s", directory,
                      strerror(errno));
    printf("%s: it is not there yet and can be made\n", directory);
    return EXIT_ASKED;
}

/* DATADIR itself. When it is fine 0, else the exit code. */
static int check_directory(const char *directory, const struct stat *status)
{
    if (!S_ISDIR(status->st_mode))
        return refuse(EXIT_CONFIGURATION, "%s: it is not a directory", directory);
    const char *network = inspect_network_filesystem(directory);
    if (network)
        return refuse(EXIT_CONFIGURATION,
                      "%s lies on %s: a database of several processes needs a local file system",
                      directory, network);
    /* Root becomes the owner, so only for others is a foreign directory wrong. */
    if (geteuid() != 0 && status->st_uid != geteuid())
        return refuse(EXIT_CONFIGURATION, "%s: it belongs to user %u, not to user %u", directory,
                      status->st_uid, geteuid());
    if (status->st_mode & 022)
        return refuse(EXIT_CONFIGURATION, "%s: others can write to it; run: chmod 700", directory);
    if (faccessat(AT_FDCWD, directory, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
        return refuse(EXIT_TEMPORARY, "%s: %s", directory, strerror(errno));
    return 0;
}

static int check_room(const char *directory, uint64_t *free_bytes)
{
    struct statvfs room;
    if (statvfs(directory, &room) < 0)
        return refuse(EXIT_TEMPORARY, "%s: %s", directory, strerror(errno));
    uint64_t total = (uint64_t)room.f_blocks * room.f_frsize;
    uint64_t reserve = total / 100 * RESERVE_PER_CENT;
    reserve = reserve < RESERVE_BYTES ? reserve : RESERVE_BYTES;
    *free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    if (*free_bytes < reserve)
        return refuse(EXIT_TEMPORARY, "%s: %llu MiB are free, %llu MiB are needed", directory,
                      (unsigned long long)(*free_bytes / BYTES_PER_MIB),
                      (unsigned long long)(reserve / BYTES_PER_MIB));
    if (room.f_flag & ST_RDONLY)
        return refuse(EXIT_TEMPORARY, "%s: its file system is read-only", directory);
    return 0;
}

static int check_key(const char *directory)
{
    char path[4096], error[512];
    struct key_file keys;
    struct stat status;
    if (snprintf(path, sizeof path, "%s/jwt.key", directory) >= (int)sizeof path)
        return refuse(EXIT_CONFIGURATION, "%s: the path is too long", directory);
    if (lstat(path, &status) < 0 && errno == ENOENT)
        return 0; /* set-up makes it */
    if (key_file_read(directory, &keys, error, sizeof error) < 0)
        return refuse(EXIT_CONFIGURATION, "%s", error);
    return 0;
}

/* As set-up would decide, and then whether the files of ours can be written to. */
static int check_database(const char *directory, const char **state)
{
    struct db_paths paths;
    struct findings findings;
    char why[200] = "";
    db_paths_set(&paths, directory);
    setup_find(&paths, &findings);
    switch (setup_decide(&findings, why, sizeof why)) {
    case SETUP_REFUSE:
    case SETUP_LEAVE:
        return refuse(EXIT_TEMPORARY, "%s: %s", directory, why);
    case SETUP_CREATE:
        *state = "there is no database yet";
        return 0;
    case SETUP_ADOPT:
    case SETUP_KEEP:
        *state = "the database is in order";
        break;
    }
    for (int i = 0; i < DB_FILE_COUNT; i++)
        if (faccessat(AT_FDCWD, paths.file[i], R_OK | W_OK, AT_EACCESS) < 0 && errno != ENOENT)
            return refuse(EXIT_TEMPORARY, "%s: %s", paths.file[i], strerror(errno));
    return 0;
}

int check_run(int argc, char **argv)
{
    struct stat status;
    uint64_t free_bytes = 0;
    const char *state = "";
    if (argc != 3 || argv[2][0] == '\0')
        return refuse(EXIT_CONFIGURATION, "usage: sentinel --check DATADIR");
    const char *directory = argv[2];
    if (stat(directory, &status) < 0)
        return errno == ENOENT ? check_parent(directory)
                               : refuse(EXIT_TEMPORARY, "%s: %s", directory, strerror(errno));
    int code = check_directory(directory, &status);
    if (!code)
        code = check_room(directory, &free_bytes);
    if (!code)
        code = check_key(directory);
    if (!code)
        code = check_database(directory, &state);
    if (!code)
        printf("%s: %s, %llu MiB are free\n", directory, state,
               (unsigned long long)(free_bytes / BYTES_PER_MIB));
    return code;
}
