/* SPDX-License-Identifier: MIT */
/* Why a child died and what died with it: one class, one line. */
#ifndef BULKHEAD_OBITUARY_H
#define BULKHEAD_OBITUARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/labels.h"
#include "common/region.h"

/* What is known of an end. */
struct end {
    int wait_code;              /* si_code of waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int wait_status;            /* exit code or signal */
    bool served;                /* it had been READY or DEGRADED */
    bool once;                  /* its kind runs to its end: an exit with 0 is success */
    bool asked;                 /* we asked it to end */
    bool oom;                   /* the kernel killed somebody for memory at about that time */
    enum death_class killed_as; /* why we killed it; DEATH_CLEAN when we did not */
};

/* Pure: the class of an end. */
enum death_class obituary_class(const struct end *end);

/* "killed by SIGKILL", "exited with 75", … */
void obituary_manner(const struct end *end, char *out, size_t size);

/* Complete requests a dead process had in hand, in its threads or at its door, and in words what
 * they did. What it had is its own word: beyond `most` it is not believed (*corrupt is set then),
 * and the threads alone are counted. */
unsigned obituary_requests(const struct slot *slot, unsigned most, bool *corrupt, char *out,
                           size_t size);

#endif
