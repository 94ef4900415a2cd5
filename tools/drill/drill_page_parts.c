/* SPDX-License-Identifier: MIT */
/* What the files of the pages share: numbers and texts of the report, and tables. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/drill/drill_page.h"
#include "tools/report/html.h"

double drill_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *drill_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool drill_is_over(const json_t *report)
{
    return json_is_boolean(
        json_object_get(json_array_get(json_object_get(report, "hypothesis"), 0), "holds"));
}

void drill_seconds(char out[DRILL_CELL], double seconds)
{
    if (isnan(seconds))
        snprintf(out, DRILL_CELL, "-");
    else if (fabs(seconds) > 0 && fabs(seconds) < 0.001)
        snprintf(out, DRILL_CELL, "%.2f ms", seconds * 1000);
    else if (fabs(seconds) < 1)
        snprintf(out, DRILL_CELL, "%.0f ms", seconds * 1000);
    else
        snprintf(out, DRILL_CELL, "%.2f s", seconds);
}

void drill_plain(char out[DRILL_CELL], double value)
{
    if (isnan(value))
        snprintf(out, DRILL_CELL, "-");
    else if (fabs(value) >= 100 || fabs(value - round(value)) < 1e-9)
        snprintf(out, DRILL_CELL, "%.0f", value);
    else
        snprintf(out, DRILL_CELL, "%.3g", value);
}

void drill_percent(char out[DRILL_CELL], double share)
{
    if (isnan(share))
        snprintf(out, DRILL_CELL, "-");
    else
        snprintf(out, DRILL_CELL, "%.2f %%", share * 100);
}

enum tone drill_tone(const char *result)
{
    if (strcmp(result, "PASS") == 0)
        return TONE_GOOD;
    return strcmp(result, "DEVIATED") == 0 ? TONE_BAD : TONE_DOUBTFUL;
}

void drill_order(char out[DRILL_CELL], const char *name)
{
    snprintf(out, DRILL_CELL, "%.*s", (int)strspn(name, "0123456789"), name);
}

/* ---- tables -------------------------------------------------------------------------------- */

static const char *tone_class(enum tone tone)
{
    static const char *const classes[] = {"plain", "good", "doubtful", "bad"};
    return classes[tone];
}

void drill_table_begin(FILE *out, const char *const *columns)
{
    fputs("<table class=\"stack\"><thead><tr>", out);
    for (; *columns; columns++) {
        bool number = **columns == '#';
        fputs(number ? "<th class=\"n\">" : "<th>", out);
        html_text(out, *columns + number);
        fputs("</th>", out);
    }
    fputs("</tr></thead><tbody>\n", out);
}

void drill_row_begin(FILE *out)
{
    fputs("<tr>", out);
}

void drill_cell_begin(FILE *out, enum tone tone, const char *column)
{
    bool number = *column == '#';
    fprintf(out, "<td class=\"%s%s\" data-name=\"", tone_class(tone), number ? " n" : "");
    html_text(out, column + number);
    fputs("\"><div>", out);
}

void drill_cell_end(FILE *out)
{
    fputs("</div></td>", out);
}

void drill_cell(FILE *out, enum tone tone, const char *column, const char *text)
{
    drill_cell_begin(out, tone, column);
    html_text(out, text);
    drill_cell_end(out);
}

void drill_row_end(FILE *out)
{
    fputs("</tr>\n", out);
}

void drill_table_end(FILE *out)
{
    fputs("</tbody></table>\n", out);
}
