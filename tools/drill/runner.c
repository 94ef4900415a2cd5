/* SPDX-License-Identifier: MIT */
#include "tools/drill/runner.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/drill/acts.h"
#include "tools/drill/house.h"
#include "tools/drill/load.h"
#include "tools/drill/prober.h"
#include "tools/drill/process.h"
#include "tools/drill/remote.h"
#include "tools/drill/sampler.h"
#include "tools/drill/verdict.h"

#define SAMPLE_NS      (200 * NS_PER_MS)
#define BEAT_NS        NS_PER_S /* the server forgives 5 */
#define TAIL_NS        (250 * NS_PER_MS)
#define LOOK_NS        (20 * NS_PER_MS) /* for a server to come up */
#define READY_LIMIT_NS (30 * NS_PER_S)
#define LOAD_LIMIT_NS  (60 * NS_PER_S) /* until its first second is over: logins are slow */
#define AUDIT_LIMIT_NS (120 * NS_PER_S)
#define STOP_LIMIT_NS  (20 * NS_PER_S)
#define ORPHANS_MS     7000 /* orphans end by themselves within 4 s */

struct runner {
    const struct runner_options *options;
    const struct spec *spec;
    struct evidence *evidence;
    struct house house;
    struct remote remote;
    struct sampler *sampler;
    struct prober *prober;
    struct load load[SPEC_LOADS];
    struct acts acts;
    const char *phase;
    unsigned step; /* under way, from 1; 0 none */
    unsigned interrupts;
    bool stopping, reopening, supervisor_may_end;
    uint64_t sample_ns, beat_ns, tail_ns; /* when each is due */
    unsigned done[SPEC_STEPS];            /* times each step was done */
    unsigned fault_id[SPEC_STEPS];
};

static void tell(struct runner *runner, bool failed, const char *text)
{
    struct deed *deed = evidence_add_deed(runner->evidence, clock_now_ns());
    deed->failed = failed;
    deed->step = runner->step;
    snprintf(deed->text, sizeof deed->text, "%s", text);
}

/* ---- children and signals ------------------------------------------------------------------ */

static void supervisor_ended(struct runner *runner, int status)
{
    char line[300];
    runner->house.supervisor = 0;
    runner->evidence->supervisor_died_ns = clock_now_ns();
    if (runner->stopping || runner->supervisor_may_end)
        return;
    house_last_line(&runner->house, line, sizeof line);
    evidence_trouble(runner->evidence, "the supervisor ended (%s %d): %s",
                     WIFSIGNALED(status) ? "signal" : "exit",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), line);
}

static bool load_ended(struct runner *runner, pid_t pid, int status)
{
    for (unsigned i = 0; i < SPEC_LOADS; i++)
        if (pid == runner->load[i].pid) {
            runner->load[i].pid = 0;
            runner->load[i].ended = true;
            runner->load[i].status = status;
            return true;
        }
    return false;
}

static bool is_holder(const struct runner *runner, pid_t pid)
{
    for (unsigned i = 0; i < HOLDERS_MAX; i++)
        if (runner->acts.holder[i] == pid)
            return true;
    return false;
}

static void reap(struct runner *runner)
{
    int status;
    for (pid_t pid; (pid = process_reap(&status)) > 0;) {
        if (pid == runner->house.supervisor)
            supervisor_ended(runner, status);
        else if (!load_ended(runner, pid, status) && !is_holder(runner, pid) && !runner->stopping)
            runner->evidence->orphans_gone_ns = clock_now_ns(); /* we started no others */
    }
}

