/* SPDX-License-Identifier: MIT */
#include "tools/drill/spec.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/fault_spec.h"
#include "tools/drill/fields.h"

#define FILE_LIMIT      (64 * 1024)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const act_names[] = {
    "signal",  "db_move", "db_restore", "db_replace",       "db_delete", "lock", "reader",
    "release", "fill",    "reload",     "start_supervisor", "load",      NULL};
_Static_assert(COUNT_OF(act_names) == ACT_COUNT + 1, "a name for each act");
static const char *const window_names[] = {"fault", "before", "after", "all", NULL};
static const char *const mode_names[] = {"edge", "continuous", NULL};
static const char *const level_names[] = {"must", "should", NULL};
static const char *const operator_names[] = {"<", "<=", "==", "!=", ">=", ">", NULL};
static const char *const signal_names[] = {"KILL", "STOP", "CONT", "TERM", "HUP",
                                           "SEGV", "ABRT", "QUIT", NULL};
static const int signal_numbers[] = {SIGKILL, SIGSTOP, SIGCONT, SIGTERM,
                                     SIGHUP,  SIGSEGV, SIGABRT, SIGQUIT};

const char *act_name(unsigned act)
{
    return act < ACT_COUNT ? act_names[act] : "?";
}

const char *window_name(unsigned window)
{
    return window < DURING_COUNT ? window_names[window] : "?";
}

/* ---- the tables ---------------------------------------------------------------------------- */

#define TEXT(word, of, member)                                                  \
    {                                                                           \
        .key = word, .type = FIELD_TEXT, .offset = offsetof(struct of, member), \
        .size = sizeof((struct of *)NULL)->member                               \
    }
#define NUMBER(word, of, member, from, to)                                                       \
    {                                                                                            \
        .key = word, .type = FIELD_NUMBER, .offset = offsetof(struct of, member), .least = from, \
        .most = to                                                                               \
    }
#define COUNT(word, of, member, from, to)                                                       \
    {                                                                                           \
        .key = word, .type = FIELD_COUNT, .offset = offsetof(struct of, member), .least = from, \
        .most = to                                                                              \
    }
#define FLAG(word, of, member)                                                 \
    {                                                                          \
        .key = word, .type = FIELD_FLAG, .offset = offsetof(struct of, member) \
    }
#define CHOICE(word, of, member, names)                                                            \
    {                                                                                              \
        .key = word, .type = FIELD_CHOICE, .offset = offsetof(struct of, member), .choices = names \
    }
#define SPECIAL(word, function)                                 \
    {                                                           \
        .key = word, .type = FIELD_SPECIAL, .special = function \
    }

static const struct field load_fields[] = {
    TEXT("profile", spec_load, profile),
    TEXT("mix", spec_load, mix),
    TEXT("arrivals", spec_load, arrivals),
    TEXT("retry", spec_load, retry),
    NUMBER("rps", spec_load, rps, 0.1, 100000),
    NUMBER("timeout_s", spec_load, timeout_s, 0.01, 600),
    COUNT("attempts", spec_load, attempts, 1, 100),
    COUNT("connections", spec_load, connections, 1, 60000),
    COUNT("users", spec_load, users, 1, 10000),
    COUNT("seed", spec_load, seed, 1, 1e9),
    FLAG("no_audit", spec_load, no_audit),
    FLAG("allow_429", spec_load, allow_429),
    TEXT("more", spec_load, more),
};

static void take_load(struct reader *reader, const json_t *value, void *object)
{
    fields_take(reader, value, load_fields, COUNT_OF(load_fields), object);
}

static void take_load_of_spec(struct reader *reader, const json_t *value, void *object)
{
    take_load(reader, value, &((struct spec *)object)->load);
}

static void take_load_of_step(struct reader *reader, const json_t *value, void *object)
{
    take_load(reader, value, &((struct spec_step *)object)->load);
}

