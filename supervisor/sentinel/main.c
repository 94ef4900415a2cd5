/* SPDX-License-Identifier: MIT */
/*
 * The program `sentinel`: everything that is done to app.db outside a request. Five lives in one
 * program, because they share how the file is opened, judged and left alone:
 *
 *   sentinel                    watches; a child of the supervisor
 *   sentinel --keeper           checkpoints, purges, makes backups; a child of the supervisor
 *   sentinel --setup [--demo]   creates; a child of the supervisor that ends
 *   sentinel --check DATADIR    examines; can be run by hand
 *   sentinel --restore DATADIR FILE  puts a backup in place of a stopped server's database;
 *                               `bulkheadctl restore` runs it
 */
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/exit_codes.h"
#include "supervisor/sentinel/modes.h"

static const struct mode {
    const char *flag; /* NULL: what is done without one */
    int (*run)(int argc, char **argv);
} modes[] = {
    {.flag = "--keeper", .run = keeper_run},
    {.flag = "--setup", .run = setup_run},
    {.flag = "--restore", .run = restore_run},
    {.flag = "--check", .run = check_run},
    {.flag = CHILD_ARGUMENT, .run = sentinel_run},
    {.flag = NULL, .run = sentinel_run}, /* says by whom it is started */
};

int main(int argc, char **argv)
{
    const struct mode *mode = modes;
    while (mode->flag && (argc < 2 || strcmp(argv[1], mode->flag) != 0))
        mode++;
    if (!mode->flag && argc > 1) {
        fprintf(stderr, "sentinel: %s: no such flag\n", argv[1]);
        return EXIT_CONFIGURATION;
    }
    return mode->run(argc, argv);
}