static void read_signals(struct runner *runner)
{
    struct signalfd_siginfo info;
    while (read(runner->options->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD) {
            runner->interrupts++;
            runner->evidence->interrupted = true;
        }
    reap(runner);
}

/* ---- the server ---------------------------------------------------------------------------- */

static bool fleet_is_ready(const struct runner *runner)
{
    static struct board board;
    return region_read_board(runner->remote.server.region, &board) && board.configured > 0 &&
           board.ready >= board.configured && board.db_state == DB_STATE_UP;
}

/* The server that answers is the one meant, and not its predecessor's orphans. */
static bool open_server(struct runner *runner)
{
    if (!remote_open(&runner->remote))
        return false;
    if (runner->house.own && runner->remote.server.pid != runner->house.supervisor) {
        remote_close(&runner->remote);
        return false;
    }
    runner->acts.region = runner->remote.server.region;
    sampler_attach(runner->sampler, runner->remote.server.region);
    return true;
}

static void start_supervisor(struct runner *runner)
{
    char error[300];
    if (house_start(&runner->house, runner->spec, error, sizeof error) < 0) {
        evidence_trouble(runner->evidence, "%s", error);
        return;
    }
    runner->reopening = true;
    tell(runner, false, "a new supervisor is started");
}

/* ---- the method ---------------------------------------------------------------------------- */

static void set_fault(struct runner *runner, unsigned index)
{
    const struct spec_step *step = &runner->spec->step[index];
    struct answer answer = {0};
    char request[300], text[300];
    snprintf(request, sizeof request, "faults set %s", step->fault);
    bool good = remote_ask(&runner->remote, request, &answer);
    if (good)
        sscanf(answer.text, "fault %u", &runner->fault_id[index]);
    else
        evidence_trouble(runner->evidence, "faults set %s: %s", step->fault,
                         runner->remote.complaint);
    snprintf(text, sizeof text, "fault: %s", step->fault);
    tell(runner, !good, text);
}

static void clear_faults(struct runner *runner, const struct spec_step *clear)
{
    bool all = strcmp(clear->id, "all") == 0;
    char request[64], text[64];
    if (all)
        remote_ask(&runner->remote, "faults clear all", NULL);
    for (unsigned i = 0; !all && i < runner->spec->step_count; i++) {
        if (runner->spec->step[i].kind != STEP_FAULT || !runner->fault_id[i] ||
            strcmp(runner->spec->step[i].id, clear->id) != 0)
            continue;
        snprintf(request, sizeof request, "faults clear %u", runner->fault_id[i]);
        remote_ask(&runner->remote, request, NULL); /* it may be over already */
    }
    snprintf(text, sizeof text, "clear: %s", clear->id);
    tell(runner, false, text);
}

static void start_second_load(struct runner *runner, const struct spec_step *step)
{
    char error[300];
    bool good =
        !runner->load[1].started && load_start(&runner->load[1], 1, &runner->house, &step->load,
                                               step->duration_s, error, sizeof error) == 0;
    if (!good)
        evidence_trouble(runner->evidence, "second load: %s",
                         runner->load[1].started ? "one runs already" : error);
    tell(runner, !good, "a second load begins");
}

static void do_act(struct runner *runner, const struct spec_step *step)
{
    char done[300] = "";
    int result = 0;
    if (step->act == ACT_START_SUPERVISOR) {
        start_supervisor(runner);
        return;
    }
    if (step->act == ACT_LOAD) {
        start_second_load(runner, step);
        return;
    }
    if (step->act == ACT_RELOAD) {
        result = remote_ask(&runner->remote, "reload", NULL) ? 0 : -1;
        snprintf(done, sizeof done, "reload%s%.250s", result ? ": " : "",
                 result ? runner->remote.complaint : "");
    } else {
        runner->supervisor_may_end =
            runner->supervisor_may_end || strcmp(step->target, "supervisor") == 0;
        result = acts_do(&runner->acts, step, done, sizeof done);
    }
    tell(runner, result < 0, done);
    if (result < 0)
        evidence_trouble(runner->evidence, "act %s: %s", act_name(step->act), done);
}

/* When step i is next to be done; UINT64_MAX: not any more. */
static uint64_t step_due_ns(const struct runner *runner, unsigned i)
{
    const struct spec_step *step = &runner->spec->step[i];
    if (!runner->evidence->fault_ns || runner->done[i] >= step->times)
        return UINT64_MAX;
    double at_s = step->at_s + runner->done[i] * step->every_s;
    return runner->evidence->fault_ns + (uint64_t)(at_s * (double)NS_PER_S);
}

static void do_steps(struct runner *runner, uint64_t now_ns)
{
    for (unsigned i = 0; i < runner->spec->step_count && !*runner->evidence->trouble; i++) {
        const struct spec_step *step = &runner->spec->step[i];
        if (now_ns < step_due_ns(runner, i))
            continue;
        runner->done[i]++;
        runner->step = i + 1;
        if (step->kind == STEP_FAULT)
            set_fault(runner, i);
        else if (step->kind == STEP_CLEAR)
            clear_faults(runner, step);
        else
            do_act(runner, step);
        runner->step = 0;
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void show(const struct runner *runner, uint64_t now_ns)
{
    const struct evidence *evidence = runner->evidence;
    const struct load *load = &runner->load[0];
    double elapsed_s = evidence->load_ns && now_ns > evidence->load_ns
                           ? (double)(now_ns - evidence->load_ns) / (double)NS_PER_S
                           : 0;
    if (runner->options->progress)
        fprintf(stderr, "\r\033[K%s  %s  %.0f of %.0f s  %.0f/s  errors %.0f", runner->spec->name,
                runner->phase, elapsed_s, spec_load_s(runner->spec), load->ok, load->failed);
}

static void do_periodic(struct runner *runner, uint64_t now_ns)
{
    if (now_ns >= runner->sample_ns) {
        runner->sample_ns = now_ns + SAMPLE_NS;
        if (runner->reopening && open_server(runner))
            runner->reopening = false;
        if (runner->sampler)
            sampler_take(runner->sampler, now_ns);
    }
    if (now_ns >= runner->beat_ns) {
        runner->beat_ns = now_ns + BEAT_NS;
        if (runner->spec->server.faults && runner->remote.server.region && !runner->reopening &&
            runner->evidence->fault_ns && !runner->stopping)
            remote_ask(&runner->remote, "faults beat", NULL);
    }
    if (now_ns >= runner->tail_ns) {
        runner->tail_ns = now_ns + TAIL_NS;
        load_tail(&runner->load[0]);
        show(runner, now_ns);
    }
    if (runner->prober)
        prober_step(runner->prober, now_ns);
}

static uint64_t earliest(const struct runner *runner, uint64_t until_ns)
{
    uint64_t due = until_ns;
    const uint64_t others[] = {runner->sample_ns, runner->beat_ns, runner->tail_ns};
    for (unsigned i = 0; i < 3; i++)
        due = others[i] < due ? others[i] : due;
    for (unsigned i = 0; i < runner->spec->step_count; i++)
        due = step_due_ns(runner, i) < due ? step_due_ns(runner, i) : due;
    if (runner->prober && prober_due_ns(runner->prober) < due)
        due = prober_due_ns(runner->prober);
    return due;
}

/* Wait for the next thing, at most until then, and do it. False when the drill is over. */
static bool turn(struct runner *runner, uint64_t until_ns)
{
    struct pollfd fds[2] = {{.fd = runner->options->signal_fd, .events = POLLIN}, {.fd = -1}};
    if (runner->prober)
        fds[1] = prober_poll(runner->prober);
    poll(fds, 2, clock_ms_until(earliest(runner, until_ns), clock_now_ns(), 1000));
    if (fds[0].revents)
        read_signals(runner);
    uint64_t now_ns = clock_now_ns();
    if (!runner->stopping)
        do_steps(runner, now_ns);
    do_periodic(runner, clock_now_ns());
    return !runner->interrupts && !*runner->evidence->trouble;
}

static bool run_until(struct runner *runner, const char *phase, uint64_t until_ns)
{
    runner->phase = phase;
    while (clock_now_ns() < until_ns)
        if (!turn(runner, until_ns))
            return false;
    return true;
}

/* ---- phases -------------------------------------------------------------------------------- */

static bool wait_for_server(struct runner *runner)
{
    uint64_t end_ns = clock_now_ns() + READY_LIMIT_NS;
    runner->phase = "preflight";
    while (clock_now_ns() < end_ns) {
        bool there = runner->remote.server.region || open_server(runner);
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

/* What an attached server can tell of itself. */
static bool learn_of_server(struct runner *runner)
{
    static struct board board;
    struct house *house = &runner->house;
    const struct region *region = runner->remote.server.region;
    char error[300];
    if (!house->own) {
        region_read_board(region, &board);
        snprintf(house->data_dir, sizeof house->data_dir, "%s", region->header.data_dir);
        snprintf(house->address, sizeof house->address, "%.*s", (int)sizeof house->address - 1,
                 board.listener[0].name);
        if (spec_check_server(runner->spec, true, board.configured, error, sizeof error) < 0) {
            evidence_trouble(runner->evidence, "%s", error);
            return false;
        }
    }
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
    if (!run_until(runner, "warm-up", evidence->before_ns) ||
        !run_until(runner, "steady before", end_ns))
        return false;
    if (!drill_is_steady(evidence, evidence->before_ns, end_ns, why, sizeof why))
        evidence_trouble(evidence, "not steady before the fault: %s", why);
    return !*evidence->trouble;
}

static bool wait_for_loads(struct runner *runner)
{
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

static bool carry_out(struct runner *runner)
{
    struct evidence *evidence = runner->evidence;
    const struct spec *spec = runner->spec;
    if (!start_load(runner) || !steady_before(runner))
        return false;
    evidence->fault_ns = clock_now_ns();
    evidence->clear_ns = after(evidence->fault_ns, spec->method_s);
    evidence->after_ns = after(evidence->clear_ns, spec->watch_s);
    evidence->end_ns = after(evidence->after_ns, spec->after_s);
    runner->beat_ns = 0; /* the dead man's switch is armed before the first fault */
    return run_until(runner, "fault", evidence->clear_ns) &&
           run_until(runner, "recovery", evidence->after_ns) &&
           run_until(runner, "steady after", evidence->end_ns) && wait_for_loads(runner);
}

/* ---- the way back -------------------------------------------------------------------------- */

static void roll_back(struct runner *runner)
{
    char done[300];
    runner->phase = "rollbacks";
    runner->stopping = true;
    if (runner->remote.server.region && runner->spec->server.faults && runner->evidence->fault_ns)
        remote_ask(&runner->remote, "faults clear all", NULL);
    for (unsigned i = 0; i < runner->spec->rollback_count; i++)
        if (runner->spec->rollback[i].kind == STEP_ACT)
            acts_do(&runner->acts, &runner->spec->rollback[i], done, sizeof done);
    acts_undo(&runner->acts);
    for (unsigned i = 0; i < SPEC_LOADS; i++)
        if (runner->load[i].pid)
            kill(runner->load[i].pid, SIGKILL);
}

static void stop_server(struct runner *runner)
{
    uint64_t end_ns = clock_now_ns() + STOP_LIMIT_NS;
    runner->acts.region = NULL;
    sampler_attach(runner->sampler, NULL);
    if (runner->house.supervisor)
        kill(runner->house.supervisor, SIGTERM);
    while (runner->house.supervisor && clock_now_ns() < end_ns) {
        unsigned before = runner->interrupts;
        turn(runner, clock_now_ns() + LOOK_NS);
        if (runner->interrupts > before)
            break; /* asked again: at once */
    }
    if (runner->house.supervisor)
        kill(runner->house.supervisor, SIGKILL);
    unsigned killed = process_end_all(ORPHANS_MS);
    if (killed > 0) {
        char text[64];
        snprintf(text, sizeof text, "%u processes had to be killed at the end", killed);
        tell(runner, true, text);
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
