/* SPDX-License-Identifier: MIT */
/*
 * The files in DATADIR/backup: app-YYYYMMDDThhmmssZ.db is a finished backup (UTC, so that the order
 * of names is the order of time), the same with .new behind it is one under way. Everything else in
 * that directory is somebody else's and left alone.
 */
#ifndef BULKHEAD_SENTINEL_BACKUP_FILES_H
#define BULKHEAD_SENTINEL_BACKUP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKUP_NAME_SIZE  24
#define BACKUP_UNFINISHED ".new"

/* The name of a backup of this second. */
void backup_name(char out[BACKUP_NAME_SIZE], uint64_t wall_s);

/* The second a name tells; 0 when it is no finished backup's. */
uint64_t backup_name_time(const char *name);

/* Whether one is due: `every_min` after the newest or, when there is none, after the database's
 * birth, so that a server that is restarted every day has its backups too. Pure. */
bool backup_is_due(uint64_t newest_s, uint64_t birth_s, uint64_t every_min, uint64_t now_s);

/* What must be free to begin a copy of so many bytes on a disk of so many: the copy, and so much
 * besides that writes are not refused because of it (supervisor/verdict.c: disk.reserve, at most 2
 * % of the disk, and a quarter more for a disk that was full). Pure. */
uint64_t backup_room_needed(uint64_t copy_bytes, uint64_t disk_bytes, uint64_t reserve_bytes);

/* The time of the newest finished backup that is not of the future (a clock may have been wrong);
 * 0: none. */
uint64_t backup_newest(const char *directory, uint64_t now_s);

/* Delete all but `keep`: those of the future first, then the oldest; never the one just made, whose
 * name says nothing of its age when the clock is wrong. The number that could not be deleted. */
unsigned backup_prune(const char *directory, uint64_t keep, const char *made, uint64_t now_s);

/* Delete what a killed keeper left unfinished. */
void backup_remove_unfinished(const char *directory);

#endif
