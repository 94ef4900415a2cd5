/* SPDX-License-Identifier: MIT */
/* The report's series: one row a second of the load, the looks at /health, the region. */
#include <math.h>
#include <stdio.h>

#include "common/clock.h"
#include "tools/drill/measure.h"
#include "tools/drill/report_parts.h"

static json_t *load_series(const struct evidence *evidence)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(evidence->rows); i++) {
        json_t *one = json_deep_copy(json_array_get(evidence->rows, i));
        report_set(one, "t_s",
                   report_real(report_since(evidence, evidence->load_ns + i * NS_PER_S)));
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
        report_set(one, "t_s", report_real(report_since(evidence, t)));
        report_set(one, "sent", report_real(sent));
        report_set(one, "failed", report_real(failed));
        report_set(one, "not_healthy", report_real(not_healthy));
        report_set(one, "p50_ms", report_real(measure_health_ms(evidence, t, t + NS_PER_S, 50)));
        report_set(one, "p99_ms", report_real(measure_health_ms(evidence, t, t + NS_PER_S, 99)));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *rates(const struct sample *from, const struct sample *to, unsigned class)
{
    double seconds = (double)(to->t_ns - from->t_ns) / (double)NS_PER_S;
    json_t *one = json_object();
    report_set(one, "answers_per_s",
               report_real((double)(to->answers[class] - from->answers[class]) / seconds));
    report_set(one, "failures_per_s",
               report_real((double)(to->failures[class] - from->failures[class]) / seconds));
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
        report_set(one, "t_s", report_real(report_since(evidence, t)));
        report_set(one, "db_state", report_text(db_state_name(to->db_state)));
        report_set(one, "status", json_integer(to->status));
        report_set(one, "ready", json_integer(to->ready));
        report_set(one, "quarantined", json_integer(to->quarantined));
        report_set(one, "breakers", json_integer(to->breakers));
        report_set(one, "lost", json_integer((json_int_t)(to->lost - from->lost)));
        for (unsigned class = 0; class < CLASS_COUNT; class ++)
            report_set(classes, class_name(class), rates(from, to, class));
        report_set(one, "classes", classes);
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
    return report_text(words);
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
            report_set(row, "t_s", report_real(report_since(evidence, t)));
            report_set(row, "value", report_real(value_in(evidence, i, t)));
            json_array_append_new(rows, row);
        }
        report_set(one, "metric", selector_text(selector));
        report_set(one, "gauge", json_boolean(selector->gauge));
        report_set(one, "rows", rows);
        json_array_append_new(list, one);
    }
    return list;
}

json_t *report_series(const struct evidence *evidence)
{
    json_t *one = json_object();
    report_set(one, "load", load_series(evidence));
    report_set(one, "health", health_series(evidence));
    report_set(one, "server", server_series(evidence));
    report_set(one, "metrics", metric_series(evidence));
    return one;
}
