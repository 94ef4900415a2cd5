/* SPDX-License-Identifier: MIT */
#include "tools/drill/turn.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/drill/process.h"

#define SAMPLE_NS (200 * NS_PER_MS)
#define BEAT_NS   NS_PER_S /* the server forgives 5 */
#define TAIL_NS   (250 * NS_PER_MS)

void turn_tell(struct runner *runner, bool failed, const char *text)
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
    runner->supervisor_status = status;
    if (!runner->stopping && !runner->evidence->supervisor_died_ns)
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
        if (pid == runner->house.supervisor) {
            supervisor_ended(runner, status);
        } else if (pid == runner->checker) {
            runner->checker = 0;
            runner->checker_status = status;
        } else if (!load_ended(runner, pid, status) && !is_holder(runner, pid) && !runner->stopping)
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

bool turn_open_server(struct runner *runner)
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
    turn_tell(runner, false, "a new supervisor is started");
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
    turn_tell(runner, !good, text);
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
    turn_tell(runner, false, text);
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
    turn_tell(runner, !good, "a second load begins");
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
    turn_tell(runner, result < 0, done);
    if (result < 0)
        evidence_trouble(runner->evidence, "act %s: %s", act_name(step->act), done);
}

bool turn_act(struct runner *runner, const struct spec_step *step)
{
    do_act(runner, step);
    return !*runner->evidence->trouble;
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
        if (runner->reopening && turn_open_server(runner))
            runner->reopening = false;
        if (runner->sampler)
            sampler_take(runner->sampler, now_ns);
    }
    if (now_ns >= runner->beat_ns) {
        runner->beat_ns = now_ns + BEAT_NS;
        if (spec_has_faults(runner->spec) && runner->remote.server.region && !runner->reopening &&
            runner->evidence->fault_ns && !runner->stopping)
            remote_beat(&runner->remote);
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

bool turn(struct runner *runner, uint64_t until_ns)
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

bool turn_until(struct runner *runner, const char *phase, uint64_t until_ns)
{
    runner->phase = phase;
    while (clock_now_ns() < until_ns)
        if (!turn(runner, until_ns))
            return false;
    return true;
}
