/* SPDX-License-Identifier: MIT */
/*
 * Runs the real program `sentinel` (BUILD/sentinel) the way the supervisor does: a region, the
 * descriptors at their numbers, a slot. The test plays the supervisor.
 */
#ifndef BULKHEAD_SENTINEL_CHILD_H
#define BULKHEAD_SENTINEL_CHILD_H

#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/db/db.h"
#include "common/db/gate.h"
#include "common/region.h"
#include "tests/unit/temporary.h"

#define SETUP_SLOT    HELPER_SLOT(HELPER_SETUP)
#define SENTINEL_SLOT HELPER_SLOT(HELPER_SENTINEL)
#define KEEPER_SLOT   HELPER_SLOT(HELPER_KEEPER)

static struct {
    struct region *region;
    int region_fd, doorbell_fd, lock_fd;
    char data_dir[64];
    struct db_paths paths;
    pid_t pid; /* the child that runs, 0 none */
    unsigned slot;
    uint32_t generation;
} fleet;

static inline int high_fd(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 64);
    close(fd);
    return moved;
}

static inline int fleet_begin(void **state)
{
    (void)state;
    static struct config config;
    memset(&fleet, 0, sizeof fleet);
    umask(077);
    if (!temporary_directory(fleet.data_dir, sizeof fleet.data_dir, "sentinel"))
        return -1;
    db_paths_set(&fleet.paths, fleet.data_dir);
    fleet.region_fd = high_fd(region_create(&fleet.region));
    fleet.doorbell_fd = high_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    fleet.lock_fd = high_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
    gate_init(&fleet.region->gate);
    config_defaults(&config);
    change_publish(&fleet.region->config.change, &fleet.region->config.config, &config,
                   sizeof config);
    snprintf(fleet.region->header.data_dir, sizeof fleet.region->header.data_dir, "%s",
             fleet.data_dir);
    atomic_store(&fleet.region->board.words.db_writable, 1);
    atomic_store(&fleet.region->board.words.db_readable, 1);
    return 0;
}

static inline void remove_all(const char *directory)
{
    char path[512];
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (listing)
        closedir(listing);
    rmdir(directory);
}

static inline int fleet_end(void **state)
{
    (void)state;
    if (fleet.pid > 0) {
        kill(fleet.pid, SIGKILL);
        waitpid(fleet.pid, NULL, 0);
    }
    remove_all(fleet.data_dir);
    munmap(fleet.region, sizeof *fleet.region);
    close(fleet.region_fd);
    close(fleet.doorbell_fd);
    close(fleet.lock_fd);
    return 0;
}

static inline void program_path(char out[300])
{
    const char *build = getenv("BUILD");
    snprintf(out, 300, "%s/sentinel", build && build[0] ? build : "build");
}

/* Start it in a slot. mode and flag may be NULL; prepare (may be NULL) runs just before exec. */
static inline pid_t child_start(unsigned slot, const char *mode, const char *flag, pid_t supervisor,
                                void (*prepare)(void))
{
    char path[300], argument[64];
    const char *argv[6] = {"sentinel"};
    int n = 1;
    program_path(path);
    unsigned rights = REGION_USES_GATE | (slot == SENTINEL_SLOT ? REGION_WRITES_WATCH : 0u) |
                      (slot == KEEPER_SLOT ? REGION_WRITES_BACKUP : 0u);
    uint32_t generation = atomic_load(&region_slot(fleet.region, slot)->generation) + 1;
    snprintf(argument, sizeof argument, "%u,%u,%d,%u", slot, generation, (int)supervisor, rights);
    if (mode)
        argv[n++] = mode;
    if (flag)
        argv[n++] = flag;
    argv[n++] = CHILD_ARGUMENT;
    argv[n++] = argument;
    fleet.slot = slot;
    fleet.generation = generation;
    fleet.pid = fork();
    if (fleet.pid == 0) {
        if (!getenv("SHOW_LOG"))
            dup2(fleet.lock_fd, 2); /* /dev/null: what it says is in the slot too */
        dup2(fleet.region_fd, CHILD_FD_REGION);
        dup2(fleet.doorbell_fd, CHILD_FD_DOORBELL);
        dup2(fleet.lock_fd, CHILD_FD_LOCK);
        if (prepare)
            prepare();
        execv(path, (char *const *)argv);
        _exit(127);
    }
    return fleet.pid;
}

/* Its exit code, at most 20 s later; 1000 and the signal's number when one ended it. */
static inline int child_wait_exit(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (uint64_t end = clock_now_ns() + 20 * NS_PER_S; clock_now_ns() < end;) {
        int status;
        if (waitpid(fleet.pid, &status, WNOHANG) == fleet.pid) {
            fleet.pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        }
        nanosleep(&pause, NULL);
    }
    return -1;
}

static inline int child_stop(void)
{
    kill(fleet.pid, SIGTERM);
    return child_wait_exit();
}

/* Whether the child started last says that it is ready; its predecessor may have said so too. */
static inline bool child_is_ready(void)
{
    const struct slot *slot = region_slot(fleet.region, fleet.slot);
    return atomic_load(&slot->generation) == fleet.generation &&
           atomic_load(&slot->phase) == PHASE_READY;
}

static inline int run_setup(const char *flag)
{
    child_start(SETUP_SLOT, "--setup", flag, getpid(), NULL);
    return child_wait_exit();
}

static inline const char *last_words(unsigned slot)
{
    return region_slot(fleet.region, slot)->last_words;
}

/* Wait for a condition; true when it came within the time (and the factor for noise). */
static inline bool comes_true(bool (*condition)(void), unsigned within_ms)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (uint64_t end = clock_now_ns() + within_ms * NOISE * NS_PER_MS; clock_now_ns() < end;) {
        if (condition())
            return true;
        nanosleep(&pause, NULL);
    }
    return condition();
}

static inline void put_file(const char *path, const void *data, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), (ssize_t)length);
    close(fd);
}

static inline size_t get_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static inline void in_data_dir(char out[128], const char *name)
{
    snprintf(out, 128, "%s/%.60s", fleet.data_dir, name);
}

static inline void copy_file(const char *from, const char *to)
{
    static char data[1 << 20];
    size_t length = get_file(from, data, sizeof data);
    assert_true(length > 0 && length < sizeof data - 1);
    put_file(to, data, length);
}

#endif
