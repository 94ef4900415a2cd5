/* SPDX-License-Identifier: MIT */
/* Steps of a method: faults, clears and acts. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault_spec.h"
#include "tools/drill/spec_parts.h"

static const char *const act_names[] = {
    "signal",  "db_move", "db_restore", "db_replace",       "db_delete", "lock", "reader",
    "release", "fill",    "reload",     "start_supervisor", "load",      NULL};
_Static_assert(COUNT_OF(act_names) == ACT_COUNT + 1, "a name for each act");
static const char *const signal_names[] = {"KILL", "STOP", "CONT", "TERM", "HUP",
                                           "SEGV", "ABRT", "QUIT", NULL};
static const int signal_numbers[] = {SIGKILL, SIGSTOP, SIGCONT, SIGTERM,
                                     SIGHUP,  SIGSEGV, SIGABRT, SIGQUIT};

const char *act_name(unsigned act)
{
    return act < ACT_COUNT ? act_names[act] : "?";
}

/* What a step says before it is known which kind it is. */
struct raw_step {
    struct spec_step step;
    char fault[256], clear[24], act[24];
};

static void take_load_of_raw(struct reader *reader, const json_t *value, void *object)
{
    spec_take_load(reader, value, &((struct raw_step *)object)->step.load);
}

static const struct field step_fields[] = {
    NUMBER("at_s", raw_step, step.at_s, 0, 3600),
    TEXT("fault", raw_step, fault),
    TEXT("id", raw_step, step.id),
    TEXT("clear", raw_step, clear),
    TEXT("act", raw_step, act),
    TEXT("target", raw_step, step.target),
    CHOICE("signal", raw_step, step.signal, signal_names),
    NUMBER("every_s", raw_step, step.every_s, 0.05, 600),
    COUNT("times", raw_step, step.times, 1, 1000),
    NUMBER("duration_s", raw_step, step.duration_s, 0.1, 600),
    COUNT("keep_mib", raw_step, step.keep_mib, 0, 4096),
    SPECIAL("load", take_load_of_raw),
};

static void check_target(struct reader *reader, const char *target)
{
    static const char *const names[] = {"any",      "all",    "gate",   "supervisor",
                                        "sentinel", "keeper", "console"};
    char *end = NULL;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], target) == 0)
            return;
    if (strncmp(target, "worker:", 7) == 0 && target[7] >= '0' && target[7] <= '9' &&
        strtoul(target + 7, &end, 10) < WORKERS_MAX && *end == '\0')
        return;
    fields_fail(reader,
                "\"%s\": not known; allowed: worker:N, any, all, gate, supervisor, "
                "sentinel, keeper, console",
                target);
}

static void take_act(struct reader *reader, const json_t *value, struct raw_step *raw)
{
    struct spec_step *step = &raw->step;
    size_t length = fields_enter(reader, "act");
    /* kill, stop and cont are the words a person looks for */
    static const struct {
        const char *name;
        unsigned signal;
    } signals[] = {{"kill", 0}, {"stop", 1}, {"cont", 2}};
    step->act = ACT_COUNT;
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        if (strcmp(signals[i].name, raw->act) == 0) {
            step->act = ACT_SIGNAL;
            if (!json_object_get(value, "signal"))
                step->signal = signals[i].signal;
        }
    for (unsigned i = 0; act_names[i]; i++)
        if (strcmp(act_names[i], raw->act) == 0)
            step->act = i;
    if (step->act == ACT_COUNT)
        fields_fail(reader,
                    "\"%s\": no such act; allowed: kill, stop, cont, signal, db_move, "
                    "db_restore, db_replace, db_delete, lock, reader, release, fill, "
                    "reload, start_supervisor, load",
                    raw->act);
    fields_leave(reader, length);
    if (reader->failed)
        return;
    if (step->act == ACT_SIGNAL) {
        length = fields_enter(reader, "target");
        check_target(reader, step->target);
        step->signal = (unsigned)signal_numbers[step->signal];
        fields_leave(reader, length);
    }
    if (step->act == ACT_LOAD && step->duration_s <= 0)
        fields_fail(reader, "duration_s: a load needs one");
}

