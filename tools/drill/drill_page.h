/* SPDX-License-Identifier: MIT */
/*
 * A drill as HTML pages, from the JSON of its report (report.h) alone: one page a drill, for a
 * person who has not read its file, and one index of all drills of a directory. Every text of the
 * report is escaped. Errors of the stream are the caller's to look for.
 *
 * Besides what report.h names, a report may have (the runner's command line sets it)
 *   "how":{command,version,arm,processors,load_page,load2_page}
 */
#ifndef BULKHEAD_DRILL_PAGE_H
#define BULKHEAD_DRILL_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "tools/report/document.h"

void drill_page(FILE *out, const json_t *report);

/* All drills of a directory: `reports` is an array of {"page": file name, "report": report}. */
void drill_index(FILE *out, const json_t *reports);

/* ---- parts of the page, each in a file of its own ------------------------------------------- */

/* Charts of the series, with what was broken when as bands. */
void drill_page_course(FILE *out, const json_t *report);

/* Every probe with what was measured, and the proof. */
void drill_page_claims(FILE *out, const json_t *report);

/* What was done and what the server did, each event below its cause. */
void drill_page_timeline(FILE *out, const json_t *report);

/* ---- what they share ------------------------------------------------------------------------ */

#define DRILL_CELL 64

/* A number, or NaN when it is null or missing; a text, or "". */
double drill_number(const json_t *object, const char *key);
const char *drill_text(const json_t *object, const char *key);

/* Whether it went on to its end and was judged. */
bool drill_is_over(const json_t *report);

/* "850 ms", "2.31 s"; "-" when it was not measured. */
void drill_seconds(char out[DRILL_CELL], double seconds);

/* "12", "0.25", "-". */
void drill_plain(char out[DRILL_CELL], double value);

/* "0.25 %", "-". */
void drill_percent(char out[DRILL_CELL], double share);

enum tone drill_tone(const char *result);

/* Number of a drill's name ("03-kill-one" is "03") as text. */
void drill_order(char out[DRILL_CELL], const char *name);

/* A table that becomes a list of cards on a phone: columns as for page_table_begin. Each cell is
 * between cell_begin and cell_end; the writer escapes what it puts there. */
void drill_table_begin(FILE *out, const char *const *columns);
void drill_row_begin(FILE *out);
void drill_cell_begin(FILE *out, enum tone tone, const char *column);
void drill_cell_end(FILE *out);
void drill_cell(FILE *out, enum tone tone, const char *column, const char *text);
void drill_row_end(FILE *out);
void drill_table_end(FILE *out);

#endif
