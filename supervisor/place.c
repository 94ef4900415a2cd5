/* SPDX-License-Identifier: MIT */
#include "supervisor/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "supervisor/spawn.h"

static int fail(char *error, size_t size, const char *path, const char *what)
{
    snprintf(error, size, "%s: %s: %s", path, what, strerror(errno));
    return EXIT_TEMPORARY;
}

/* Make path absolute without asking that it exists. */
static void absolute(char out[256], const char *path)
{
    char here[200] = "";
    if (path[0] == '/' || !getcwd(here, sizeof here))
        snprintf(out, 256, "%s", path);
    else
        snprintf(out, 256, "%s/%s", here, strncmp(path, "./", 2) == 0 ? path + 2 : path);
}

static int make_directory(const char *path, bool *made, char *error, size_t error_size)
{
    struct stat status;
    if (mkdir(path, 0700) == 0)
        *made = true;
    else if (errno != EEXIST)
        return fail(error, error_size, path, "cannot make the directory");
    if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode)) {
        errno = errno ? errno : ENOTDIR;
        return fail(error, error_size, path, "is no directory");
    }
    return 0;
}

static int choose_account(struct place *place, const struct config *config, char *error,
                          size_t error_size)
{
    struct stat status;
    place->uid = geteuid();
    place->gid = getegid();
    if (geteuid() != 0)
        return 0;
    if (config->user[0]) {
        const struct passwd *account = getpwnam(config->user);
        if (!account) {
            snprintf(error, error_size, "user = \"%s\": no such account", config->user);
            return EXIT_CONFIGURATION;
        }
        place->uid = account->pw_uid;
        place->gid = account->pw_gid;
    } else if (stat(place->data_dir, &status) == 0) {
        place->uid = status.st_uid;
        place->gid = status.st_gid;
    }
    place->change_user = place->uid != 0;
    place->loopback_only = place->uid == 0;
    if (!place->change_user)
        return 0;
    /* lchown: the owner of the directory may have put a link where we just made a name. */
    if ((place->made_data_dir && lchown(place->data_dir, place->uid, place->gid) < 0) ||
        (place->made_runtime_dir && lchown(place->runtime_dir, place->uid, place->gid) < 0))
        return fail(error, error_size, place->data_dir, "cannot give the directory to its user");
    return 0;
}

int place_find(struct place *place, const struct config *config, char *error, size_t error_size)
{
    const char *state = getenv("STATE_DIRECTORY"), *runtime = getenv("RUNTIME_DIRECTORY");
    *place = (struct place){.lock_fd = -1};
    umask(077);
    absolute(place->data_dir, config->data_dir[0] ? config->data_dir
                              : state && state[0] ? state
                                                  : "./var");
    if (runtime && runtime[0])
        absolute(place->runtime_dir, runtime);
    else if (snprintf(place->runtime_dir, sizeof place->runtime_dir, "%s/run", place->data_dir) >=
             90) {
        snprintf(error, error_size, "data_dir %s: too long for the path of control.sock",
                 place->data_dir);
        return EXIT_CONFIGURATION;
    }
    int code = make_directory(place->data_dir, &place->made_data_dir, error, error_size);
    if (!code)
        code = make_directory(place->runtime_dir, &place->made_runtime_dir, error, error_size);
    char real[PATH_MAX]; /* one spelling of the path, for messages and to compare */
    if (!code && realpath(place->data_dir, real) && strlen(real) < sizeof place->data_dir)
        memcpy(place->data_dir, real, strlen(real) + 1);
    if (!code)
        code = choose_account(place, config, error, error_size);
    if (!code && faccessat(AT_FDCWD, place->data_dir, W_OK | X_OK, AT_EACCESS) < 0)
        code = fail(error, error_size, place->data_dir, "the data directory cannot be written to");
    return code;
}

/* Children have a lock file open of which /proc says this path, for the message: "1234 (worker),
 * 1240 (sentinel)". False: none was seen. */
