/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/truth_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"
#include "tools/anomaly/moment.h"

static int read_time(const json_t *value, double *time_s)
{
    int64_t whole_s;
    if (json_is_number(value)) {
        *time_s = json_number_value(value);
        return *time_s >= 0 ? 0 : -1;
    }
    if (!json_is_string(value) || moment_parse(json_string_value(value), &whole_s) < 0)
        return -1;
    *time_s = (double)whole_s;
    return 0;
}

static int copy_name(char out[EVALUATE_NAME_MAX], const json_t *value)
{
    const char *text = json_string_value(value);
    size_t length = text ? strlen(text) : 0;
    if (length == 0 || length >= EVALUATE_NAME_MAX)
        return -1;
    memcpy(out, text, length + 1);
    return 0;
}

/* What all truths of one fault have in common. NULL, or what is wrong with it. */
static const char *read_fault(const json_t *fault, struct truth *common)
{
    *common = (struct truth){.grace_s = TRUTH_GRACE_S};
    const json_t *grace = json_object_get(fault, "grace_s");
    if (!json_is_object(fault))
        return "no object";
    if (copy_name(common->fault, json_object_get(fault, "fault")) < 0)
        return "\"fault\" is no name";
    if (read_time(json_object_get(fault, "from"), &common->from_s) < 0)
        return "\"from\" is no time";
    if (read_time(json_object_get(fault, "to"), &common->to_s) < 0 || common->to_s < common->from_s)
        return "\"to\" is no time after \"from\"";
    if (grace && (!json_is_number(grace) || json_number_value(grace) < 0))
        return "\"grace_s\" is no number";
    if (grace)
        common->grace_s = json_number_value(grace);
    return json_is_array(json_object_get(fault, "anomaly"))
               ? NULL
               : "\"anomaly\" is no list of {metric, expected}";
}

static const char *read_metrics(const json_t *fault, const struct truth *common,
                                struct truth_list *list)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(json_object_get(fault, "anomaly"), index, entry)
    {
        struct truth *all = realloc(list->all, (list->count + 1) * sizeof *all);
        if (!all)
            return "no memory";
        list->all = all;
        all[list->count] = *common;
        const json_t *expected = json_object_get(entry, "expected");
        if (copy_name(all[list->count].metric, json_object_get(entry, "metric")) < 0 ||
            !json_is_boolean(expected))
            return "an entry of \"anomaly\" is not {\"metric\": NAME, \"expected\": true or false}";
        all[list->count].expected = json_is_true(expected);
        list->count += 1;
    }
    return NULL;
}

int truth_file_read(const char *path, struct truth_list *list, struct problem *problem)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error), *fault;
    json_t *faults = json_object_get(root, "faults");
    size_t index;
    int result = 0;
    if (!root)
        result = problem_set(problem, EXIT_CONFIGURATION, "%s, line %d: %s", path,
                             error.line > 0 ? error.line : 1, error.text);
    else if (!json_is_array(faults))
        result = problem_set(problem, EXIT_CONFIGURATION,
                             "%s: no list \"faults\": see anomaly --help", path);
    json_array_foreach(faults, index, fault)
    {
        struct truth common;
        const char *wrong = read_fault(fault, &common);
        if (!wrong)
            wrong = read_metrics(fault, &common, list);
        if (wrong && result == 0)
            result = problem_set(problem, EXIT_CONFIGURATION, "%s, fault %zu: %s", path, index + 1,
                                 wrong);
    }
    json_decref(root);
    return result;
}
