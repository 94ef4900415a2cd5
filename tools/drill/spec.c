/* SPDX-License-Identifier: MIT */
#include "tools/drill/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/labels.h"
#include "common/series.h"
#include "tools/drill/spec_parts.h"

#define FILE_LIMIT (64 * 1024)

static const char *const window_names[] = {"fault", "before", "after", "all", NULL};
static const char *const mode_names[] = {"edge", "continuous", NULL};
static const char *const level_names[] = {"must", "should", NULL};
static const char *const operator_names[] = {"<", "<=", "==", "!=", ">=", ">", NULL};

const char *window_name(unsigned window)
{
    return window < DURING_COUNT ? window_names[window] : "?";
}

/* ---- load and server ----------------------------------------------------------------------- */

static void take_load_of_spec(struct reader *reader, const json_t *value, void *object)
{
    spec_take_load(reader, value, &((struct spec *)object)->load);
}

static void take_server(struct reader *reader, const json_t *value, void *object)
{
    spec_take_server(reader, value, &((struct spec *)object)->server);
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
    TEXT("from_event", raw_probe, probe.from_event),
    TEXT("to_event", raw_probe, probe.to_event),
};

/* A bound from above on time or a share is one of behaviour; others are as they are said. */
static double preset_noise(const struct spec_probe *probe)
{
    return probe->op == LESS || probe->op == LESS_EQUAL ? SPEC_NOISE : 1;
}

static bool is_event(const char *name)
{
    for (unsigned i = 0; i < EVENT_COUNT; i++)
        if (strcmp(name, event_name(i)) == 0)
            return true;
    return false;
}

static void check_event(struct reader *reader, const char *key, const char *name)
{
    if (*name && !is_event(name))
        fields_fail(reader, "%s: %s: no event; see bulkheadctl events", key, name);
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
    if (!*probe->from_event != !*probe->to_event || (*probe->from_event && probe->to_s > 0))
        fields_fail(reader, "from_event: needs a to_event, and no to_s");
    check_event(reader, "from_event", probe->from_event);
    check_event(reader, "to_event", probe->to_event);
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

static void take_method(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    spec->step_count = fields_take_array(reader, value, SPEC_STEPS, spec_take_step, spec->step,
                                         sizeof spec->step[0]);
}

static void take_rollbacks(struct reader *reader, const json_t *value, void *object)
{
    struct spec *spec = object;
    spec->rollback_count = fields_take_array(reader, value, SPEC_STEPS, spec_take_rollback,
                                             spec->rollback, sizeof spec->rollback[0]);
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
    known = known || (name && is_event(name));
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
    FLAG("integrity", spec, integrity),
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
    NUMBER("from_s", spec_anomaly, from_s, 0, 3600),
    TEXT("after", spec_anomaly, after),
};

static void take_anomaly(struct reader *reader, const json_t *value, void *object)
{
    const struct spec_anomaly *anomaly = object;
    fields_take(reader, value, anomaly_fields, COUNT_OF(anomaly_fields), object);
    bool known = reader->failed;
    for (unsigned i = 0; i < SERIES_NUMBER && !known; i++)
        known = strcmp(anomaly->metric, series[i].name) == 0;
    size_t length = fields_enter(reader, "metric");
    if (!known)
        fields_fail(reader, "\"%s\" is no series of the history; see docs/metrics.md",
                    anomaly->metric);
    fields_leave(reader, length);
    check_event(reader, "after", anomaly->after);
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
    TEXT("loop", spec, loop),
    TEXT("mitigation", spec, mitigation),
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
        spec_check(&reader, spec);
    if (reader.failed)
        return -1;
    spec_complete(spec, arm);
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
