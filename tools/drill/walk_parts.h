/* SPDX-License-Identifier: MIT */
/* What the files of the walk share: walk.c (its life and its words) and walk_steps.c (what is
 * broken, and what is told of it). */
#ifndef BULKHEAD_DRILL_WALK_PARTS_H
#define BULKHEAD_DRILL_WALK_PARTS_H

#include "tools/drill/turn.h"

/* What the load tester met since it began. */
struct met {
    double sent, failed, attempts;
    double broken;   /* connections that broke with a request on them */
    double refused;  /* connections nobody took */
    double told;     /* refusals the server gave, with their cause */
    double timeouts; /* attempts given up */
};

struct walk {
    struct runner *runner;
    bool fast, colour;
    unsigned step;     /* the one told of, from 1 */
    unsigned bad;      /* steps that did not recover, or refused whom they must not */
    uint64_t began_ns; /* of the step: when the thing was broken */
    size_t mark;       /* events before the step */
    long read_to;      /* in seconds.ndjson */
    double seconds;    /* rows of it read */
    double in_flight;  /* in the last of them */
    struct met all, before;
};

/* Whether somebody interrupted it, or it cannot go on. */
bool walk_is_over(const struct walk *walk);

typedef bool walk_condition(const struct walk *walk, const void *argument);

/* Wait until it holds, at most so long. False when it did not, or the walk is over. */
bool walk_wait(struct walk *walk, double limit_s, walk_condition *holds, const void *argument);

/* Go on for so long. False when the walk is over. */
bool walk_stay(struct walk *walk, double seconds);

/* Begin a step: its heading, and what is counted from here on. */
bool walk_begin(struct walk *walk, const char *heading);

/* One line below the heading; say: what was found, do: what is done, look: a command. */
void walk_say(const struct walk *walk, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void walk_do(const struct walk *walk, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void walk_look(const struct walk *walk, const char *command);

/* Do one step of a method, given as its members in JSON's words. */
bool walk_act(struct walk *walk, const struct spec_step *step);

/* The first event of that type and slot (-1: any) in this step; NULL when there is none. */
const struct event *walk_event(const struct walk *walk, enum event_type type, int slot);
unsigned walk_events(const struct walk *walk, enum event_type type);

/* Milliseconds from the moment of breaking to an event; NaN for NULL. */
double walk_ms(const struct walk *walk, const struct event *event);

/* What clients met in this step: waits until loadtest has written the second it ended in, and
 * those that are asked again have their answer. False when that did not come, or the walk is over:
 * then it is not known what they met. */
bool walk_met(struct walk *walk, struct met *met);

/* The step is over: did it recover? Then time to look. False when the walk is over. */
bool walk_end(struct walk *walk, bool recovered);

/* The steps, in order. False: the walk is over. */
bool walk_steps(struct walk *walk);

#endif
