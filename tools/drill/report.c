/* SPDX-License-Identifier: MIT */
#include "tools/drill/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/drill/measure.h"
#include "tools/drill/words.h"

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

/* Seconds since the fault began; before there was one, since the load did, or since the first
 * event. */
static double since(const struct evidence *evidence, uint64_t t_ns)
{
    uint64_t zero_ns = evidence->fault_ns  ? evidence->fault_ns
                       : evidence->load_ns ? evidence->load_ns
                       : evidence->event_count
                           ? evidence_mono_ns(evidence, evidence->event[0].wall_us)
                           : t_ns;
    return ((double)t_ns - (double)zero_ns) / (double)NS_PER_S;
}

/* Texts of the server are printable ASCII; still, a bad one must not lose the report. */
static json_t *text(const char *words)
{
    json_t *value = json_string(words);
    return value ? value : json_null();
}

/* What was claimed and never measured. */
static json_t *claims(const struct spec *spec)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < spec->probe_count; i++) {
        const struct spec_probe *probe = &spec->probe[i];
        json_t *one = json_object();
        set(one, "probe", text(probe->value.text));
        set(one, "op", text(comparison_name((enum comparison)probe->op)));
        set(one, "limit", real(probe->limit));
        set(one, "asserted", real(probe->limit * probe->noise));
        set(one, "measured", json_null());
        set(one, "margin", json_null());
        set(one, "holds", json_null());
        set(one, "level", text(probe->should ? "should" : "must"));
        set(one, "during", text(window_name(probe->during)));
        set(one, "worst_s", json_null());
        json_array_append_new(list, one);
    }
    return list;
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
        char words[400];
        if (step->kind == STEP_CLEAR ||
            (step->kind == STEP_ACT && (step->act == ACT_DB_RESTORE || step->act == ACT_RELEASE)))
            continue;
        json_t *one = json_object();
        words_of_step(step, words, sizeof words);
        set(one, "from_s", real(step->at_s));
        set(one, "to_s", real(band_end(spec, step)));
        set(one, "text", text(words));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *method(const struct spec *spec)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < spec->step_count; i++) {
        char words[400];
        json_t *one = json_object();
        words_of_step(&spec->step[i], words, sizeof words);
        set(one, "at_s", real(spec->step[i].at_s));
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

/* "worker 2", "sentinel"; null: about nobody. */
static json_t *who(const struct event *event)
{
    char label[SLOT_LABEL_SIZE], words[SLOT_LABEL_SIZE + 8];
    if (event->slot < 0 || event->slot >= SLOTS_MAX)
        return json_null();
    slot_view_label((unsigned)event->slot, label);
    bool worker = (unsigned)event->slot < WORKER_SLOTS_MAX;
    snprintf(words, sizeof words, "%s%s", worker ? "worker " : "", label);
    return text(words);
}

static json_t *of_event(const struct evidence *evidence, const struct event *event)
{
    json_t *one = json_object();
    set(one, "t_s", real(since(evidence, evidence_mono_ns(evidence, event->wall_us))));
    set(one, "from", text("server"));
    set(one, "event", text(event_name(event->type)));
    set(one, "text", text(event->text));
    set(one, "id", json_integer((json_int_t)event->id));
    set(one, "cause_id", event->cause_id ? json_integer((json_int_t)event->cause_id) : json_null());
    set(one, "who", who(event));
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

/* A metric as an expression names it. */
static json_t *selector_text(const struct selector *selector)
{
    char words[400];
    size_t length = (size_t)snprintf(words, sizeof words, "%s", selector->name);
    for (unsigned i = 0; i < selector->label_count && length < sizeof words; i++)
        length += (size_t)snprintf(words + length, sizeof words - length, "%s%s%s%s", i ? "," : "{",
                                   selector->label[i].key, selector->label[i].differs ? "!=" : "=",
                                   selector->label[i].value);
    if (selector->label_count > 0 && length < sizeof words)
        snprintf(words + length, sizeof words - length, "}");
    return text(words);
}

static double value_in(const struct evidence *evidence, unsigned index, uint64_t t_ns)
{
    size_t first = measure_sample_at(evidence, t_ns);
    size_t last = measure_sample_at(evidence, t_ns + NS_PER_S);
    if (last >= evidence->sample_count || first == last)
        return (double)NAN; /* nobody to ask: a gap */
    const struct sample *from = &evidence->sample[first], *to = &evidence->sample[last];
    size_t at = evidence_value_at(&evidence->spec->selectors, index);
    if (evidence->spec->selectors.all[index].gauge)
        return to->value[at];
    return (to->value[at] - from->value[at]) * (double)NS_PER_S / (double)(to->t_ns - from->t_ns);
}

/* What the probes and the proof ask of the region, second by second; histograms are in the load's
 * own numbers. */
static json_t *metric_series(const struct evidence *evidence)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < evidence->spec->selectors.count; i++) {
        const struct selector *selector = &evidence->spec->selectors.all[i];
        json_t *one = json_object(), *rows = json_array();
        if (selector->histogram) {
            json_decref(one);
            json_decref(rows);
            continue;
        }
        for (uint64_t t = evidence->load_ns; t && t < evidence->end_ns; t += NS_PER_S) {
            json_t *row = json_object();
            set(row, "t_s", real(since(evidence, t)));
            set(row, "value", real(value_in(evidence, i, t)));
            json_array_append_new(rows, row);
        }
        set(one, "metric", selector_text(selector));
        set(one, "gauge", json_boolean(selector->gauge));
        set(one, "rows", rows);
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
    set(one, "metrics", metric_series(evidence));
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
    set(root, "loop", *spec->loop ? text(spec->loop) : json_null());
    set(root, "mitigation", *spec->mitigation ? text(spec->mitigation) : json_null());
    clock_rfc3339(started, evidence->load_ns / NS_PER_US + evidence->wall_minus_mono_us);
    set(root, "started", evidence->load_ns ? text(started) : json_null());
    set(result, "result", text(drill_result_name(verdict->result)));
    set(result, "why", text(verdict->why));
    set(result, "exit_code", json_integer(drill_exit_code(verdict->result)));
    set(root, "verdict", result);
    set(root, "hypothesis", verdict->line_count > 0 ? lines(verdict) : claims(spec));
    set(proof, "text", text(spec->proof.text));
    set(proof, "found", text(verdict->proof));
    set(proof, "holds", json_boolean(verdict->proven));
    set(root, "proof", proof);
    set(root, "phases", phases(evidence));
    set(root, "method", method(spec));
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
