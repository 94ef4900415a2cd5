/* SPDX-License-Identifier: MIT */
#include "common/crypto/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(char path[PATH_MAX], const char *directory, const char *name, const char *suffix)
{
    int length = snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffix);
    return length < 0 || length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int private_file_sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

/* A file replaced by root on behalf of the service must stay readable to the service. */
static int keep_owner(int fd, const char *directory)
{
    struct stat status;
    if (geteuid() != 0)
        return 0;
    if (stat(directory, &status) < 0 || fchown(fd, status.st_uid, status.st_gid) < 0)
        return -errno;
    return 0;
}

int private_file_write(const char *directory, const char *name, const void *data, size_t length)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    int error = path_of(path, directory, name, "");
    if (!error)
        error = path_of(temporary, directory, name, ".new");
    if (error)
        return error;
    unlink(temporary); /* of a run that was killed; O_EXCL below never follows a link */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    error = write_all(fd, data, length);
    if (!error)
        error = keep_owner(fd, directory);
    if (!error && fsync(fd) < 0)
        error = -errno;
    if (close(fd) < 0 && !error)
        error = -errno;
    if (!error && rename(temporary, path) < 0)
        error = -errno;
    if (error) {
        unlink(temporary);
        return error;
    }
    return private_file_sync_directory(directory);
}

ssize_t private_file_read(const char *directory, const char *name, char *out, size_t size,
                          mode_t *mode)
{
    char path[PATH_MAX];
    struct stat status;
    int error = path_of(path, directory, name, "");
    if (error)
        return error;
    /* O_NONBLOCK: a FIFO of that name must not hold us. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length = -EINVAL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        length = read(fd, out, size);
        if (length < 0)
            length = -errno;
        else if ((size_t)length == size)
            length = -EFBIG;
        else
            out[length] = '\0';
        if (mode)
            *mode = status.st_mode & 07777;
    }
    close(fd);
    return length;
}
