/* SPDX-License-Identifier: MIT */
/* What is wrong with an input, in words for a person, and the exit code it ends with. */
#ifndef BULKHEAD_ANOMALY_PROBLEM_H
#define BULKHEAD_ANOMALY_PROBLEM_H

struct problem {
    int exit_code;   /* EXIT_CONFIGURATION or EXIT_TEMPORARY; 0: none */
    char text[4096]; /* the names of a hundred metrics */
};

/* Sets it and returns -1, so that a reader can `return problem_set(…)`. */
int problem_set(struct problem *problem, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
