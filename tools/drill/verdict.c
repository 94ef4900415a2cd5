/* SPDX-License-Identifier: MIT */
#include "tools/drill/verdict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tools/drill/compartments.h"
#include "tools/drill/measure.h"

#define STEADY_ERRORS 0.01
#define WINDOW_NS     NS_PER_S
#define SETTLE_NS     (50 * NS_PER_MS)
/* loadtest calls itself late above 5 ms. Bounds here are tens of milliseconds and have their own
 * factor, so a drill on a busy machine is worth something for longer than a measurement. */
#define LAG_LIMIT_MS 25.0

static const char *const result_names[] = {"PASS",    "DEVIATED", "INVALID",
                                           "ABORTED", "SKIPPED",  "INTERRUPTED"};

const char *drill_result_name(enum drill_result result)
{
    return result < DRILL_RESULTS ? result_names[result] : "?";
}

int drill_exit_code(enum drill_result result)
{
    switch (result) {
    case DRILL_PASS:
        return 0;
    case DRILL_DEVIATED:
        return 1;
    case DRILL_INTERRUPTED:
        return 3;
    default:
        return 2;
    }
}

static bool say(char *why, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool say(char *why, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return false;
}

bool drill_is_steady(const struct evidence *evidence, uint64_t from_ns, uint64_t to_ns, char *why,
                     size_t size)
{
    double share = measure_error_share(evidence, from_ns, to_ns);
    double health = measure_health_failed_share(evidence, from_ns, to_ns);
    if (isnan(share))
        return say(why, size, "no requests");
    if (share >= STEADY_ERRORS)
        return say(why, size, "%.2f %% errors, limit 1 %%", share * 100);
    if (health >= STEADY_ERRORS * 5)
        return say(why, size, "%.0f %% of the looks at /health were not answered", health * 100);
    for (size_t i = evidence->look_count; i-- > 0;) {
        const struct look *look = &evidence->look[i];
        /* Looks go on while writes are read back: those are not of this window. */
        if (look->sent_ns < from_ns || look->sent_ns >= to_ns || look->result > LOOK_FAILING)
            continue;
        return look->result == LOOK_HEALTHY || say(why, size, "/health is not healthy");
    }
    return say(why, size, "/health did not answer");
}

/* ---- lines --------------------------------------------------------------------------------- */

static double margin_of(enum comparison op, double measured, double asserted)
{
    double distance =
        op == GREATER || op == GREATER_EQUAL ? measured - asserted : asserted - measured;
    return fabs(asserted) > 0 ? distance / fabs(asserted) : distance;
}

static void add_line(struct drill_verdict *verdict, struct verdict_line line)
{
    line.holds = comparison_holds(line.op, line.measured, line.asserted);
    line.margin = margin_of(line.op, line.measured, line.asserted);
    if (verdict->line_count < VERDICT_LINES)
        verdict->line[verdict->line_count++] = line;
}

static void add_expectation(struct drill_verdict *verdict, const char *name, double measured,
                            enum comparison op, double limit, double noise)
{
    struct verdict_line line = {.op = op,
                                .measured = measured,
                                .limit = limit,
                                .asserted = limit * noise,
                                .worst_s = (double)NAN};
    snprintf(line.name, sizeof line.name, "%s", name);
    add_line(verdict, line);
}

static void window_of(const struct evidence *evidence, unsigned during, uint64_t *from_ns,
                      uint64_t *to_ns)
{
    *from_ns = during == DURING_BEFORE || during == DURING_ALL ? evidence->before_ns
               : during == DURING_AFTER                        ? evidence->after_ns
                                                               : evidence->fault_ns;
    *to_ns = during == DURING_BEFORE  ? evidence->fault_ns
             : during == DURING_FAULT ? evidence->clear_ns
                                      : evidence->end_ns;
    /* What has no length (one kill) is looked at until the watch is over. */
    if (during == DURING_FAULT && *to_ns < *from_ns + WINDOW_NS)
        *to_ns = evidence->after_ns;
}

/* Whether a is further from holding than b. */
static bool worse(enum comparison op, double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(b);
    return op == GREATER || op == GREATER_EQUAL ? a < b
           : op == LESS || op == LESS_EQUAL     ? a > b
                                                : fabs(a) > fabs(b);
}

/* From the first look a little after the first event, when what was under way has ended, to the
 * last look before the second one. False when there is nothing in between. */
static bool between_events(const struct evidence *evidence, const struct spec_probe *probe,
                           uint64_t *from_ns, uint64_t *to_ns)
{
    double from_s = measure_first_event(evidence, evidence->fault_ns, probe->from_event);
    if (isnan(from_s))
        return false;
    uint64_t begin_ns = evidence->fault_ns + (uint64_t)(from_s * (double)NS_PER_S) + SETTLE_NS;
    double length_s = measure_first_event(evidence, begin_ns, probe->to_event);
    size_t first = measure_sample_at(evidence, begin_ns) + 1;
    if (isnan(length_s) || first >= evidence->sample_count)
        return false;
    *from_ns = evidence->sample[first].t_ns;
    *to_ns = begin_ns + (uint64_t)(length_s * (double)NS_PER_S);
    return measure_sample_at(evidence, *to_ns) > first;
}

static void add_probe(struct drill_verdict *verdict, const struct evidence *evidence,
                      const struct spec_probe *probe, struct measure measure)
{
    struct verdict_line line = {.op = (enum comparison)probe->op,
                                .limit = probe->limit,
                                .asserted = probe->limit * probe->noise,
                                .should = probe->should,
                                .measured = (double)NAN,
                                .worst_s = (double)NAN};
    uint64_t from_ns, to_ns;
    window_of(evidence, probe->during, &from_ns, &to_ns);
    snprintf(line.name, sizeof line.name, "%s", probe->value.text);
    snprintf(line.during, sizeof line.during, "%s", window_name(probe->during));
    if (probe->to_s > 0) {
        from_ns = evidence->fault_ns + (uint64_t)(probe->from_s * (double)NS_PER_S);
        to_ns = evidence->fault_ns + (uint64_t)(probe->to_s * (double)NS_PER_S);
        snprintf(line.during, sizeof line.during, "%g-%g s", probe->from_s, probe->to_s);
    }
    bool there = !*probe->from_event || between_events(evidence, probe, &from_ns, &to_ns);
    if (*probe->from_event)
        snprintf(line.during, sizeof line.during, "%s to %s", probe->from_event, probe->to_event);
    measure.from_ns = from_ns;
    measure.to_ns = to_ns;
    if (!probe->continuous && there)
        line.measured = expression_value(&probe->value, measure_term, &measure);
    for (uint64_t at = from_ns; probe->continuous && there && at + WINDOW_NS <= to_ns;
         at += WINDOW_NS / 2) {
        measure.from_ns = at;
        measure.to_ns = at + WINDOW_NS;
        double value = expression_value(&probe->value, measure_term, &measure);
        if (!isnan(value) && !worse(line.op, value, line.measured))
            continue;
        line.measured = value;
        line.worst_s = ((double)at - (double)evidence->fault_ns) / (double)NS_PER_S;
        if (isnan(value)) /* what must hold all the time does not where it is not known */
            break;
    }
    add_line(verdict, line);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static double number(const json_t *json, const char *group, const char *key)
{
    const json_t *value = json_object_get(json_object_get(json, group), key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Over the loads that were audited. An audit that did not read everything, or had nothing
 * acknowledged to look for among the writes that were sent, did not find that there are none: 0 is
 * then not measured. What it did find stays. */
static double audited(const struct evidence *evidence, const char *key)
{
    double found = 0;
    bool asked = false, known = true;
    for (unsigned i = 0; i < SPEC_LOADS; i++) {
        const json_t *summary = evidence->summary[i];
        const json_t *audit = json_object_get(summary, "audit");
        const char *state = json_string_value(json_object_get(audit, "state"));
        if (!summary || (state && strcmp(state, "skipped") == 0))
            continue;
        double count = number(summary, "audit", key);
        bool complete = state && strcmp(state, "complete") == 0 && !isnan(count);
        bool blind =
            number(summary, "audit", "creates") > 0 && !(number(summary, "audit", "acked") > 0);
        asked = true;
        known = known && complete && !blind;
        found += isnan(count) ? 0 : count;
    }
    return found > 0 || (asked && known) ? found : (double)NAN;
}

static double detected(const struct evidence *evidence, const struct drill_verdict *verdict)
{
    const char *by = evidence->spec->detect_by;
    return strcmp(by, "degraded") == 0  ? verdict->detect_degraded_s
           : strcmp(by, "verdict") == 0 ? verdict->detect_verdict_s
           : strcmp(by, "breaker") == 0 ? verdict->detect_breaker_s
                                        : verdict->detect_event_s;
}

static void measure_all(struct drill_verdict *verdict, const struct evidence *evidence,
                        uint64_t fault_end_ns)
{
    const struct spec *spec = evidence->spec;
    uint64_t since_ns = evidence->fault_ns;
    verdict->detect_degraded_s = measure_first_degraded(evidence, since_ns);
    verdict->detect_verdict_s = measure_first_verdict(evidence, since_ns);
    verdict->detect_breaker_s = measure_first_event(evidence, since_ns, "breaker_open");
    verdict->detect_event_s = measure_first_event(evidence, since_ns, spec->detect_by);
    verdict->first_failure_s = measure_first_failure(evidence, since_ns);
    verdict->recover_s = measure_recovery(evidence, evidence->clear_ns);
    verdict->blast_share = measure_error_share(evidence, since_ns, fault_end_ns);
    verdict->lost = audited(evidence, "lost");
    verdict->duplicate = audited(evidence, "duplicate");
    verdict->corrupt = audited(evidence, "corrupt");
    for (unsigned i = 0; i < SPEC_LOADS; i++)
        verdict->lag_p99_ms =
            fmax(verdict->lag_p99_ms, number(evidence->summary[i], "scheduler_lag_ms", "p99"));
    compartments_find(verdict, evidence, fault_end_ns);
}

static void compare_all(struct drill_verdict *verdict, const struct evidence *evidence,
                        const struct measure *measure)
{
    const struct spec *spec = evidence->spec;
    char name[80];
    for (unsigned i = 0; i < spec->probe_count; i++)
        add_probe(verdict, evidence, &spec->probe[i], *measure);
    snprintf(name, sizeof name, "seconds to detect (%s)", spec->detect_by);
    if (spec->detect_s > 0)
        add_expectation(verdict, name, detected(evidence, verdict), LESS_EQUAL, spec->detect_s,
                        SPEC_NOISE);
    if (spec->recover_s > 0)
        add_expectation(verdict, "seconds to recover", verdict->recover_s, LESS_EQUAL,
                        spec->recover_s, SPEC_NOISE);
    if (spec->scope_given)
        add_expectation(verdict, "leakage, points", verdict->leakage_points, LESS_EQUAL,
                        spec->leakage, SPEC_NOISE);
    if (spec->lost_acked >= 0) {
        add_expectation(verdict, "lost acknowledged writes", verdict->lost, LESS_EQUAL,
                        spec->lost_acked, 1);
        add_expectation(verdict, "duplicate writes", verdict->duplicate, EQUAL, 0, 1);
        add_expectation(verdict, "corrupt writes", verdict->corrupt, EQUAL, 0, 1);
    }
    if (spec->integrity)
        add_expectation(verdict, "the database is whole",
                        evidence->integrity_ok        ? 1
                        : evidence->integrity_damaged ? 0
                                                      : (double)NAN,
                        EQUAL, 1, 1);
    char why[256] = "";
    bool steady = drill_is_steady(evidence, evidence->after_ns, evidence->end_ns, why, sizeof why);
    snprintf(name, sizeof name, "steady after%s%.60s", *why ? ": " : "", why);
    add_expectation(verdict, name, steady, EQUAL, 1, 1);
}

/* Why one load's numbers are worth nothing; NULL when they are worth something. */
static const char *invalid_of(const json_t *summary)
{
    const json_t *reasons = json_object_get(summary, "invalid");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        bool late = reason && strstr(reason, "itself was late") != NULL;
        if (reason && !(late && number(summary, "scheduler_lag_ms", "p99") <= LAG_LIMIT_MS))
            return reason;
    }
    return NULL;
}

/* Of the first load for which there is a reason; "" when there is none. */
static void find_invalid(const struct evidence *evidence, char *why, size_t size)
{
    why[0] = '\0';
    for (unsigned i = 0; i < SPEC_LOADS && !*why; i++) {
        const char *reason = invalid_of(evidence->summary[i]);
        if (reason)
            snprintf(why, size, "%s%s", i > 0 ? "the second load: " : "", reason);
    }
}

/* A line that was measured says more than one that was not. */
static void explain_deviation(struct drill_verdict *verdict, unsigned failed,
                              const struct verdict_line *line)
{
    char measured[32] = "not measured";
    if (!isnan(line->measured))
        snprintf(measured, sizeof measured, "%.6g", line->measured);
    snprintf(verdict->why, sizeof verdict->why, "%u of %u do not hold%s; %s: %s, asserted %s %.6g",
             failed, verdict->line_count, isnan(line->measured) ? ", none by a measured value" : "",
             line->name, measured, comparison_name(line->op), line->asserted);
}

static void conclude(struct drill_verdict *verdict, const struct evidence *evidence)
{
    unsigned failed = 0, should = 0;
    const struct verdict_line *first = NULL;
    find_invalid(evidence, verdict->why, sizeof verdict->why);
    if (!*verdict->why && !verdict->proven)
        snprintf(verdict->why, sizeof verdict->why, "the fault is not proven to have struck: %s",
                 verdict->proof);
    if (*verdict->why) {
        verdict->result = DRILL_INVALID;
        return;
    }
    for (unsigned i = 0; i < verdict->line_count; i++) {
        const struct verdict_line *line = &verdict->line[i];
        failed += !line->holds && !line->should;
        should += !line->holds && line->should;
        if (!line->holds && !line->should &&
            (!first || (isnan(first->measured) && !isnan(line->measured))))
            first = line;
    }
    verdict->result = failed ? DRILL_DEVIATED : DRILL_PASS;
    if (first && !isnan(first->measured))
        verdict->proven = PROOF_FELT;
    if (first)
        explain_deviation(verdict, failed, first);
    else
        snprintf(verdict->why, sizeof verdict->why, "all %u hold%s", verdict->line_count - should,
                 should ? " that must" : "");
}

void drill_judge(const struct evidence *evidence, struct drill_verdict *verdict)
{
    memset(verdict, 0, sizeof *verdict);
    verdict->detect_degraded_s = verdict->detect_verdict_s = verdict->detect_breaker_s =
        (double)NAN;
    verdict->detect_event_s = verdict->recover_s = verdict->first_failure_s = (double)NAN;
    verdict->blast_share = verdict->lost = verdict->duplicate = verdict->corrupt = (double)NAN;
    verdict->lag_p99_ms = (double)NAN;
    if (evidence->interrupted || *evidence->trouble) {
        verdict->result = evidence->interrupted ? DRILL_INTERRUPTED
                          : evidence->skipped   ? DRILL_SKIPPED
                                                : DRILL_ABORTED;
        snprintf(verdict->why, sizeof verdict->why, "%s",
                 evidence->interrupted ? "interrupted; everything was rolled back"
                                       : evidence->trouble);
        return;
    }
    uint64_t from_ns, to_ns;
    window_of(evidence, DURING_FAULT, &from_ns, &to_ns);
    measure_all(verdict, evidence, to_ns);
    struct measure measure = {.evidence = evidence,
                              .from_ns = evidence->fault_ns,
                              .to_ns = evidence->end_ns,
                              .leakage_points = verdict->leakage_points,
                              .recover_s = verdict->recover_s};
    bool struck = expression_value(&evidence->spec->proof, measure_term, &measure) > 0;
    verdict->proven = struck ? PROOF_STRUCK : PROOF_NONE;
    expression_explain(&evidence->spec->proof, measure_term, &measure, verdict->proof,
                       sizeof verdict->proof);
    compare_all(verdict, evidence, &measure);
    conclude(verdict, evidence);
}
