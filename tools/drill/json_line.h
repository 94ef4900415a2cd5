/* SPDX-License-Identifier: MIT */
/* On which line of a JSON text a member stands: jansson tells lines of syntax errors alone. */
#ifndef BULKHEAD_DRILL_JSON_LINE_H
#define BULKHEAD_DRILL_JSON_LINE_H

/* The line (from 1) of the member at `path`, e.g. "method[2].fault": the line of its key, of an
 * element its first character. 0 when there is none. The text is valid JSON. */
unsigned json_line(const char *text, const char *path);

#endif
