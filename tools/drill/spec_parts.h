/* SPDX-License-Identifier: MIT */
/* What the files of the drill file's reader share: spec.c (the whole), spec_server.c (load and
 * server), spec_method.c (steps) and spec_check.c (rules between keys). */
#ifndef BULKHEAD_DRILL_SPEC_PARTS_H
#define BULKHEAD_DRILL_SPEC_PARTS_H

#include "tools/drill/fields.h"
#include "tools/drill/spec.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Rows of a table of fields. */
#define TEXT(word, of, member)                                                  \
    {                                                                           \
        .key = word, .type = FIELD_TEXT, .offset = offsetof(struct of, member), \
        .size = sizeof((struct of *)NULL)->member                               \
    }
#define NUMBER(word, of, member, from, to)                                                       \
    {                                                                                            \
        .key = word, .type = FIELD_NUMBER, .offset = offsetof(struct of, member), .least = from, \
        .most = to                                                                               \
    }
#define COUNT(word, of, member, from, to)                                                       \
    {                                                                                           \
        .key = word, .type = FIELD_COUNT, .offset = offsetof(struct of, member), .least = from, \
        .most = to                                                                              \
    }
#define FLAG(word, of, member)                                                 \
    {                                                                          \
        .key = word, .type = FIELD_FLAG, .offset = offsetof(struct of, member) \
    }
#define CHOICE(word, of, member, names)                                                            \
    {                                                                                              \
        .key = word, .type = FIELD_CHOICE, .offset = offsetof(struct of, member), .choices = names \
    }
#define SPECIAL(word, function)                                 \
    {                                                           \
        .key = word, .type = FIELD_SPECIAL, .special = function \
    }

void spec_take_load(struct reader *reader, const json_t *value, void *load);
void spec_take_server(struct reader *reader, const json_t *value, void *server);
void spec_take_step(struct reader *reader, const json_t *value, void *step);

/* The same of a rollback: one act, done once, and of those that need no server. */
void spec_take_rollback(struct reader *reader, const json_t *value, void *step);

/* What keys have to say to each other. */
void spec_check(struct reader *reader, const struct spec *spec);

/* Order the steps and work out how long all takes. */
void spec_complete(struct spec *spec, unsigned arm);

#endif
