/* SPDX-License-Identifier: MIT */
/* One drill's page. In the order of a reader who knows nothing: what came out, what it teaches,
 * what was claimed and done, what was found, and only then how it went second by second. */
#include "tools/drill/drill_page.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/report/html.h"

#define LINE 1024

/* ---- verdict ------------------------------------------------------------------------------- */

static const char *meaning_of(const char *result)
{
    static const struct {
        const char *result, *means;
    } all[] = {
        {"PASS", "the server behaved as the drill claims"},
        {"DEVIATED", "the server did not behave as the drill claims"},
        {"INVALID", "it says nothing for or against the server"},
        {"ABORTED", "it could not be carried out"},
        {"SKIPPED", "it cannot be carried out here"},
        {"INTERRUPTED", "somebody ended it; everything was taken back"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].result, result) == 0)
            return all[i].means;
    return "?";
}

static void verdict(FILE *out, const json_t *report)
{
    const json_t *verdict = json_object_get(report, "verdict");
    const char *result = drill_text(verdict, "result");
    char headline[LINE];
    snprintf(headline, sizeof headline, "%s: %s", result, meaning_of(result));
    document_verdict(out, drill_tone(result), headline, drill_text(verdict, "why"));
    if (strcmp(result, "INVALID") == 0)
        document_paragraph(
            out, TONE_DOUBTFUL,
            "A drill that cannot prove that its fault struck, or whose load was not what "
            "it should be, is no success: mend that first. The numbers below are what "
            "was measured all the same.");
}

/* ---- what it teaches ----------------------------------------------------------------------- */

static void labelled(FILE *out, const char *label, const char *text)
{
    if (!*text)
        return;
    fputs("<p><b>", out);
    html_text(out, label);
    fputs("</b> ", out);
    html_text(out, text);
    fputs("</p>\n", out);
}

static void lesson(FILE *out, const json_t *report)
{
    const char *arm = drill_text(json_object_get(report, "how"), "arm");
    document_section(out, "What it teaches", NULL);
    document_paragraph(out, TONE_PLAIN, drill_text(report, "teaches"));
    labelled(out, "The loop:", drill_text(report, "loop"));
    labelled(out, "What breaks it:", drill_text(report, "mitigation"));
    if (strcmp(arm, "control") == 0)
        document_paragraph(out, TONE_DOUBTFUL,
                           "This is the control arm: the protection was switched off, so it should "
                           "deviate. If it passes, the drill shows nothing.");
    if (strcmp(arm, "no fault") == 0)
        document_paragraph(
            out, TONE_DOUBTFUL,
            "This arm ran without its fault, so it should be invalid or deviate. If it "
            "passes, the drill shows nothing.");
}

/* ---- the numbers --------------------------------------------------------------------------- */

/* The first detector that spoke. NULL: none did. */
static const char *first_detector(const json_t *detect, double *at_s)
{
    static const char *const keys[] = {"degraded_s", "verdict_s", "breaker_s", "event_s"};
    static const char *const names[] = {"/health", "verdict", "breaker", NULL};
    const char *found = NULL;
    *at_s = (double)NAN;
    for (size_t i = 0; i < 4; i++) {
        double seconds = drill_number(detect, keys[i]);
        if (isnan(seconds) || (found && seconds >= *at_s))
            continue;
        *at_s = seconds;
        found = names[i] ? names[i] : drill_text(detect, "event");
    }
    return found;
}

static void writes(FILE *out, const json_t *report)
{
    const json_t *audit = json_object_get(report, "audit");
    const json_t *detail = json_object_get(json_object_get(report, "load"), "audit");
    static const char *const names[] = {"lost", "duplicate", "corrupt"};
    const char *state = drill_text(detail, "state");
    char text[DRILL_CELL];
    drill_plain(text, drill_number(detail, "acked"));
    document_fact(out, TONE_PLAIN, "writes acknowledged", "%s", text);
    for (size_t i = 0; i < 3; i++) {
        double count = drill_number(audit, names[i]);
        drill_plain(text, count);
        document_fact(out,
                      isnan(count) ? TONE_PLAIN
                      : count > 0  ? TONE_BAD
                                   : TONE_GOOD,
                      names[i], "%s%s", isnan(count) ? "not known: audit " : text,
                      isnan(count) ? *state ? state : "missing" : "");
    }
    drill_plain(text, drill_number(detail, "indeterminate"));
    document_fact(out, TONE_PLAIN, "indeterminate", "%s", text);
    const json_t *whole = json_object_get(audit, "integrity_ok");
    const char *checker = drill_text(audit, "integrity");
    if (json_is_true(whole))
        document_fact(out, TONE_GOOD, "the database file", "read through, whole");
    else if (json_is_boolean(whole))
        document_fact(out, TONE_BAD, "the database file", "NOT whole: %s", checker);
    else if (*checker)
        document_fact(out, TONE_DOUBTFUL, "the database file", "not checked: %s", checker);
}

