/* SPDX-License-Identifier: MIT */
/*
 * An HTML page that needs nothing but itself: the style is inside, there is no script, and its own
 * policy forbids it to load anything. Light or dark as the reader's system is, readable on a phone,
 * printable. The caller owns the stream and calls in this order:
 *
 *   document_begin, document_verdict, any of document_section / facts / tables / charts,
 * document_end
 *
 * All text is escaped here.
 */
#ifndef BULKHEAD_REPORT_DOCUMENT_H
#define BULKHEAD_REPORT_DOCUMENT_H

#include <stdio.h>

enum tone { TONE_PLAIN, TONE_GOOD, TONE_DOUBTFUL, TONE_BAD };

void document_begin(FILE *out, const char *title, const char *subtitle);
void document_end(FILE *out, const char *footer);

/* The line that a reader in a hurry reads, and one below it (NULL: none). */
void document_verdict(FILE *out, enum tone tone, const char *headline, const char *detail);

/* A heading, and a sentence below it that says how to read what follows (NULL: none). */
void document_section(FILE *out, const char *heading, const char *note);

void document_paragraph(FILE *out, enum tone tone, const char *text);

/* Names and values, side by side where there is room. */
void document_facts_begin(FILE *out);
void document_fact(FILE *out, enum tone tone, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void document_facts_end(FILE *out);

/* A table. Columns end with a NULL; a name that begins with '#' is a column of numbers: its cells
 * stand right, and the '#' is not shown. Cells of a row end with a NULL too. */
void document_table_begin(FILE *out, const char *const *columns);
void document_row(FILE *out, enum tone tone, const char *const *columns, const char *const *cells);
void document_table_end(FILE *out);

/* What follows is hidden until the reader opens it; a printed page shows it. */
void document_details_begin(FILE *out, const char *summary);
void document_details_end(FILE *out);

#endif
