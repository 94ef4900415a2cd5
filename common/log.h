/* SPDX-License-Identifier: MIT */
/*
 * The log: one line an event on stderr, NDJSON, or a readable form (log_readable.h) when stderr is a
 * terminal.
 * A line is one write of at most PIPE_BUF bytes, so lines of several processes never mix; when the
 * reader does not keep up the line is dropped and counted: logging never blocks a request.
 */
#ifndef BULKHEAD_LOG_H
#define BULKHEAD_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* One extra field of a line. Make them with log_text, log_number and log_flag. */
struct log_field {
    const char *key;
    const char *text; /* used when not NULL */
    int64_t number;
    enum { LOG_FIELD_NONE, LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_FLAG } kind;
};

/* Once, before the first line. slot < 0: none. *dropped counts lines lost; NULL keeps it private.
 * Reopens stderr with its own O_APPEND|O_NONBLOCK description where that is possible. */
void log_open(const char *process, int slot, enum log_level least, _Atomic uint64_t *dropped);

/* Whether lines of this level are written at all. */
bool log_wants(enum log_level level);

/* A line with extra fields; fields end with kind LOG_FIELD_NONE; a text of NULL leaves it out. */
void log_event(enum log_level level, const char *event, const struct log_field *fields,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same with a message that is made already. */
void log_event_text(enum log_level level, const char *event, const struct log_field *fields,
                    const char *message);

/* Lines without extra fields. */
void log_info(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .text = text, .kind = LOG_FIELD_TEXT};
}

static inline struct log_field log_number(const char *key, int64_t number)
{
    return (struct log_field){.key = key, .number = number, .kind = LOG_FIELD_NUMBER};
}

static inline struct log_field log_flag(const char *key, bool flag)
{
    return (struct log_field){.key = key, .number = flag, .kind = LOG_FIELD_FLAG};
}

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {0}})

#endif