static void numbers(FILE *out, const json_t *report)
{
    const json_t *load = json_object_get(report, "load");
    const json_t *requests = json_object_get(load, "requests");
    const json_t *leakage = json_object_get(report, "leakage");
    char text[DRILL_CELL], more[DRILL_CELL];
    double at_s;
    const char *by = first_detector(json_object_get(report, "detect"), &at_s);
    document_section(out, "In numbers", NULL);
    document_facts_begin(out);
    drill_seconds(text, at_s);
    document_fact(out, TONE_PLAIN, "time to detect", "%s%s%s%s", by ? text : "nothing spoke",
                  by ? " (" : "", by ? by : "", by ? ")" : "");
    drill_seconds(text, drill_number(report, "recover_s"));
    document_fact(out, TONE_PLAIN, "time to recover", "%s", text);
    drill_percent(text, drill_number(report, "blast_share"));
    document_fact(out, TONE_PLAIN, "blast radius", "%s of data requests", text);
    drill_plain(text, drill_number(leakage, "points"));
    document_fact(out, TONE_PLAIN, "leakage to others", "%s points", text);
    drill_plain(text, drill_number(requests, "sent"));
    drill_plain(more, drill_number(requests, "failed"));
    document_fact(out, TONE_PLAIN, "requests", "%s, %s failed", text, more);
    drill_plain(text, drill_number(json_object_get(load, "attempts"), "amplification"));
    document_fact(out, TONE_PLAIN, "attempts a request", "%s", text);
    writes(out, report);
    document_facts_end(out);
    fputs(
        "<p class=\"note\">Recovered is the end of the first second with less than 1 % errors and "
        "half the usual rate. Lost: acknowledged, and cannot be read. Indeterminate: got no "
        "answer, "
        "may exist or not, and is no fault.</p>\n",
        out);
}

/* ---- method ------------------------------------------------------------------ */

static void method(FILE *out, const json_t *report)
{
    static const char *const columns[] = {"at", "what was done", NULL};
    const json_t *steps = json_object_get(report, "method");
    const json_t *phases = json_object_get(report, "phases");
    const json_t *load = json_object_get(report, "load");
    char words[LINE], at[DRILL_CELL];
    document_section(
        out, drill_is_over(report) ? "What was done" : "What was to be done",
        "A load ran all the time; what it saw first is what normal is. Seconds count from "
        "the beginning of the fault.");
    drill_table_begin(out, columns);
    if (json_is_object(load)) {
        drill_seconds(at, drill_number(phases, "warm_up_s"));
        snprintf(words, sizeof words, "the load begins: %.4g requests a second, %s",
                 drill_number(load, "rps"), drill_text(load, "profile"));
        drill_row_begin(out);
        drill_cell(out, TONE_PLAIN, columns[0], at);
        drill_cell(out, TONE_PLAIN, columns[1], words);
        drill_row_end(out);
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        snprintf(at, sizeof at, "%g s", drill_number(step, "at_s"));
        snprintf(words, sizeof words, "%zu. %s", i + 1, drill_text(step, "text"));
        drill_row_begin(out);
        drill_cell(out, TONE_PLAIN, columns[0], at);
        drill_cell(out, TONE_PLAIN, columns[1], words);
        drill_row_end(out);
    }
    drill_table_end(out);
    if (json_array_size(steps) == 0)
        document_paragraph(out, TONE_PLAIN,
                           "Nothing was broken: this is the measure for the others.");
}

/* ---- detection and containment -------------------------------------------------------------- */

