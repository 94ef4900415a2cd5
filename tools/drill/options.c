/* SPDX-License-Identifier: MIT */
#include "tools/drill/options.h"

#include <dirent.h>
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exit_codes.h"
#include "tools/drill/process.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

static const char help[] =
    "usage: drill run FILE...|all [--attach SOCKET] [--out DIR] [--short] [--json]\n"
    "                 [--calm S [--rps R]]\n"
    "       drill list | check [FILE...] | prove [FILE...]\n"
    "       drill walk [--fast]\n"
    "\n"
    "Breaks a server on purpose, under load, and says whether it behaved as the drill claims.\n"
    "A FILE is a path, or the name or number of a drill in etc/drills: 03, 03-kill-one.\n"
    "\n"
    "  run      each drill starts a server of its own in a temporary directory, measures it while\n"
    "           all is well, breaks it, waits for it to recover, and reads every write back\n"
    "  list     the drills and what they teach\n"
    "  check    read the files and name what is wrong in them, with its line\n"
    "  prove    run each drill without its fault: it must fail or be invalid; and its control\n"
    "           arm, with the protection off: it must deviate by a measured value\n"
    "  walk     five failures in five minutes, told step by step: for a first look (--fast: no\n"
    "           time to read in between)\n"
    "\n"
    "  --attach SOCKET   the control socket of a running server instead (it needs --demo,\n"
    "                    faults.enabled=yes and ratelimit.* of 0)\n"
    "  --out DIR         index.html, and for each drill NN-name.html and NN-name.json\n"
    "  --short           the shortened form of those drills that have one; prove: at most 5 s\n"
    "                    for the method of an arm without its fault\n"
    "  --calm S          so long is it steady before the fault (120 s and more); then the history\n"
    "                    of the console is held against the file's `anomaly`: recall, precision,\n"
    "                    delay. Needs --out: NN-name.history.csv, NN-name.truth.json go there. It\n"
    "                    is watched for 30 s after the fault, for an alarm that comes too late\n"
    "  --rps R           with --calm: at most so many requests a second from the file's first "
    "load\n"
    "  --json            the reports on stdout, one JSON document a line\n"
    "\n"
    "  $ build/drill run 03\n"
    "  $ build/drill run all --out build/drills\n"
    "  $ build/drill run 08 --calm 125 --rps 100 --out build/truth\n"
    "  $ build/drill run 08 --attach var/run/control.sock\n"
    "\n"
    "Ctrl-C ends a drill at any moment; everything is rolled back first.\n"
    "Exit: 0 all passed, 1 a drill deviated (prove: an arm did not), 2 one was invalid, aborted,\n"
    "      its file is wrong, or a report could not be written, 3 interrupted, 78 command line.\n"
    "      In `all`, what cannot be done here is skipped.\n";

/* ---- files --------------------------------------------------------------------------------- */

/* etc/drills here, beside the build directory, or where `make install` puts it. */
static const char *drill_directory(void)
{
    static char path[3][PATH_ROOM];
    snprintf(path[0], PATH_ROOM, "etc/drills");
    process_sister("../etc/drills", path[1], PATH_ROOM);
    process_sister("../../share/bulkhead/drills", path[2], PATH_ROOM);
    for (unsigned i = 0; i < 3; i++)
        if (access(path[i], R_OK) == 0)
            return path[i];
    return path[0];
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_all(struct options *options)
{
    const char *directory = drill_directory();
    DIR *entries = opendir(directory);
    if (!entries)
        err(EXIT_CONFIGURATION, "%s", directory);
    for (struct dirent *entry; (entry = readdir(entries));) {
        size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 5, ".json") != 0)
            continue;
        if (options->count == FILES_MAX)
            errx(EXIT_CONFIGURATION, "%s: more than %d drills", directory, FILES_MAX);
        snprintf(options->file[options->count++], PATH_ROOM, "%s/%.200s", directory, entry->d_name);
    }
    closedir(entries);
    if (options->count == 0)
        errx(EXIT_CONFIGURATION, "%s: no drills there", directory);
    qsort(options->file, options->count, PATH_ROOM, by_name);
}

