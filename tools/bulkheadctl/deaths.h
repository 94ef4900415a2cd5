/* SPDX-License-Identifier: MIT */
/* A death report for people; deaths.c finds it, death_show.c prints it. */
#ifndef BULKHEADCTL_DEATHS_H
#define BULKHEADCTL_DEATHS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Text or number of a report; "" and 0 where it has none of that name, or of another type. */
const char *death_text(const json_t *object, const char *key);
long long death_number(const json_t *object, const char *key);

/* "worker 3", "sentinel". */
const char *death_who(const json_t *report, char *out, size_t size);

/* One report on a screen: threads that do the same nothing together, busy ones a line each. */
void death_show(FILE *out, const json_t *report, bool colour);

#endif
