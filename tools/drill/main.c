/* SPDX-License-Identifier: MIT */
/*
 * drill: breaks a server on purpose and says whether it behaved as its drill file claims. Its life:
 * command line, files read and checked, and only then one drill after the other.
 */
#include <dirent.h>
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/exit_codes.h"
#include "tools/drill/output.h"
#include "tools/drill/process.h"
#include "tools/drill/prove.h"
#include "tools/drill/report.h"
#include "tools/drill/runner.h"
#include "tools/drill/tally.h"
#include "tools/drill/walk.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define FILES_MAX     64
#define PATH_ROOM     512
#define EXIT_BAD_FILE 2

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
    "           arm, with the protection off: it must deviate\n"
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
    "                    delay. Needs --out: NN-name.history.csv, NN-name.truth.json go there\n"
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
    "Exit: 0 all passed, 1 a drill deviated (prove: an arm did not), 2 one was invalid, aborted\n"
    "      or its file is wrong, 3 interrupted, 78 command line. In `all`, what cannot be done\n"
    "      here is skipped.\n";

struct options {
    const char *attach, *out;
    char command[PATH_ROOM]; /* as it was given */
    bool json, is_short, all, fast;
    double calm_s, rps; /* 0: not asked */
    unsigned count;
    char file[FILES_MAX][PATH_ROOM];
};

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

static unsigned arm_of(const struct options *options)
{
    return options->is_short ? ARM_SHORT : ARM_FULL;
}

/* Every arm of every file, before anything is started. 0 or the exit code. */
static int check_files(const struct options *options, struct spec *spec)
{
    static const unsigned arms[] = {ARM_FULL, ARM_SHORT, ARM_CONTROL};
    char error[600];
    int code = 0;
    for (unsigned i = 0; i < options->count; i++)
        for (unsigned arm = 0; arm < 3; arm++)
            if (spec_read(spec, options->file[i], arms[arm], error, sizeof error) < 0) {
                fprintf(stderr, "%s\n", error);
                code = EXIT_BAD_FILE;
                break;
            }
    return code;
}

/* ---- running ------------------------------------------------------------------------------- */

