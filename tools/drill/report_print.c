/* SPDX-License-Identifier: MIT */
/* The report as text, for a terminal. */
#include <math.h>
#include <stdio.h>

#include "tools/drill/report.h"

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

/* Why there is no count of lost writes, or no verdict on the file. */
static void print_unknown(const struct evidence *evidence, const struct drill_verdict *verdict,
                          FILE *out)
{
    const json_t *audit = json_object_get(evidence->summary[0], "audit");
    const char *state = json_string_value(json_object_get(audit, "state"));
    json_int_t unread = json_integer_value(json_object_get(audit, "unread"));
    json_int_t acked = json_integer_value(json_object_get(audit, "acked"));
    if (isnan(verdict->lost) && evidence->spec->lost_acked >= 0)
        fprintf(out, "  audit %s: %lld writes acknowledged, %lld not read\n",
                state ? state : "missing", (long long)acked, (long long)unread);
    if (evidence->integrity_asked && !evidence->integrity_ok)
        fprintf(out, "  the database is %s: %s\n",
                evidence->integrity_damaged ? "damaged" : "not checked", evidence->integrity_words);
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
    print_unknown(evidence, verdict, out);
    if (evidence->counters_back)
        fprintf(out, "  a counter went back: %s\n", evidence->counter_back);
}
