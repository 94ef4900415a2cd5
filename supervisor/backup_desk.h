/* SPDX-License-Identifier: MIT */
/*
 * Where backups are asked for and handed out. A request is a number on the board; the keeper's
 * report says up to which number a finished backup answers, so requests that come before one is
 * begun share it, and one that comes later gets the next. Owns the numbers. The file is never
 * opened here: the keeper's descriptor is taken over (pidfd_getfd(2)), which needs no file system.
 */
#ifndef BULKHEAD_BACKUP_DESK_H
#define BULKHEAD_BACKUP_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/region.h"

struct supervisor;

/* Ask the keeper for one. The number of the request. */
uint64_t backup_desk_ask(struct supervisor *supervisor);

/* Whether a report is the answer to a request. Pure. */
bool backup_desk_is_answered(const struct backup_report *report, uint64_t request);

/* The answer to a request, when there is one: whether it went well, a line, and on success the
 * descriptor to hand out (the caller closes it), -1 when it could not be had. */
bool backup_desk_answer(struct supervisor *supervisor, uint64_t request, bool *ok, int *fd,
                        char *text, size_t size);

#endif
