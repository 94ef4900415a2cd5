/* SPDX-License-Identifier: MIT */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/log_readable.h"

#define LINE_MAX_BYTES PIPE_BUF

static struct {
    const char *process;
    int slot;
    char origin[64]; /* the members proc, pid and slot, which are the same in each line */
    int fd;
    bool terminal, colour, socket;
    int shown_slot; /* on a terminal: helpers are known by their names */
    bool may_block; /* stderr could not be reopened: look before each write */
    enum log_level least;
    _Atomic uint64_t *dropped;
    _Atomic uint64_t dropped_private;
} out = {
    .process = "bulkhead", .slot = -1, .shown_slot = -1, .fd = STDERR_FILENO, .least = LOG_INFO};

/* getpid is a system call, and a thread's every request has a line. */
static void set_origin(void)
{
    struct json_out json;
    json_out_init(&json, out.origin, sizeof out.origin);
    json_key_string(&json, "proc", out.process);
    json_key_int(&json, "pid", getpid());
    if (out.slot >= 0)
        json_key_int(&json, "slot", out.slot);
}

void log_open(const char *process, int slot, enum log_level least, _Atomic uint64_t *dropped)
{
    struct stat status;
    out.process = process;
    out.slot = slot;
    set_origin();
    out.least = least;
    out.dropped = dropped ? dropped : &out.dropped_private;
    out.terminal = isatty(STDERR_FILENO);
    out.colour = terminal_wants_colour(STDERR_FILENO);
    out.shown_slot = strcmp(process, "worker") == 0 ? slot : -1;
    out.socket = fstat(STDERR_FILENO, &status) == 0 && S_ISSOCK(status.st_mode);
    if (out.socket)
        return;
    /* O_NONBLOCK belongs to the description, and the inherited one is shared with our siblings and
     * whoever started us: setting it there would change their file too. Hence our own. */
    int own = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    out.may_block = own < 0;
    if (own >= 0)
        out.fd = own;
}

bool log_wants(enum log_level level)
{
    return level >= out.least;
}

static void write_line(const char *line, size_t length)
{
    struct pollfd room = {.fd = out.fd, .events = POLLOUT};
    ssize_t n = -1;
    if (out.socket)
        n = send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (!out.may_block || poll(&room, 1, 0) == 1) /* a pipe with room has PIPE_BUF of it */
        n = write(out.fd, line, length);
    if (n < 0 && out.dropped)
        atomic_fetch_add_explicit(out.dropped, 1, memory_order_relaxed);
}

static void put_field(struct json_out *json, const struct log_field *field)
{
    if (field->kind == LOG_FIELD_TEXT && field->text)
        json_key_string(json, field->key, field->text);
    else if (field->kind == LOG_FIELD_NUMBER)
        json_key_int(json, field->key, field->number);
    else if (field->kind == LOG_FIELD_FLAG)
        json_key_bool(json, field->key, field->number != 0);
}

static void write_json(enum log_level level, const char *event, const struct log_field *fields,
                       const char *message)
{
    char line[LINE_MAX_BYTES], time[CLOCK_RFC3339_SIZE];
    struct json_out json;
    clock_rfc3339(time, clock_wall_us());
    json_out_init(&json, line, sizeof line - 1);
    json_object_begin(&json);
    json_key_string(&json, "ts", time);
    json_key_string(&json, "level", log_level_name(level));
    json_key_string(&json, "event", event);
    json_key_string(&json, "msg", message);
    if (out.origin[0] == '\0') /* a line before log_open */
        set_origin();
    json_raw(&json, out.origin, strlen(out.origin));
    for (; fields && fields->kind != LOG_FIELD_NONE; fields++)
        put_field(&json, fields);
    json_object_end(&json);
    if (json.overflow) { /* a line too long is no line: say so instead */
        write_json(level, event, NULL, "(this line was too long)");
        return;
    }
    line[json.length++] = '\n';
    write_line(line, json.length);
}

/* Only so much of each text: a line stays one write, and one client's word is not all of it. */
#define MESSAGE_SHOWN 600
#define VALUE_SHOWN   200

static void write_readable(enum log_level level, const char *event, const struct log_field *fields,
                           const char *message)
{
    char line[LINE_MAX_BYTES], time[CLOCK_RFC3339_SIZE], number[24];
    struct readable readable = {.text = line, .size = sizeof line, .colour = out.colour};
    clock_rfc3339(time, clock_wall_us());
    readable_begin(&readable, time, level, out.process, out.shown_slot, event, message,
                   strnlen(message, MESSAGE_SHOWN));
    for (; fields && fields->kind != LOG_FIELD_NONE; fields++) {
        const char *value = fields->text;
        if (fields->kind == LOG_FIELD_FLAG)
            value = fields->number ? "true" : "false";
        if (fields->kind == LOG_FIELD_NUMBER) {
            snprintf(number, sizeof number, "%lld", (long long)fields->number);
            value = number;
        }
        if (value)
            readable_field(&readable, fields->key, value, strnlen(value, VALUE_SHOWN));
    }
    readable_end(&readable);
    write_line(line, readable.length);
}

void log_event_text(enum log_level level, const char *event, const struct log_field *fields,
                    const char *message)
{
    if (!log_wants(level))
        return;
    int saved_errno = errno;
    if (out.terminal)
        write_readable(level, event, fields, message);
    else
        write_json(level, event, fields, message);
    errno = saved_errno;
}

static void log_line(enum log_level level, const char *event, const struct log_field *fields,
                     const char *format, va_list arguments)
{
    char message[1024];
    if (!log_wants(level))
        return;
    int saved_errno = errno;
    vsnprintf(message, sizeof message, format, arguments);
    errno = saved_errno;
    log_event_text(level, event, fields, message);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields,
               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(level, event, fields, format, arguments);
    va_end(arguments);
}

#define LOG_FUNCTION(function, level)                         \
    void function(const char *event, const char *format, ...) \
    {                                                         \
        va_list arguments;                                    \
        va_start(arguments, format);                          \
        log_line(level, event, NULL, format, arguments);      \
        va_end(arguments);                                    \
    }
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_warning, LOG_WARNING)
LOG_FUNCTION(log_error, LOG_ERROR)

void check_failed(const char *what, const char *file, int line)
{
    char text[512];
    int length = snprintf(text, sizeof text, "%s: %s:%d: this cannot be: %s\n", out.process, file,
                          line, what);
    ssize_t ignored = write(STDERR_FILENO, text, (size_t)length);
    (void)ignored;
    __builtin_trap();
}
