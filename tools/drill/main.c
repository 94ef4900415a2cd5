/* SPDX-License-Identifier: MIT */
/*
 * drill: breaks a server on purpose and says whether it behaved as its drill file claims. Its life:
 * command line, files read and checked, and only then one drill after the other.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/exit_codes.h"
#include "tools/drill/options.h"
#include "tools/drill/output.h"
#include "tools/drill/process.h"
#include "tools/drill/prove.h"
#include "tools/drill/report.h"
#include "tools/drill/runner.h"
#include "tools/drill/tally.h"
#include "tools/drill/walk.h"

#define EXIT_BAD_FILE  2
#define EXIT_UNWRITTEN 2

static unsigned arm_of(const struct options *options)
{
    return options->is_short ? ARM_SHORT : ARM_FULL;
}

/* Every arm of every file, before anything is started. 0 or the exit code. */
static int check_files(const struct options *options, struct spec *spec)
{
    static const unsigned arms[] = {ARM_FULL, ARM_SHORT, ARM_CONTROL, ARM_SHORT | ARM_CONTROL};
    char error[600];
    int code = 0;
    for (unsigned i = 0; i < options->count; i++)
        for (size_t arm = 0; arm < sizeof arms / sizeof *arms; arm++)
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

/* False when its report could not be written. */
static bool run_one(const struct options *options, const struct runner_options *how,
                    const struct spec *spec, unsigned arm, struct tally *tally)
{
    static struct evidence evidence;
    static struct drill_verdict verdict;
    runner_run(how, spec, &evidence);
    drill_judge(&evidence, &verdict);
    /* Interrupted, and something went wrong besides, perhaps on the way back. */
    if (evidence.interrupted && *evidence.trouble)
        snprintf(verdict.why, sizeof verdict.why, "interrupted; %s", evidence.trouble);
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
    bool written = output_write(&(struct output){options->out, options->command, options->attach},
                                &evidence, arm, report) == 0;
    json_decref(report);
    snprintf(tally->name, sizeof tally->name, "%s", spec->name);
    snprintf(tally->why, sizeof tally->why, "%.190s", verdict.why);
    tally->result = verdict.result;
    tally->proven = verdict.proven;
    evidence_free(&evidence);
    return written;
}

/* What was asked for and is not there is no success, whatever the drills did. */
static int code_of(int code, bool written)
{
    return code == 0 && !written ? EXIT_UNWRITTEN : code;
}

/* A load tester that was late or saturated speaks of the machine: one more look. */
static bool was_held_up(const struct tally *tally)
{
    return tally->result == DRILL_INVALID && strstr(tally->why, "tester itself was ") != NULL;
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

static int command_run(const struct options *options, struct spec *spec)
{
    static struct tally tally[FILES_MAX];
    struct runner_options how = {.attach = options->attach,
                                 .signal_fd = open_signals(),
                                 .progress = isatty(STDERR_FILENO),
                                 .keep_history = options->calm_s > 0};
    char error[600];
    unsigned count = 0;
    bool written = true;
    for (unsigned i = 0; i < options->count; i++) {
        if (spec_read(spec, options->file[i], arm_of(options), error, sizeof error) < 0)
            errx(EXIT_BAD_FILE, "%s", error); /* changed since it was checked */
        if (options->is_short && options->all && !spec->has_short)
            continue;
        if (options->calm_s > 0)
            truth_make_calm(spec, options->calm_s, options->rps);
        bool there = run_one(options, &how, spec, arm_of(options), &tally[count]);
        if (was_held_up(&tally[count]))
            there = run_one(options, &how, spec, arm_of(options), &tally[count]);
        written = written && there;
        count++;
        if (tally[count - 1].result == DRILL_INTERRUPTED)
            break;
    }
    if (count > 1 && !options->json)
        tally_print(tally, count, stdout);
    return code_of(tally_exit_code(tally, count, options->all), written);
}

/* ---- proving ------------------------------------------------------------------------------- */

/* One arm that must not pass. False when its report could not be written. */
static bool prove_arm(const struct options *options, const struct runner_options *how,
                      struct spec *spec, const char *file, unsigned arm, struct proof_row *row)
{
    struct tally tally;
    char error[600];
    if (spec_read(spec, file, arm, error, sizeof error) < 0)
        errx(EXIT_BAD_FILE, "%s", error);
    bool written = run_one(options, how, spec, arm, &tally);
    if (was_held_up(&tally) && tally.proven)
        written = run_one(options, how, spec, arm, &tally);
    *row = (struct proof_row){.arm = arm, .result = tally.result, .proven = tally.proven};
    snprintf(row->name, sizeof row->name, "%s", tally.name);
    snprintf(row->why, sizeof row->why, "%s", tally.why);
    if (!options->json)
        printf("%s  %s %s: %s\n\n", proof_row_is_good(row) ? "proven" : "NOT PROVEN", row->name,
               arm & ARM_CONTROL ? "with its protection off" : "without its fault",
               proof_row_is_good(row) ? "it does not pass" : drill_result_name(row->result));
    fflush(stdout);
    return written;
}

static int command_prove(const struct options *options, struct spec *spec)
{
    static struct proof_row rows[FILES_MAX * 2];
    struct runner_options how = {
        .attach = options->attach, .signal_fd = open_signals(), .progress = isatty(STDERR_FILENO)};
    char error[600];
    unsigned count = 0;
    bool written = true;
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
            bool there = prove_arm(options, &how, spec, options->file[i], arm_of(options) | arms[a],
                                   &rows[count++]);
            written = written && there;
            if (rows[count - 1].result == DRILL_INTERRUPTED)
                i = options->count, a = n;
        }
    }
    if (!options->json)
        prove_print(rows, count, stdout);
    return code_of(prove_exit_code(rows, count, options->all), written);
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

int main(int argc, char **argv)
{
    static struct options options;
    static struct spec spec;
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
    options_parse(&options, argc, argv);
    while (index < COMMANDS && strcmp(commands[index].name, options.verb) != 0)
        index++;
    if (index == COMMANDS)
        errx(EXIT_CONFIGURATION, "%s%s; allowed: run, list, check, prove, walk; try --help",
             *options.verb ? options.verb : "say what to do",
             *options.verb ? ": no such command" : "");
    options_take_files(&options, argc, argv);
    int code = check_files(&options, &spec);
    if (code == 0 && !commands[index].run)
        printf("%u drill files are good\n", options.count);
    return code || !commands[index].run ? code : commands[index].run(&options, &spec);
}
