/* SPDX-License-Identifier: MIT */
/*
 * The frame that charts over time share: caption, legend, axes, and bands and marks that show what
 * was done to the server when. The drawing is SVG stretched to the page's width; its text stands
 * beside it in HTML, so it stays readable on a phone.
 *
 * plot_begin leaves the stream inside the drawing, whose places run from 0 to PLOT_UNITS both ways,
 * y downwards; plot_end closes it.
 */
#ifndef BULKHEAD_REPORT_PLOT_H
#define BULKHEAD_REPORT_PLOT_H

#include <stddef.h>
#include <stdio.h>

#include "tools/report/axis.h"
#include "tools/report/document.h"

#define PLOT_UNITS 1000.0

/* A stretch of time to shade, or with to_s = from_s a moment to mark. */
struct plot_band {
    double from_s, to_s;
    const char *label; /* NULL: none; shown above the drawing, in full when pointed at */
    enum tone tone;
};

/* A value to draw a dashed line at. */
struct plot_limit {
    double value;
    const char *label;
};

struct plot {
    const char *title, *unit; /* unit: shown behind the title, with room for a remark */
    double from_s, to_s;      /* what the x axis shows, seconds since the start */
    const struct plot_band *bands;
    size_t band_count;
    unsigned height_px; /* 0: 190 */
};

/* Caption, and the legend of these names (NULL: none); colour i is class c{i}. */
void plot_caption(FILE *out, const struct plot *plot, const char *const *names,
                  const unsigned *colours, size_t count);

/* The y axis by value, with grid lines. */
void plot_begin(FILE *out, const struct plot *plot, const struct axis *y);

/* The y axis by name: `count` rows of equal height, from the bottom up; every `every`th is named.
 */
void plot_begin_rows(FILE *out, const struct plot *plot, const char *const *names, size_t count,
                     size_t every);

/* A dashed line at a value of the axis; within the drawing. Its label goes to plot_end. */
void plot_limit(FILE *out, const struct axis *y, const struct plot_limit *limit);

/* Bands, the end of the drawing, labels, the x axis. y and limits may be NULL and 0. */
void plot_end(FILE *out, const struct plot *plot, const struct axis *y,
              const struct plot_limit *limits, size_t limit_count);

/* The place of a moment, held within the drawing. */
double plot_x(const struct plot *plot, double seconds);

#endif