/* A key that does nothing here was meant to do something. */
static void check_keys(struct reader *reader, const json_t *value, const struct spec_step *step)
{
    bool fault = step->kind == STEP_FAULT, act = step->kind == STEP_ACT;
    const struct {
        const char *key, *whose;
        bool allowed;
    } keys[] = {
        {"id", "a fault", fault},
        {"target", "an act that sends a signal", act && step->act == ACT_SIGNAL},
        {"signal", "an act that sends a signal", act && step->act == ACT_SIGNAL},
        {"every_s", "an act", act},
        {"times", "an act", act},
        {"duration_s", "act load", act && step->act == ACT_LOAD},
        {"load", "act load", act && step->act == ACT_LOAD},
        {"keep_mib", "act fill", act && step->act == ACT_FILL},
    };
    for (size_t i = 0; i < COUNT_OF(keys) && !reader->failed; i++) {
        size_t length = fields_enter(reader, keys[i].key);
        if (json_object_get(value, keys[i].key) && !keys[i].allowed)
            fields_fail(reader, "does nothing here; only %s has one", keys[i].whose);
        fields_leave(reader, length);
    }
}

static void take_fault(struct reader *reader, struct raw_step *raw)
{
    struct fault fault;
    char error[256];
    size_t length = fields_enter(reader, "fault");
    if (fault_spec_parse(raw->fault, &fault, error, sizeof error) < 0) {
        fields_fail(reader, "%s", error);
    } else {
        bool over_at_once = fault_kind_strikes(fault.kind) && !fault.repeat &&
                            !(fault.kind == FAULT_HANG && fault.variant != FAULT_HANG_STOP);
        raw->step.fault_end_s =
            (fault.after_ms + (over_at_once ? 0 : (double)fault.duration_ms)) / 1000;
        snprintf(raw->step.fault, sizeof raw->step.fault, "%s", raw->fault);
    }
    fields_leave(reader, length);
}

void spec_take_step(struct reader *reader, const json_t *value, void *object)
{
    struct raw_step raw = {.step = {.times = 1}};
    fields_take(reader, value, step_fields, COUNT_OF(step_fields), &raw);
    int kinds = (*raw.fault != 0) + (*raw.clear != 0) + (*raw.act != 0);
    if (!reader->failed && kinds != 1)
        fields_fail(reader, "want one of fault, clear and act, not %s", kinds ? "several" : "none");
    if (reader->failed)
        return;
    if (*raw.fault) {
        raw.step.kind = STEP_FAULT;
        take_fault(reader, &raw);
    } else if (*raw.clear) {
        raw.step.kind = STEP_CLEAR;
        snprintf(raw.step.id, sizeof raw.step.id, "%s", raw.clear);
    } else {
        raw.step.kind = STEP_ACT;
        take_act(reader, value, &raw);
    }
    check_keys(reader, value, &raw.step);
    if (!reader->failed && raw.step.times > 1 && raw.step.every_s <= 0)
        fields_fail(reader, "times: needs every_s");
    *(struct spec_step *)object = raw.step;
}

/* Rollbacks are done one after the other when the server may be gone, each once. */
void spec_take_rollback(struct reader *reader, const json_t *value, void *object)
{
    static const char *const when[] = {"at_s", "every_s", "times"};
    struct spec_step *step = object;
    spec_take_step(reader, value, step);
    if (!reader->failed && step->kind != STEP_ACT)
        fields_fail(reader, "want an act; all faults are cleared anyway");
    if (!reader->failed &&
        (step->act == ACT_RELOAD || step->act == ACT_LOAD || step->act == ACT_START_SUPERVISOR)) {
        size_t length = fields_enter(reader, "act");
        fields_fail(reader, "\"%s\": not in rollbacks; allowed: those of signals, files and locks",
                    act_name(step->act));
        fields_leave(reader, length);
    }
    for (size_t i = 0; i < COUNT_OF(when) && !reader->failed; i++) {
        size_t length = fields_enter(reader, when[i]);
        if (json_object_get(value, when[i]))
            fields_fail(reader, "does nothing here; rollbacks are done at the end, once");
        fields_leave(reader, length);
    }
}
