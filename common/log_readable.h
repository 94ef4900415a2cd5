/* SPDX-License-Identifier: MIT */
/*
 * A log line for people: the form the log has on a terminal, and the one `bulkheadctl logs` makes
 * of NDJSON. One code, so that both look the same. Pure but for terminal_wants_colour.
 *
 * Whatever came from a client is text here and nothing else: bytes that a terminal would obey
 * (controls, also those of 8 bits, and the marks that turn the direction of text around) and bytes
 * that are no UTF-8 are shown as \xNN or \uNNNN.
 */
#ifndef BULKHEAD_LOG_READABLE_H
#define BULKHEAD_LOG_READABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/log.h"

struct readable {
    char *text;
    size_t size, length; /* one byte is kept for the newline; what does not fit is cut */
    bool colour;
};

/* What a colour is wanted for: a terminal that is none of the dumb, without NO_COLOR (no-color.org:
 * set and not empty). */
bool terminal_wants_colour(int fd);

/* Text a terminal can take. */
void readable_text(struct readable *out, const char *text, size_t length);

/* time: RFC 3339 (its time of day is shown). slot < 0: none. */
void readable_begin(struct readable *out, const char *time, enum log_level level,
                    const char *process, int slot, const char *event, const char *message,
                    size_t message_length);

void readable_field(struct readable *out, const char *key, const char *value, size_t length);

/* End the line. */
void readable_end(struct readable *out);

/* "debug", "info", "warning", "error"; and back: -1 for what is none. */
const char *log_level_name(enum log_level level);
int log_level_of(const char *name);

#endif
