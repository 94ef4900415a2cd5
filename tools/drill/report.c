/* SPDX-License-Identifier: MIT */
#include "tools/drill/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/drill/measure.h"
#include "tools/drill/report_parts.h"
#include "tools/drill/words.h"

/* ---- pieces -------------------------------------------------------------------------------- */

/* JSON has no NaN: what was not measured is null. */
json_t *report_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void report_set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

/* Seconds since the fault began; before there was one, since the load did, or since the first
 * event. */
double report_since(const struct evidence *evidence, uint64_t t_ns)
{
    uint64_t zero_ns = evidence->fault_ns  ? evidence->fault_ns
                       : evidence->load_ns ? evidence->load_ns
                       : evidence->event_count
                           ? evidence_mono_ns(evidence, evidence->event[0].wall_us)
                           : t_ns;
    return ((double)t_ns - (double)zero_ns) / (double)NS_PER_S;
}

/* Texts of the server are printable ASCII; still, a bad one must not lose the report. */
json_t *report_text(const char *words)
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
        report_set(one, "probe", report_text(probe->value.text));
        report_set(one, "op", report_text(comparison_name((enum comparison)probe->op)));
        report_set(one, "limit", report_real(probe->limit));
        report_set(one, "asserted", report_real(probe->limit * probe->noise));
        report_set(one, "measured", json_null());
        report_set(one, "margin", json_null());
        report_set(one, "holds", json_null());
        report_set(one, "level", report_text(probe->should ? "should" : "must"));
        report_set(one, "during", report_text(window_name(probe->during)));
        report_set(one, "worst_s", json_null());
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
        report_set(one, "probe", report_text(line->name));
        report_set(one, "op", report_text(comparison_name(line->op)));
        report_set(one, "limit", report_real(line->limit));
        report_set(one, "asserted", report_real(line->asserted));
        report_set(one, "measured", report_real(line->measured));
        report_set(one, "margin", report_real(line->margin));
        report_set(one, "holds", json_boolean(line->holds));
        report_set(one, "level", report_text(line->should ? "should" : "must"));
        report_set(one, "during", *line->during ? report_text(line->during) : json_null());
        report_set(one, "worst_s", report_real(line->worst_s));
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
        report_set(one, all[i].name,
                   all[i].ns ? report_real(report_since(evidence, all[i].ns)) : json_null());
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
        report_set(one, "from_s", report_real(step->at_s));
        report_set(one, "to_s", report_real(band_end(spec, step)));
        report_set(one, "text", report_text(words));
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
        report_set(one, "at_s", report_real(spec->step[i].at_s));
        report_set(one, "text", report_text(words));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *detectors(const struct evidence *evidence, const struct drill_verdict *verdict)
{
    json_t *one = json_object();
    report_set(one, "degraded_s", report_real(verdict->detect_degraded_s));
    report_set(one, "verdict_s", report_real(verdict->detect_verdict_s));
    report_set(one, "breaker_s", report_real(verdict->detect_breaker_s));
    report_set(one, "event",
               *evidence->spec->detect_by ? report_text(evidence->spec->detect_by) : json_null());
    report_set(one, "event_s", report_real(verdict->detect_event_s));
    report_set(one, "first_failure_s", report_real(verdict->first_failure_s));
    return one;
}

static json_t *compartments(const struct drill_verdict *verdict)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < verdict->compartment_count; i++) {
        const struct compartment *compartment = &verdict->compartment[i];
        json_t *one = json_object();
        report_set(one, "name", report_text(compartment->name));
        report_set(one, "targeted", json_boolean(compartment->targeted));
        report_set(one, "before", report_real(compartment->before));
        report_set(one, "during", report_real(compartment->during));
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
    return report_text(words);
}

