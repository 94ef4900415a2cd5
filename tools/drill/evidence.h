/* SPDX-License-Identifier: MIT */
/*
 * What a drill saw: samples of the region, looks at /health, events, and what the load tester
 * wrote. The runner gathers it, the verdict (verdict.h) only reads it, and so do the reports. All
 * times are CLOCK_MONOTONIC.
 */
#ifndef BULKHEAD_DRILL_EVIDENCE_H
#define BULKHEAD_DRILL_EVIDENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/region.h"
#include "tools/drill/spec.h"

/* The region at one moment. Counters go on over a new supervisor: what the one before had counted
 * is added. */
struct sample {
    uint64_t t_ns;
    uint32_t db_state, status; /* enum db_state, enum health_status */
    uint32_t ready, degraded, restarting, quarantined;
    uint32_t breakers; /* open or half-open, of live workers */
    uint64_t lost;
    uint64_t answers[CLASS_COUNT], failures[CLASS_COUNT]; /* failures: 5xx */
    uint64_t slot_answers[WORKER_SLOTS_MAX], slot_failures[WORKER_SLOTS_MAX];
    double *value; /* of the selectors: one each, SELECTOR_BUCKETS of a histogram */
};

/* LOST: no answer in time, or one that is none of /health, whose status is 200 always. */
enum look_result { LOOK_HEALTHY, LOOK_DEGRADED, LOOK_FAILING, LOOK_LOST, LOOK_REFUSED };

#define LOOK_GIVE_UP_NS (2 * UINT64_C(1000000000))

/* One GET /health. */
struct look {
    uint64_t sent_ns, took_ns;
    enum look_result result;
};

/* What the runner did, for the timeline. */
struct deed {
    uint64_t t_ns;
    unsigned step; /* which of the method, from 1; 0: none */
    bool failed;
    char text[300];
};

struct evidence {
    const struct spec *spec;
    /* when the phases began; end_ns is the end of the last one */
    uint64_t load_ns, before_ns, fault_ns, clear_ns, after_ns, end_ns;
    uint64_t wall_minus_mono_us;
    struct sample *sample;
    size_t sample_count, sample_room;
    struct look *look;
    size_t look_count, look_room;
    struct event *event;
    size_t event_count, event_room;
    struct deed *deed;
    size_t deed_count, deed_room;
    json_t *summary[SPEC_LOADS]; /* of loadtest; NULL when there is none */
    char *load_page[SPEC_LOADS]; /* report.html of loadtest; NULL when there is none */
    json_t *rows;                /* of the first load: its seconds, as it wrote them */
    /* Of the database, at the end: whole, damaged, or neither is known and the words say why. */
    bool integrity_asked, integrity_ok, integrity_damaged;
    char integrity_words[200]; /* the checker's last line */
    char *history; /* CSV of the console, from the steady phase to the end; NULL: not asked */
    uint64_t supervisor_died_ns, orphans_gone_ns; /* 0: not; the last orphan's end */
    uint64_t counters_back;                       /* times a counter was smaller than before */
    char counter_back[160];                       /* the first of them */
    char trouble[400]; /* why the drill could not be carried out; "" none */
    bool interrupted, skipped;
};

/* Add one element to an array of evidence, zeroed; ends the process when memory is out. */
struct sample *evidence_add_sample(struct evidence *evidence, size_t values);
struct look *evidence_add_look(struct evidence *evidence);
struct event *evidence_add_event(struct evidence *evidence);
struct deed *evidence_add_deed(struct evidence *evidence, uint64_t now_ns);

/* Keep the first trouble alone: what follows is its consequence. */
void evidence_trouble(struct evidence *evidence, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What `bulkheadctl backup` came to: exit status 0 is a copy that was read through and is whole. It
 * is damage only when its words say so; a copy that could not be made says nothing of the database.
 * `words` is its last line, or why it has none. */
void evidence_take_integrity(struct evidence *evidence, bool succeeded, const char *words);

void evidence_free(struct evidence *evidence);

/* Where a selector's values begin in sample.value; with index = count, how many there are. */
size_t evidence_value_at(const struct selectors *selectors, unsigned index);

/* The monotonic time of a wall clock's. */
uint64_t evidence_mono_ns(const struct evidence *evidence, uint64_t wall_us);

#endif
