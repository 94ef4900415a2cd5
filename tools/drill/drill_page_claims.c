/* SPDX-License-Identifier: MIT */
/* What a drill claimed, in words, beside what was measured; and its proof. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/drill/drill_page.h"
#include "tools/drill/words.h"
#include "tools/report/html.h"

#define LINE  1024
#define BOUND 256

static void bound(char out[BOUND], const json_t *line)
{
    char limit[DRILL_CELL], asserted[DRILL_CELL], room[DRILL_CELL * 2] = "";
    double own = drill_number(line, "limit"), meant = drill_number(line, "asserted");
    drill_plain(limit, own);
    drill_plain(asserted, meant);
    if (fabs(own - meant) > 0)
        snprintf(room, sizeof room, " (%s with room for noise)", asserted);
    snprintf(out, BOUND, "%s %s%s", words_of_comparison(drill_text(line, "op")), limit, room);
}

static void margin(char out[DRILL_CELL], const json_t *line)
{
    double margin = drill_number(line, "margin");
    const char *op = drill_text(line, "op");
    bool exact = strcmp(op, "==") == 0 || strcmp(op, "!=") == 0;
    /* Of a limit of 0 there is no share. */
    if (exact || isnan(margin) || !(fabs(drill_number(line, "asserted")) > 0))
        snprintf(out, DRILL_CELL, "-");
    else if (margin < -9.99)
        snprintf(out, DRILL_CELL, "%.0f times over", -margin);
    else
        snprintf(out, DRILL_CELL, "%.0f %%", margin * 100);
}

/* Lines that are true or not, told as such. */
static bool is_yes_or_no(const char *text)
{
    return strncmp(text, "steady after", 12) == 0 || strcmp(text, "the database is whole") == 0;
}

static void claim(FILE *out, const json_t *line, const char *column)
{
    char words[LINE];
    const char *text = drill_text(line, "probe"), *during = drill_text(line, "during");
    double worst_s = drill_number(line, "worst_s");
    words_of_expression(text, words, sizeof words);
    drill_cell_begin(out, TONE_PLAIN, column);
    html_text(out, words);
    if (*during)
        html_textf(out, ", %s", words_of_window(during));
    if (!isnan(worst_s))
        html_textf(out, "; the worst second began at %.1f s", worst_s);
    if (strcmp(words, text) != 0) {
        fputs("<br><code class=\"faint\">", out);
        html_text(out, text);
        fputs("</code>", out);
    }
    drill_cell_end(out);
}

static void probe(FILE *out, const json_t *line, const char *const *columns)
{
    bool asked = json_is_boolean(json_object_get(line, "holds"));
    bool holds = json_is_true(json_object_get(line, "holds"));
    bool should = strcmp(drill_text(line, "level"), "should") == 0;
    bool yes_or_no = is_yes_or_no(drill_text(line, "probe"));
    double measured = drill_number(line, "measured");
    enum tone tone = !asked ? TONE_PLAIN : holds ? TONE_GOOD : should ? TONE_DOUBTFUL : TONE_BAD;
    char cell[BOUND];
    drill_row_begin(out);
    drill_cell(out, tone, columns[0],
               !asked   ? "not measured"
               : holds  ? "holds"
               : should ? "should, but does not"
                        : "DOES NOT HOLD");
    claim(out, line, columns[1]);
    drill_plain(cell, measured);
    drill_cell(out, tone, columns[2],
               isnan(measured)  ? "not measured"
               : !yes_or_no     ? cell
               : measured > 0.5 ? "yes"
                                : "no");
    bound(cell, line);
    drill_cell(out, TONE_PLAIN, columns[3], yes_or_no ? "yes" : cell);
    margin(cell, line);
    drill_cell(out, TONE_PLAIN, columns[4], cell);
    drill_row_end(out);
}

void drill_page_claims(FILE *out, const json_t *report)
{
    static const char *const columns[] = {"",      "what was claimed", "#measured",
                                          "limit", "#margin",          NULL};
    const json_t *lines = json_object_get(report, "hypothesis");
    const json_t *proof = json_object_get(report, "proof");
    char words[LINE];
    document_section(
        out, "What was claimed, and what was measured",
        "Margin: how far the measured value is from the limit, as a share of it; below 0 it "
        "is beyond. A bound of behaviour has room for a busy machine, and both numbers are "
        "shown.");
    if (!drill_is_over(report))
        document_paragraph(out, TONE_DOUBTFUL, "It did not come to a measurement.");
    if (json_array_size(lines) > 0)
        drill_table_begin(out, columns);
    for (size_t i = 0; i < json_array_size(lines); i++)
        probe(out, json_array_get(lines, i), columns);
    if (json_array_size(lines) > 0)
        drill_table_end(out);
    words_of_expression(drill_text(proof, "text"), words, sizeof words);
    fputs("<p><b>The proof that it struck:</b> ", out);
    html_text(out, words);
    if (*drill_text(proof, "found")) {
        fprintf(out, ". Found: <span class=\"%s\">",
                json_is_true(json_object_get(proof, "holds")) ? "good" : "bad");
        html_text(out, drill_text(proof, "found"));
        fputs("</span>", out);
    }
    fputs(".</p>\n", out);
}
