/* SPDX-License-Identifier: MIT */
/*
 * The metrics as text, in the Prometheus exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Every row of metrics.def appears
 * with HELP and TYPE, whether it has series yet or not.
 *
 * Invariants
 *   - Slot counters and histograms are summed over every slot that ever had a process, helpers
 *     too, dead or alive: they never go back.
 *   - Gauges come from live processes alone: what a dead one left behind is not true any more.
 *   - A metric of few label combinations shows all of them from the start, so that the first
 *     event is a step from 0 and not a new series; one of many shows what was ever non-zero.
 */
#ifndef BULKHEAD_EXPOSITION_H
#define BULKHEAD_EXPOSITION_H

#include <stddef.h>
#include <stdio.h>

#include "common/metrics.h"
#include "common/region.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Write all metrics. 0; -EAGAIN when no consistent board could be had (nothing is written);
 * -EIO when the stream failed. */
int exposition_write(const struct region *region, FILE *out);

/* The names of a metric's labels, comma-separated, "" for none; returns their length.
 * `le` of a histogram is not among them. */
size_t exposition_labels(const struct metric *metric, char *out, size_t size);

/* All metrics as a Markdown table: name, type, labels, meaning; and all series of the history. */
void exposition_describe(FILE *out);

#endif
