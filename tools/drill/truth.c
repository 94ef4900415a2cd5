/* SPDX-License-Identifier: MIT */
#include "tools/drill/truth.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/labels.h"
#include "tools/anomaly/analysis.h"
#include "tools/anomaly/floors.h"
#include "tools/anomaly/http_get.h"
#include "tools/anomaly/read_csv.h"
#include "tools/anomaly/truth_file.h"

#define FETCH_LIMIT_MS 5000
#define PATH_ROOM      512
#define CALM           "calm"
#define AFTERMATH_S    30 /* the least after a fault; its truths are over in the middle of it */
#define EARLY_S        1  /* a truth begins that long before its fault: the calm ends there */

void truth_make_calm(struct spec *spec, double calm_s, double rps)
{
    spec->before_s = fmax(spec->before_s, calm_s);
    if (spec->step_count == 0)
        return;
    spec->after_s = fmax(spec->after_s, AFTERMATH_S);
    if (rps > 0 && rps < spec->load.rps)
        spec->load.rps = rps;
}

/* ---- the history --------------------------------------------------------------------------- */

static double unix_s(const struct evidence *evidence, uint64_t mono_ns)
{
    return (double)mono_ns / 1e9 + (double)evidence->wall_minus_mono_us / 1e6;
}

/* The first row that holds nothing of what was before the steady phase. */
static double history_from_s(const struct evidence *evidence)
{
    return unix_s(evidence, evidence->before_ns) + 1;
}

bool truth_keep_history(struct evidence *evidence, const char *console)
{
    static struct problem problem;
    struct target target;
    char url[200];
    const char *path;
    snprintf(url, sizeof url, "http://%s/api/history.csv?from=%.0f&to=%.0f", console,
             history_from_s(evidence), unix_s(evidence, evidence->end_ns));
    if (http_get_target(&target, url, &path, &problem) == 0)
        evidence->history = http_get(&target, path, FETCH_LIMIT_MS, &problem);
    if (!evidence->history)
        evidence_trouble(evidence, "the history of the console: %.300s", problem.text);
    return evidence->history != NULL;
}

/* ---- what is looked at --------------------------------------------------------------------- */

static bool is_usual(const char *metric)
{
    for (const char *const *name = floors_default_metrics; *name; name++)
        if (strcmp(*name, metric) == 0)
            return true;
    return false;
}

/* The usual metrics, then those of the file's truths that are not among them. NULL: no more. */
static const char *metric_at(const struct spec *spec, unsigned index)
{
    unsigned usual = 0;
    while (floors_default_metrics[usual])
        if (usual++ == index)
            return floors_default_metrics[index];
    for (unsigned i = 0; i < spec->anomaly_count; i++) {
        bool seen = is_usual(spec->anomaly[i].metric);
        for (unsigned j = 0; j < i && !seen; j++)
            seen = strcmp(spec->anomaly[i].metric, spec->anomaly[j].metric) == 0;
        if (!seen && usual++ == index)
            return spec->anomaly[i].metric;
    }
    return NULL;
}

/* ---- the truths ---------------------------------------------------------------------------- */

static json_t *entry(const char *metric, bool expected)
{
    return json_pack("{ss,sb}", "metric", metric, "expected", expected);
}

static json_t *calm_truth(const struct evidence *evidence, double to_s)
{
    json_t *all = json_array();
    const char *metric;
    for (unsigned i = 0; (metric = metric_at(evidence->spec, i)); i++)
        json_array_append_new(all, entry(metric, false));
    return json_pack("{ss,sf,sf,si,so}", "fault", CALM, "from", history_from_s(evidence), "to",
                     to_s, "grace_s", 0, "anomaly", all);
}

/* Since 1970: when the drill broke it, or when the server said that it was. */
static double truth_from_s(const struct evidence *evidence, const struct spec_anomaly *anomaly,
                           double begin_s)
{
    double from_s = begin_s + anomaly->from_s;
    for (size_t i = 0; *anomaly->after && i < evidence->event_count; i++) {
        double at_s = (double)evidence->event[i].wall_us / 1e6;
        if (at_s >= from_s && strcmp(event_name(evidence->event[i].type), anomaly->after) == 0)
            return at_s;
    }
    return from_s;
}

/* Seconds after the fault in which its truth may still be told. What is seen in its last second is
 * in the mean of the last `recent` points for as long, and an alarm comes within `of` points of the
 * first that stands out. What must be quiet must be so to the end. */
static double grace_s(const struct spec_anomaly *anomaly, double to_s, double end_s)
{
    double rest_s = end_s > to_s ? end_s - to_s : 0;
    return anomaly->expected ? detector_lab.recent + detector_lab.of : rest_s;
}