static void detectors(FILE *out, const json_t *report)
{
    static const char *const columns[] = {"who noticed", "#after", NULL};
    const json_t *detect = json_object_get(report, "detect");
    const char *by = drill_text(detect, "event");
    bool is_event = *by && strcmp(by, "degraded") && strcmp(by, "verdict") && strcmp(by, "breaker");
    char event[LINE], at[DRILL_CELL];
    snprintf(event, sizeof event, "the event %s", by);
    const struct {
        const char *name, *key;
    } rows[] = {
        {"the first client: a request failed", "first_failure_s"},
        {"/health says degraded", "degraded_s"},
        {"the verdict on the database moves", "verdict_s"},
        {"a circuit breaker opens", "breaker_s"},
        {is_event ? event : NULL, "event_s"},
    };
    document_section(out, "Who noticed, and when", "Seconds since the fault began.");
    drill_table_begin(out, columns);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double seconds = drill_number(detect, rows[i].key);
        if (!rows[i].name)
            continue;
        drill_seconds(at, seconds);
        drill_row_begin(out);
        drill_cell(out, TONE_PLAIN, columns[0], rows[i].name);
        drill_cell(out, TONE_PLAIN, columns[1], isnan(seconds) ? "did not" : at);
        drill_row_end(out);
    }
    drill_table_end(out);
}

static void compartments(FILE *out, const json_t *report)
{
    static const char *const columns[] = {"compartment", "meant to suffer", "#failed before",
                                          "#failed during", NULL};
    const json_t *all = json_object_get(report, "compartments");
    const json_t *leakage = json_object_get(report, "leakage");
    char before[DRILL_CELL], during[DRILL_CELL];
    if (json_array_size(all) == 0)
        return;
    document_section(
        out, "Who suffered",
        "Share of requests that failed, before the fault and while it lasted. Where none "
        "was meant to suffer, the rise is leakage.");
    drill_table_begin(out, columns);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        bool targeted = json_is_true(json_object_get(one, "targeted"));
        double rise = drill_number(one, "during") - drill_number(one, "before");
        drill_percent(before, drill_number(one, "before"));
        drill_percent(during, drill_number(one, "during"));
        drill_row_begin(out);
        drill_cell(out, TONE_PLAIN, columns[0], drill_text(one, "name"));
        drill_cell(out, TONE_PLAIN, columns[1], targeted ? "yes" : "no");
        drill_cell(out, TONE_PLAIN, columns[2], before);
        drill_cell(out, !targeted && rise > 0.01 ? TONE_BAD : TONE_PLAIN, columns[3], during);
        drill_row_end(out);
    }
    drill_table_end(out);
    if (drill_number(leakage, "points") > 0) {
        fputs("<p>", out);
        html_textf(out, "Most leaked to %s: %.2f points.", drill_text(leakage, "where"),
                   drill_number(leakage, "points"));
        fputs("</p>\n", out);
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void link_to(FILE *out, const char *page, const char *text)
{
    if (!*page)
        return;
    fputs("<li><a href=\"", out);
    html_text(out, page);
    fputs("\">", out);
    html_text(out, text);
    fputs("</a></li>\n", out);
}

static void again(FILE *out, const json_t *report)
{
    const json_t *how = json_object_get(report, "how");
    char data[DRILL_CELL * 4];
    document_section(out, "Again, and further", NULL);
    fputs("<pre>", out);
    html_text(out, drill_text(how, "command"));
    fputs("</pre>\n<ul>\n", out);
    link_to(out, drill_text(how, "load_page"), "what the load tester saw: its own report");
    link_to(out, drill_text(how, "load2_page"), "the second load's report");
    snprintf(data, sizeof data, "%s.json", drill_text(how, "base"));
    link_to(out, *drill_text(how, "base") ? data : "", "everything measured, as JSON");
    link_to(out, "index.html", "all drills");
    fputs("</ul>\n", out);
}

void drill_page(FILE *out, const json_t *report)
{
    const json_t *how = json_object_get(report, "how");
    char title[LINE], subtitle[LINE], order[DRILL_CELL], started[32];
    drill_order(order, drill_text(report, "drill"));
    snprintf(title, sizeof title, "Drill %s: %s", order, drill_text(report, "title"));
    snprintf(started, sizeof started, "%.19s", drill_text(report, "started"));
    if (started[0] && started[10])
        started[10] = ' '; /* instead of the T: this is for people */
    snprintf(subtitle, sizeof subtitle, "%s%s%s form, bulkhead %s", started,
             started[0] ? " UTC, " : "it did not begin, ", drill_text(how, "arm"),
             drill_text(how, "version"));
    document_begin(out, title, subtitle);
    verdict(out, report);
    lesson(out, report);
    if (drill_is_over(report))
        numbers(out, report);
    method(out, report);
    drill_page_claims(out, report);
    drill_page_course(out, report);
    drill_page_timeline(out, report);
    if (drill_is_over(report)) {
        detectors(out, report);
        compartments(out, report);
    }
    again(out, report);
    document_end(out, "Made by drill. docs/drills.md explains how to read this.");
}
