/* SPDX-License-Identifier: MIT */
/*
 * Shows a result: as JSON for programs, as a table for people. The keys of the JSON are a contract.
 */
#ifndef BULKHEAD_LOADTEST_SUMMARY_H
#define BULKHEAD_LOADTEST_SUMMARY_H

#include <stddef.h>
#include <stdio.h>

#include "tools/loadtest/result.h"

#define SUMMARY_BYTES (128u * 1024)

/* Write the JSON object; NUL-terminated, without a line end. */
void summary_json(const struct result *result, char *out, size_t size);

/* Print the table. */
void summary_table(const struct result *result, FILE *out);

#endif
