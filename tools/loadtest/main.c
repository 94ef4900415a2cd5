/* SPDX-License-Identifier: MIT */
/*
 * loadtest: its life on one screen. Options, accounts, the server's address, login, preparation,
 * the run, the audit, the result.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/exit_codes.h"
#include "tools/loadtest/audit.h"
#include "tools/loadtest/hook.h"
#include "tools/loadtest/memory.h"
#include "tools/loadtest/options.h"
#include "tools/loadtest/report.h"
#include "tools/loadtest/report_html.h"
#include "tools/loadtest/result.h"
#include "tools/loadtest/run.h"
#include "tools/loadtest/summary.h"

#define OTHER_DESCRIPTORS 32
#define EVENTS_BEFORE_S   2.0 /* what led to the beginning */

static void raise_descriptor_limit(const struct options *options)
{
    unsigned connections = options->connections + PROBE_CONNECTIONS;
    for (int kind = 0; kind < SLOW_KINDS; kind++)
        connections += options->slow[kind];
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        warn("raising the limit of descriptors");
    if (limit.rlim_cur < connections + OTHER_DESCRIPTORS)
        errx(EXIT_CONFIGURATION,
             "%u connections: this process may have %llu descriptors open; "
             "raise `ulimit -n` or ask for fewer",
             connections, (unsigned long long)limit.rlim_cur);
}

static void read_accounts(const struct options *options, struct accounts *accounts)
{
    unsigned line = 0;
    if (options->get) {
        accounts_nobody(accounts);
        return;
    }
    if (options->password_stdin) {
        if (accounts_read_password(accounts, options->user, stdin) < 0)
            errx(EXIT_CONFIGURATION, "no usable password on standard input: one line, 1 to 1024 "
                                     "bytes, for a user name of 1 to 64");
        return;
    }
    if (accounts_read(accounts, stdin, options->users, &line) < 0)
        errx(EXIT_CONFIGURATION,
             line ? "standard input, line %u: not name:password"
                  : "no line name:password on standard input",
             line);
    if (options->users > accounts->count)
        errx(EXIT_CONFIGURATION, "--users %u: standard input had %u accounts", options->users,
             accounts->count);
}

static void describe(const struct outcome *outcome, char *out, size_t size)
{
    if (outcome->status)
        snprintf(out, size, "%s%d",
                 outcome->cause == CAUSE_HTTP ? "answer " : "no sense in answer ", outcome->status);
    else
        snprintf(out, size, "%s", cause_name(outcome->cause));
}

/* Log in, mark and prepare. 0 or the exit code. */
static int make_ready(struct run *run, struct audit *audit)
{
    unsigned failed = 0;
    struct outcome outcome = {0};
    char why[64];
    int error = run->options->get ? 0 : session_login(run->engine, run->accounts, &failed);
    if (error == -EACCES) {
        describe(&run->accounts->all[failed].login_outcome, why, sizeof why);
        warnx("login of %s failed: %s", run->accounts->all[failed].name,
              strcmp(why, "none") == 0 ? "no usable token in the answer" : why);
        return EXIT_TEMPORARY;
    }
    if (!error && audit)
        error = audit_mark(audit, &outcome);
    if (!error)
        error = run_prepare(run, &outcome);
    if (error == -EINTR) {
        warnx("interrupted before the run began");
        return LOADTEST_INTERRUPTED;
    }
    if (error) {
        describe(&outcome, why, sizeof why);
        warnx("the server is not ready for a run: %s", why);
        return EXIT_TEMPORARY;
    }
    return 0;
}

/* What the server did meanwhile, if somebody wrote it down. */
static void read_events(const struct result *result, struct report_events *events)
{
    const char *path = result->options->events;
    *events = (struct report_events){0};
    if (!path)
        return;
    FILE *file = fopen(path, "re");
    if (!file) {
        warn("--events %s: the report has no events", path);
        return;
    }
    report_events_read(events, file, result->start_wall_us, EVENTS_BEFORE_S, result->elapsed_s);
    fclose(file);
    if (events->skipped > 0)
        warnx("--events %s: %u lines are no events", path, events->skipped);
}

static void write_page(struct report *report, const struct result *result)
{
    struct report_events events;
    FILE *page = report_create(report, "report.html");
    if (!page)
        return;
    read_events(result, &events);
    report_html(page, result, report_timeline(report), &events);
    report_events_free(&events);
    bool failed = ferror(page) != 0;
    if (fclose(page) != 0 || failed)
        report_broken(report);
}

/* True when the audit is not to begin: Ctrl-C came twice, or while the command ran, which it ends
 * as well as telling us. *failed: the command failed of itself. */
