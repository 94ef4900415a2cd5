/* SPDX-License-Identifier: MIT */
/*
 * Two service level objectives of the data classes (auth, read, write), and their alerts by burn
 * rate over two windows each (The Site Reliability Workbook, chapter 5, section 6): an alert fires
 * while both windows burn faster than its threshold. The long window says that it matters, the
 * short one that it still happens.
 *
 *   availability  99 % of the requests are answered otherwise than with 5xx, and not lost. A
 *                 refusal with 503 is bad however well it names its cause; 429 is not.
 *   latency       95 % of the answers come within 200 ms (read from a histogram: within 206 ms).
 *
 * The burn rate is the share of bad ones, divided by the share that the objective allows: 1 spends
 * the whole budget in exactly one period, here 3 days. Nobody watches this server for three days,
 * so all times are shown at the scale of 1/720, rounded up to whole seconds: the period is 360 s,
 * 1 h is 5 s, 5 min are 1 s, 6 h are 30 s, 30 min are 3 s, 1 d is 120 s, 2 h are 10 s, 3 d are
 * 360 s, 6 h are 30 s. Thresholds and shares are those of the full scale.
 *
 * As the formula has it, few requests make a loud alert: one failure among three burns at 33.
 *
 * Pure: seconds are the caller's, whole numbers that never go back. It owns a ring of counts.
 */
#ifndef BULKHEAD_CONSOLE_SLO_H
#define BULKHEAD_CONSOLE_SLO_H

#include <stdbool.h>
#include <stdint.h>

#define SLO_SCALE    720
#define SLO_PERIOD_S 360 /* 3 days / SLO_SCALE: the budget's, and the longest window */
#define SLO_RING     512
#define SLO_ALERTS   4

/* What happened in one second. */
struct slo_counts {
    uint64_t requests, failed; /* availability */
    uint64_t timed, slow;      /* latency */
};

struct slo {
    struct {
        uint64_t second;
        struct slo_counts counts;
    } ring[SLO_RING];
};

enum slo_objective { SLO_AVAILABILITY, SLO_LATENCY, SLO_OBJECTIVES };

struct slo_alert {
    double burn; /* the threshold */
    unsigned long_s, short_s;
    double long_burn, short_burn;
    bool firing;
};

struct slo_verdict {
    const char *name;
    double objective;
    unsigned threshold_ms; /* 0: it is none of latency */
    uint64_t good, total;  /* over the period */
    double budget_left;    /* 1 all, 0 spent, negative overspent */
    struct slo_alert alert[SLO_ALERTS];
};

/* Add what happened in a second (more than once, if need be). Seconds begin at 1. */
void slo_add(struct slo *slo, uint64_t second, const struct slo_counts *counts);

/* Judge one objective as of the end of second `now`. */
void slo_judge(const struct slo *slo, uint64_t now, enum slo_objective objective,
               struct slo_verdict *verdict);

#endif
