/* SPDX-License-Identifier: MIT */
/* Rules between the keys of a drill file, what follows from them, and what a server must have. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault_spec.h"
#include "tools/drill/spec_parts.h"

/* Where nothing happens, little time will do. */
#define NO_FAULT_SHORT_S       5.0
#define NO_FAULT_SHORT_WATCH_S 2.0

static int by_time(const void *a, const void *b)
{
    const struct spec_step *first = a, *second = b;
    return first->at_s < second->at_s ? -1 : first->at_s > second->at_s;
}

/* A fault ends with the step that clears it, else by itself. */
static double end_of(const struct spec *spec, const struct spec_step *step)
{
    double end = step->at_s + (step->times - 1) * step->every_s;
    if (step->kind == STEP_ACT && step->act == ACT_LOAD)
        return end + step->duration_s;
    if (step->kind != STEP_FAULT)
        return end;
    for (unsigned i = 0; i < spec->step_count; i++)
        if (spec->step[i].kind == STEP_CLEAR && spec->step[i].at_s >= step->at_s &&
            (strcmp(spec->step[i].id, "all") == 0 || strcmp(spec->step[i].id, step->id) == 0))
            return spec->step[i].at_s;
    return end + step->fault_end_s;
}

void spec_complete(struct spec *spec, unsigned arm)
{
    qsort(spec->step, spec->step_count, sizeof spec->step[0], by_time);
    for (unsigned i = 0; i < spec->step_count; i++)
        spec->step[i].end_s = end_of(spec, &spec->step[i]);
    for (unsigned i = 0; i < spec->step_count; i++)
        spec->method_s = fmax(spec->method_s, spec->step[i].end_s);
    spec->watch_s = spec->step_count ? fmax(spec->recover_s * SPEC_NOISE + 1, 2) : 0;
    if (!(arm & ARM_NO_FAULT))
        return;
    spec->step_count = 0;
    if (arm & ARM_SHORT) {
        spec->method_s = fmin(spec->method_s, NO_FAULT_SHORT_S);
        spec->watch_s = fmin(spec->watch_s, NO_FAULT_SHORT_WATCH_S);
    }
}

/* The number of the worker a step is about; 0, which is always there, when it names none. */
static unsigned worker_of(const struct spec_step *step)
{
    struct fault fault;
    char error[256];
    if (step->kind == STEP_ACT && strncmp(step->target, "worker:", 7) == 0)
        return (unsigned)strtoul(step->target + 7, NULL, 10);
    if (step->kind == STEP_FAULT &&
        fault_spec_parse(step->fault, &fault, error, sizeof error) == 0 &&
        fault.target == FAULT_TARGET_WORKER)
        return fault.slot;
    return 0;
}

static bool has_fault(const struct spec *spec, const char *id)
{
    for (unsigned i = 0; i < spec->step_count; i++)
        if (spec->step[i].kind == STEP_FAULT && strcmp(spec->step[i].id, id) == 0)
            return true;
    return false;
}

static void check_step(struct reader *reader, const struct spec *spec, const struct spec_step *step)
{
    if (step->kind == STEP_ACT && step->act == ACT_FILL && !spec->server.tmpfs_mib)
        fields_fail(reader, "act: fill needs a file system of its own; say server.tmpfs_mib");
    if (step->kind == STEP_CLEAR && strcmp(step->id, "all") != 0 && !has_fault(spec, step->id))
        fields_fail(reader, "clear: no fault has the id \"%s\"; allowed: all, or an id", step->id);
    if (step->kind == STEP_FAULT && !spec->server.faults)
        fields_fail(reader, "fault: needs faults; say server.faults: true");
    if (worker_of(step) >= spec->server.workers)
        fields_fail(reader, "there is no worker %u; allowed: 0 to %u", worker_of(step),
                    spec->server.workers - 1);
}

static void check_steps(struct reader *reader, const struct spec *spec, const char *key,
                        const struct spec_step *step, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        size_t length = fields_enter(reader, key);
        fields_enter_element(reader, i);
        check_step(reader, spec, &step[i]);
        fields_leave(reader, length);
    }
}

void spec_check(struct reader *reader, const struct spec *spec)
{
    if (spec->detect_s > 0 && !*spec->detect_by) {
        fields_enter(reader, "expect");
        fields_enter(reader, "detect_s");
        fields_fail(reader, "say which detector with detect_by");
    }
    check_steps(reader, spec, "method", spec->step, spec->step_count);
    check_steps(reader, spec, "rollbacks", spec->rollback, spec->rollback_count);
}

bool spec_has_faults(const struct spec *spec)
{
    for (unsigned i = 0; i < spec->step_count; i++)
        if (spec->step[i].kind == STEP_FAULT)
            return true;
    return false;
}

double spec_load_s(const struct spec *spec)
{
    return spec->warm_up_s + spec->before_s + spec->method_s + spec->watch_s + spec->after_s;
}

/* What a server that is not the drill's own must not be done to: NULL when there is nothing. */
static const char *why_own_server(const struct spec_step *step)
{
    if (step->kind != STEP_ACT)
        return NULL;
    if (step->act == ACT_START_SUPERVISOR || strcmp(step->target, "supervisor") == 0)
        return "kills or starts a supervisor";
    if (step->act == ACT_DB_DELETE || step->act == ACT_DB_REPLACE)
        return "loses what is in the database";
    return NULL;
}

static int check_step_of_server(const struct spec *spec, const struct spec_step *step,
                                unsigned workers, char *error, size_t error_size)
{
    if (why_own_server(step)) {
        snprintf(error, error_size, "%s: %s: not with --attach", spec->file, why_own_server(step));
        return -1;
    }
    if (worker_of(step) >= workers) {
        snprintf(error, error_size, "%s: the server has no worker %u", spec->file, worker_of(step));
        return -1;
    }
    return 0;
}

int spec_check_server(const struct spec *spec, bool attached, unsigned workers, char *error,
                      size_t error_size)
{
    if (!attached)
        return 0;
    for (unsigned i = 0; i < spec->step_count; i++)
        if (check_step_of_server(spec, &spec->step[i], workers, error, error_size) < 0)
            return -1;
    for (unsigned i = 0; i < spec->rollback_count; i++)
        if (check_step_of_server(spec, &spec->rollback[i], workers, error, error_size) < 0)
            return -1;
    if (spec->server.tmpfs_mib) {
        snprintf(error, error_size, "%s: needs a file system of its own: not with --attach",
                 spec->file);
        return -1;
    }
    return 0;
}