static bool run_hook(const struct run *run, bool *failed)
{
    const char *command = run->options->before_audit;
    unsigned interrupts = engine_interrupts(run->engine);
    *failed = false;
    if (!command || interrupts >= 2)
        return interrupts >= 2;
    int error = hook_run(command);
    engine_count_signals(run->engine);
    bool interrupted = engine_interrupts(run->engine) > interrupts;
    *failed = error < 0 && !interrupted;
    return interrupted;
}

static int conclude(const struct run *run, struct audit *audit, bool interrupted)
{
    struct result *result = memory_zeroed(1, sizeof *result);
    char *json = memory_zeroed(SUMMARY_BYTES, 1);
    uint64_t sending_ns = run->stop_ns - run->start_ns;
    *result = (struct result){
        .options = run->options,
        .statistics = run->statistics,
        .profile = run->profile,
        .ledger = run->ledger,
        .users = run->accounts->count,
        .start_wall_us = run->start_wall_us,
        .sending_ns = sending_ns,
        .sending_s = (double)sending_ns / (double)NS_PER_S,
        .elapsed_s = (double)(run->finish_ns - run->start_ns) / (double)NS_PER_S,
        .cpu_share = (double)run->cpu_ns / (double)sending_ns,
        .starved_share = (double)run->starved_ns / (double)sending_ns,
        .unfinished = run->in_flight,
        .connections_opened = engine_connections_opened(run->engine),
        .load_interrupted = run->interrupted,
        .audit = AUDIT_SKIPPED,
    };
    if (audit)
        result->audit = interrupted
                            ? AUDIT_INTERRUPTED
                            : audit_run(audit, &result->list_complete, &result->audit_failure);
    result->interrupted = engine_interrupts(run->engine) > 0;
    profile_result_conclude(run->profile, run->options, sending_ns);
    result_conclude(result);
    summary_json(result, json, SUMMARY_BYTES);
    report_summary(run->report, json);
    write_page(run->report, result);
    if (run->options->json)
        puts(json);
    else
        summary_table(result, stdout);
    int exit_code = result->exit_code;
    free(json);
    free(result);
    return exit_code;
}

static struct engine *open_engine(const struct options *options, const struct accounts *accounts,
                                  struct ledger *ledger, struct statistics *statistics)
{
    return engine_open(&(struct engine_settings){
        .target = &options->target,
        .accounts = accounts->all,
        .ledger = ledger,
        .statistics = statistics,
        .policy = options->retry,
        .drop_late = !options->closed,
        .connections = options->connections,
        .timeout_ns = options->timeout_ns,
        .seed = options->plan.seed,
    });
}

int main(int argc, char **argv)
{
    struct options options;
    struct accounts accounts = {0};
    options_parse(&options, argc, argv);
    read_accounts(&options, &accounts);
    raise_descriptor_limit(&options);
    bool show_progress = isatty(STDERR_FILENO);

    int error = target_resolve(&options.target);
    if (error)
        errx(EXIT_TEMPORARY, "%s: %s", options.url,
             error == -ENXIO ? "no such host" : strerror(-error));
    struct statistics *statistics = memory_zeroed(1, sizeof *statistics);
    struct report *report =
        report_open(options.out, statistics, options.plan.duration_ns, show_progress);
    if (!report)
        err(EXIT_TEMPORARY, "--out %s", options.out);

    struct ledger *ledger = ledger_open();
    struct engine *engine = open_engine(&options, &accounts, ledger, statistics);
    struct profile_result profile;
    profile_result_open(&profile, &options);
    struct run run = {
        .profile = &profile,
        .options = &options,
        .engine = engine,
        .accounts = &accounts,
        .ledger = ledger,
        .statistics = statistics,
        .report = report,
    };
    struct audit *audit = options.audit ? audit_open(engine, &accounts, show_progress) : NULL;
    int exit_code = make_ready(&run, audit);
    if (exit_code == 0) {
        bool hook_failed;
        run_load(&run);
        bool interrupted = run_hook(&run, &hook_failed);
        exit_code = hook_failed ? EXIT_TEMPORARY : conclude(&run, audit, interrupted);
        if (!hook_failed && (!report_written(report) || fflush(stdout) != 0)) {
            warnx("the report could not be written completely");
            exit_code = exit_code ? exit_code : EXIT_TEMPORARY;
        }
    }

    if (audit)
        audit_close(audit);
    engine_close(engine);
    ledger_close(ledger);
    report_close(report);
    profile_result_close(&profile);
    accounts_free(&accounts);
    free(statistics);
    return exit_code;
}