static json_t *of_event(const struct evidence *evidence, const struct event *event)
{
    json_t *one = json_object();
    report_set(one, "t_s",
               report_real(report_since(evidence, evidence_mono_ns(evidence, event->wall_us))));
    report_set(one, "from", report_text("server"));
    report_set(one, "event", report_text(event_name(event->type)));
    report_set(one, "text", report_text(event->text));
    report_set(one, "id", json_integer((json_int_t)event->id));
    report_set(one, "cause_id",
               event->cause_id ? json_integer((json_int_t)event->cause_id) : json_null());
    report_set(one, "who", who(event));
    report_set(one, "slot", event->slot >= 0 ? json_integer(event->slot) : json_null());
    return one;
}

static json_t *of_deed(const struct evidence *evidence, const struct deed *deed)
{
    json_t *one = json_object();
    report_set(one, "t_s", report_real(report_since(evidence, deed->t_ns)));
    report_set(one, "from", report_text("drill"));
    report_set(one, "event", report_text(deed->failed ? "failed" : "done"));
    report_set(one, "text", report_text(deed->text));
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

/* ---- the whole ----------------------------------------------------------------------------- */

static json_t *anomalies(const struct spec *spec)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < spec->anomaly_count; i++) {
        json_t *one = json_object();
        report_set(one, "metric", report_text(spec->anomaly[i].metric));
        report_set(one, "expected", json_boolean(spec->anomaly[i].expected));
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
    report_set(root, "drill", report_text(spec->name));
    report_set(root, "title", report_text(spec->title));
    report_set(root, "teaches", report_text(spec->teaches));
    report_set(root, "loop", *spec->loop ? report_text(spec->loop) : json_null());
    report_set(root, "mitigation", *spec->mitigation ? report_text(spec->mitigation) : json_null());
    clock_rfc3339(started, evidence->load_ns / NS_PER_US + evidence->wall_minus_mono_us);
    report_set(root, "started", evidence->load_ns ? report_text(started) : json_null());
    report_set(result, "result", report_text(drill_result_name(verdict->result)));
    report_set(result, "why", report_text(verdict->why));
    report_set(result, "exit_code", json_integer(drill_exit_code(verdict->result)));
    report_set(root, "verdict", result);
    report_set(root, "hypothesis", verdict->line_count > 0 ? lines(verdict) : claims(spec));
    report_set(proof, "text", report_text(spec->proof.text));
    report_set(proof, "found", report_text(verdict->proof));
    report_set(proof, "holds", json_boolean(verdict->proven));
    report_set(root, "proof", proof);
    report_set(root, "phases", phases(evidence));
    report_set(root, "method", method(spec));
    report_set(root, "bands", bands(spec));
    report_set(root, "detect", detectors(evidence, verdict));
    report_set(root, "recover_s", report_real(verdict->recover_s));
    report_set(root, "blast_share", report_real(verdict->blast_share));
    report_set(root, "compartments", compartments(verdict));
    report_set(leakage, "points", report_real(verdict->leakage_points));
    report_set(leakage, "where",
               *verdict->leakage_where ? report_text(verdict->leakage_where) : json_null());
    report_set(root, "leakage", leakage);
    report_set(audit, "lost", report_real(verdict->lost));
    report_set(audit, "duplicate", report_real(verdict->duplicate));
    report_set(audit, "corrupt", report_real(verdict->corrupt));
    bool known = evidence->integrity_ok || evidence->integrity_damaged;
    report_set(audit, "integrity_ok", known ? json_boolean(evidence->integrity_ok) : json_null());
    report_set(audit, "integrity",
               evidence->integrity_asked ? report_text(evidence->integrity_words) : json_null());
    report_set(root, "audit", audit);
    report_set(root, "anomaly", anomalies(spec));
    report_set(root, "timeline", timeline(evidence));
    report_set(root, "series", report_series(evidence));
    report_set(root, "load",
               evidence->summary[0] ? json_incref(evidence->summary[0]) : json_null());
    report_set(root, "load2",
               evidence->summary[1] ? json_incref(evidence->summary[1]) : json_null());
    return root;
}
