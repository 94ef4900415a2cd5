/* SPDX-License-Identifier: MIT */
/*
 * The run of a restore: the lock of the directory, the steps in their order, and what is said. The
 * lock is the supervisor's own (supervisor/place.c): no server runs while we hold it, and none
 * starts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/child.h"
#include "common/db/lock_holder.h"
#include "common/exit_codes.h"
#include "supervisor/sentinel/modes.h"
#include "supervisor/sentinel/restore.h"

static int say(int exit_code, const char *text)
{
    fprintf(stderr, "%s\n", text);
    return exit_code;
}

/* Children hold the lock by a descriptor of a fixed number. */
static void name_children(const char *path, char *out, size_t size)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    out[0] = '\0';
    while (proc && (entry = readdir(proc))) {
        char link[300], target[512], name[LOCK_HOLDER_NAME];
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        snprintf(link, sizeof link, "/proc/%s/fd/%d", entry->d_name, (int)CHILD_FD_LOCK);
        ssize_t n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, path) != 0)
            continue;
        lock_holder_name(atoi(entry->d_name), name);
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%d (%s)", used ? ", " : "", atoi(entry->d_name), name);
    }
    if (proc)
        closedir(proc);
    if (!out[0])
        snprintf(out, size, "unknown");
}

/* 0 and the lock is held to the end of this process, or an exit code. */
static int lock(const char *data_dir)
{
    char path[340], text[900], children[256];
    struct stat status, directory;
    struct flock mine = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(path, sizeof path, "%s/lock", data_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        stat(data_dir, &directory) < 0 ||
        (geteuid() == 0 && fchown(fd, directory.st_uid, directory.st_gid) < 0)) {
        snprintf(text, sizeof text, "%s: it cannot be used as the lock: %s", path, strerror(errno));
        return say(EXIT_TEMPORARY, text);
    }
    if (fcntl(fd, F_SETLK, &mine) < 0) {
        mine.l_pid = 0;
        fcntl(fd, F_GETLK, &mine);
        snprintf(text, sizeof text,
                 "%s: a server is running on it (supervisor, pid %d); stop it first: bulkheadctl "
                 "-d %s stop",
                 data_dir, (int)mine.l_pid, data_dir);
        return say(EXIT_TEMPORARY, text);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        name_children(path, children, sizeof children);
        snprintf(text, sizeof text, "%s: processes of a server that ended still use it: %s",
                 data_dir, children);
        return say(EXIT_TEMPORARY, text);
    }
    return 0;
}

static int say_what_was_done(const struct restore *restore)
{
    const char *aside = restore->aside[DB_FILE_MAIN];
    printf("%s now holds what was in %s. ", restore->paths.file[DB_FILE_MAIN], restore->source);
    if (!restore->old_exists)
        printf("There was no database before.\n");
    else if (restore->old_is_complete)
        printf("The database before it was kept; to undo this: bulkheadctl -d %s restore %s\n",
               restore->data_dir, aside);
    else
        printf("The database before it could not be used and was kept as it was, as %s; to undo "
               "this, move it and what lies beside it of that name back.\n",
               aside);
    return EXIT_ASKED;
}

static int say_what_failed(const struct restore *restore)
{
    struct stat status;
    bool moved = !restore->old_is_complete && restore->aside[DB_FILE_MAIN][0] &&
                 lstat(restore->aside[DB_FILE_MAIN], &status) == 0;
    fprintf(stderr, "%s%s%s\n", restore->error,
            moved ? "; the old database was set aside already, as " : "",
            moved ? restore->aside[DB_FILE_MAIN] : "");
    return restore->step_failed_for_good ? EXIT_CONFIGURATION : EXIT_TEMPORARY;
}

int restore_run(int argc, char **argv)
{
    static struct restore restore;
    if (argc != 4 || !argv[2][0] || !argv[3][0])
        return say(EXIT_CONFIGURATION, "usage: sentinel --restore DATADIR FILE");
    umask(077);
    int result = restore_begin(&restore, argv[2], argv[3]);
    if (result == 0) {
        int code = lock(restore.data_dir);
        if (code)
            return code;
    }
    for (unsigned step = 0; result == 0 && step < RESTORE_STEP_COUNT; step++)
        result = restore_take(&restore, (enum restore_step)step);
    return result < 0 ? say_what_failed(&restore) : say_what_was_done(&restore);
}
