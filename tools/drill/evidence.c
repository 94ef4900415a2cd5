/* SPDX-License-Identifier: MIT */
#include "tools/drill/evidence.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"

static void *grow(void *array, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return array;
    *room = *room ? *room * 2 : 64;
    void *moved = reallocarray(array, *room, size);
    if (!moved)
        err(EXIT_TEMPORARY, "memory for what was measured");
    return moved;
}

/* Room for one more element of an array, which is zeroed and counted. */
#define ADD(evidence, of)                                                                  \
    ((evidence)->of = grow((evidence)->of, &(evidence)->of##_room, (evidence)->of##_count, \
                           sizeof *(evidence)->of),                                        \
     memset(&(evidence)->of[(evidence)->of##_count], 0, sizeof *(evidence)->of),           \
     &(evidence)->of[(evidence)->of##_count++])

struct sample *evidence_add_sample(struct evidence *evidence, size_t values)
{
    struct sample *sample = ADD(evidence, sample);
    sample->value = calloc(values ? values : 1, sizeof *sample->value);
    if (!sample->value)
        err(EXIT_TEMPORARY, "memory for what was measured");
    return sample;
}

struct look *evidence_add_look(struct evidence *evidence)
{
    return ADD(evidence, look);
}

struct event *evidence_add_event(struct evidence *evidence)
{
    return ADD(evidence, event);
}

struct deed *evidence_add_deed(struct evidence *evidence, uint64_t now_ns)
{
    struct deed *deed = ADD(evidence, deed);
    deed->t_ns = now_ns;
    return deed;
}

void evidence_trouble(struct evidence *evidence, const char *format, ...)
{
    va_list arguments;
    if (*evidence->trouble)
        return;
    va_start(arguments, format);
    vsnprintf(evidence->trouble, sizeof evidence->trouble, format, arguments);
    va_end(arguments);
}

void evidence_take_integrity(struct evidence *evidence, bool succeeded, const char *words)
{
    /* The keeper's of a failed quick_check, and SQLite's of pages it cannot make sense of. */
    static const char *const damage[] = {"the copy is damaged", "database disk image is malformed",
                                         "file is not a database"};
    evidence->integrity_asked = true;
    evidence->integrity_ok = succeeded;
    evidence->integrity_damaged = false;
    for (size_t i = 0; i < sizeof damage / sizeof *damage && !succeeded; i++)
        evidence->integrity_damaged = evidence->integrity_damaged || strstr(words, damage[i]);
    snprintf(evidence->integrity_words, sizeof evidence->integrity_words, "%s",
             *words ? words : "the checker said nothing");
}

void evidence_free(struct evidence *evidence)
{
    for (size_t i = 0; i < evidence->sample_count; i++)
        free(evidence->sample[i].value);
    free(evidence->sample);
    free(evidence->look);
    free(evidence->event);
    free(evidence->deed);
    for (unsigned i = 0; i < SPEC_LOADS; i++) {
        json_decref(evidence->summary[i]);
        free(evidence->load_page[i]);
    }
    json_decref(evidence->rows);
    free(evidence->history);
    memset(evidence, 0, sizeof *evidence);
}

size_t evidence_value_at(const struct selectors *selectors, unsigned index)
{
    size_t at = 0;
    for (unsigned i = 0; i < index; i++)
        at += selectors->all[i].histogram ? SELECTOR_BUCKETS : 1;
    return at;
}

uint64_t evidence_mono_ns(const struct evidence *evidence, uint64_t wall_us)
{
    return (wall_us - evidence->wall_minus_mono_us) * NS_PER_US;
}