/* A path, or what a drill's file name begins with. */
static void find_one(struct options *options, const char *word)
{
    static struct options all;
    if (options->count == FILES_MAX)
        errx(EXIT_CONFIGURATION, "more than %d drills", FILES_MAX);
    char *out = options->file[options->count++];
    snprintf(out, PATH_ROOM, "%s", word);
    if (strchr(word, '/') || strstr(word, ".json"))
        return;
    if (all.count == 0)
        find_all(&all);
    for (unsigned i = 0; i < all.count; i++)
        if (strncmp(strrchr(all.file[i], '/') + 1, word, strlen(word)) == 0) {
            snprintf(out, PATH_ROOM, "%s", all.file[i]);
            return;
        }
    errx(EXIT_CONFIGURATION, "%s: no such drill in %s; see drill list", word, drill_directory());
}

/* ---- flags --------------------------------------------------------------------------------- */

static void keep_command(struct options *options, int argc, char **argv)
{
    size_t length = 0;
    for (int i = 0; i < argc && length < PATH_ROOM - 1; i++)
        length += (size_t)snprintf(options->command + length, PATH_ROOM - length, "%s%s",
                                   i ? " " : "", argv[i]);
}

static double parse_number(const char *flag, const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most))
        errx(EXIT_CONFIGURATION, "--%s: %s is not a number from %g to %g", flag, text, least, most);
    return number;
}

static void take_flags(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"attach", required_argument, NULL, 'a'}, {"out", required_argument, NULL, 'o'},
        {"short", no_argument, NULL, 's'},        {"json", no_argument, NULL, 'j'},
        {"calm", required_argument, NULL, 'c'},   {"rps", required_argument, NULL, 'r'},
        {"fast", no_argument, NULL, 'f'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "hV", known, NULL)) != -1) {
        switch (option) {
        case 'a':
            options->attach = optarg;
            break;
        case 'o':
            options->out = optarg;
            break;
        case 's':
            options->is_short = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 'f':
            options->fast = true;
            break;
        case 'c':
            options->calm_s = parse_number("calm", optarg, 31, 3000);
            break;
        case 'r':
            options->rps = parse_number("rps", optarg, 1, 100000);
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        case 'V':
            puts("drill " VERSION);
            exit(0);
        default:
            exit(EXIT_CONFIGURATION);
        }
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    keep_command(options, argc, argv);
    take_flags(options, argc, argv);
    options->verb = optind < argc ? argv[optind++] : "";
    bool walk = strcmp(options->verb, "walk") == 0;
    if (options->fast && !walk)
        errx(EXIT_CONFIGURATION, "--fast: only walk has it; drills have --short");
    if (walk &&
        (optind < argc || options->out || options->attach || options->json || options->is_short))
        errx(EXIT_CONFIGURATION, "walk: takes no FILE, and --fast alone");
    if (options->calm_s > 0 &&
        (!options->out || options->attach || strcmp(options->verb, "run") != 0))
        errx(EXIT_CONFIGURATION,
             "--calm: for run alone, with --out DIR and a server of the drill's "
             "own (no --attach)");
    if (options->rps > 0 && options->calm_s <= 0)
        errx(EXIT_CONFIGURATION, "--rps: only with --calm");
}

void options_take_files(struct options *options, int argc, char **argv)
{
    options->all = optind < argc && strcmp(argv[optind], "all") == 0;
    if (strcmp(options->verb, "walk") == 0)
        return;
    if (strcmp(options->verb, "run") == 0 && optind == argc)
        errx(EXIT_CONFIGURATION, "run: say which drill, or all; see drill list");
    if (options->all || optind == argc)
        find_all(options);
    else
        while (optind < argc)
            find_one(options, argv[optind++]);
}
