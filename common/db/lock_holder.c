/* SPDX-License-Identifier: MIT */
#include "common/db/lock_holder.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the wal-index header keeps what is asked here, in the machine's byte order
 * (sqlite.org/walformat.html, "The WAL-Index Header"). */
#define SHM_MAX_FRAME  16
#define SHM_BACKFILL   96
#define SHM_READ_MARKS 100
#define SHM_HEADER     136

pid_t lock_holder_of(int shm_fd, enum lock_byte byte)
{
    struct flock question = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    if (shm_fd < 0 || fcntl(shm_fd, F_GETLK, &question) < 0 || question.l_type == F_UNLCK)
        return 0;
    return question.l_pid > 0 ? question.l_pid : LOCK_HOLDER_HIDDEN;
}

static uint32_t word_at(const unsigned char *header, size_t offset)
{
    uint32_t word;
    memcpy(&word, header + offset, sizeof word);
    return word;
}

pid_t lock_holder_of_oldest_read(int shm_fd)
{
    unsigned char header[SHM_HEADER];
    if (shm_fd < 0 || pread(shm_fd, header, sizeof header, 0) != (ssize_t)sizeof header)
        return 0;
    uint32_t last = word_at(header, SHM_MAX_FRAME), oldest = UINT32_MAX;
    pid_t holder = 0;
    /* Lock 0 is of those who read app.db alone: while one does, no page of it may change. */
    if (word_at(header, SHM_BACKFILL) < last)
        holder = lock_holder_of(shm_fd, LOCK_BYTE_READ);
    if (holder)
        return holder;
    for (unsigned i = 1; i < LOCK_READERS; i++) {
        uint32_t mark = word_at(header, SHM_READ_MARKS + 4 * (size_t)i);
        pid_t pid = mark < oldest ? lock_holder_of(shm_fd, LOCK_BYTE_READ + i) : 0;
        if (pid == 0)
            continue;
        oldest = mark;
        holder = pid;
    }
    return holder;
}

void lock_holder_name(pid_t pid, char out[LOCK_HOLDER_NAME])
{
    char path[64];
    snprintf(out, LOCK_HOLDER_NAME, "?");
    if (pid <= 0)
        return;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, out, LOCK_HOLDER_NAME - 1);
    close(fd);
    out[length > 0 ? length : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    for (char *c = out; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    if (!out[0])
        snprintf(out, LOCK_HOLDER_NAME, "?");
}