static void take_overrides(struct reader *reader, const json_t *value, void *object)
{
    struct spec_server *server = object;
    static struct config config; /* large; only to hear config_set's opinion */
    const char *key;
    json_t *text;
    char error[256];
    if (!json_is_object(value))
        fields_fail(reader, "want an object of configuration keys");
    config_defaults(&config);
    json_object_foreach((json_t *)value, key, text)
    {
        size_t length = fields_enter(reader, key);
        char plain[64];
        if (json_is_integer(text))
            snprintf(plain, sizeof plain, "%lld", (long long)json_integer_value(text));
        else
            snprintf(plain, sizeof plain, "%s",
                     json_string_value(text) ? json_string_value(text) : "");
        if (!json_is_integer(text) && !json_is_string(text))
            fields_fail(reader, "want a text or a whole number");
        else if (server->override_count == SPEC_OVERRIDES)
            fields_fail(reader, "more than %d overrides", SPEC_OVERRIDES);
        else if (strcmp(key, "listen") == 0 || strcmp(key, "console.listen") == 0 ||
                 strcmp(key, "data_dir") == 0 || strcmp(key, "faults.enabled") == 0)
            fields_fail(reader, "is the drill's own business%s",
                        *key == 'f' ? "; say server.faults" : "");
        else if (config_set(&config, key, plain, error, sizeof error) < 0)
            fields_fail(reader, "%s", error);
        else {
            struct spec_override *override = &server->override[server->override_count++];
            snprintf(override->key, sizeof override->key, "%s", key);
            snprintf(override->value, sizeof override->value, "%s", plain);
        }
        fields_leave(reader, length);
        if (reader->failed)
            return;
    }
    if (config_check(&config, error, sizeof error) < 0)
        fields_fail(reader, "%s", error);
}

static const struct field server_fields[] = {
    COUNT("workers", spec_server, workers, 1, WORKERS_MAX),
    FLAG("faults", spec_server, faults),
    COUNT("tmpfs_mib", spec_server, tmpfs_mib, 1, 4096),
    SPECIAL("overrides", take_overrides),
};

static void take_server(struct reader *reader, const json_t *value, void *object)
{
    fields_take(reader, value, server_fields, COUNT_OF(server_fields),
                &((struct spec *)object)->server);
}

/* A probe while it is read: the expression needs the spec's selectors. */
struct raw_probe {
    char text[EXPRESSION_TEXT];
    struct spec_probe probe;
    unsigned mode, level;
};

static const struct field probe_fields[] = {
    {.key = "probe",
     .type = FIELD_TEXT,
     .offset = offsetof(struct raw_probe, text),
     .size = EXPRESSION_TEXT,
     .required = true},
    {.key = "op",
     .type = FIELD_CHOICE,
     .offset = offsetof(struct raw_probe, probe.op),
     .choices = operator_names,
     .required = true},
    {.key = "limit",
     .type = FIELD_NUMBER,
     .offset = offsetof(struct raw_probe, probe.limit),
     .least = -1e12,
     .most = 1e12,
     .required = true},
    {.key = "noise",
     .type = FIELD_NUMBER,
     .offset = offsetof(struct raw_probe, probe.noise),
     .least = 0.1,
     .most = 10},
    CHOICE("mode", raw_probe, mode, mode_names),
    CHOICE("level", raw_probe, level, level_names),
    {.key = "during",
     .type = FIELD_CHOICE,
     .offset = offsetof(struct raw_probe, probe.during),
     .choices = window_names},
    {.key = "from_s",
     .type = FIELD_NUMBER,
     .offset = offsetof(struct raw_probe, probe.from_s),
     .least = 0,
     .most = 3600},
    {.key = "to_s",
     .type = FIELD_NUMBER,
     .offset = offsetof(struct raw_probe, probe.to_s),
     .least = 0.5,
     .most = 3600},
};

/* A bound from above on time or a share is one of behaviour; others are as they are said. */
static double preset_noise(const struct spec_probe *probe)
{
    return probe->op == LESS || probe->op == LESS_EQUAL ? SPEC_NOISE : 1;
}

/* The edge window of a probe of load.* is the whole run anyway. */
static void take_probe(struct reader *reader, const json_t *value, struct spec *spec)
{
    struct raw_probe raw = {0};
    char error[256];
    fields_take(reader, value, probe_fields, COUNT_OF(probe_fields), &raw);
    if (reader->failed)
        return;
    struct spec_probe *probe = &spec->probe[spec->probe_count++];
    *probe = raw.probe;
    probe->continuous = raw.mode == 1;
    probe->should = raw.level == 1;
    if (!json_object_get(value, "noise"))
        probe->noise = preset_noise(probe);
    if (probe->to_s > 0 ? probe->from_s >= probe->to_s : probe->from_s > 0)
        fields_fail(reader, "from_s: needs a to_s after it");
    size_t length = fields_enter(reader, "probe");
    if (expression_parse(&probe->value, raw.text, false, &spec->selectors, error, sizeof error) < 0)
        fields_fail(reader, "%s", error);
    for (unsigned i = 0; probe->continuous && i < probe->value.count; i++)
        if (probe->value.node[i].kind == NODE_PATH &&
            strncmp(probe->value.node[i].path, "health.", 7) != 0)
            fields_fail(reader,
                        "%s is known at the end alone; allowed with mode continuous: metrics, "
                        "health.*",
                        probe->value.node[i].path);
    fields_leave(reader, length);
}

