/* SPDX-License-Identifier: MIT */
/*
 * Objects of a JSON file into structs, by tables of keys. The first mistake is kept as
 * `file:line: key: what; allowed: ...`; what follows is read no further.
 */
#ifndef BULKHEAD_DRILL_FIELDS_H
#define BULKHEAD_DRILL_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct reader {
    const char *file, *text;
    const char *prefix; /* "short" or "control" when members of that may stand for others */
    char path[200];     /* of the member being read */
    bool failed;
    char *error;
    size_t error_size;
};

enum field_type {
    FIELD_TEXT,    /* char[size] */
    FIELD_NUMBER,  /* double */
    FIELD_COUNT,   /* unsigned */
    FIELD_FLAG,    /* bool */
    FIELD_CHOICE,  /* unsigned: the place among the choices */
    FIELD_SPECIAL, /* a function's business */
};

struct field {
    const char *key;
    enum field_type type;
    size_t offset, size;
    double least, most;
    const char *const *choices; /* ends with NULL */
    void (*special)(struct reader *reader, const json_t *value, void *object);
    bool required;
};

/* Fill *object from a JSON object. Unknown keys, wrong types and values out of range are mistakes,
 * and so is a required key that is not there. */
void fields_take(struct reader *reader, const json_t *json, const struct field *fields,
                 size_t count, void *object);

/* Call take(reader, element, object at index) for each element of an array of at most `most`. */
unsigned fields_take_array(struct reader *reader, const json_t *json, unsigned most,
                           void (*take)(struct reader *, const json_t *, void *), void *objects,
                           size_t object_size);

/* Keep a mistake at the member being read. */
void fields_fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Go into a member and back: restore `path` to what enter returned. */
size_t fields_enter(struct reader *reader, const char *key);
size_t fields_enter_element(struct reader *reader, size_t index);
void fields_leave(struct reader *reader, size_t length);

#endif
