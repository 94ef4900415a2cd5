/* SPDX-License-Identifier: MIT */
/*
 * The commands of bulkheadctl. Each takes the parsed command line, prints its answer on stdout
 * (JSON with --json) and its complaint on stderr, and returns the exit code.
 */
#ifndef BULKHEADCTL_COMMANDS_H
#define BULKHEADCTL_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/exit_codes.h"

/* Besides EXIT_ASKED (done), EXIT_TEMPORARY (no server) and EXIT_CONFIGURATION (usage). */
enum { EXIT_REFUSED = 1 }; /* the server said no, or did not finish within --timeout */

struct invocation {
    const char *socket, *data_dir; /* -s, -d; NULL when not given */
    bool json, wait, follow, describe, colour;
    bool since_given;
    uint64_t since;
    unsigned timeout_s;
    const char *verb; /* the command's name */
    unsigned slot;    /* of restart and drain */
    int word_count;   /* of faults: what follows the command's name */
    char **words;
    const char *operand; /* of a command whose argument is optional; NULL when not given */
    const char *file; /* of backup and restore */
    bool force;       /* backup: replace FILE */
    bool quiet;       /* complaints are not for the user */
    int least_level;  /* logs: enum log_level */
    const char *event, *request; /* logs: only these; NULL all */
    unsigned interval_ms, count; /* top; 0: the preset, no end */
};

int command_status(const struct invocation *invocation);
int command_workers(const struct invocation *invocation);
int command_metrics(const struct invocation *invocation);
int command_events(const struct invocation *invocation);
int command_replace(const struct invocation *invocation); /* restart, drain, reload */
int command_stop(const struct invocation *invocation);
int command_faults(const struct invocation *invocation);
void faults_print_help(void);
int command_deaths(const struct invocation *invocation);
int command_logs(const struct invocation *invocation);
int command_top(const struct invocation *invocation);
int command_backup(const struct invocation *invocation);
int command_restore(const struct invocation *invocation);

/* Say what went wrong, as a line on stderr or, with --json, as {"ok":false,"error":…} on stdout.
 * Returns exit_code. */
int complain(const struct invocation *invocation, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Say what was done, as a line or as {"ok":true,"message":…}. Returns EXIT_ASKED. */
int announce(const struct invocation *invocation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
