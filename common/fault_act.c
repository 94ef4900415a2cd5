/* SPDX-License-Identifier: MIT */
#include "common/fault_act.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define SLICE_NS (10 * NS_PER_MS)

static void die_of(int number)
{
    sigset_t only;
    /* A sanitizer's handler would turn the death into an exit. */
    signal(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    kill(getpid(), number);
    /* The signal of a process may be another thread's to take: wait for it. */
    for (;;)
        pause();
}

void fault_act_crash(enum fault_crash how)
{
    static const int numbers[] = {
        [FAULT_CRASH_KILL] = SIGKILL, [FAULT_CRASH_SEGV] = SIGSEGV, [FAULT_CRASH_ABRT] = SIGABRT};
    die_of(how < FAULT_CRASH_COUNT ? numbers[how] : SIGKILL);
}

static void pause_for(uint64_t ns)
{
    const struct timespec pause = {.tv_nsec = (long)ns};
    nanosleep(&pause, NULL);
}

void fault_act_hang(enum fault_hang how, uint32_t id, fault_goes_on *goes_on)
{
    if (how == FAULT_HANG_STOP) {
        kill(getpid(), SIGSTOP);
        return;
    }
    while (goes_on(id))
        if (how == FAULT_HANG_THREAD)
            pause_for(SLICE_NS);
}

void fault_act_wait(uint64_t delay_ms, uint32_t id, fault_goes_on *goes_on)
{
    uint64_t now_ns = clock_now_ns(), until_ns = now_ns + delay_ms * NS_PER_MS;
    while (now_ns < until_ns && goes_on(id)) {
        pause_for(until_ns - now_ns < SLICE_NS ? until_ns - now_ns : SLICE_NS);
        now_ns = clock_now_ns();
    }
}

/* The bytes are chosen so that no field of a mutex holds anything it may. */
static void scribble_over(volatile unsigned char *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = 0xA5;
}

void fault_act_scribble(struct region *region, unsigned own_slot, enum fault_into into)
{
    unsigned victim = own_slot == 0 ? 1 : own_slot - 1;
    if (into == FAULT_INTO_GATE) {
        scribble_over((volatile unsigned char *)&region->gate.mutex, sizeof region->gate.mutex);
        return;
    }
    signal(SIGSEGV, SIG_DFL);
    scribble_over((volatile unsigned char *)&region_slot(region, victim)->metrics,
                  sizeof region_slot(region, victim)->metrics);
}

static bool is_one_of_the_database(const char *data_dir, const struct stat *status)
{
    static const char *const names[] = {"app.db", "app.db-wal", "app.db-shm"};
    char path[320];
    struct stat file;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%.256s/%s", data_dir, names[i]);
        if (stat(path, &file) == 0 && file.st_dev == status->st_dev &&
            file.st_ino == status->st_ino)
            return true;
    }
    return false;
}

/* Not close: a stranger that got the number would be written to as if it were the database. An
 * O_PATH descriptor keeps the number, and every read, write and lock on it is EBADF. */
void fault_act_close_fds(const char *data_dir)
{
    int nothing = open("/", O_PATH | O_CLOEXEC);
    DIR *listing = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (nothing >= 0 && listing && (entry = readdir(listing))) {
        struct stat status;
        int fd = atoi(entry->d_name);
        if (fd > 2 && fd != nothing && fd != dirfd(listing) && fstat(fd, &status) == 0 &&
            S_ISREG(status.st_mode) && is_one_of_the_database(data_dir, &status))
            dup3(nothing, fd, O_CLOEXEC);
    }
    if (listing)
        closedir(listing);
    if (nothing >= 0)
        close(nothing);
}
