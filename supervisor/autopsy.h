/* SPDX-License-Identifier: MIT */
/*
 * What a death leaves behind, gathered into one report in the region: threads, last words, the
 * gate, the database, /proc, events. The keeper, which may block, makes a file of it.
 *
 * It owns the ring of reports and the draft of the newest; it judges nothing. Everything a child
 * wrote is copied bounded, range-checked and made printable. The only files it reads are
 * /proc/PID/status and /proc/PID/stat, which wait for nothing a process can hold up (cmdline and
 * maps would); each is one read of a fixed size.
 */
#ifndef BULKHEAD_AUTOPSY_H
#define BULKHEAD_AUTOPSY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/region.h"

struct supervisor;
struct slot_record;

/* Look at a process, running, stopped or not yet reaped. What cannot be read stays empty. */
void autopsy_read_proc(pid_t pid, enum proc_when when, struct proc_text *text);

/* Copy at most size - 1 bytes; what is not printable becomes '?', but for the newline and the tab
 * when `lines`. Always ends in a NUL. */
void autopsy_copy_text(char *out, size_t size, const char *from, size_t from_size, bool lines);

/* The first `threads` cells of a slot, and those beyond that say they are in a request. No time is
 * longer than uptime_ms. */
void autopsy_threads(struct death_report *report, const struct slot *slot, unsigned threads,
                     uint64_t now_ns);

/* Begin the report on a process that has ended and is not reaped yet. spoke: the slot's words are
 * its own. Nothing is shown before autopsy_publish. */
void autopsy_begin(struct supervisor *supervisor, struct slot_record *record,
                   enum death_class death, const char *manner, unsigned lost, bool spoke,
                   uint64_t now_ns);

/* Complete the report begun last with what becomes of the slot; does nothing when there is none. */
void autopsy_publish(struct supervisor *supervisor, const char *decision);

#endif
