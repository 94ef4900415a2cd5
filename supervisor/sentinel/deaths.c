/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/deaths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/death_json.h"
#include "common/log.h"

#define TEMPORARY "new.tmp" /* there is one writer */

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

static int open_directory(const char *path)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_file(int directory, const char *name, const char *text, size_t length)
{
    int fd =
        openat(directory, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = write_all(fd, text, length);
    if (!error && fsync(fd) < 0)
        error = -errno;
    close(fd);
    if (!error && renameat(directory, TEMPORARY, directory, name) < 0)
        error = -errno;
    if (error)
        unlinkat(directory, TEMPORARY, 0);
    return error;
}

int deaths_write(const char *directory, const struct death_report *report,
                 const uint64_t boot_id[2])
{
    static char text[DEATH_JSON_SIZE];
    char name[DEATH_NAME_SIZE];
    size_t length = death_json(report, boot_id, text, sizeof text);
    if (length == 0)
        return -EOVERFLOW;
    death_name_file(name, report);
    int fd = open_directory(directory);
    if (fd < 0)
        return fd;
    int error = write_file(fd, name, text, length);
    close(fd);
    return error;
}

static int is_report(const struct dirent *entry)
{
    return death_name_is_ours(entry->d_name);
}

void deaths_prune(const char *directory, unsigned keep, const char *newest)
{
    struct dirent **list;
    char path[512];
    int count = scandir(directory, &list, is_report, alphasort);
    if (count < 0)
        return;
    unsigned surplus = (unsigned)count > keep ? (unsigned)count - keep : 0;
    for (int i = 0; i < count; i++) {
        if (surplus > 0 && strcmp(list[i]->d_name, newest) != 0) {
            snprintf(path, sizeof path, "%s/%s", directory, list[i]->d_name);
            unlink(path);
            surplus--;
        }
        free(list[i]);
    }
    free(list);
}

/* False when it has to be tried again. */
static bool write_one(const struct region *region, const char *directory, uint64_t id)
{
    static struct death_report report;
    char name[DEATH_NAME_SIZE];
    if (!region_read_death(region, id, &report))
        return true; /* overwritten by later ones: nothing to come back for */
    int error = deaths_write(directory, &report, region->header.boot_id);
    if (error) {
        log_warning("death_report_failed", "%s: %s; tried again, free space or rights are needed",
                    directory, strerror(-error));
        return error == -EOVERFLOW;
    }
    death_name_file(name, &report);
    deaths_prune(directory, DEATHS_KEPT, name);
    return true;
}

bool deaths_step(struct child *child)
{
    const struct region *region = child->region;
    char directory[sizeof region->header.data_dir + 8];
    uint64_t last = atomic_load_explicit(&region->deaths.last_id, memory_order_acquire);
    uint64_t done = atomic_load_explicit(&child->slot->reports_written, memory_order_relaxed);
    if (done >= last)
        return true;
    if (last - done > DEATHS_SIZE)
        done = last - DEATHS_SIZE;
    snprintf(directory, sizeof directory, "%s/deaths", region->header.data_dir);
    while (done < last) {
        if (!write_one(region, directory, done + 1))
            return false;
        atomic_store_explicit(&child->slot->reports_written, ++done, memory_order_relaxed);
    }
    return true;
}
