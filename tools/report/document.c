/* SPDX-License-Identifier: MIT */
#include "tools/report/document.h"

#include <stdarg.h>
#include <stdbool.h>

#include "tools/report/document_style.h"
#include "tools/report/html.h"

#define VALUE_BYTES 1024

static const char *tone_class(enum tone tone)
{
    static const char *const classes[] = {"plain", "good", "doubtful", "bad"};
    return classes[tone];
}

void document_begin(FILE *out, const char *title, const char *subtitle)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; img-src data:\">\n"
          /* An empty icon, or the browser asks its host for one. */
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          out);
    html_text(out, title);
    fputs("</title>\n<style>\n", out);
    fputs(document_style, out);
    fputs("</style></head><body>\n<header><h1>", out);
    html_text(out, title);
    fputs("</h1>", out);
    if (subtitle) {
        fputs("<p class=\"faint\">", out);
        html_text(out, subtitle);
        fputs("</p>", out);
    }
    fputs("</header>\n<main>\n", out);
}

void document_end(FILE *out, const char *footer)
{
    fputs("</main>\n<footer>", out);
    html_text(out, footer);
    fputs("</footer>\n</body></html>\n", out);
}

void document_verdict(FILE *out, enum tone tone, const char *headline, const char *detail)
{
    fprintf(out, "<div class=\"verdict %s\"><strong>", tone_class(tone));
    html_text(out, headline);
    fputs("</strong>", out);
    html_text(out, detail);
    fputs("</div>\n", out);
}

void document_section(FILE *out, const char *heading, const char *note)
{
    fputs("<h2>", out);
    html_text(out, heading);
    fputs("</h2>\n", out);
    if (!note)
        return;
    fputs("<p class=\"note\">", out);
    html_text(out, note);
    fputs("</p>\n", out);
}

void document_paragraph(FILE *out, enum tone tone, const char *text)
{
    fprintf(out, "<p class=\"%s\">", tone_class(tone));
    html_text(out, text);
    fputs("</p>\n", out);
}

void document_facts_begin(FILE *out)
{
    fputs("<dl>\n", out);
}

void document_fact(FILE *out, enum tone tone, const char *name, const char *format, ...)
{
    char value[VALUE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    fputs("<div><dt>", out);
    html_text(out, name);
    fprintf(out, "</dt><dd class=\"%s\">", tone_class(tone));
    html_text(out, value);
    fputs("</dd></div>\n", out);
}

void document_facts_end(FILE *out)
{
    fputs("</dl>\n", out);
}

void document_table_begin(FILE *out, const char *const *columns)
{
    fputs("<div class=\"scroll\"><table><thead><tr>", out);
    for (; *columns; columns++) {
        bool number = **columns == '#';
        fputs(number ? "<th class=\"n\">" : "<th>", out);
        html_text(out, *columns + number);
        fputs("</th>", out);
    }
    fputs("</tr></thead><tbody>\n", out);
}

void document_row(FILE *out, enum tone tone, const char *const *columns, const char *const *cells)
{
    fprintf(out, "<tr class=\"%s\">", tone_class(tone));
    for (; *columns && *cells; columns++, cells++) {
        fputs(**columns == '#' ? "<td class=\"n\">" : "<td>", out);
        html_text(out, *cells);
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
}

void document_table_end(FILE *out)
{
    fputs("</tbody></table></div>\n", out);
}

void document_details_begin(FILE *out, const char *summary)
{
    fputs("<details><summary>", out);
    html_text(out, summary);
    fputs("</summary>\n", out);
}

void document_details_end(FILE *out)
{
    fputs("</details>\n", out);
}
