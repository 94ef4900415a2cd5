/* SPDX-License-Identifier: MIT */
#include "common/resources.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_LISTING   "/proc/self/fd"
#define GROUPS_MOUNT "/sys/fs/cgroup"

/* What is kept open for the next look; -1 and NULL: not there. */
static struct {
    bool opened;
    DIR *listing;
    int memory, group;
    uint64_t group_limit_bytes;
} own = {.memory = -1, .group = -1};

/* The file's first bytes as text; "" when it cannot be read. */
static void read_text(int fd, char *text, size_t size)
{
    ssize_t length = fd < 0 ? 0 : pread(fd, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
}

static uint64_t read_limit(const char *group)
{
    char path[512], text[32];
    snprintf(path, sizeof path, GROUPS_MOUNT "%s/memory.max", group);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    read_text(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return strtoull(text, NULL, 10); /* "max" is 0: none */
}

/* The nearest group above this process that has a limit (control groups, version 2). */
static void open_group(void)
{
    char line[400] = "", path[512];
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    read_text(fd, line, sizeof line);
    if (fd >= 0)
        close(fd);
    char *group = strstr(line, "0::/");
    if (!group)
        return;
    group += strlen("0::");
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        own.group_limit_bytes = read_limit(group);
        char *last = strrchr(group, '/');
        if (own.group_limit_bytes > 0 || !last)
            break;
        *last = '\0';
    }
    if (own.group_limit_bytes == 0)
        return;
    snprintf(path, sizeof path, GROUPS_MOUNT "%s/memory.stat", group);
    own.group = open(path, O_RDONLY | O_CLOEXEC);
}

void resources_open(void)
{
    struct stat status;
    if (own.opened)
        return;
    own.opened = true;
    own.memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (stat(FD_LISTING, &status) == 0 && status.st_size == 0)
        own.listing = opendir(FD_LISTING);
    open_group();
}

/* Linux 6.2 and later tell the number as the directory's size. */
static uint64_t count_fds(void)
{
    struct stat status;
    uint64_t count = 0;
    if (!own.listing)
        return stat(FD_LISTING, &status) == 0 ? (uint64_t)status.st_size : 0;
    rewinddir(own.listing);
    for (const struct dirent *entry; (entry = readdir(own.listing));)
        count += entry->d_name[0] != '.';
    return count;
}

/* Its first line is "anon BYTES": what nobody can take back, page cache not counted. */
static uint64_t read_group(void)
{
    char text[64];
    read_text(own.group, text, sizeof text);
    return strncmp(text, "anon ", 5) == 0 ? strtoull(text + 5, NULL, 10) : 0;
}

bool resources_read(struct resource_use *use)
{
    struct rlimit files, address;
    char text[128], *rest;
    resources_open();
    *use = (struct resource_use){.open_fds = count_fds(),
                                 .group_bytes = read_group(),
                                 .group_limit_bytes = own.group_limit_bytes};
    read_text(own.memory, text, sizeof text);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    use->address_bytes = strtoull(text, &rest, 10) * page;
    use->resident_bytes = strtoull(rest, NULL, 10) * page;
    if (use->open_fds == 0 || use->resident_bytes == 0 || getrlimit(RLIMIT_NOFILE, &files) < 0 ||
        getrlimit(RLIMIT_AS, &address) < 0)
        return false;
    use->max_fds = files.rlim_cur;
    use->address_limit_bytes = address.rlim_cur == RLIM_INFINITY ? 0 : address.rlim_cur;
    return true;
}
