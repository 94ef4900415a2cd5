/* SPDX-License-Identifier: MIT */
#include "tools/drill/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/drill/measure.h"

/* ---- pieces -------------------------------------------------------------------------------- */

/* JSON has no NaN: what was not measured is null. */
static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

/* Seconds since the fault began; before there was one, since the load did. */
static double since(const struct evidence *evidence, uint64_t t_ns)
{
    uint64_t zero_ns = evidence->fault_ns ? evidence->fault_ns : evidence->load_ns;
    return ((double)t_ns - (double)zero_ns) / (double)NS_PER_S;
}

/* Texts of the server are printable ASCII; still, a bad one must not lose the report. */
static json_t *text(const char *words)
{
    json_t *value = json_string(words);
    return value ? value : json_null();
}

static json_t *lines(const struct drill_verdict *verdict)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < verdict->line_count; i++) {
        const struct verdict_line *line = &verdict->line[i];
        json_t *one = json_object();
        set(one, "probe", text(line->name));
        set(one, "op", text(comparison_name(line->op)));
        set(one, "limit", real(line->limit));
        set(one, "asserted", real(line->asserted));
        set(one, "measured", real(line->measured));
        set(one, "margin", real(line->margin));
        set(one, "holds", json_boolean(line->holds));
        set(one, "level", text(line->should ? "should" : "must"));
        set(one, "during", *line->during ? text(line->during) : json_null());
        set(one, "worst_s", real(line->worst_s));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *phases(const struct evidence *evidence)
{
    json_t *one = json_object();
    const struct {
        const char *name;
        uint64_t ns;
    } all[] = {{"warm_up_s", evidence->load_ns}, {"before_s", evidence->before_ns},
               {"fault_s", evidence->fault_ns},  {"clear_s", evidence->clear_ns},
               {"after_s", evidence->after_ns},  {"end_s", evidence->end_ns}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        set(one, all[i].name, all[i].ns ? real(since(evidence, all[i].ns)) : json_null());
    return one;
}

/* An act that is taken back by another one lasts until then. */
static double band_end(const struct spec *spec, const struct spec_step *step)
{
    unsigned back = step->act == ACT_DB_MOVE ? ACT_DB_RESTORE
                    : step->act == ACT_LOCK || step->act == ACT_READER || step->act == ACT_FILL
                        ? ACT_RELEASE
                        : ACT_COUNT;
    for (unsigned i = 0; step->kind == STEP_ACT && i < spec->step_count; i++)
        if (spec->step[i].kind == STEP_ACT && spec->step[i].act == back &&
            spec->step[i].at_s >= step->at_s)
            return spec->step[i].at_s;
    return step->end_s;
}

static json_t *bands(const struct spec *spec)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < spec->step_count; i++) {
        const struct spec_step *step = &spec->step[i];
        char words[300];
        if (step->kind == STEP_CLEAR ||
            (step->kind == STEP_ACT && (step->act == ACT_DB_RESTORE || step->act == ACT_RELEASE)))
            continue;
        json_t *one = json_object();
        snprintf(words, sizeof words, "%s%s%s",
                 step->kind == STEP_FAULT ? step->fault : act_name(step->act),
                 *step->target ? " " : "", step->target);
        set(one, "from_s", real(step->at_s));
        set(one, "to_s", real(band_end(spec, step)));
        set(one, "text", text(words));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *detectors(const struct evidence *evidence, const struct drill_verdict *verdict)
{
    json_t *one = json_object();
    set(one, "degraded_s", real(verdict->detect_degraded_s));
    set(one, "verdict_s", real(verdict->detect_verdict_s));
    set(one, "breaker_s", real(verdict->detect_breaker_s));
    set(one, "event", *evidence->spec->detect_by ? text(evidence->spec->detect_by) : json_null());
    set(one, "event_s", real(verdict->detect_event_s));
    set(one, "first_failure_s", real(verdict->first_failure_s));
    return one;
}

static json_t *compartments(const struct drill_verdict *verdict)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < verdict->compartment_count; i++) {
        const struct compartment *compartment = &verdict->compartment[i];
        json_t *one = json_object();
        set(one, "name", text(compartment->name));
        set(one, "targeted", json_boolean(compartment->targeted));
        set(one, "before", real(compartment->before));
        set(one, "during", real(compartment->during));
        json_array_append_new(list, one);
    }
    return list;
}

/* ---- timeline ------------------------------------------------------------------------------ */

static json_t *of_event(const struct evidence *evidence, const struct event *event)
{
    json_t *one = json_object();
    set(one, "t_s", real(since(evidence, evidence_mono_ns(evidence, event->wall_us))));
    set(one, "from", text("server"));
    set(one, "event", text(event_name(event->type)));
    set(one, "text", text(event->text));
    set(one, "id", json_integer((json_int_t)event->id));
    set(one, "cause_id", event->cause_id ? json_integer((json_int_t)event->cause_id) : json_null());
    set(one, "slot", event->slot >= 0 ? json_integer(event->slot) : json_null());
    return one;
}