static void take_hypothesis(struct reader *reader, const json_t *value, void *object)
{
    if (!json_is_array(value) || json_array_size(value) > SPEC_PROBES)
        fields_fail(reader, "want a list of at most %d probes", SPEC_PROBES);
    for (size_t i = 0; i < json_array_size(value) && !reader->failed; i++) {
        size_t length = fields_enter_element(reader, i);
        take_probe(reader, json_array_get(value, i), object);
        fields_leave(reader, length);
    }
}

/* ---- the method ---------------------------------------------------------------------------- */

/* What a step says before it is known which kind it is. */
struct raw_step {
    struct spec_step step;
    char fault[256], clear[24], act[24];
};

static void take_load_of_raw(struct reader *reader, const json_t *value, void *object)
{
    take_load_of_step(reader, value, &((struct raw_step *)object)->step);
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
    } else if (*step->target) {
        fields_fail(reader, "target: only acts that send a signal have one");
    }
    if (step->act == ACT_LOAD && step->duration_s <= 0)
        fields_fail(reader, "duration_s: a load needs one");
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

static void take_step(struct reader *reader, const json_t *value, void *object)
{
    struct raw_step raw = {.step = {.times = 1}};
    fields_take(reader, value, step_fields, COUNT_OF(step_fields), &raw);
    int kinds = (*raw.fault != 0) + (*raw.clear != 0) + (*raw.act != 0);
    if (!reader->failed && kinds != 1)
        fields_fail(reader, "want one of fault, clear and act, not %s", kinds ? "several" : "none");
    if (reader->failed)
        return;
    if (raw.step.times > 1 && raw.step.every_s <= 0)
        fields_fail(reader, "times: needs every_s");
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
    *(struct spec_step *)object = raw.step;
}

static void take_method(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    spec->step_count =
        fields_take_array(reader, value, SPEC_STEPS, take_step, spec->step, sizeof spec->step[0]);
}

static void take_rollbacks(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    spec->rollback_count = fields_take_array(reader, value, SPEC_STEPS, take_step, spec->rollback,
                                             sizeof spec->rollback[0]);
}

/* ---- what is expected ---------------------------------------------------------------------- */

static void take_scope(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    spec->scope_given = true;
    if (!json_is_array(value) || json_array_size(value) > SPEC_SCOPE) {
        fields_fail(reader, "want a list of compartments");
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        static const char *const names[] = {"health", "auth", "read", "write", "worker:any"};
        const char *name = json_string_value(json_array_get(value, i));
        bool known = name && strncmp(name, "worker:", 7) == 0 && name[7] >= '0' && name[7] <= '9' &&
                     strlen(name) < 10;
        for (size_t n = 0; name && n < COUNT_OF(names); n++)
            known = known || strcmp(name, names[n]) == 0;
        if (!known) {
            size_t length = fields_enter_element(reader, i);
            fields_fail(reader, "no compartment; allowed: health, auth, read, write, worker:N, "
                                "worker:any");
            fields_leave(reader, length);
            return;
        }
        snprintf(spec->scope[spec->scope_count++], sizeof spec->scope[0], "%s", name);
    }
}

static void take_detect_by(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    const char *name = json_string_value(value);
    bool known = name && (strcmp(name, "degraded") == 0 || strcmp(name, "verdict") == 0 ||
                          strcmp(name, "breaker") == 0);
    for (unsigned i = 0; name && i < EVENT_COUNT; i++)
        known = known || strcmp(name, event_name(i)) == 0;
    if (known)
        snprintf(spec->detect_by, sizeof spec->detect_by, "%s", name);
    else
        fields_fail(reader,
                    "%s: no detector; allowed: degraded, verdict, breaker, or the name of "
                    "an event",
                    name ? name : "?");
}

static const struct field expect_fields[] = {
    NUMBER("detect_s", spec, detect_s, 0.001, 600),
    SPECIAL("detect_by", take_detect_by),
    NUMBER("recover_s", spec, recover_s, 0.001, 600),
    NUMBER("lost_acked", spec, lost_acked, 0, 1e9),
    SPECIAL("blast_radius", take_scope),
    NUMBER("leakage_points", spec, leakage, 0.01, 100),
};