static bool colours(void)
{
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

/* Where the proof does not hold, or the load was late, what was to be seen is not known. */
static void judge_truth(const struct options *options, const struct evidence *evidence,
                        const struct drill_verdict *verdict, json_t *report, struct tally *tally)
{
    char error[600];
    tally->judged = false;
    if (!evidence->history || verdict->result > DRILL_DEVIATED)
        return;
    if (truth_judge(evidence, options->out, &tally->truth, error, sizeof error) == 0) {
        tally->judged = true;
        json_object_set_new(report, "detection", truth_json(&tally->truth));
    } else {
        warnx("%s: %s", evidence->spec->name, error);
    }
    truth_free(&tally->truth);
}

static void run_one(const struct options *options, const struct runner_options *how,
                    const struct spec *spec, unsigned arm, struct tally *tally)
{
    static struct evidence evidence;
    static struct drill_verdict verdict;
    runner_run(how, spec, &evidence);
    drill_judge(&evidence, &verdict);
    json_t *report = drill_report_json(&evidence, &verdict);
    judge_truth(options, &evidence, &verdict, report, tally);
    if (options->json) {
        json_dumpf(report, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        drill_report_print(&evidence, &verdict, colours(), stdout);
        if (tally->judged)
            truth_print(&tally->truth, stdout);
    }
    fflush(stdout);
    output_write(&(struct output){options->out, options->command, options->attach}, &evidence, arm,
                 report);
    json_decref(report);
    snprintf(tally->name, sizeof tally->name, "%s", spec->name);
    snprintf(tally->why, sizeof tally->why, "%.190s", verdict.why);
    tally->result = verdict.result;
    tally->proven = verdict.proven;
    evidence_free(&evidence);
}

/* A late load tester speaks of the machine: one more look. */
static bool is_late(const struct tally *tally)
{
    return tally->result == DRILL_INVALID && strstr(tally->why, "tester itself was late") != NULL;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        err(EXIT_TEMPORARY, "signalfd");
    return fd;
}

/* A calm long enough to know what is usual, under a load that leaves the machine alone. A drill
 * without a fault is about its load, and keeps it. */
static void make_calm(const struct options *options, struct spec *spec)
{
    if (options->calm_s > spec->before_s)
        spec->before_s = options->calm_s;
    if (options->rps > 0 && options->rps < spec->load.rps && spec->step_count > 0)
        spec->load.rps = options->rps;
}

static int command_run(const struct options *options, struct spec *spec)
{
    static struct tally tally[FILES_MAX];
    struct runner_options how = {.attach = options->attach,
                                 .signal_fd = open_signals(),
                                 .progress = isatty(STDERR_FILENO),
                                 .keep_history = options->calm_s > 0};
    char error[600];
    unsigned count = 0;
    for (unsigned i = 0; i < options->count; i++) {
        if (spec_read(spec, options->file[i], arm_of(options), error, sizeof error) < 0)
            errx(EXIT_BAD_FILE, "%s", error); /* changed since it was checked */
        if (options->is_short && options->all && !spec->has_short)
            continue;
        make_calm(options, spec);
        run_one(options, &how, spec, arm_of(options), &tally[count]);
        if (is_late(&tally[count]))
            run_one(options, &how, spec, arm_of(options), &tally[count]);
        count++;
        if (tally[count - 1].result == DRILL_INTERRUPTED)
            break;
    }
    if (count > 1 && !options->json)
        tally_print(tally, count, stdout);
    return tally_exit_code(tally, count, options->all);
}

/* ---- proving ------------------------------------------------------------------------------- */

/* One arm that must not pass. */
static void prove_arm(const struct options *options, const struct runner_options *how,
                      struct spec *spec, const char *file, unsigned arm, struct proof_row *row)
{
    struct tally tally;
    char error[600];
    if (spec_read(spec, file, arm, error, sizeof error) < 0)
        errx(EXIT_BAD_FILE, "%s", error);
    run_one(options, how, spec, arm, &tally);
    if (is_late(&tally) && tally.proven)
        run_one(options, how, spec, arm, &tally);
    *row = (struct proof_row){.arm = arm, .result = tally.result, .proven = tally.proven};
    snprintf(row->name, sizeof row->name, "%s", tally.name);
    snprintf(row->why, sizeof row->why, "%s", tally.why);
    if (!options->json)
        printf("%s  %s %s: %s\n\n", proof_row_is_good(row) ? "proven" : "NOT PROVEN", row->name,
               arm & ARM_CONTROL ? "with its protection off" : "without its fault",
               proof_row_is_good(row) ? "it does not pass" : drill_result_name(row->result));
    fflush(stdout);
}

static int command_prove(const struct options *options, struct spec *spec)
{
    static struct proof_row rows[FILES_MAX * 2];
    struct runner_options how = {
        .attach = options->attach, .signal_fd = open_signals(), .progress = isatty(STDERR_FILENO)};
    char error[600];
    unsigned count = 0;
    for (unsigned i = 0; i < options->count; i++) {
        if (spec_read(spec, options->file[i], arm_of(options), error, sizeof error) < 0)
            errx(EXIT_BAD_FILE, "%s", error);
        /* A drill without a fault has none to take away: its control alone must deviate. */
        unsigned arms[2], n = 0;
        if (spec->step_count > 0)
            arms[n++] = ARM_NO_FAULT;
        if (spec->has_control)
            arms[n++] = ARM_CONTROL;
        for (unsigned a = 0; a < n; a++) {
            prove_arm(options, &how, spec, options->file[i], arm_of(options) | arms[a],
                      &rows[count++]);
            if (rows[count - 1].result == DRILL_INTERRUPTED)
                i = options->count, a = n;
        }
    }
    if (!options->json)
        prove_print(rows, count, stdout);
    return prove_exit_code(rows, count, options->all);
}

static int command_walk(const struct options *options, struct spec *spec)
{
    return walk_run(spec, open_signals(), options->fast, colours());
}

/* ---- the command line ---------------------------------------------------------------------- */

static int command_list(const struct options *options, struct spec *spec)
{
    char error[600];
    for (unsigned i = 0; i < options->count; i++) {
        if (spec_read(spec, options->file[i], ARM_FULL, error, sizeof error) < 0) {
            fprintf(stderr, "%s\n", error);
            return EXIT_BAD_FILE;
        }
        printf("%-24s %4.0f s  %s%s%s\n%*s%s\n", spec->name, spec_load_s(spec), spec->title,
               spec->has_short ? "  [short]" : "", spec->has_control ? "  [control]" : "", 33, "",
               spec->teaches);
    }
    return 0;
}

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

static void parse_options(struct options *options, int argc, char **argv)
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

int main(int argc, char **argv)
{
    static struct options options;
    static struct spec spec;
    keep_command(&options, argc, argv);
    parse_options(&options, argc, argv);
    const char *command = optind < argc ? argv[optind++] : "";
    static const struct {
        const char *name;
        int (*run)(const struct options *, struct spec *);
    } commands[] = {{"run", command_run},
                    {"list", command_list},
                    {"check", NULL},
                    {"prove", command_prove},
                    {"walk", command_walk}};
    enum { COMMANDS = sizeof commands / sizeof *commands };
    size_t index = 0;
    while (index < COMMANDS && strcmp(commands[index].name, command) != 0)
        index++;
    if (index == COMMANDS)
        errx(EXIT_CONFIGURATION, "%s%s; allowed: run, list, check, prove, walk; try --help",
             *command ? command : "say what to do", *command ? ": no such command" : "");
    if (options.fast && commands[index].run != command_walk)
        errx(EXIT_CONFIGURATION, "--fast: only walk has it; drills have --short");
    if (commands[index].run == command_walk) {
        if (optind < argc || options.out || options.attach || options.json || options.is_short)
            errx(EXIT_CONFIGURATION, "walk: takes no FILE, and --fast alone");
        return command_walk(&options, &spec);
    }
    if (options.calm_s > 0 && (!options.out || options.attach || index != 0))
        errx(EXIT_CONFIGURATION,
             "--calm: for run alone, with --out DIR and a server of the drill's "
             "own (no --attach)");
    if (options.rps > 0 && options.calm_s <= 0)
        errx(EXIT_CONFIGURATION, "--rps: only with --calm");
    options.all = optind < argc && strcmp(argv[optind], "all") == 0;
    if (index == 0 && optind == argc)
        errx(EXIT_CONFIGURATION, "run: say which drill, or all; see drill list");
    if (options.all || optind == argc)
        find_all(&options);
    else
        while (optind < argc)
            find_one(&options, argv[optind++]);
    int code = check_files(&options, &spec);
    if (code || !commands[index].run) {
        if (code == 0)
            printf("%u drill files are good\n", options.count);
        return code;
    }
    return commands[index].run(&options, &spec);
}