/* A truth ends with the last fault. A drill without one is all calm. */
static json_t *truths_of(const struct evidence *evidence)
{
    const struct spec *spec = evidence->spec;
    bool broken = spec->step_count > 0;
    double begin_s = broken ? unix_s(evidence, evidence->fault_ns) : history_from_s(evidence);
    double clear_s = unix_s(evidence, evidence->clear_ns),
           end_s = unix_s(evidence, evidence->end_ns);
    json_t *faults = json_array();
    json_array_append_new(faults, calm_truth(evidence, broken ? begin_s - EARLY_S : end_s));
    for (unsigned i = 0; i < spec->anomaly_count; i++) {
        const struct spec_anomaly *anomaly = &spec->anomaly[i];
        double from_s = truth_from_s(evidence, anomaly, begin_s);
        double to_s = clear_s > from_s ? clear_s : from_s;
        json_t *all = json_array();
        json_array_append_new(all, entry(anomaly->metric, anomaly->expected));
        json_array_append_new(faults, json_pack("{ss,sf,sf,sf,so}", "fault", spec->name, "from",
                                                from_s, "to", to_s, "grace_s",
                                                grace_s(anomaly, to_s, end_s), "anomaly", all));
    }
    return json_pack("{so}", "faults", faults);
}

/* ---- files --------------------------------------------------------------------------------- */

static void file_of(char path[PATH_ROOM], const struct evidence *evidence, const char *directory,
                    const char *suffix)
{
    snprintf(path, PATH_ROOM, "%.380s/%s.%s", directory, evidence->spec->name, suffix);
}

static int write_files(const struct evidence *evidence, const char *directory,
                       struct problem *problem)
{
    char path[PATH_ROOM];
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return problem_set(problem, 1, "--out %s: %s", directory, strerror(errno));
    json_t *truths = truths_of(evidence);
    file_of(path, evidence, directory, "truth.json");
    int result = truths ? json_dump_file(truths, path, JSON_INDENT(1)) : -1;
    json_decref(truths);
    if (result < 0)
        return problem_set(problem, 1, "%s: %s", path, strerror(errno));
    file_of(path, evidence, directory, "history.csv");
    FILE *file = fopen(path, "we");
    bool good = file && fputs(evidence->history, file) >= 0;
    if (file && fclose(file) != 0)
        good = false;
    return good ? 0 : problem_set(problem, 1, "%s: %s", path, strerror(errno));
}

/* ---- judging ------------------------------------------------------------------------------- */

static int look(const struct spec *spec, const struct table *table, struct analysis *analysis,
                struct problem *problem)
{
    const char *metric;
    for (unsigned i = 0; (metric = metric_at(spec, i)); i++) {
        int column = table_column(table, metric);
        if (column < 0)
            return problem_set(problem, 1, "the history has no series %s", metric);
        if (analysis_watch(analysis, (unsigned)column, -1, 1) < 0)
            return problem_set(problem, 1, "no memory for the detectors");
    }
    for (size_t row = 0; row < table->rows; row++)
        if (analysis_take(analysis, row) < 0)
            return problem_set(problem, 1, "no memory for the alarms");
    return 0;
}

static bool in_calm(const struct evidence *evidence, int64_t time_s)
{
    return evidence->spec->step_count == 0 ||
           (double)time_s < unix_s(evidence, evidence->fault_ns) - EARLY_S;
}

/* Rows of the calm, a second each, at which an alarm was possible: the first ones are not scored,
 * and the next are too few to raise one. */
static double judged_calm_s(const struct evidence *evidence, const struct table *table)
{
    unsigned calm_s = 0;
    for (size_t row = detector_lab.warm_up + detector_lab.needed - 1; row < table->rows; row++)
        calm_s += in_calm(evidence, table->time_s[row]);
    return calm_s;
}

static void tell_alarms(const struct evidence *evidence, const struct analysis *analysis,
                        struct truth_result *result)
{
    double fault_s = unix_s(evidence, evidence->fault_ns);
    result->alarms = json_array();
    for (size_t i = 0; i < analysis->alarm_count; i++) {
        const struct alarm *alarm = &analysis->alarms[i];
        double t_s = (double)alarm->from_s - fault_s;
        result->calm_alarms += in_calm(evidence, alarm->from_s);
        json_array_append_new(result->alarms,
                              json_pack("{ss,sf,sf,sf,sf}", "metric", alarm->metric, "t_s", t_s,
                                        "value", alarm->value, "expected", alarm->expected, "score",
                                        alarm->score));
    }
}

static int hold_against(const struct analysis *analysis, struct truth_list *truths,
                        struct truth_result *result, struct problem *problem)
{
    struct raised_alarm *raised = calloc(analysis->alarm_count + 1, sizeof *raised);
    if (!raised)
        return problem_set(problem, 1, "no memory for the evaluation");
    for (size_t i = 0; i < analysis->alarm_count; i++)
        raised[i] = (struct raised_alarm){.metric = analysis->alarms[i].metric,
                                          .at_s = (double)analysis->alarms[i].from_s};
    result->evaluation = evaluate(truths->all, truths->count, raised, analysis->alarm_count);
    free(raised);
    for (size_t i = 0; i < truths->count && result->truth_count < TRUTH_LINES; i++)
        if (strcmp(truths->all[i].fault, CALM) != 0)
            result->truth[result->truth_count++] = truths->all[i];
    return 0;
}