static void take_expect(struct reader *reader, const json_t *value, void *object)
{
    fields_take(reader, value, expect_fields, COUNT_OF(expect_fields), object);
}

static const struct field phase_fields[] = {
    NUMBER("warm_up_s", spec, warm_up_s, 1, 600),
    NUMBER("before_s", spec, before_s, 1, 3600),
    NUMBER("after_s", spec, after_s, 1, 3600),
};

static void take_phases(struct reader *reader, const json_t *value, void *object)
{
    fields_take(reader, value, phase_fields, COUNT_OF(phase_fields), object);
}

static void take_proof(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    char error[256];
    if (!json_is_string(value))
        fields_fail(reader, "want a condition as text");
    else if (expression_parse(&spec->proof, json_string_value(value), true, &spec->selectors, error,
                              sizeof error) < 0)
        fields_fail(reader, "%s", error);
    spec->has_proof = true;
}

static const struct field anomaly_fields[] = {
    TEXT("metric", spec_anomaly, metric),
    FLAG("expected", spec_anomaly, expected),
};

static void take_anomaly(struct reader *reader, const json_t *value, void *object)
{
    fields_take(reader, value, anomaly_fields, COUNT_OF(anomaly_fields), object);
}

static void take_anomalies(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    spec->anomaly_count = fields_take_array(reader, value, SPEC_ANOMALIES, take_anomaly,
                                            spec->anomaly, sizeof spec->anomaly[0]);
}

/* Other arms of the file: merged in before the tables see it (merge_arm). */
static void take_arm(struct reader *reader, const json_t *value, void *object)
{
    (void)object;
    if (!json_is_object(value))
        fields_fail(reader, "want an object of what differs");
}

static const struct field spec_fields[] = {
    {.key = "title",
     .type = FIELD_TEXT,
     .offset = offsetof(struct spec, title),
     .size = sizeof((struct spec *)NULL)->title,
     .required = true},
    {.key = "teaches",
     .type = FIELD_TEXT,
     .offset = offsetof(struct spec, teaches),
     .size = sizeof((struct spec *)NULL)->teaches,
     .required = true},
    SPECIAL("phases", take_phases),
    SPECIAL("load", take_load_of_spec),
    SPECIAL("server", take_server),
    {.key = "hypothesis", .type = FIELD_SPECIAL, .special = take_hypothesis, .required = true},
    {.key = "method", .type = FIELD_SPECIAL, .special = take_method, .required = true},
    SPECIAL("expect", take_expect),
    {.key = "proof", .type = FIELD_SPECIAL, .special = take_proof, .required = true},
    SPECIAL("control", take_arm),
    SPECIAL("short", take_arm),
    SPECIAL("anomaly", take_anomalies),
    SPECIAL("rollbacks", take_rollbacks),
};

/* ---- the whole ----------------------------------------------------------------------------- */

static void preset(struct spec *spec, const char *path)
{
    const char *slash = strrchr(path, '/');
    memset(spec, 0, sizeof *spec);
    snprintf(spec->file, sizeof spec->file, "%s", path);
    snprintf(spec->name, sizeof spec->name, "%s", slash ? slash + 1 : path);
    char *dot = strstr(spec->name, ".json");
    if (dot)
        *dot = '\0';
    spec->warm_up_s = 2;
    spec->before_s = 3;
    spec->after_s = 3;
    spec->load.rps = 300;
    spec->server.workers = 4;
    spec->server.faults = true;
    spec->lost_acked = -1;
    spec->leakage = 1;
}

/* An arm's members stand for the file's own (RFC 7396, but that null is null). */
static void merge_arm(json_t *root, const char *arm)
{
    json_t *differs = json_object_get(root, arm);
    if (json_is_object(differs))
        json_object_update_recursive(root, differs);
}

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

static void complete(struct spec *spec, unsigned arm)
{
    qsort(spec->step, spec->step_count, sizeof spec->step[0], by_time);
    for (unsigned i = 0; i < spec->step_count; i++)
        spec->method_s = fmax(spec->method_s, end_of(spec, &spec->step[i]));
    spec->watch_s = spec->step_count ? fmax(spec->recover_s * SPEC_NOISE + 1, 2) : 0;
    if (arm & ARM_NO_FAULT)
        spec->step_count = 0;
}

