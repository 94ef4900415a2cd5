/* SPDX-License-Identifier: MIT */
#include "tools/drill/runner.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tools/drill/measure.h"
#include "tools/drill/process.h"
#include "tools/drill/truth.h"
#include "tools/drill/turn.h"
#include "tools/drill/verdict.h"

#define LOOK_NS        (20 * NS_PER_MS) /* for a server to come up */
#define READY_LIMIT_NS (30 * NS_PER_S)
#define LOAD_LIMIT_NS  (60 * NS_PER_S) /* until its first second is over: logins are slow */
#define AUDIT_LIMIT_NS (120 * NS_PER_S)
#define STOP_LIMIT_NS  (20 * NS_PER_S)
#define LEAST_WATCH_S  2.0
#define ORPHANS_MS     7000 /* orphans end by themselves within 4 s */

/* ---- phases -------------------------------------------------------------------------------- */

static bool fleet_is_ready(const struct runner *runner)
{
    static struct board board;
    return region_read_board(runner->remote.server.region, &board) && board.configured > 0 &&
           board.ready >= board.configured && board.db_state == DB_STATE_UP;
}

static bool wait_for_server(struct runner *runner)
{
    uint64_t end_ns = clock_now_ns() + READY_LIMIT_NS;
    runner->phase = "preflight";
    while (clock_now_ns() < end_ns) {
        bool there = runner->remote.server.region || turn_open_server(runner);
        if (there && fleet_is_ready(runner))
            return true;
        if (!turn(runner, clock_now_ns() + LOOK_NS))
            return false;
    }
    char line[300];
    house_last_line(&runner->house, line, sizeof line);
    evidence_trouble(runner->evidence, "the server was not ready within %d s: %s",
                     (int)(READY_LIMIT_NS / NS_PER_S),
                     runner->remote.server.region ? line : runner->remote.complaint);
    return false;
}

/* An attached server is as it is: what the drill needs of it, and what it does not give. */
static bool fits(struct runner *runner)
{
    static struct board board;
    static struct config config;
    struct house *house = &runner->house;
    const struct region *region = runner->remote.server.region;
    char error[300];
    if (!region_read_board(region, &board) || !region_read_config(region, &config)) {
        evidence_trouble(runner->evidence, "the server's board cannot be read");
        return false;
    }
    snprintf(house->data_dir, sizeof house->data_dir, "%s", region->header.data_dir);
    snprintf(house->address, sizeof house->address, "%.*s", (int)sizeof house->address - 1,
             board.listener[0].name);
    if (spec_check_server(runner->spec, true, board.configured, error, sizeof error) < 0) {
        evidence_trouble(runner->evidence, "%s", error);
        return false;
    }
    if (spec_has_faults(runner->spec) && !config.faults_enabled) {
        evidence_trouble(runner->evidence, "the server was started without faults: start it with "
                                           "-o faults.enabled=yes");
        return false;
    }
    if (runner->spec->server.override_count > 0)
        turn_tell(runner, false, "attached: the file's server.overrides are not in force");
    return true;
}

static bool learn_of_server(struct runner *runner)
{
    struct house *house = &runner->house;
    char error[300];
    if (!house->own && !fits(runner))
        return false;
    if (house_read_account(house, error, sizeof error) < 0) {
        evidence_trouble(runner->evidence, "%s", error);
        return false;
    }
    runner->prober = prober_open(runner->evidence, house->address);
    if (!runner->prober)
        evidence_trouble(runner->evidence,
                         "the server listens on %s; a drill needs an IPv4 address", house->address);
    return runner->prober != NULL;
}

static bool preflight(struct runner *runner)
{
    char error[400];
    const char *attach = runner->options->attach;
    int made = house_open(&runner->house, runner->spec, attach == NULL, error, sizeof error);
    runner->evidence->skipped = made > 0;
    runner->acts.house = &runner->house;
    if (made == 0 && !attach)
        made = house_start(&runner->house, runner->spec, error, sizeof error);
    if (made != 0) {
        evidence_trouble(runner->evidence, "%s", error);
        return false;
    }
    remote_init(&runner->remote, attach ? attach : runner->house.socket);
    return wait_for_server(runner) && learn_of_server(runner);
}

static bool start_load(struct runner *runner)
{
    char error[300];
    struct load *load = &runner->load[0];
    uint64_t end_ns = clock_now_ns() + LOAD_LIMIT_NS;
    runner->phase = "logging in";
    if (load_start(load, 0, &runner->house, &runner->spec->load, spec_load_s(runner->spec), error,
                   sizeof error) < 0)
        evidence_trouble(runner->evidence, "%s", error);
    while (!load->first_wall_us && !load->ended && clock_now_ns() < end_ns)
        if (!turn(runner, clock_now_ns() + LOOK_NS))
            return false;
    if (load->first_wall_us) {
        runner->evidence->load_ns = evidence_mono_ns(runner->evidence, load->first_wall_us);
        return true;
    }
    if (load->ended)
        load_collect(load, 0, runner->evidence);
    evidence_trouble(runner->evidence, "the load did not begin within %d s",
                     (int)(LOAD_LIMIT_NS / NS_PER_S));
    return false;
}

