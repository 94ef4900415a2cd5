/* SPDX-License-Identifier: MIT */
/* The command line of drill: flags, and which files are meant. Bad ones end the process with 78 and
 * a line that names them. */
#ifndef BULKHEAD_DRILL_OPTIONS_H
#define BULKHEAD_DRILL_OPTIONS_H

#include <stdbool.h>

#define FILES_MAX 64
#define PATH_ROOM 512

struct options {
    const char *verb; /* run, list, check, prove, walk; "" none */
    const char *attach, *out;
    char command[PATH_ROOM]; /* as it was given */
    bool json, is_short, all, fast;
    double calm_s, rps; /* 0: not asked */
    unsigned count;
    char file[FILES_MAX][PATH_ROOM];
};

/* Take the flags and the verb. */
void options_parse(struct options *options, int argc, char **argv);

/* Take what follows the verb: paths, names or numbers of drills, or all. */
void options_take_files(struct options *options, int argc, char **argv);

#endif