static bool name_holders(const char *path, char *out, size_t size)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    out[0] = '\0';
    while (proc && (entry = readdir(proc))) {
        char fds[300], link[320], target[320], name[32] = "?";
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(fds, sizeof fds, "/proc/%s/fd/5", entry->d_name);
        ssize_t n = readlink(fds, target, sizeof target - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        if (strcmp(target, path) != 0)
            continue;
        snprintf(link, sizeof link, "/proc/%s/comm", entry->d_name);
        int fd = open(link, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
        if (fd >= 0)
            close(fd);
        name[n > 0 ? n : 0] = '\0';
        name[strcspn(name, "\n")] = '\0';
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%s (%s)", used ? ", " : "", entry->d_name, name);
    }
    if (proc)
        closedir(proc);
    if (out[0])
        return true;
    snprintf(out, size, "unknown");
    return false;
}

static int wait_for_orphans(int fd, const char *path, unsigned wait_s, char *error,
                            size_t error_size)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    sigset_t stop; /* blocked already: taken here, or by the loop later */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGQUIT);
    uint64_t give_up_ns = clock_now_ns() + wait_s * NS_PER_S;
    bool said = false;
    char holders[256];
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fail(error, error_size, path, "cannot be locked");
        if (!said) {
            name_holders(path, holders, sizeof holders);
            fprintf(stderr,
                    "supervisor: waiting for the children of an earlier supervisor to "
                    "finish: %s\n",
                    holders);
            said = true;
        }
        if (clock_now_ns() > give_up_ns) {
            name_holders(path, holders, sizeof holders);
            snprintf(error, error_size,
                     "%s: children of an earlier supervisor still use this data directory: %s",
                     path, holders);
            return EXIT_TEMPORARY;
        }
        if (sigtimedwait(&stop, NULL, &pause) > 0)
            exit(EXIT_ASKED);
    }
    return 0;
}

/* A fleet whose lock file was deleted still has it: our lock of a new one says nothing of it. */
static int refuse_beside_deleted(const char *path, char *error, size_t error_size)
{
    char deleted[320], holders[256];
    snprintf(deleted, sizeof deleted, "%s (deleted)", path); /* as /proc shows it */
    if (!name_holders(deleted, holders, sizeof holders))
        return 0;
    snprintf(error, error_size,
             "%s: was deleted while others hold it: %s; stop their supervisor first", path,
             holders);
    return EXIT_TEMPORARY;
}

/* Open the lock file as the account's own. The directory may be another account's, so nothing in
 * it is followed, and only a plain file without a second name is given away. */
static int open_lock(const struct place *place, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    /* Moved before it is locked: closing any descriptor of a file drops a process's POSIX locks. */
    if ((fd = spawn_move_fd(fd)) < 0)
        return fd;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1 ||
        (place->change_user && status.st_uid != place->uid &&
         fchown(fd, place->uid, place->gid) < 0)) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

int place_lock(struct place *place, unsigned wait_s, char *error, size_t error_size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/lock", place->data_dir);
    int fd = open_lock(place, path);
    if (fd < 0) {
        errno = -fd;
        return fail(error, error_size, path, "cannot be used as the lock");
    }
    struct flock mine = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &mine) < 0) {
        struct flock other = mine;
        int code = fail(error, error_size, path, "cannot be locked");
        if ((errno == EAGAIN || errno == EACCES) && fcntl(fd, F_GETLK, &other) == 0)
            snprintf(error, error_size,
                     "%s: another supervisor (pid %d) serves this data directory", path,
                     (int)other.l_pid);
        close(fd);
        return code;
    }
    int code = wait_for_orphans(fd, path, wait_s, error, error_size);
    struct stat held, named;
    if (!code && (fstat(fd, &held) < 0 || stat(path, &named) < 0 || held.st_ino != named.st_ino)) {
        snprintf(error, error_size, "%s: was replaced while it was being locked; try again", path);
        code = EXIT_TEMPORARY;
    }
    if (!code)
        code = refuse_beside_deleted(path, error, error_size);
    if (code)
        close(fd);
    else
        place->lock_fd = fd;
    return code;
}

int place_become_user(const struct place *place, char *error, size_t error_size)
{
    if (!place->change_user)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(place->gid, place->gid, place->gid) < 0 ||
        setresuid(place->uid, place->uid, place->uid) < 0) {
        snprintf(error, error_size, "cannot become user %u: %s", place->uid, strerror(errno));
        return EXIT_TEMPORARY;
    }
    /* Changing the account made us undumpable, and /proc/self unreadable to ourselves. */
    prctl(PR_SET_DUMPABLE, 1);
    return 0;
}

void place_undo(struct place *place)
{
    char path[300];
    if (place->made_data_dir && place->lock_fd >= 0) { /* else it is somebody else's */
        snprintf(path, sizeof path, "%s/lock", place->data_dir);
        unlink(path);
    }
    if (place->made_runtime_dir)
        rmdir(place->runtime_dir);
    if (place->made_data_dir)
        rmdir(place->data_dir); /* only when nothing else is in it */
}
