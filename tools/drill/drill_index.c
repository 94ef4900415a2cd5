/* SPDX-License-Identifier: MIT */
/* The page of all drills. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/drill/drill_page.h"
#include "tools/report/html.h"

static const char *const columns[] = {"drill",
                                      "verdict",
                                      "what it teaches",
                                      "#detected after",
                                      "#recovered after",
                                      "#blast radius",
                                      "#writes lost",
                                      NULL};

static const char *result_of(const json_t *report)
{
    return drill_text(json_object_get(report, "verdict"), "result");
}

/* The soonest of the detectors. */
static double detected_s(const json_t *detect)
{
    static const char *const keys[] = {"degraded_s", "verdict_s", "breaker_s", "event_s"};
    double soonest = (double)NAN;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        soonest = fmin(soonest, drill_number(detect, keys[i]));
    return soonest;
}

/* The number and the title, which lead to the drill's page, and which arm it was. */
static void name(FILE *out, const json_t *entry)
{
    const json_t *report = json_object_get(entry, "report");
    const char *arm = drill_text(json_object_get(report, "how"), "arm");
    char order[DRILL_CELL];
    drill_order(order, drill_text(report, "drill"));
    drill_cell_begin(out, TONE_PLAIN, columns[0]);
    fputs("<a href=\"", out);
    html_text(out, drill_text(entry, "page"));
    fputs("\">", out);
    html_textf(out, "%s %s", order, drill_text(report, "title"));
    fputs("</a>", out);
    if (strcmp(arm, "control") == 0)
        fputs("<br><span class=\"faint\">protection off: is to deviate</span>", out);
    if (strcmp(arm, "no fault") == 0)
        fputs("<br><span class=\"faint\">without its fault: is not to pass</span>", out);
    drill_cell_end(out);
}

static void row(FILE *out, const json_t *entry)
{
    const json_t *report = json_object_get(entry, "report");
    const char *result = result_of(report);
    double lost = drill_number(json_object_get(report, "audit"), "lost");
    char cell[DRILL_CELL];
    drill_row_begin(out);
    name(out, entry);
    drill_cell(out, drill_tone(result), columns[1], result);
    drill_cell(out, TONE_PLAIN, columns[2], drill_text(report, "teaches"));
    drill_seconds(cell, detected_s(json_object_get(report, "detect")));
    drill_cell(out, TONE_PLAIN, columns[3], cell);
    drill_seconds(cell, drill_number(report, "recover_s"));
    drill_cell(out, TONE_PLAIN, columns[4], cell);
    drill_percent(cell, drill_number(report, "blast_share"));
    drill_cell(out, TONE_PLAIN, columns[5], cell);
    drill_plain(cell, lost);
    drill_cell(out, lost > 0 ? TONE_BAD : TONE_PLAIN, columns[6], cell);
    drill_row_end(out);
}

struct counts {
    size_t passed, deviated, other, lost, audited;
    const char *first, *last; /* when they were run */
};

/* Arms that are meant to fail are no failures. */
static struct counts count(const json_t *reports)
{
    struct counts counts = {.first = "", .last = ""};
    for (size_t i = 0; i < json_array_size(reports); i++) {
        const json_t *report = json_object_get(json_array_get(reports, i), "report");
        const char *arm = drill_text(json_object_get(report, "how"), "arm");
        const char *result = result_of(report), *started = drill_text(report, "started");
        double lost = drill_number(json_object_get(report, "audit"), "lost");
        if (*started && (!*counts.first || strcmp(started, counts.first) < 0))
            counts.first = started;
        if (*started && strcmp(started, counts.last) > 0)
            counts.last = started;
        counts.audited += isnan(lost) ? 0 : 1;
        counts.lost += lost > 0 ? (size_t)lost : 0;
        if (strcmp(arm, "control") == 0 || strcmp(arm, "no fault") == 0)
            continue;
        counts.passed += strcmp(result, "PASS") == 0;
        counts.deviated += strcmp(result, "DEVIATED") == 0;
        counts.other += strcmp(result, "PASS") != 0 && strcmp(result, "DEVIATED") != 0;
    }
    return counts;
}

static void summary(FILE *out, const struct counts *counts)
{
    char headline[200], detail[200] = "No drill has been run.";
    snprintf(headline, sizeof headline, "%zu passed, %zu deviated, %zu without a verdict",
             counts->passed, counts->deviated, counts->other);
    if (*counts->first)
        snprintf(detail, sizeof detail,
                 "Run from %.10s %.8s to %.8s UTC. %zu were audited: %zu acknowledged writes lost.",
                 counts->first, counts->first + 11, counts->last + 11, counts->audited,
                 counts->lost);
    document_verdict(out,
                     counts->deviated || counts->lost ? TONE_BAD
                     : counts->other                  ? TONE_DOUBTFUL
                                                      : TONE_GOOD,
                     headline, detail);
}

static void again(FILE *out, const json_t *reports)
{
    const json_t *last =
        json_object_get(json_array_get(reports, json_array_size(reports) - 1), "report");
    const json_t *how = json_object_get(last, "how");
    document_section(out, "How they were run", NULL);
    fputs("<pre>", out);
    html_text(out, drill_text(how, "all"));
    fputs("</pre>\n<p class=\"note\">", out);
    html_textf(out, "bulkhead %s, %.0f processors. ", drill_text(how, "version"),
               drill_number(how, "processors"));
    html_text(out,
              "A drill passes when everything it claims held and the proof shows that its fault "
              "struck; it deviates when something did not hold; without a proof, or when it "
              "could not be carried out, it has no verdict.");
    fputs("</p>\n", out);
}

void drill_index(FILE *out, const json_t *reports)
{
    struct counts counts = count(reports);
    document_begin(out, "Drills",
                   "Each breaks a server on purpose while a load runs, and says whether the server "
                   "behaved as claimed.");
    summary(out, &counts);
    drill_table_begin(out, columns);
    for (size_t i = 0; i < json_array_size(reports); i++)
        row(out, json_array_get(reports, i));
    drill_table_end(out);
    again(out, reports);
    document_end(out,
                 "Made by drill. Blast radius: the share of data requests that failed while the "
                 "fault lasted. A dash: not measured.");
}
