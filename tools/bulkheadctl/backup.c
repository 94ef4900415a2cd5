/* SPDX-License-Identifier: MIT */
/*
 * backup: ask for one, take over its descriptor, copy it. FILE gets its name when it is whole and
 * on the disk; until then it is FILE.PID.part.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/server.h"

#define PATIENCE_S 310 /* the server itself gives up after 300 */

static void show_progress(void *argument)
{
    const struct server *server = argument;
    struct backup_report report;
    if (!region_read_backup(server->region, &report) || report.result != BACKUP_RUNNING ||
        report.pages_total == 0)
        return;
    if (report.pages_done < report.pages_total)
        fprintf(stderr, "\rcopied %llu of %llu pages (%u %%) ",
                (unsigned long long)report.pages_done, (unsigned long long)report.pages_total,
                (unsigned)(report.pages_done * 100 / report.pages_total));
    else
        fprintf(stderr, "\rcopied all %llu pages, checking the copy ",
                (unsigned long long)report.pages_total);
}

static void show_nothing(void *argument)
{
    (void)argument;
}

static int write_all(int to, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(to, data, length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

/* The descriptor's offset is shared with whoever else was handed it, so it is not used. */
static int copy(int from, int to)
{
    static char buffer[1 << 16];
    for (off_t offset = 0;;) {
        ssize_t n = pread(from, buffer, sizeof buffer, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        int error = write_all(to, buffer, (size_t)n);
        if (error)
            return error;
        offset += n;
    }
}

static int sync_directory_of(const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", file);
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* link(2) never replaces, rename(2) does: which one is wanted is what --force says. */
static int give_name(const char *part, const char *file, bool force)
{
    if (force)
        return rename(part, file) < 0 ? -errno : 0;
    if (link(part, file) < 0)
        return -errno;
    unlink(part);
    return 0;
}

static int save(int from, const char *part, const char *file, bool force)
{
    int to = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    int error = copy(from, to);
    if (!error && fsync(to) < 0)
        error = -errno;
    if (close(to) < 0 && !error)
        error = -errno;
    if (!error)
        error = give_name(part, file, force);
    if (error)
        unlink(part);
    return error ? error : sync_directory_of(file);
}

/* What would fail in the end is said before any work is done. */
static int examine_target(const struct invocation *invocation, char part[PATH_MAX])
{
    struct stat status;
    const char *file = invocation->file;
    char directory[PATH_MAX];
    if (snprintf(part, PATH_MAX, "%s.%d.part", file, (int)getpid()) >= PATH_MAX)
        return complain(invocation, EXIT_CONFIGURATION, "the name of the file is too long");
    if (lstat(file, &status) == 0 && !invocation->force)
        return complain(invocation, EXIT_CONFIGURATION,
                        "%s: it exists already; name another file, or replace it with --force",
                        file);
    if (lstat(file, &status) == 0 && S_ISDIR(status.st_mode))
        return complain(invocation, EXIT_CONFIGURATION, "%s: it is a directory", file);
    snprintf(directory, sizeof directory, "%s", file);
    if (access(dirname(directory), W_OK | X_OK) < 0)
        return complain(invocation, EXIT_TEMPORARY, "%s: it cannot be made: %s", file,
                        strerror(errno));
    return 0;
}

static int take_over(const struct invocation *invocation, const struct answer *answer,
                     const char *part, bool to_stdout)
{
    if (answer->fd < 0)
        return complain(invocation, EXIT_REFUSED,
                        "the backup was made, but the server could not hand it over; copy it "
                        "yourself: %s",
                        answer->text);
    int error = to_stdout ? copy(answer->fd, STDOUT_FILENO)
                          : save(answer->fd, part, invocation->file, invocation->force);
    close(answer->fd);
    if (error)
        return complain(invocation, EXIT_TEMPORARY,
                        "%s: it cannot be written: %s; the backup was made: %s", invocation->file,
                        strerror(-error), answer->text);
    if (!to_stdout)
        return announce(invocation, "%s: %s", invocation->file, answer->text);
    fprintf(stderr, "bulkheadctl: %s\n", answer->text);
    return EXIT_ASKED;
}

int command_backup(const struct invocation *invocation)
{
    struct server server;
    struct answer answer;
    char part[PATH_MAX];
    bool to_stdout = strcmp(invocation->file, "-") == 0;
    bool progress = !invocation->json && isatty(STDERR_FILENO);
    if (to_stdout && isatty(STDOUT_FILENO))
        return complain(invocation, EXIT_CONFIGURATION, "a database is nothing for a terminal");
    int code = to_stdout ? 0 : examine_target(invocation, part);
    if (!code)
        code = server_open(&server, invocation);
    if (!code)
        code = server_ask_patiently(&server, invocation, "backup", PATIENCE_S,
                                    progress ? show_progress : show_nothing, &server, &answer);
    if (code)
        return code;
    if (progress)
        fprintf(stderr, "\r\033[K");
    if (!answer.ok)
        return complain(invocation, EXIT_REFUSED, "%s", answer.text);
    return take_over(invocation, &answer, part, to_stdout);
}
