/* SPDX-License-Identifier: MIT */
/*
 * Backups of the running database: scheduled, and on request of the board. Owns DATADIR/backup and
 * the report in the region.
 *
 * Invariants
 *   - What bears a finished name is a whole database, checked and on the disk.
 *   - The copy is made under one read transaction of a connection of its own: without it every
 *     commit of another process begins the copy anew. So it is the state of one moment, later than
 *     every request it answers.
 *   - That transaction keeps the log from being emptied, so the copy is given up when the log
 * passes wal.hard.
 *   - Work comes in slices of some 20 ms; between them the heart beats and a stop is obeyed.
 */
#ifndef BULKHEAD_SENTINEL_BACKUP_H
#define BULKHEAD_SENTINEL_BACKUP_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"
#include "supervisor/sentinel/backup_files.h"

struct keeper;

enum backup_phase { BACKUP_IDLE, BACKUP_COPYING, BACKUP_CHECKING };

struct backup {
    enum backup_phase phase;
    sqlite3 *source, *copy;
    sqlite3_backup *run;
    struct backup_report report; /* what was published last */
    int fd;                      /* of the last finished one, for who asked; -1 none */
    uint64_t started_ns, close_fd_ns;
    uint64_t asked_since_ns; /* a request waits since then; 0 none */
    uint64_t next_look_ns, check_until_ns;
    char directory[330];
    char path[400], unfinished[410];
};

/* Tidy up after the keeper before this one; what it was at is answered as failed. */
void backup_init(struct keeper *keeper);

/* One slice: begin what is asked for or due, or go on. has_database: app.db may be read and the
 * keeper's connection is open. */
void backup_step(struct keeper *keeper, bool has_database, uint64_t now_ns);

/* True while there is work to go on with at once. */
bool backup_is_active(const struct backup *backup);

/* Let go of app.db before the keeper's own connection is closed; a copy under way is given up. */
void backup_let_go(struct keeper *keeper, const char *why);

/* The keeper ends. */
void backup_end(struct keeper *keeper);

/* ---- between backup.c and backup_copy.c ---- */

/* Show the report to everybody. */
void backup_publish(struct keeper *keeper);

/* Give up: nothing of the copy is left, and who asked is told why. */
void backup_fail(struct keeper *keeper, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Open both ends and begin the read transaction; a slice of pages; the check, then the name. Each
 * fails by backup_fail. */
void backup_copy_begin(struct keeper *keeper);
void backup_copy_some(struct keeper *keeper);
void backup_copy_check(struct keeper *keeper, uint64_t now_ns);
void backup_copy_close(struct backup *backup);

#endif
