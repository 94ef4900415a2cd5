/* SPDX-License-Identifier: MIT */
#include "tools/report/plot.h"

#include <math.h>

#include "tools/report/html.h"

#define HEIGHT_PX 190u
/* Labels above the drawing that stand closer than this (percent of its width) would cover each
 * other: the later one is left out, and is told when its band is pointed at. */
#define LABEL_ROOM 14.0

static const char *tone_class(enum tone tone)
{
    static const char *const classes[] = {"t-plain", "t-good", "t-doubtful", "t-bad"};
    return classes[tone];
}

double plot_x(const struct plot *plot, double seconds)
{
    double place = (seconds - plot->from_s) / (plot->to_s - plot->from_s);
    return fmin(fmax(place, 0), 1) * PLOT_UNITS;
}

void plot_caption(FILE *out, const struct plot *plot, const char *const *names,
                  const unsigned *colours, size_t count)
{
    fputs("<figure><figcaption>", out);
    html_text(out, plot->title);
    fputs("<span>", out);
    html_text(out, plot->unit);
    fputs("</span></figcaption>\n", out);
    if (count == 0)
        return;
    fputs("<ul class=\"legend\">", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "<li class=\"c%u\">", colours[i]);
        html_text(out, names[i]);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

static void begin_y(FILE *out)
{
    fputs("<div class=\"plot\"><div class=\"y\">", out);
}

static void begin_area(FILE *out, const struct plot *plot)
{
    fprintf(out,
            "</div><div class=\"area\" style=\"height:%upx\">"
            "<svg viewBox=\"0 0 %g %g\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"",
            plot->height_px ? plot->height_px : HEIGHT_PX, PLOT_UNITS, PLOT_UNITS);
    html_text(out, plot->title);
    fputs("\">\n", out);
}

static void grid_line(FILE *out, const char *class, double place)
{
    double y = (1 - place) * PLOT_UNITS;
    fprintf(out, "<line class=\"%s\" x1=\"0\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>\n", class,
            PLOT_UNITS, y, y);
}

void plot_begin(FILE *out, const struct plot *plot, const struct axis *y)
{
    double ticks[AXIS_TICKS];
    size_t count = axis_ticks(y, ticks);
    begin_y(out);
    for (size_t i = 0; i < count; i++) {
        char label[AXIS_LABEL];
        axis_label(ticks[i], label);
        fprintf(out, "<span style=\"bottom:%.1f%%\">%s</span>", 100 * axis_place(y, ticks[i]),
                label);
    }
    begin_area(out, plot);
    for (size_t i = 0; i < count; i++)
        grid_line(out, "grid", axis_place(y, ticks[i]));
}

void plot_begin_rows(FILE *out, const struct plot *plot, const char *const *names, size_t count,
                     size_t every)
{
    begin_y(out);
    for (size_t i = 0; i < count; i += every) {
        fprintf(out, "<span style=\"bottom:%.1f%%\">", 100 * ((double)i + 0.5) / (double)count);
        html_text(out, names[i]);
        fputs("</span>", out);
    }
    begin_area(out, plot);
    grid_line(out, "grid", 0);
    grid_line(out, "grid", 1);
}

void plot_limit(FILE *out, const struct axis *y, const struct plot_limit *limit)
{
    grid_line(out, "limit", axis_place(y, limit->value));
}

static void draw_band(FILE *out, const struct plot *plot, const struct plot_band *band)
{
    double from = plot_x(plot, band->from_s), to = plot_x(plot, band->to_s);
    if (band->to_s < plot->from_s || band->from_s > plot->to_s)
        return;
    if (band->to_s > band->from_s)
        fprintf(out, "<rect class=\"band %s\" x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%g\">",
                tone_class(band->tone), from, fmax(to - from, 1), PLOT_UNITS);
    else
        fprintf(out, "<line class=\"mark %s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%g\">",
                tone_class(band->tone), from, from, PLOT_UNITS);
    fputs("<title>", out);
    html_text(out, band->label);
    fputs(band->to_s > band->from_s ? "</title></rect>\n" : "</title></line>\n", out);
}

static void label_bands(FILE *out, const struct plot *plot)
{
    double free_from = 0;
    for (size_t i = 0; i < plot->band_count; i++) {
        const struct plot_band *band = &plot->bands[i];
        double left = 100 * plot_x(plot, band->from_s) / PLOT_UNITS;
        if (!band->label || band->to_s < plot->from_s || band->from_s > plot->to_s ||
            left < free_from || left > 100 - LABEL_ROOM / 2)
            continue;
        double room = 100 - left; /* up to the next label */
        for (size_t next = i + 1; next < plot->band_count; next++) {
            double other = 100 * plot_x(plot, plot->bands[next].from_s) / PLOT_UNITS;
            if (plot->bands[next].label && other - left >= LABEL_ROOM)
                room = fmin(room, other - left - 1);
        }
        fprintf(out, "<span class=\"tag %s\" style=\"left:%.1f%%;max-width:%.1f%%\" title=\"",
                tone_class(band->tone), left, room);
        html_text(out, band->label);
        fputs("\">", out);
        html_text(out, band->label);
        fputs("</span>", out);
        free_from = left + LABEL_ROOM;
    }
}

void plot_end(FILE *out, const struct plot *plot, const struct axis *y,
              const struct plot_limit *limits, size_t limit_count)
{
    double ticks[AXIS_TICKS];
    for (size_t i = 0; i < plot->band_count; i++)
        draw_band(out, plot, &plot->bands[i]);
    fputs("</svg>", out);
    label_bands(out, plot);
    for (size_t i = 0; y && i < limit_count; i++) {
        fprintf(out, "<span class=\"limit\" style=\"top:%.1f%%\">",
                100 * (1 - axis_place(y, limits[i].value)));
        html_text(out, limits[i].label);
        fputs("</span>", out);
    }
    fputs("</div><div class=\"x\">", out);
    size_t count = axis_time_ticks(plot->from_s, plot->to_s, ticks);
    for (size_t i = 0; i < count; i++) {
        char label[AXIS_LABEL];
        axis_time_label(ticks[i], label);
        double left = 100 * plot_x(plot, ticks[i]) / PLOT_UNITS;
        /* The outermost labels stay within the drawing. */
        const char *edge = left < 2 ? " class=\"first\"" : left > 97 ? " class=\"last\"" : "";
        fprintf(out, "<span%s style=\"left:%.2f%%\">%s</span>", edge, left, label);
    }
    fputs("</div></div></figure>\n", out);
}
