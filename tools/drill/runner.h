/* SPDX-License-Identifier: MIT */
/*
 * Carries out one drill and gathers evidence: server, load, phases, faults and acts, and always the
 * way back. One poll loop; it decides nothing about what it saw (verdict.h does).
 *
 * preflight -> warm-up -> steady before -> fault -> recovery watch -> steady after -> audit ->
 * rollbacks. INT, TERM and HUP at any moment go straight to the rollbacks.
 *
 * What is left behind when the drill itself gets SIGKILL: its server and load end by themselves
 * (PR_SET_PDEATHSIG), its faults are cleared by the server 5 s later, its directory is removed by
 * the next drill. With --attach a database moved away stays in DATADIR/drill-away, and a stopped
 * process stays stopped until the server replaces it.
 */
#ifndef BULKHEAD_DRILL_RUNNER_H
#define BULKHEAD_DRILL_RUNNER_H

#include "tools/drill/evidence.h"

struct runner;

struct runner_options {
    const char *attach; /* control socket of a running server; NULL: start one */
    int signal_fd;      /* signalfd of INT, TERM, HUP, CHLD, which are blocked */
    bool progress;      /* a terminal is on stderr */
    bool keep_history;  /* of the console, into the evidence */
    /* Instead of the file's steps, for as long as it likes: the load ends with it. It turns the
     * loop (turn.h); false ends the drill. NULL: the file's. */
    bool (*method)(struct runner *runner, void *argument);
    void *argument;
};

/* Fill the evidence. evidence->trouble, interrupted and skipped say how it went; what was gathered
 * until then is there. Nothing it started is left. */
void runner_run(const struct runner_options *options, const struct spec *spec,
                struct evidence *evidence);

#endif
