/* SPDX-License-Identifier: MIT */
/*
 * A server of the drill's own: a temporary directory, two free ports, a supervisor with --demo. Or
 * a server that is there already (--attach): then the directory has only the load's files, and
 * nothing of that server is started or removed.
 */
#ifndef BULKHEAD_DRILL_HOUSE_H
#define BULKHEAD_DRILL_HOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tools/drill/spec.h"

#define HOUSE_PATH 160

struct house {
    char directory[HOUSE_PATH]; /* everything of this drill; removed at the end */
    char data_dir[HOUSE_PATH * 2];
    char log[HOUSE_PATH * 2]; /* of the supervisor */
    char socket[HOUSE_PATH * 3];
    char address[64], console[64];
    char user[65], password[65];
    pid_t supervisor; /* 0: none runs */
    bool own, mounted;
};

/* Make the directory (with its tmpfs when the drill wants one). 0; -1 with a line in error;
 * 1: it cannot be done here and the drill is to be skipped. Directories of drills that were killed
 * are removed. */
int house_open(struct house *house, const struct spec *spec, bool own, char *error, size_t size);

/* Start a supervisor. 0; -1 with a line in error. */
int house_start(struct house *house, const struct spec *spec, char *error, size_t size);

/* Read the demo account's name and password from the data directory. */
int house_read_account(struct house *house, char *error, size_t size);

/* The last line of the supervisor's log, for errors. */
void house_last_line(const struct house *house, char *out, size_t size);

/* Remove all files. No process uses them any more. */
void house_close(struct house *house);

#endif
