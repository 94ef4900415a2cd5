/* SPDX-License-Identifier: MIT */
/*
 * A fault as text: "KIND key=value ...", the words of `bulkheadctl faults set` and of the control
 * socket. It owns the vocabulary, the presets and the rules between keys; it knows no fleet and no
 * clock. The text is not trusted: every error names the key, the value and what is allowed.
 */
#ifndef BULKHEAD_FAULT_SPEC_H
#define BULKHEAD_FAULT_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "common/fault_table.h"
#include "common/json_out.h"

#define FAULT_TEXT_SIZE 320

/* Fill *fault (state FREE, no id) from text. 0, or -1 and one line in error. */
int fault_spec_parse(const char *text, struct fault *fault, char *error, size_t error_size);

/* The shortest text that means the same. */
void fault_spec_print(const struct fault *fault, char *out, size_t size);

/* Whether a strike is over at once, and the fault may be meant once (crash, hang, scribble,
 * close_fds); the others last as long as the fault. */
bool fault_kind_strikes(unsigned kind);

/* The table as an array of objects, FREE records left out. */
void fault_table_json(struct json_out *json, const struct fault_table *table, uint64_t now_ns);

/* Names; "?" for a number that is none. */
const char *fault_state_name(unsigned value);
const char *fault_end_name(unsigned value);
const char *fault_point_name(unsigned value);

#endif