static json_t *of_deed(const struct evidence *evidence, const struct deed *deed)
{
    json_t *one = json_object();
    set(one, "t_s", real(since(evidence, deed->t_ns)));
    set(one, "from", text("drill"));
    set(one, "event", text(deed->failed ? "failed" : "done"));
    set(one, "text", text(deed->text));
    return one;
}

/* Both are in order already. */
static json_t *timeline(const struct evidence *evidence)
{
    json_t *list = json_array();
    size_t e = 0, d = 0;
    while (e < evidence->event_count || d < evidence->deed_count) {
        bool deed =
            d < evidence->deed_count &&
            (e == evidence->event_count ||
             evidence->deed[d].t_ns <= evidence_mono_ns(evidence, evidence->event[e].wall_us));
        json_array_append_new(list, deed ? of_deed(evidence, &evidence->deed[d])
                                         : of_event(evidence, &evidence->event[e]));
        d += deed;
        e += !deed;
    }
    return list;
}

/* ---- series -------------------------------------------------------------------------------- */

static json_t *load_series(const struct evidence *evidence)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(evidence->rows); i++) {
        json_t *one = json_deep_copy(json_array_get(evidence->rows, i));
        set(one, "t_s", real(since(evidence, evidence->load_ns + i * NS_PER_S)));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *health_series(const struct evidence *evidence)
{
    json_t *list = json_array();
    for (uint64_t t = evidence->load_ns; t && t < evidence->end_ns; t += NS_PER_S) {
        double sent = 0, failed = 0, not_healthy = 0;
        json_t *one = json_object();
        for (size_t i = 0; i < evidence->look_count; i++) {
            const struct look *look = &evidence->look[i];
            bool here = look->sent_ns >= t && look->sent_ns < t + NS_PER_S;
            sent += here;
            failed += here && look->result > LOOK_FAILING;
            not_healthy += here && look->result != LOOK_HEALTHY && look->result <= LOOK_FAILING;
        }
        set(one, "t_s", real(since(evidence, t)));
        set(one, "sent", real(sent));
        set(one, "failed", real(failed));
        set(one, "not_healthy", real(not_healthy));
        set(one, "p50_ms", real(measure_health_ms(evidence, t, t + NS_PER_S, 50)));
        set(one, "p99_ms", real(measure_health_ms(evidence, t, t + NS_PER_S, 99)));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *rates(const struct sample *from, const struct sample *to, unsigned class)
{
    double seconds = (double)(to->t_ns - from->t_ns) / (double)NS_PER_S;
    json_t *one = json_object();
    set(one, "answers_per_s", real((double)(to->answers[class] - from->answers[class]) / seconds));
    set(one, "failures_per_s",
        real((double)(to->failures[class] - from->failures[class]) / seconds));
    return one;
}

/* One row a second. */
static json_t *server_series(const struct evidence *evidence)
{
    json_t *list = json_array();
    for (uint64_t t = evidence->load_ns; t && t < evidence->end_ns; t += NS_PER_S) {
        size_t first = measure_sample_at(evidence, t);
        size_t last = measure_sample_at(evidence, t + NS_PER_S);
        if (last >= evidence->sample_count || first == last)
            continue; /* nobody to ask: a gap */
        const struct sample *from = &evidence->sample[first], *to = &evidence->sample[last];
        json_t *one = json_object(), *classes = json_object();
        set(one, "t_s", real(since(evidence, t)));
        set(one, "db_state", text(db_state_name(to->db_state)));
        set(one, "status", json_integer(to->status));
        set(one, "ready", json_integer(to->ready));
        set(one, "quarantined", json_integer(to->quarantined));
        set(one, "breakers", json_integer(to->breakers));
        set(one, "lost", json_integer((json_int_t)(to->lost - from->lost)));
        for (unsigned class = 0; class < CLASS_COUNT; class ++)
            set(classes, class_name(class), rates(from, to, class));
        set(one, "classes", classes);
        json_array_append_new(list, one);
    }
    return list;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static json_t *series(const struct evidence *evidence)
{
    json_t *one = json_object();
    set(one, "load", load_series(evidence));
    set(one, "health", health_series(evidence));
    set(one, "server", server_series(evidence));
    return one;
}

static json_t *anomalies(const struct spec *spec)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < spec->anomaly_count; i++) {
        json_t *one = json_object();
        set(one, "metric", text(spec->anomaly[i].metric));
        set(one, "expected", json_boolean(spec->anomaly[i].expected));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *drill_report_json(const struct evidence *evidence, const struct drill_verdict *verdict)
{
    const struct spec *spec = evidence->spec;
    json_t *root = json_object(), *result = json_object(), *proof = json_object();
    json_t *audit = json_object(), *leakage = json_object();
    char started[CLOCK_RFC3339_SIZE];
    set(root, "drill", text(spec->name));
    set(root, "title", text(spec->title));
    set(root, "teaches", text(spec->teaches));
    clock_rfc3339(started, evidence->load_ns / NS_PER_US + evidence->wall_minus_mono_us);
    set(root, "started", evidence->load_ns ? text(started) : json_null());
    set(result, "result", text(drill_result_name(verdict->result)));
    set(result, "why", text(verdict->why));
    set(result, "exit_code", json_integer(drill_exit_code(verdict->result)));
    set(root, "verdict", result);
    set(root, "hypothesis", lines(verdict));
    set(proof, "text", text(spec->proof.text));
    set(proof, "found", text(verdict->proof));
    set(proof, "holds", json_boolean(verdict->proven));
    set(root, "proof", proof);
    set(root, "phases", phases(evidence));
    set(root, "bands", bands(spec));
    set(root, "detect", detectors(evidence, verdict));
    set(root, "recover_s", real(verdict->recover_s));
    set(root, "blast_share", real(verdict->blast_share));
    set(root, "compartments", compartments(verdict));
    set(leakage, "points", real(verdict->leakage_points));
    set(leakage, "where", *verdict->leakage_where ? text(verdict->leakage_where) : json_null());
    set(root, "leakage", leakage);
    set(audit, "lost", real(verdict->lost));
    set(audit, "duplicate", real(verdict->duplicate));
    set(audit, "corrupt", real(verdict->corrupt));
    set(audit, "integrity_ok",
        evidence->integrity_asked ? json_boolean(evidence->integrity_ok) : json_null());
    set(root, "audit", audit);
    set(root, "anomaly", anomalies(spec));
    set(root, "timeline", timeline(evidence));
    set(root, "series", series(evidence));
    set(root, "load", evidence->summary[0] ? json_incref(evidence->summary[0]) : json_null());
    set(root, "load2", evidence->summary[1] ? json_incref(evidence->summary[1]) : json_null());
    return root;
}

/* ---- for people ---------------------------------------------------------------------------- */

static const char *paint(bool colour, const char *code)
{
    return colour ? code : "";
}

static const char *colour_of(enum drill_result result)
{
    return result == DRILL_PASS                                     ? "\033[32m"
           : result == DRILL_DEVIATED                               ? "\033[31m"
           : result == DRILL_SKIPPED || result == DRILL_INTERRUPTED ? "\033[33m"
                                                                    : "\033[31m";
}

static void print_line(const struct verdict_line *line, bool colour, FILE *out)
{
    const char *mark = line->holds ? "ok  " : line->should ? "note" : "FAIL";
    fprintf(out, "  %s%s%s  ",
            paint(colour && !line->holds, line->should ? "\033[33m" : "\033[31m"), mark,
            paint(colour && !line->holds, "\033[0m"));
    if (isnan(line->measured))
        fprintf(out, "%12s", "not measured");
    else
        fprintf(out, "%12.6g", line->measured);
    fprintf(out, "  %2s %-9.6g", comparison_name(line->op), line->limit);
    if (fabs(line->asserted - line->limit) > 0)
        fprintf(out, " (asserted %g)", line->asserted);
    fprintf(out, "  %s", line->name);
    if (!isnan(line->worst_s))
        fprintf(out, ", worst 1 s at %.1f s", line->worst_s);
    fputc('\n', out);
}

static void print_time(FILE *out, const char *what, double seconds)
{
    if (isfinite(seconds))
        fprintf(out, "  %s %.2f s", what, seconds);
}

void drill_report_print(const struct evidence *evidence, const struct drill_verdict *verdict,
                        bool colour, FILE *out)
{
    fprintf(out, "%s%s%s  %s  %s: %s\n", paint(colour, colour_of(verdict->result)),
            drill_result_name(verdict->result), paint(colour, "\033[0m"), evidence->spec->name,
            evidence->spec->title, verdict->why);
    for (unsigned i = 0; i < verdict->line_count; i++)
        print_line(&verdict->line[i], colour, out);
    if (verdict->line_count == 0)
        return;
    fprintf(out, "  proof  %s: %s\n  found ", evidence->spec->proof.text, verdict->proof);
    print_time(out, "first failure", verdict->first_failure_s);
    print_time(out, "degraded", verdict->detect_degraded_s);
    print_time(out, "verdict", verdict->detect_verdict_s);
    print_time(out, "breaker", verdict->detect_breaker_s);
    if (*evidence->spec->detect_by)
        print_time(out, evidence->spec->detect_by, verdict->detect_event_s);
    print_time(out, "recovered", verdict->recover_s);
    if (isfinite(verdict->blast_share))
        fprintf(out, "  blast %.2f %%", verdict->blast_share * 100);
    fprintf(out, "\n");
    if (evidence->counters_back)
        fprintf(out, "  a counter went back: %s\n", evidence->counter_back);
}
