/* SPDX-License-Identifier: MIT */
/*
 * Flags, configuration file and -o into one struct config, remembering where each value came from.
 * Later wins: defaults, file, flags, -o. A wrong word ends the process with 78 and one line that
 * names it.
 */
#ifndef BULKHEAD_OPTIONS_H
#define BULKHEAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"

#define OPTIONS_OVERRIDES_MAX 64
#define OPTIONS_KEYS_MAX      64

struct options {
    int argc;
    char **argv;
    const char *file; /* -c */
    bool test, demo, verbose;
    char origin[OPTIONS_KEYS_MAX][64]; /* of each row of config.def */
};

/* Read argv for the first time. Handles -h and -V itself (exit 0); exits 78 on a wrong word. */
void options_read(struct options *options, struct config *config, int argc, char **argv);

/* Read the same words and the file anew, for a reload. 0, or -1 with one line in error; config is
 * then unchanged. */
int options_read_again(struct options *options, struct config *config, char *error,
                       size_t error_size);

/* Print every effective value and where it came from (-t -v). */
void options_print(const struct options *options, const struct config *config);

#endif