static uint64_t after(uint64_t ns, double seconds)
{
    return ns + (uint64_t)(seconds * (double)NS_PER_S);
}

static bool steady_before(struct runner *runner)
{
    struct evidence *evidence = runner->evidence;
    char why[256];
    evidence->before_ns = after(evidence->load_ns, runner->spec->warm_up_s);
    uint64_t end_ns = after(evidence->before_ns, runner->spec->before_s);
    if (!turn_until(runner, "warm-up", evidence->before_ns) ||
        !turn_until(runner, "steady before", end_ns))
        return false;
    if (!drill_is_steady(evidence, evidence->before_ns, end_ns, why, sizeof why))
        evidence_trouble(evidence, "not steady before the fault: %s", why);
    return !*evidence->trouble;
}

/* Its length was fixed before that of the recovery was known. Told once: a second SIGINT would end
 * the audit too. */
static void end_load_early(struct runner *runner)
{
    uint64_t planned_ns = after(runner->evidence->load_ns, spec_load_s(runner->spec));
    if (runner->load[0].pid && clock_now_ns() + NS_PER_S < planned_ns)
        kill(runner->load[0].pid, SIGINT);
}

static bool wait_for_loads(struct runner *runner)
{
    end_load_early(runner);
    uint64_t end_ns = clock_now_ns() + AUDIT_LIMIT_NS;
    runner->phase = "audit";
    while (runner->load[0].pid || runner->load[1].pid) {
        if (clock_now_ns() >= end_ns)
            evidence_trouble(runner->evidence, "the load's audit took longer than %d s",
                             (int)(AUDIT_LIMIT_NS / NS_PER_S));
        if (!turn(runner, clock_now_ns() + LOOK_NS))
            return false;
    }
    for (unsigned i = 0; i < SPEC_LOADS; i++)
        if (runner->load[i].started && !load_collect(&runner->load[i], i, runner->evidence))
            return false;
    return true;
}

/* A backup reads every page and checks it (PRAGMA quick_check), on the running server. */
static bool check_integrity(struct runner *runner)
{
    struct evidence *evidence = runner->evidence;
    char program[HOUSE_PATH * 2], file[HOUSE_PATH * 2], output[HOUSE_PATH * 2], words[200];
    uint64_t end_ns = clock_now_ns() + AUDIT_LIMIT_NS;
    if (!runner->spec->integrity)
        return true;
    runner->phase = "integrity";
    process_sister("bulkheadctl", program, sizeof program);
    snprintf(file, sizeof file, "%s/backup.db", runner->house.directory);
    snprintf(output, sizeof output, "%s/backup.txt", runner->house.directory);
    const char *const command[] = {program, "-s", runner->remote.socket, "backup", file, NULL};
    pid_t pid = process_start(
        &(struct process_setup){.words = command, .output = output, .death_signal = SIGKILL});
    if (pid < 0) {
        evidence_trouble(evidence, "%s: %s", program, strerror(-pid));
        return false;
    }
    runner->checker = pid;
    while (runner->checker && clock_now_ns() < end_ns)
        if (!turn(runner, clock_now_ns() + LOOK_NS))
            return false;
    process_last_line(output, words, sizeof words);
    if (runner->checker)
        snprintf(words, sizeof words, "the check was not done within %d s",
                 (int)(AUDIT_LIMIT_NS / NS_PER_S));
    evidence_take_integrity(evidence, !runner->checker && runner->checker_status == 0, words);
    return true;
}

/* Somebody else's method; then the load is told to end early, which audits. */
static bool carry_out_method(struct runner *runner)
{
    struct evidence *evidence = runner->evidence;
    if (!runner->options->method(runner, runner->options->argument))
        return false;
    evidence->clear_ns = evidence->after_ns = evidence->end_ns = clock_now_ns();
    return wait_for_loads(runner) && check_integrity(runner);
}

/* For as long as the recovery may take; when it is there, no longer than it should take. */
static bool watch_recovery(struct runner *runner)
{
    struct evidence *evidence = runner->evidence;
    double seen_s = runner->spec->recover_s > 0 ? runner->spec->recover_s : runner->spec->watch_s;
    uint64_t least_ns = after(evidence->clear_ns, fmax(seen_s, LEAST_WATCH_S));
    runner->phase = "recovery";
    while (clock_now_ns() < evidence->after_ns) {
        if (!turn(runner, clock_now_ns() + LOOK_NS))
            return false;
        if (clock_now_ns() < least_ns || isnan(measure_recovery(evidence, evidence->clear_ns)))
            continue;
        evidence->after_ns = clock_now_ns();
        evidence->end_ns = after(evidence->after_ns, runner->spec->after_s);
    }
    return true;
}

