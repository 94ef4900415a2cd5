/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/backup_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ALWAYS_KEPT_BYTES (UINT64_C(64) << 20)
#define NAME_FORMAT       "app-%Y%m%dT%H%M%SZ.db"

void backup_name(char out[BACKUP_NAME_SIZE], uint64_t wall_s)
{
    time_t second = (time_t)wall_s;
    struct tm utc;
    gmtime_r(&second, &utc);
    if (strftime(out, BACKUP_NAME_SIZE, NAME_FORMAT, &utc) == 0)
        out[0] = '\0';
}

uint64_t backup_name_time(const char *name)
{
    struct tm utc = {0};
    char again[BACKUP_NAME_SIZE];
    const char *end = strptime(name, NAME_FORMAT, &utc);
    time_t second = end && *end == '\0' ? timegm(&utc) : 0;
    if (second <= 0)
        return 0;
    /* strptime takes what strftime never writes, such as one digit for two. */
    backup_name(again, (uint64_t)second);
    return strcmp(name, again) == 0 ? (uint64_t)second : 0;
}

bool backup_is_due(uint64_t newest_s, uint64_t birth_s, uint64_t every_min, uint64_t now_s)
{
    uint64_t since_s = newest_s ? newest_s : birth_s;
    return every_min != 0 && now_s >= since_s + every_min * 60;
}

uint64_t backup_room_needed(uint64_t copy_bytes, uint64_t disk_bytes, uint64_t reserve_bytes)
{
    uint64_t share = disk_bytes / 50;
    uint64_t least = share < reserve_bytes ? share : reserve_bytes;
    uint64_t kept = least + least / 4;
    return copy_bytes + (kept > ALWAYS_KEPT_BYTES ? kept : ALWAYS_KEPT_BYTES);
}

static int is_finished(const struct dirent *entry)
{
    return backup_name_time(entry->d_name) != 0;
}

/* app-….db.new and what SQLite puts beside it. */
static int is_unfinished(const struct dirent *entry)
{
    const char *mark = strstr(entry->d_name, BACKUP_UNFINISHED);
    char name[BACKUP_NAME_SIZE];
    size_t length = mark ? (size_t)(mark - entry->d_name) : 0;
    if (length == 0 || length >= sizeof name)
        return 0;
    memcpy(name, entry->d_name, length);
    name[length] = '\0';
    return backup_name_time(name) != 0;
}

static void free_list(struct dirent **list, int count)
{
    for (int i = 0; i < count; i++)
        free(list[i]);
    if (count >= 0)
        free(list);
}

static bool remove_file(const char *directory, const char *name)
{
    char path[600];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length > 0 && length < (int)sizeof path && unlink(path) == 0;
}

uint64_t backup_newest(const char *directory, uint64_t now_s)
{
    struct dirent **list;
    uint64_t newest_s = 0;
    int count = scandir(directory, &list, is_finished, alphasort);
    for (int i = 0; i < count; i++) {
        uint64_t second = backup_name_time(list[i]->d_name);
        if (second <= now_s && second > newest_s)
            newest_s = second;
    }
    free_list(list, count);
    return newest_s;
}

unsigned backup_prune(const char *directory, uint64_t keep, const char *made, uint64_t now_s)
{
    struct dirent **list;
    unsigned failed = 0;
    int count = scandir(directory, &list, is_finished, alphasort);
    uint64_t surplus = count > 0 && (uint64_t)count > keep ? (uint64_t)count - keep : 0;
    for (int of_future = 1; of_future >= 0; of_future--)
        for (int i = 0; i < count && surplus > 0; i++) {
            const char *name = list[i]->d_name;
            if ((backup_name_time(name) > now_s) != of_future || strcmp(name, made) == 0)
                continue;
            failed += !remove_file(directory, name);
            surplus--;
        }
    free_list(list, count);
    return failed;
}

void backup_remove_unfinished(const char *directory)
{
    struct dirent **list;
    int count = scandir(directory, &list, is_unfinished, alphasort);
    for (int i = 0; i < count; i++)
        remove_file(directory, list[i]->d_name);
    free_list(list, count);
}
