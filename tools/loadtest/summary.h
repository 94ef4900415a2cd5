/* SPDX-License-Identifier: MIT */
/*
 * Shows a result: as JSON for programs, as a table for people. The keys of the JSON are a contract.
 */
#ifndef BULKHEAD_LOADTEST_SUMMARY_H
#define BULKHEAD_LOADTEST_SUMMARY_H

#include <stddef.h>
#include <stdio.h>

#include "common/json_out.h"
#include "tools/loadtest/result.h"

#define SUMMARY_BYTES (256u * 1024)

/* Write the JSON object; NUL-terminated, without a line end. */
void summary_json(const struct result *result, char *out, size_t size);

/* Print the table. */
void summary_table(const struct result *result, FILE *out);

/* The words of the last line: what the exit code means. */
const char *summary_meaning(const struct result *result);

/* "12.3 ms", "0.0042", "17": a value of a metric for people; "not measured" for NaN, "too many
 * failed" or "not recovered" for infinity. */
#define SUMMARY_VALUE 32
void summary_value(enum metric metric, double value, char out[SUMMARY_VALUE]);

/* Why an incomplete audit is: "http_410"; "" for others. */
void summary_audit_failure(const struct result *result, char out[FAILURE_NAME]);

/* The margin of threshold i: "87.7 ms (44 %)"; "" when there is none to speak of. */
void summary_margin(const struct result *result, unsigned i, char out[SUMMARY_VALUE]);

/* What is about the profile: used by the two above. */
void summary_profile_json(struct json_out *json, const struct result *result);
void summary_profile_table(const struct result *result, FILE *out);

#endif