/* Both files are read back, as `anomaly` would read them. */
static int judge_files(const struct evidence *evidence, const char *directory,
                       struct truth_result *result, struct problem *problem)
{
    struct table table = {0};
    struct truth_list truths = {0};
    struct analysis analysis = {.preset = &detector_lab, .table = &table};
    char path[PATH_ROOM];
    file_of(path, evidence, directory, "truth.json");
    int error = truth_file_read(path, &truths, problem);
    file_of(path, evidence, directory, "history.csv");
    if (!error)
        error = read_csv_file(path, CSV_ORDERED, &table, problem);
    if (!error)
        error = look(evidence->spec, &table, &analysis, problem);
    if (!error)
        error = hold_against(&analysis, &truths, result, problem);
    if (!error) {
        tell_alarms(evidence, &analysis, result);
        result->calm_s = judged_calm_s(evidence, &table);
    }
    analysis_free(&analysis);
    table_free(&table);
    free(truths.all);
    return error;
}

int truth_judge(const struct evidence *evidence, const char *directory, struct truth_result *result,
                char *error, size_t size)
{
    static struct problem problem;
    *result = (struct truth_result){0};
    if (write_files(evidence, directory, &problem) == 0 &&
        judge_files(evidence, directory, result, &problem) == 0)
        return 0;
    snprintf(error, size, "%s", problem.text);
    return -1;
}

void truth_free(struct truth_result *result)
{
    json_decref(result->alarms);
    result->alarms = NULL;
}

/* ---- telling ------------------------------------------------------------------------------- */

void truth_add(struct truth_result *sum, const struct truth_result *one)
{
    struct evaluation *total = &sum->evaluation;
    const struct evaluation *part = &one->evaluation;
    double delay_s = total->mean_delay_s * total->found + part->mean_delay_s * part->found;
    total->expected += part->expected;
    total->found += part->found;
    total->true_alarms += part->true_alarms;
    total->false_alarms += part->false_alarms;
    total->unjudged += part->unjudged;
    sum->calm_alarms += one->calm_alarms;
    sum->calm_s += one->calm_s;
    unsigned judged = total->true_alarms + total->false_alarms;
    total->recall = total->expected ? (double)total->found / total->expected : 1;
    total->precision = judged ? (double)total->true_alarms / judged : 1;
    total->mean_delay_s = total->found ? delay_s / total->found : 0;
    if (part->worst_delay_s > total->worst_delay_s)
        total->worst_delay_s = part->worst_delay_s;
}

json_t *truth_json(const struct truth_result *result)
{
    const struct evaluation *figures = &result->evaluation;
    json_t *truths = json_array();
    for (unsigned i = 0; i < result->truth_count; i++) {
        const struct truth *truth = &result->truth[i];
        json_array_append_new(truths,
                              json_pack("{ss,sb,sb,so}", "metric", truth->metric, "expected",
                                        truth->expected, "found", truth->found, "delay_s",
                                        truth->found ? json_real(truth->delay_s) : json_null()));
    }
    return json_pack("{sf,sf,sf,sf,sf,si,si,si,si,si,si,so,sO}", "calm_s", result->calm_s, "recall",
                     figures->recall, "precision", figures->precision, "mean_delay_s",
                     figures->mean_delay_s, "worst_delay_s", figures->worst_delay_s, "expected",
                     figures->expected, "found", figures->found, "true_alarms",
                     figures->true_alarms, "false_alarms", figures->false_alarms, "calm_alarms",
                     result->calm_alarms, "unjudged", figures->unjudged, "truths", truths, "alarms",
                     result->alarms);
}

void truth_print(const struct truth_result *result, FILE *out)
{
    const struct evaluation *figures = &result->evaluation;
    fprintf(out,
            "  anomaly  recall %.3f (%u of %u), precision %.3f (%u of %u alarms, %u more not "
            "judged), delay mean %.1f s, worst %.1f s; %u alarms in %.0f s "
            "of calm in which one was possible\n",
            figures->recall, figures->found, figures->expected, figures->precision,
            figures->true_alarms, figures->true_alarms + figures->false_alarms, figures->unjudged,
            figures->mean_delay_s, figures->worst_delay_s, result->calm_alarms, result->calm_s);
    for (unsigned i = 0; i < result->truth_count; i++) {
        const struct truth *truth = &result->truth[i];
        if (truth->found != truth->expected)
            fprintf(out, "    %s  %s\n", truth->expected ? "MISSED" : "FALSE ", truth->metric);
    }
}
