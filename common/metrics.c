/* SPDX-License-Identifier: MIT */
#include "common/metrics.h"

#include <stdio.h>

#define SLOT_COUNTER(row, title, d1, d2, how, text) \
    {.kind = METRIC_SLOT_COUNTER,                   \
     .name = title,                                 \
     .type = "counter",                             \
     .help = text,                                  \
     .dimension = {DIMENSION_##d1, DIMENSION_##d2}, \
     .spread = SPREAD_##how,                        \
     .offset = offsetof(struct slot_metrics, row)},
#define SLOT_GAUGE(row, title, d1, how, text)       \
    {.kind = METRIC_SLOT_GAUGE,                     \
     .name = title,                                 \
     .type = "gauge",                               \
     .help = text,                                  \
     .dimension = {DIMENSION_##d1, DIMENSION_NONE}, \
     .spread = SPREAD_##how,                        \
     .offset = offsetof(struct slot_metrics, row)},
#define SLOT_HISTOGRAM(row, title, d1, unit, text)  \
    {.kind = METRIC_SLOT_HISTOGRAM,                 \
     .name = title,                                 \
     .type = "histogram",                           \
     .help = text,                                  \
     .dimension = {DIMENSION_##d1, DIMENSION_NONE}, \
     .scale = SCALE_##unit,                         \
     .offset = offsetof(struct slot_metrics, row)},
#define BOARD_COUNTER(row, title, d1, d2, text)     \
    {.kind = METRIC_BOARD_COUNTER,                  \
     .name = title,                                 \
     .type = "counter",                             \
     .help = text,                                  \
     .dimension = {DIMENSION_##d1, DIMENSION_##d2}, \
     .offset = offsetof(struct board_metrics, row)},
#define DERIVED(row, title, kind_of, names, text) \
    {.kind = METRIC_DERIVED, .name = title, .type = kind_of, .help = text, .derived_labels = names},

const struct metric metrics[] = {
#include "common/metrics.def"
};
const size_t metrics_count = sizeof metrics / sizeof metrics[0];

static const char *login_name(unsigned value)
{
#define X(id, name) name,
    static const char *const names[] = {LOGIN_LIST(X)};
#undef X
    return value < LOGIN_COUNT ? names[value] : "?";
}

/* Dimensions whose label is one name from a list. */
static const struct {
    size_t size;
    const char *label;
    const char *(*name)(unsigned);
} dimensions[] = {
    [DIMENSION_NONE] = {SIZE_NONE, NULL, NULL},
    [DIMENSION_CLASS] = {SIZE_CLASS, "class", class_name},
    [DIMENSION_ENDPOINT] = {SIZE_ENDPOINT, NULL, NULL},
    [DIMENSION_STATUS] = {SIZE_STATUS, "code", NULL},
    [DIMENSION_STAGE] = {SIZE_STAGE, "stage", stage_name},
    [DIMENSION_ATTEMPT] = {SIZE_ATTEMPT, "attempt", attempt_name},
    [DIMENSION_REFUSAL] = {SIZE_REFUSAL, "reason", refusal_name},
    [DIMENSION_DB_OP] = {SIZE_DB_OP, "op", db_op_name},
    [DIMENSION_DB_CODE] = {SIZE_DB_CODE, "code", db_code_name},
    [DIMENSION_LOGIN] = {SIZE_LOGIN, "result", login_name},
    [DIMENSION_SLOT] = {SIZE_SLOT, "slot", NULL},
    [DIMENSION_RESTART_REASON] = {SIZE_RESTART_REASON, "reason", restart_reason_name},
    [DIMENSION_DEATH] = {SIZE_DEATH, "class", death_name},
    [DIMENSION_FAULT_KIND] = {SIZE_FAULT_KIND, "kind", fault_kind_name},
    [DIMENSION_DEPENDENCY] = {SIZE_DEPENDENCY, "dep", dependency_name},
    [DIMENSION_BREAKER_MOVE] = {SIZE_BREAKER_MOVE, NULL, NULL},
    [DIMENSION_RATE_POLICY] = {SIZE_RATE_POLICY, "policy", rate_policy_name},
    [DIMENSION_RATE_RESULT] = {SIZE_RATE_RESULT, "result", rate_result_name},
};

size_t dimension_size(enum dimension dimension)
{
    return dimensions[dimension].size;
}

int dimension_label(enum dimension dimension, unsigned value, char *out, size_t size)
{
    switch (dimension) {
    case DIMENSION_NONE:
        return snprintf(out, size, "%s", "");
    case DIMENSION_ENDPOINT:
        return snprintf(out, size, "class=\"%s\",method=\"%s\",route=\"%s\"",
                        class_name(endpoint_class(value)), endpoint_method(value),
                        endpoint_route(value));
    case DIMENSION_STATUS:
        return snprintf(out, size, "code=\"%u\"", status_code(value));
    case DIMENSION_BREAKER_MOVE:
        return snprintf(out, size, "from=\"%s\",to=\"%s\",reason=\"%s\"",
                        breaker_state_name(breaker_move_from(value)),
                        breaker_state_name(breaker_move_to(value)), breaker_move_reason(value));
    case DIMENSION_SLOT:
        return snprintf(out, size, "slot=\"%u\"", value);
    default:
        return snprintf(out, size, "%s=\"%s\"", dimensions[dimension].label,
                        dimensions[dimension].name(value));
    }
}
