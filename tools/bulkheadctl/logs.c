/* SPDX-License-Identifier: MIT */
/*
 * logs: the server's NDJSON, from stdin, as the lines it shows on a terminal. It needs no server.
 * What is no line of the log (a word of systemd, a sanitizer's report) passes through; in both,
 * bytes that a terminal would obey are made visible.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log_readable.h"
#include "tools/bulkheadctl/commands.h"

#define GROWTH 6   /* most a byte can become: \u202e */
#define FRAME  256 /* colours and columns of a line */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- choosing ------------------------------------------------------------------------------ */

static bool is_wanted(const struct invocation *invocation, const json_t *line)
{
    int level = log_level_of(text_of(line, "level"));
    if (level >= 0 && level < invocation->least_level)
        return false;
    if (invocation->event && strcmp(invocation->event, text_of(line, "event")) != 0)
        return false;
    return !invocation->request || strcmp(invocation->request, text_of(line, "request_id")) == 0;
}

/* Nobody can say what such a line is of: only a search for something leaves it out. */
static bool wants_foreign(const struct invocation *invocation)
{
    return !invocation->event && !invocation->request;
}

/* ---- showing ------------------------------------------------------------------------------- */

static bool is_shown_already(const char *key)
{
    static const char *const keys[] = {"ts", "level", "event", "msg", "proc", "pid", "slot"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static void show_member(struct readable *out, const char *key, json_t *value)
{
    if (json_is_string(value)) {
        readable_field(out, key, json_string_value(value), json_string_length(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text)
        readable_field(out, key, text, strlen(text));
    free(text);
}

static void show(struct readable *out, json_t *line)
{
    const char *process = text_of(line, "proc"), *key;
    const json_t *slot = json_object_get(line, "slot"), *message = json_object_get(line, "msg");
    bool numbered = strcmp(process, "worker") == 0 && json_is_integer(slot);
    int level = log_level_of(text_of(line, "level"));
    json_t *value;
    readable_begin(out, text_of(line, "ts"), level < 0 ? LOG_INFO : (enum log_level)level, process,
                   numbered ? (int)json_integer_value(slot) : -1, text_of(line, "event"),
                   text_of(line, "msg"), json_string_length(message));
    json_object_foreach(line, key, value) if (!is_shown_already(key)) show_member(out, key, value);
}

/* A line of somebody else: tabs are harmless, and part of its look. */
static void show_foreign(struct readable *out, const char *line, size_t length)
{
    while (length > 0) {
        const char *tab = memchr(line, '\t', length);
        size_t piece = tab ? (size_t)(tab - line) : length;
        readable_text(out, line, piece);
        if (tab)
            out->text[out->length++] = '\t'; /* a byte of ours has room for six */
        piece += tab != NULL;
        line += piece;
        length -= piece;
    }
}

/* A line of the log is an object that says when and what. */
static json_t *parse(const char *text, size_t length)
{
    json_t *line = length > 0 && text[0] == '{' ? json_loadb(text, length, 0, NULL) : NULL;
    if (line && json_object_get(line, "ts") && json_object_get(line, "event"))
        return line;
    json_decref(line);
    return NULL;
}

/* False when there is no memory. */
static bool print_line(const struct invocation *invocation, const char *text, size_t length)
{
    static char *buffer;
    static size_t size;
    json_t *line = parse(text, length);
    bool wanted = line ? is_wanted(invocation, line) : wants_foreign(invocation);
    if (wanted && size < length * GROWTH + FRAME) {
        free(buffer);
        size = length * GROWTH + FRAME;
        buffer = malloc(size);
    }
    if (wanted && buffer) {
        struct readable out = {.text = buffer, .size = size, .colour = invocation->colour};
        if (!line)
            show_foreign(&out, text, length);
        else if (!invocation->json)
            show(&out, line);
        if (line && invocation->json)
            fwrite(text, 1, length, stdout);
        readable_end(&out);
        fwrite(buffer, 1, out.length, stdout);
    }
    json_decref(line);
    return !wanted || buffer;
}

int command_logs(const struct invocation *invocation)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    bool memory = true;
    signal(SIGPIPE, SIG_IGN);              /* `| head` is an end like any other */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a log that is followed is read as it comes */
    while (memory && !ferror(stdout) && (length = getline(&line, &size, stdin)) >= 0) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            length--;
        memory = print_line(invocation, line, (size_t)length);
    }
    int error = errno;
    bool failed = ferror(stdin) || !memory;
    free(line);
    return failed ? complain(invocation, EXIT_TEMPORARY, "cannot read stdin: %s", strerror(error))
                  : EXIT_ASKED;
}
