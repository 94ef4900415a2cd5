/* SPDX-License-Identifier: MIT */
/* What happened and why: each event goes into the region's ring and the log, with its cause. */
#ifndef BULKHEAD_JOURNAL_H
#define BULKHEAD_JOURNAL_H

#include <stdint.h>

struct supervisor;
struct slot_record;

/* Write an event; returns its id. about may be NULL; cause_id 0: none known. */
uint64_t journal(struct supervisor *supervisor, unsigned event_type,
                 const struct slot_record *about, uint64_t cause_id, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Copy what children put into their outboxes; their words are bounded and made printable. */
void journal_collect(struct supervisor *supervisor);

#endif
