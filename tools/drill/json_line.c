/* SPDX-License-Identifier: MIT */
#include "tools/drill/json_line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *at;
    unsigned line;
};

static void step(struct scan *scan)
{
    scan->line += *scan->at == '\n';
    scan->at++;
}

static void skip_space(struct scan *scan)
{
    while (*scan->at && strchr(" \t\r\n:,", *scan->at))
        step(scan);
}

static void skip_string(struct scan *scan)
{
    for (step(scan); *scan->at && *scan->at != '"'; step(scan))
        if (*scan->at == '\\')
            step(scan);
    if (*scan->at)
        step(scan);
}

static void skip_value(struct scan *scan)
{
    unsigned depth = 0;
    do {
        skip_space(scan);
        if (*scan->at == '"') {
            skip_string(scan);
        } else if (*scan->at == '{' || *scan->at == '[') {
            depth++;
            step(scan);
        } else if (*scan->at == '}' || *scan->at == ']') {
            depth--;
            step(scan);
        } else {
            while (*scan->at && !strchr(" \t\r\n,:]}", *scan->at))
                step(scan);
        }
        skip_space(scan);
    } while (depth > 0 && *scan->at);
}

/* Stand on the key or element; *line is its line, the scan is on its value. */
static bool enter(struct scan *scan, const char *key, size_t key_length, unsigned index,
                  unsigned *line)
{
    bool array = key == NULL;
    skip_space(scan);
    if (*scan->at != (array ? '[' : '{'))
        return false;
    step(scan);
    for (unsigned i = 0;; i++) {
        skip_space(scan);
        if (!*scan->at || *scan->at == '}' || *scan->at == ']')
            return false;
        *line = scan->line;
        if (array) {
            if (i == index)
                return true;
        } else {
            const char *name = scan->at + 1;
            skip_string(scan);
            skip_space(scan);
            if ((size_t)(scan->at - name) > key_length && name[key_length] == '"' &&
                strncmp(name, key, key_length) == 0)
                return true;
        }
        skip_value(scan);
    }
}

unsigned json_line(const char *text, const char *path)
{
    struct scan scan = {.at = text, .line = 1};
    unsigned line = 1;
    while (*path) {
        if (*path == '[') {
            char *end;
            unsigned index = (unsigned)strtoul(path + 1, &end, 10);
            if (!enter(&scan, NULL, 0, index, &line))
                return 0;
            path = end + (*end == ']');
        } else {
            path += *path == '.';
            size_t length = 0;
            /* A key of an override has dots in it: it is written in quotes. */
            if (*path == '"') {
                path++;
                length = strcspn(path, "\"");
                if (!enter(&scan, path, length, 0, &line))
                    return 0;
                path += length + (path[length] == '"');
                continue;
            }
            length = strcspn(path, ".[");
            if (!enter(&scan, path, length, 0, &line))
                return 0;
            path += length;
        }
    }
    return line;
}
