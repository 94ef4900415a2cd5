/* SPDX-License-Identifier: MIT */
/*
 * The fault table as the supervisor keeps it: pure, driven by a clock and a view of the fleet. It
 * owns the life of a fault (scheduled, active, ended), whom one strikes, and the dead man's switch;
 * it publishes nothing and writes no event (supervisor/fault_desk.c does).
 *
 * Invariants: no fault lives longer than 600 s; while faults are disabled there is none; what
 * children say of strikes only ends or moves a fault, it never begins one.
 */
#ifndef BULKHEAD_FAULTS_H
#define BULKHEAD_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/fault_table.h"

#define FAULTS_BEAT_LIMIT_MS 5000

/* What a step may know of a slot. */
struct fault_subject {
    uint32_t generation; /* of a process that serves or helps; 0: there is none */
    bool serves;         /* a worker */
    bool deaf; /* lives, opens app.db, and was started without the key: kind db cannot strike it */
    struct {
        uint32_t id;
        uint64_t struck_ns;
    } mark[FAULTS_MAX]; /* copied from the slot; only compared, never trusted */
};

struct faults {
    struct fault_table table;
    uint32_t last_id;
    bool beating; /* a client holds the dead man's switch */
    uint64_t last_beat_ns;
    uint64_t aimed_ns[FAULTS_MAX];                 /* when its processes were chosen */
    int chosen[FAULTS_MAX];                        /* `any`: the slot chosen last; -1 none */
    uint64_t seen_ns[FAULTS_MAX][FAULT_SLOTS_MAX]; /* last strike noticed */
    uint64_t random;
};

/* What a step changed, by place in the table. */
struct fault_changes {
    uint32_t started, ended; /* bits */
    bool table;              /* publish it */
};

/* Take a fault from its text. Its id, or -1 and one line in error. Kind db is refused while anybody
 * is deaf to it: a database broken for some of the processes is judged by those who do not see it.
 */
int64_t faults_set(struct faults *faults, bool enabled, const struct fault_subject *subjects,
                   const char *spec, uint64_t now_ns, char *error, size_t error_size);

/* End the fault of an id, or all (id 0). How many were ended. */
unsigned faults_clear(struct faults *faults, uint32_t id, enum fault_end why, uint64_t now_ns,
                      struct fault_changes *changes);

/* A client is watching: from now on its silence ends all faults. */
void faults_beat(struct faults *faults, uint64_t now_ns);

/* Begin what is due, end what is over. subjects: one for each of FAULT_SLOTS_MAX slots. */
struct fault_changes faults_step(struct faults *faults, bool enabled,
                                 const struct fault_subject *subjects, uint64_t now_ns);

/* Whether the fault in a place struck the process in a slot since this was last asked. */
bool faults_struck(struct faults *faults, const struct fault_subject *subjects, unsigned place,
                   unsigned slot);

/* The newest fault that explains trouble with the database now; NULL none. */
const struct fault *faults_cause_of_database(const struct faults *faults, uint64_t now_ns);

#endif
