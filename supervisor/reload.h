/* SPDX-License-Identifier: MIT */
/*
 * Rolling replacement. A successor is started in the spare slot; only when it serves is an old
 * worker retired, and its slot becomes the spare one. The fleet never shrinks. A successor that
 * does not get to serve ends the attempt: the old workers stay.
 */
#ifndef BULKHEAD_RELOAD_H
#define BULKHEAD_RELOAD_H

#include <stdint.h>

struct supervisor;

void reload_begin(struct supervisor *supervisor, int only_slot);
void reload_step(struct supervisor *supervisor, uint64_t now_ns);

#endif
