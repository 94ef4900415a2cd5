/* SPDX-License-Identifier: MIT */
/*
 * restore: the work is done by `sentinel --restore` beside this program, because this one must not
 * link SQLite. What it says is shown as our own answer.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bulkheadctl/commands.h"

static bool find_program(char path[PATH_MAX])
{
    char own[PATH_MAX - 16];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0)
        return false;
    own[length] = '\0';
    char *slash = strrchr(own, '/');
    if (!slash)
        return false;
    *slash = '\0';
    snprintf(path, PATH_MAX, "%s/sentinel", own);
    return true;
}

/* Everything it says, and its exit code; -1 when it could not be run or was killed. */
static int run(const char *path, const char *data_dir, const char *file, char *said, size_t size)
{
    int ends[2], status = 0;
    size_t length = 0;
    said[0] = '\0';
    if (pipe(ends) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(path, "sentinel", "--restore", data_dir, file, (char *)NULL);
        fprintf(stderr, "%s cannot be run: %s\n", path, strerror(errno));
        _exit(EXIT_TEMPORARY);
    }
    close(ends[1]);
    for (ssize_t n = 1; pid > 0 && length < size - 1 && n != 0;) {
        n = read(ends[0], said + length, size - 1 - length);
        if (n < 0 && errno != EINTR)
            break;
        length += n > 0 ? (size_t)n : 0;
    }
    close(ends[0]);
    while (length > 0 && said[length - 1] == '\n')
        length--;
    said[length] = '\0';
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

int command_restore(const struct invocation *invocation)
{
    char path[PATH_MAX], said[2048];
    const char *data_dir = invocation->data_dir ? invocation->data_dir : getenv("STATE_DIRECTORY");
    if (!data_dir || !*data_dir)
        return complain(invocation, EXIT_CONFIGURATION,
                        "restore: say which data directory with -d DATADIR");
    if (!find_program(path))
        return complain(invocation, EXIT_TEMPORARY, "/proc/self/exe cannot be read");
    int code = run(path, data_dir, invocation->file, said, sizeof said);
    if (code < 0)
        return complain(invocation, EXIT_BUG,
                        "restore: it was ended in the middle; run it again: %s", said);
    return code == EXIT_ASKED ? announce(invocation, "%s", said)
                              : complain(invocation, code, "%s", said);
}