static void check_whole(struct reader *reader, const struct spec *spec)
{
    if (spec->detect_s > 0 && !*spec->detect_by) {
        fields_enter(reader, "expect");
        fields_enter(reader, "detect_s");
        fields_fail(reader, "say which detector with detect_by");
    }
    for (unsigned i = 0; i < spec->step_count; i++) {
        const struct spec_step *step = &spec->step[i];
        struct fault fault;
        char error[256];
        bool known = step->kind != STEP_CLEAR || strcmp(step->id, "all") == 0;
        unsigned worker = 0;
        for (unsigned n = 0; n < spec->step_count; n++)
            known = known ||
                    (spec->step[n].kind == STEP_FAULT && strcmp(spec->step[n].id, step->id) == 0);
        size_t length = fields_enter(reader, "method");
        fields_enter_element(reader, i);
        if (step->kind == STEP_ACT && step->act == ACT_FILL && !spec->server.tmpfs_mib)
            fields_fail(reader, "act: fill needs a file system of its own; say server.tmpfs_mib");
        if (!known)
            fields_fail(reader, "clear: no fault has the id \"%s\"; allowed: all, or an id",
                        step->id);
        if (step->kind == STEP_FAULT && !spec->server.faults)
            fields_fail(reader, "fault: needs faults; say server.faults: true");
        if (step->kind == STEP_FAULT &&
            fault_spec_parse(step->fault, &fault, error, sizeof error) == 0 &&
            fault.target == FAULT_TARGET_WORKER)
            worker = fault.slot;
        if (step->kind == STEP_ACT && strncmp(step->target, "worker:", 7) == 0)
            worker = (unsigned)strtoul(step->target + 7, NULL, 10);
        if (worker >= spec->server.workers)
            fields_fail(reader, "there is no worker %u; allowed: 0 to %u", worker,
                        spec->server.workers - 1);
        fields_leave(reader, length);
    }
}

int spec_parse(struct spec *spec, const char *path, const char *text, unsigned arm, char *error,
               size_t error_size)
{
    json_error_t mistake;
    preset(spec, path);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &mistake);
    if (!root) {
        snprintf(error, error_size, "%s:%d: %s", path, mistake.line, mistake.text);
        return -1;
    }
    struct reader reader = {.file = path, .text = text, .error = error, .error_size = error_size};
    spec->has_control = json_object_get(root, "control") != NULL;
    spec->has_short = json_object_get(root, "short") != NULL;
    if (arm & ARM_CONTROL) {
        merge_arm(root, "control");
        reader.prefix = "control";
    }
    if (arm & ARM_SHORT) {
        merge_arm(root, "short");
        reader.prefix = "short";
    }
    fields_take(&reader, root, spec_fields, COUNT_OF(spec_fields), spec);
    json_decref(root);
    if (!reader.failed)
        check_whole(&reader, spec);
    if (reader.failed)
        return -1;
    complete(spec, arm);
    return 0;
}

int spec_read(struct spec *spec, const char *path, unsigned arm, char *error, size_t error_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return -1;
    }
    char *text = calloc(1, FILE_LIMIT + 1);
    size_t length = text ? fread(text, 1, FILE_LIMIT, file) : 0;
    bool whole = text && feof(file) && !ferror(file) && strlen(text) == length;
    fclose(file);
    int result = -1;
    if (whole)
        result = spec_parse(spec, path, text, arm, error, error_size);
    else
        snprintf(error, error_size, "%s: unreadable, longer than %d bytes, or no text", path,
                 FILE_LIMIT);
    free(text);
    return result;
}

double spec_load_s(const struct spec *spec)
{
    return spec->warm_up_s + spec->before_s + spec->method_s + spec->watch_s + spec->after_s;
}

static bool needs_own_server(const struct spec_step *step)
{
    return step->kind == STEP_ACT &&
           (step->act == ACT_START_SUPERVISOR || strcmp(step->target, "supervisor") == 0);
}

int spec_check_server(const struct spec *spec, bool attached, unsigned workers, char *error,
                      size_t error_size)
{
    if (!attached)
        return 0;
    for (unsigned i = 0; i < spec->step_count; i++) {
        const struct spec_step *step = &spec->step[i];
        unsigned worker = strncmp(step->target, "worker:", 7) == 0
                              ? (unsigned)strtoul(step->target + 7, NULL, 10)
                              : 0;
        if (needs_own_server(step)) {
            snprintf(error, error_size, "%s: kills or starts a supervisor: not with --attach",
                     spec->file);
            return -1;
        }
        if (worker >= workers) {
            snprintf(error, error_size, "%s: the server has no worker %u", spec->file, worker);
            return -1;
        }
    }
    if (spec->server.tmpfs_mib) {
        snprintf(error, error_size, "%s: needs a file system of its own: not with --attach",
                 spec->file);
        return -1;
    }
    return 0;
}
