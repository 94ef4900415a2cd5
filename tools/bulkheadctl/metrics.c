/* SPDX-License-Identifier: MIT */
/*
 * metrics: the exposition, as it is or as JSON. The JSON is made from the text, so that the two
 * cannot tell different things.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exposition.h"
#include "common/json_out.h"
#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/server.h"

/* The labels between { and }, `a="x",b="y"`, as members of an object. Returns what follows. */
static const char *put_labels(struct json_out *json, const char *text)
{
    while (*text && *text != '}') {
        char key[64], value[512];
        size_t length = strcspn(text, "="), used = 0;
        snprintf(key, sizeof key, "%.*s", (int)length, text);
        text += length + strlen("=\"");
        for (; *text && *text != '"'; text++) {
            char c = *text;
            if (c == '\\' && text[1])
                c = *++text == 'n' ? '\n' : *text;
            if (used < sizeof value - 1)
                value[used++] = c;
        }
        value[used] = '\0';
        json_key_string(json, key, value);
        text += *text == '"';
        text += *text == ',';
    }
    return *text ? text + 1 : text;
}

/* One sample line as one object. */
static void put_sample(struct json_out *json, const char *line)
{
    char name[128];
    size_t length = strcspn(line, "{ ");
    snprintf(name, sizeof name, "%.*s", (int)length, line);
    line += length;
    json_object_begin(json);
    json_key_string(json, "name", name);
    json_key(json, "labels");
    json_object_begin(json);
    if (*line == '{')
        line = put_labels(json, line + 1);
    json_object_end(json);
    json_key(json, "value");
    line += strspn(line, " ");
    json_raw(json, line, strlen(line));
    json_object_end(json);
}

static int print_as_json(const struct invocation *invocation, char *text, size_t length)
{
    /* A sample grows by its keys and quotes: about 60 bytes on lines of at least 20. */
    size_t size = length * 5 + 64;
    char *buffer = malloc(size);
    if (!buffer)
        return complain(invocation, EXIT_TEMPORARY, "%s", strerror(ENOMEM));
    struct json_out json;
    char *rest = text;
    json_out_init(&json, buffer, size);
    json_array_begin(&json);
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line && *line != '#')
            put_sample(&json, line);
    json_array_end(&json);
    puts(buffer);
    free(buffer);
    return EXIT_ASKED;
}

static void describe_as_json(void)
{
    for (size_t i = 0; i < metrics_count; i++) {
        char line[1024], labels[128];
        struct json_out json;
        exposition_labels(&metrics[i], labels, sizeof labels);
        json_out_init(&json, line, sizeof line);
        json_object_begin(&json);
        json_key_string(&json, "name", metrics[i].name);
        json_key_string(&json, "type", metrics[i].type);
        json_key_string(&json, "unit", exposition_unit(&metrics[i]));
        json_key(&json, "labels");
        json_array_begin(&json);
        char *rest = labels;
        for (char *label; (label = strsep(&rest, ","));)
            if (*label)
                json_text(&json, label);
        json_array_end(&json);
        json_key_string(&json, "help", metrics[i].help);
        json_object_end(&json);
        printf("%s%s%s", i ? ",\n" : "[", line, i + 1 == metrics_count ? "]\n" : "");
    }
}

int command_metrics(const struct invocation *invocation)
{
    struct server server;
    if (invocation->describe) {
        if (invocation->json)
            describe_as_json();
        else
            exposition_describe(stdout);
        return EXIT_ASKED;
    }
    int code = server_open(&server, invocation);
    if (code)
        return code;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    int error = out ? exposition_write(server.region, out) : -ENOMEM;
    if (out && fclose(out) != 0)
        error = -ENOMEM;
    if (error)
        code =
            complain(invocation, EXIT_TEMPORARY, "%s",
                     error == -EAGAIN ? "the supervisor's board cannot be read" : strerror(-error));
    else if (invocation->json)
        code = print_as_json(invocation, text, length);
    else
        fputs(text, stdout);
    free(text);
    return code;
}
