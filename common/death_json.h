/* SPDX-License-Identifier: MIT */
/*
 * A death report as JSON: what the keeper writes into DATADIR/deaths. It reads nothing but the
 * report, and takes every number and text in it as possibly untrue.
 */
#ifndef BULKHEAD_DEATH_JSON_H
#define BULKHEAD_DEATH_JSON_H

#include <stddef.h>

#include "common/region.h"

/* Enough for any report, whatever is in it. */
#define DEATH_JSON_SIZE (256 * 1024)

/* <UTC time>-<kind>-<slot>-<pid>.json, the time to the microsecond: the order of the names is the
 * order of the deaths, as far as the wall clock goes forward. */
#define DEATH_NAME_SIZE 80
void death_name_file(char out[DEATH_NAME_SIZE], const struct death_report *report);

/* Whether a file's name is one death_name_file could have made. */
bool death_name_is_ours(const char *name);

/* One object and a newline. Returns the length, 0 when the buffer is too small. */
size_t death_json(const struct death_report *report, const uint64_t boot_id[2], char *out,
                  size_t size);

#endif
