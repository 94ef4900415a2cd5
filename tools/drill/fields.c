/* SPDX-License-Identifier: MIT */
#include "tools/drill/fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/drill/json_line.h"

static unsigned line_of(const struct reader *reader)
{
    char path[256];
    unsigned line = 0;
    if (reader->prefix) {
        snprintf(path, sizeof path, "%s.%s", reader->prefix, reader->path);
        line = json_line(reader->text, path);
    }
    if (!line)
        line = json_line(reader->text, reader->path);
    snprintf(path, sizeof path, "%s", reader->path);
    /* A key that is missing has no line; what it is missing from has. */
    while (!line && *path) {
        char *end = strrchr(path, '.');
        if (!end)
            end = strrchr(path, '[');
        if (!end)
            end = path;
        *end = '\0';
        line = json_line(reader->text, path);
    }
    return line ? line : 1;
}

void fields_fail(struct reader *reader, const char *format, ...)
{
    if (reader->failed)
        return;
    reader->failed = true;
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(reader->error, reader->error_size, "%s:%u: %s%s%s", reader->file, line_of(reader),
             reader->path, *reader->path ? ": " : "", what);
}

size_t fields_enter(struct reader *reader, const char *key)
{
    size_t length = strlen(reader->path);
    const char *quote = strpbrk(key, ".[") ? "\"" : "";
    snprintf(reader->path + length, sizeof reader->path - length, "%s%s%s%s", length ? "." : "",
             quote, key, quote);
    return length;
}

size_t fields_enter_element(struct reader *reader, size_t index)
{
    size_t length = strlen(reader->path);
    snprintf(reader->path + length, sizeof reader->path - length, "[%zu]", index);
    return length;
}

void fields_leave(struct reader *reader, size_t length)
{
    if (!reader->failed)
        reader->path[length] = '\0';
}

static void list_keys(const struct field *fields, size_t count, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", fields[i].key);
}

static void take_text(struct reader *reader, const json_t *value, const struct field *field,
                      void *at)
{
    const char *text = json_string_value(value);
    if (!text)
        fields_fail(reader, "want a text");
    else if (strlen(text) >= field->size)
        fields_fail(reader, "longer than %zu characters", field->size - 1);
    else
        snprintf(at, field->size, "%s", text);
}

static void take_number(struct reader *reader, const json_t *value, const struct field *field,
                        void *at)
{
    double number = json_number_value(value);
    bool whole = field->type == FIELD_COUNT;
    if (!json_is_number(value) || number < field->least || number > field->most ||
        (whole && number > floor(number)))
        fields_fail(reader, "want a %snumber; allowed: %.10g to %.10g", whole ? "whole " : "",
                    field->least, field->most);
    else if (whole)
        *(unsigned *)at = (unsigned)number;
    else
        *(double *)at = number;
}

static void take_choice(struct reader *reader, const json_t *value, const struct field *field,
                        void *at)
{
    const char *text = json_string_value(value);
    char allowed[256] = "";
    size_t used = 0;
    for (unsigned i = 0; field->choices[i]; i++) {
        if (text && strcmp(text, field->choices[i]) == 0) {
            *(unsigned *)at = i;
            return;
        }
        if (used < sizeof allowed)
            used += (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "",
                                     field->choices[i]);
    }
    fields_fail(reader, "%s%s%snot known; allowed: %s", text ? "\"" : "", text ? text : "",
                text ? "\": " : "", allowed);
}

static void take_field(struct reader *reader, const json_t *value, const struct field *field,
                       void *object)
{
    void *at = (char *)object + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
        take_text(reader, value, field, at);
        break;
    case FIELD_NUMBER:
    case FIELD_COUNT:
        take_number(reader, value, field, at);
        break;
    case FIELD_FLAG:
        if (!json_is_boolean(value))
            fields_fail(reader, "want true or false");
        else
            *(bool *)at = json_is_true(value);
        break;
    case FIELD_CHOICE:
        take_choice(reader, value, field, at);
        break;
    case FIELD_SPECIAL:
        field->special(reader, value, object);
        break;
    }
}

void fields_take(struct reader *reader, const json_t *json, const struct field *fields,
                 size_t count, void *object)
{
    char known[512];
    const char *key;
    json_t *value;
    if (!json_is_object(json)) {
        fields_fail(reader, "want an object { }");
        return;
    }
    json_object_foreach((json_t *)json, key, value)
    {
        size_t i = 0, length = fields_enter(reader, key);
        while (i < count && strcmp(fields[i].key, key) != 0)
            i++;
        list_keys(fields, count, known, sizeof known);
        if (i == count)
            fields_fail(reader, "no such key; allowed: %s", known);
        else
            take_field(reader, value, &fields[i], object);
        fields_leave(reader, length);
        if (reader->failed)
            return;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !json_object_get(json, fields[i].key))
            fields_fail(reader, "\"%s\" is missing", fields[i].key);
}

unsigned fields_take_array(struct reader *reader, const json_t *json, unsigned most,
                           void (*take)(struct reader *, const json_t *, void *), void *objects,
                           size_t object_size)
{
    size_t count = json_array_size(json);
    if (!json_is_array(json))
        fields_fail(reader, "want a list [ ]");
    else if (count > most)
        fields_fail(reader, "%zu elements; allowed: at most %u", count, most);
    for (size_t i = 0; i < count && !reader->failed; i++) {
        size_t length = fields_enter_element(reader, i);
        take(reader, json_array_get(json, i), (char *)objects + i * object_size);
        fields_leave(reader, length);
    }
    return reader->failed ? 0 : (unsigned)count;
}
