/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: owns the listeners and the region, forks everybody else, aggregates, decides. It
 * has one thread, never blocks in its loop, never opens the database, and believes nothing that a
 * child wrote.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "common/exit_codes.h"
#include "common/log.h"
#include "supervisor/control.h"
#include "supervisor/loop.h"
#include "supervisor/reconcile.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

#define ORPHAN_MARGIN_S 5

static struct supervisor self;

/* Starting failed: one line, nothing half-made left behind. */
static _Noreturn void give_up(int code, const char *error)
{
    fprintf(stderr, "supervisor: %s\n", error);
    listeners_close(&self.listeners);
    if (self.control.fd > 0)
        control_close(&self.control);
    place_undo(&self.place);
    exit(code);
}

/* Children are executed by this path, fixed now: a later chdir or PATH changes nothing. */
static void find_programs(void)
{
    char path[256];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        give_up(EXIT_TEMPORARY, "/proc/self/exe cannot be read: is /proc mounted?");
    path[n] = '\0';
    *strrchr(path, '/') = '\0';
    snprintf(self.program_dir, sizeof self.program_dir, "%s", path[0] ? path : "/");
}

/* -t: the checks that need the database run in the program that may open it. */
static int test_and_exit(void)
{
    char program[300], error[512];
    int status = 0, code;
    if (self.options.verbose)
        options_print(&self.options, &self.config);
    find_programs();
    if ((code = place_find(&self.place, &self.config, error, sizeof error)) != 0)
        give_up(code, error);
    snprintf(program, sizeof program, "%s/sentinel", self.program_dir);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, "sentinel", "--check", self.place.data_dir, (char *)NULL);
        fprintf(stderr, "supervisor: cannot execute %s\n", program);
        _exit(EXIT_TEMPORARY);
    }
    waitpid(pid, &status, 0);
    place_undo(&self.place);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BUG;
    if (code == 0)
        printf("configuration, directory and database are good\n");
    return code;
}

static void fill_header(void)
{
    struct region_header *header = &self.region->header;
    if (getrandom(header->boot_id, sizeof header->boot_id, 0) < 0 ||
        getrandom(header->hash_secret, sizeof header->hash_secret, 0) < 0)
        give_up(EXIT_TEMPORARY, "getrandom(2) failed");
    header->supervisor_pid = (int32_t)self.pid;
    header->listener_count = self.listeners.public_count;
    header->started_ns = clock_now_ns();
    header->started_wall_us = clock_wall_us();
    snprintf(header->version, sizeof header->version, "%s", VERSION);
    memcpy(header->data_dir, self.place.data_dir, sizeof header->data_dir);
    memcpy(header->runtime_dir, self.place.runtime_dir, sizeof header->runtime_dir);
    gate_init(&self.region->gate);
    change_publish(&self.region->config.change, &self.region->config.config, &self.config,
                   sizeof self.config);
    self.random_state = header->boot_id[0];
}

static void open_region(void)
{
    int fd = region_create(&self.region);
    if (fd < 0)
        give_up(EXIT_TEMPORARY, "the shared region cannot be made: out of memory?");
    self.region_fd = spawn_move_fd(fd);
    if (self.region_fd < 0)
        give_up(EXIT_TEMPORARY, "too many open files (ulimit -n): at least 256 are needed");
    fill_header();
}

/* Who deletes DATADIR/lock takes its guard away, but not the supervisor that still runs. */
static int refuse_beside_another(const char *runtime_dir, char *error, size_t size)
{
    pid_t pid;
    if (!control_is_answered(runtime_dir, &pid))
        return 0;
    snprintf(error, size,
             "%s/control.sock: another supervisor (pid %d) answers there, though %s/lock is free: "
             "it was deleted or replaced; stop that one first",
             runtime_dir, (int)pid, self.place.data_dir);
    return EXIT_TEMPORARY;
}

static void open_everything(void)
{
    char error[512], usual_dir[300];
    unsigned wait_s = (unsigned)self.config.drain_timeout_s + ORPHAN_MARGIN_S;
    int code = place_find(&self.place, &self.config, error, sizeof error);
    if (!code)
        code = place_lock(&self.place, wait_s, error, sizeof error);
    snprintf(usual_dir, sizeof usual_dir, "%s/run", self.place.data_dir);
    if (!code)
        code = refuse_beside_another(usual_dir, error, sizeof error);
    if (!code)
        code = refuse_beside_another(self.place.runtime_dir, error, sizeof error);
    if (!code)
        code = listeners_open(&self.listeners, &self.config, self.place.loopback_only, error,
                              sizeof error);
    if (!code)
        code = place_become_user(&self.place, error, sizeof error);
    if (!code)
        code = control_open(&self.control, self.place.runtime_dir, error, sizeof error);
    if (code)
        give_up(code, error);
}

/* Descriptors 3 to 63 are the children's numbers: ours live above. */
static void move_descriptors(void)
{
    bool moved = true;
    for (unsigned i = 0; i < self.listeners.public_count; i++)
        moved &= (self.listeners.public[i].fd = spawn_move_fd(self.listeners.public[i].fd)) >= 0;
    if (self.listeners.console.fd >= 0)
        moved &= (self.listeners.console.fd = spawn_move_fd(self.listeners.console.fd)) >= 0;
    if (!moved)
        give_up(EXIT_TEMPORARY, "too many open files (ulimit -n): at least 256 are needed");
    close_range(3, 63, 0);
}

int main(int argc, char **argv)
{
    self.pid = getpid();
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, the ends of children would be lost */
    options_read(&self.options, &self.config, argc, argv);
    if (self.options.test)
        return test_and_exit();
    loop_block_signals();
    find_programs();
    open_everything();
    move_descriptors();
    log_open("supervisor", -1, (enum log_level)self.config.log_level, NULL);
    if (self.place.loopback_only)
        log_warning("note",
                    "running as root: only loopback is served; set user= or give %s to "
                    "another account",
                    self.place.data_dir);
    open_region();
    if (loop_open(&self) < 0)
        give_up(EXIT_TEMPORARY, "epoll, signalfd or eventfd cannot be made: too many open files?");
    loop_watch(&self, self.control.fd, LOOP_CONTROL, 0);
    reconcile_init(&self);
    int code = loop_run(&self);
    control_close(&self.control);
    listeners_close(&self.listeners);
    if (code != EXIT_ASKED)
        place_undo(&self.place);
    return code;
}
