/* SPDX-License-Identifier: MIT */
/*
 * Did what was broken stand out? After a calm long enough to know what is usual, the history of the
 * drill's own console goes through the detector of tools/anomaly, and its alarms are held against
 * the truths of the drill's file. In the calm no metric that is looked at may raise one: that is a
 * truth too, and each such alarm a false one. A truth that expects an alarm ends some seconds after
 * the last fault, and one alarm finds it; one that denies it lasts to the end.
 *
 * It owns the two files it writes, in the form `anomaly --truth` takes. It knows nothing of what a
 * good answer is: verdict.h does.
 */
#ifndef BULKHEAD_DRILL_TRUTH_H
#define BULKHEAD_DRILL_TRUTH_H

#include <stdbool.h>

#include "tools/anomaly/evaluate.h"
#include "tools/drill/evidence.h"

#define TRUTH_LINES 64

struct truth_result {
    struct evaluation evaluation;
    unsigned calm_alarms; /* of the false ones, those before the fault */
    double calm_s;        /* in which an alarm was possible: not the detector's warm-up */
    unsigned truth_count;
    struct truth truth[TRUTH_LINES]; /* of the file, in its order; the calm's are not among them */
    json_t *alarms;                  /* [{metric,t_s,value,expected,score}]; owned */
};

/* What a drill is like whose alarms are judged: a calm long enough to know what is usual, at most
 * rps requests a second (0: as the file says), and time after the fault in which an alarm is false.
 * One without a fault is about its load, and keeps it. */
void truth_make_calm(struct spec *spec, double calm_s, double rps);

/* The history from the steady phase to the end, from the console at HOST:PORT, into the evidence.
 * False with the evidence's trouble set. Blocks for 5 s at most. */
bool truth_keep_history(struct evidence *evidence, const char *console);

/* Write NAME.history.csv and NAME.truth.json into the directory, which is made, and judge. 0; -1
 * with a line in error. Free the result in any case. */
int truth_judge(const struct evidence *evidence, const char *directory, struct truth_result *result,
                char *error, size_t size);

void truth_free(struct truth_result *result);

/* For the drill's report: {calm_s,recall,precision,mean_delay_s,worst_delay_s,expected,found,
 * true_alarms,false_alarms,calm_alarms,unjudged,truths:[{metric,expected,found,delay_s}],alarms}.
 */
json_t *truth_json(const struct truth_result *result);

/* One line of figures, and one for each truth that did not hold. */
void truth_print(const struct truth_result *result, FILE *out);

/* Sums over drills: add one to the sum, then read recall and precision of it. */
void truth_add(struct truth_result *sum, const struct truth_result *one);

#endif