static bool carry_out(struct runner *runner)
{
    struct evidence *evidence = runner->evidence;
    const struct spec *spec = runner->spec;
    if (!start_load(runner) || !steady_before(runner))
        return false;
    /* The dead man's switch is armed before the first fault. */
    if (spec_has_faults(spec) && !remote_ask(&runner->remote, "faults beat", NULL)) {
        evidence_trouble(evidence, "faults beat: %s", runner->remote.complaint);
        return false;
    }
    evidence->fault_ns = clock_now_ns();
    if (runner->options->method)
        return carry_out_method(runner);
    evidence->clear_ns = after(evidence->fault_ns, spec->method_s);
    evidence->after_ns = after(evidence->clear_ns, spec->watch_s);
    evidence->end_ns = after(evidence->after_ns, spec->after_s);
    return turn_until(runner, "fault", evidence->clear_ns) && watch_recovery(runner) &&
           turn_until(runner, "steady after", evidence->end_ns) && wait_for_loads(runner) &&
           check_integrity(runner) &&
           (!runner->options->keep_history || truth_keep_history(evidence, runner->house.console));
}

/* ---- the way back -------------------------------------------------------------------------- */

/* What could not be taken back is told. On a server of the drill's own it goes with the server; one
 * that goes on must not be called whole. */
static void left_over(struct runner *runner, const char *what, const char *why)
{
    char text[sizeof((struct deed *)NULL)->text];
    snprintf(text, sizeof text, "%.40s: %.240s", what, why);
    turn_tell(runner, true, text);
    if (!runner->house.own)
        evidence_trouble(runner->evidence, "not rolled back: %s", text);
}

static void roll_back(struct runner *runner)
{
    char done[300];
    runner->phase = "rollbacks";
    runner->stopping = true;
    if (runner->remote.server.region && spec_has_faults(runner->spec) &&
        runner->evidence->fault_ns && !remote_ask(&runner->remote, "faults clear all", NULL))
        left_over(runner, "faults clear all", runner->remote.complaint);
    for (unsigned i = 0; i < runner->spec->rollback_count; i++)
        if (acts_do(&runner->acts, &runner->spec->rollback[i], done, sizeof done) < 0)
            left_over(runner, act_name(runner->spec->rollback[i].act), done);
    if (acts_undo(&runner->acts, done, sizeof done) < 0)
        left_over(runner, "the way back", done);
    for (unsigned i = 0; i < SPEC_LOADS; i++)
        if (runner->load[i].pid)
            kill(runner->load[i].pid, SIGKILL);
    if (runner->checker)
        kill(runner->checker, SIGKILL);
}

/* A server that does not end when told to, or ends as one that failed, was not well. */
static void judge_end(struct runner *runner, bool waited)
{
    int status = runner->supervisor_status;
    char line[300];
    if (runner->house.supervisor && waited) {
        turn_tell(runner, true, "the supervisor did not end when told to: killed");
        evidence_trouble(runner->evidence, "the supervisor did not end within %d s of a TERM",
                         (int)(STOP_LIMIT_NS / NS_PER_S));
    } else if (!runner->house.supervisor && status != 0) {
        house_last_line(&runner->house, line, sizeof line);
        evidence_trouble(runner->evidence, "told to end, the supervisor ended with %s %d: %s",
                         WIFSIGNALED(status) ? "signal" : "exit code",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), line);
    }
}

static void stop_server(struct runner *runner)
{
    uint64_t end_ns = clock_now_ns() + STOP_LIMIT_NS;
    bool asked = runner->house.supervisor != 0, patient = true;
    runner->acts.region = NULL;
    sampler_attach(runner->sampler, NULL);
    if (asked)
        kill(runner->house.supervisor, SIGTERM);
    while (runner->house.supervisor && patient && clock_now_ns() < end_ns) {
        unsigned before = runner->interrupts;
        turn(runner, clock_now_ns() + LOOK_NS);
        patient = runner->interrupts == before; /* asked again: at once */
    }
    if (asked)
        judge_end(runner, patient);
    if (runner->house.supervisor)
        kill(runner->house.supervisor, SIGKILL);
    unsigned killed = process_end_all(ORPHANS_MS);
    if (killed > 0) {
        char text[64];
        snprintf(text, sizeof text, "%u processes had to be killed at the end", killed);
        turn_tell(runner, true, text);
    }
}

void runner_run(const struct runner_options *options, const struct spec *spec,
                struct evidence *evidence)
{
    struct runner *runner = calloc(1, sizeof *runner);
    if (!runner) {
        evidence_trouble(evidence, "%s", strerror(ENOMEM));
        return;
    }
    *evidence = (struct evidence){
        .spec = spec, .wall_minus_mono_us = clock_wall_us() - clock_now_ns() / NS_PER_US};
    *runner = (struct runner){.options = options, .spec = spec, .evidence = evidence};
    runner->remote.server.pid_fd = -1;
    runner->sampler = sampler_open(evidence);
    process_adopt_orphans();
    if (preflight(runner))
        carry_out(runner);
    roll_back(runner);
    load_keep_rows(&runner->load[0], evidence);
    prober_close(runner->prober);
    runner->prober = NULL;
    stop_server(runner);
    sampler_close(runner->sampler);
    remote_close(&runner->remote);
    house_close(&runner->house);
    if (options->progress)
        fputs("\r\033[K", stderr);
    free(runner);
}
