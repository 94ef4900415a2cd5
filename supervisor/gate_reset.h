/* SPDX-License-Identifier: MIT */
/*
 * Making a broken gate anew. A mutex may be initialised only while nobody can be in it, so its
 * users are killed, their slots stay empty until the last of them is buried, and only then is the
 * page made and everybody started again. It never waits: each step does what can be done now.
 * Nobody is charged with these deaths (class `gate`). Not while the service starts or stops: set-up
 * is alone with the gate, and who stops needs it no more.
 */
#ifndef BULKHEAD_GATE_RESET_H
#define BULKHEAD_GATE_RESET_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/gate_watch.h"

struct supervisor;
struct slot_record;

struct gate_reset {
    struct gate_watch watch;
    bool active; /* users are being killed; none may be started */
};

/* Once in every pass. */
void gate_reset_step(struct supervisor *supervisor, uint64_t now_ns);

/* True while no process may be started in this slot. */
bool gate_reset_holds(const struct supervisor *supervisor, const struct slot_record *record);

#endif
