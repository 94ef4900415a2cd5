/* SPDX-License-Identifier: MIT */
#include "tools/drill/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define LOOK_MS 10
#define REAP_MS 5000

void process_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* In the child: what it must not inherit, and what it owes to the drill. */
static void settle(pid_t parent, int death_signal)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, death_signal);
    if (getppid() != parent)
        _exit(1);
}

static int redirect(const struct process_setup *setup, int input)
{
    if (input < 0)
        input = open("/dev/null", O_RDONLY);
    int output = open(setup->output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (input < 0 || output < 0 || dup2(input, STDIN_FILENO) < 0 ||
        dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        return -1;
    if (input > STDERR_FILENO)
        close(input);
    if (output > STDERR_FILENO)
        close(output);
    return 0;
}

static int limit(unsigned descriptors)
{
    const struct rlimit files = {.rlim_cur = descriptors, .rlim_max = descriptors};
    return descriptors ? setrlimit(RLIMIT_NOFILE, &files) : 0;
}

pid_t process_start(const struct process_setup *setup)
{
    int ends[2] = {-1, -1};
    pid_t parent = getpid();
    /* A password fits a pipe: nobody has to wait for its reader. */
    if (setup->input && pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    if (setup->input) {
        ssize_t written = write(ends[1], setup->input, strlen(setup->input));
        close(ends[1]);
        if (written < 0) {
            close(ends[0]);
            return -EIO;
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        settle(parent, setup->death_signal);
        if (redirect(setup, ends[0]) == 0 && limit(setup->descriptors) == 0)
            execv(setup->words[0], (char *const *)(uintptr_t)setup->words);
        _exit(127);
    }
    int error = errno;
    if (ends[0] >= 0)
        close(ends[0]);
    return pid < 0 ? -error : pid;
}

pid_t process_fork(void (*run)(const void *), const void *argument)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        settle(parent, SIGKILL);
        run(argument);
        for (;;)
            pause();
    }
    return pid < 0 ? -errno : pid;
}

pid_t process_reap(int *status)
{
    pid_t pid = waitpid(-1, status, WNOHANG);
    return pid > 0 ? pid : 0;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fgets(line, sizeof line, file)) {
        const char *end = strrchr(line, ')');
        if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
            parent = 0;
    }
    fclose(file);
    return parent;
}

/* Kill all children there are now; how many. Their own children come to us then. */
static unsigned kill_children(void)
{
    unsigned killed = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && parent_of(pid) == getpid() && kill(pid, SIGKILL) == 0)
            killed++;
    }
    if (processes)
        closedir(processes);
    return killed;
}

/* True when no child is left. */
static bool reap_for(unsigned limit_ms)
{
    uint64_t end_ns = clock_now_ns() + limit_ms * NS_PER_MS;
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return true;
        if (pid > 0)
            continue;
        if (clock_now_ns() >= end_ns)
            return false;
        poll(NULL, 0, LOOK_MS);
    }
}

unsigned process_end_all(unsigned patience_ms)
{
    unsigned killed = 0;
    if (reap_for(patience_ms))
        return 0;
    for (int round = 0; round < 10; round++) {
        killed += kill_children();
        if (reap_for(REAP_MS / 10))
            break;
    }
    return killed;
}

void process_sister(const char *name, char *out, size_t size)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = '\0';
    snprintf(out, size, "%s/%s", own, name);
}

void process_last_line(const char *path, char *out, size_t size)
{
    char line[512];
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strcspn(line, "\n") > 0)
            snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
    if (file)
        fclose(file);
}
