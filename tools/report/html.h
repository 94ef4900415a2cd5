/* SPDX-License-Identifier: MIT */
/*
 * Text in HTML (also in SVG): what comes from outside is escaped, always. Writes to a stream of the
 * caller and keeps nothing; errors of the stream are the caller's to look for (ferror).
 */
#ifndef BULKHEAD_REPORT_HTML_H
#define BULKHEAD_REPORT_HTML_H

#include <stdio.h>

/* Write text with & < > " ' escaped: good between tags and in quoted attributes. Control characters
 * but tab and line feed, and bytes that are no UTF-8, become U+FFFD. NULL writes nothing. */
void html_text(FILE *out, const char *text);

/* The same for what printf makes of it, up to 4 KiB. */
void html_textf(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
