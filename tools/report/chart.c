/* SPDX-License-Identifier: MIT */
#include "tools/report/chart.h"

#include <math.h>

#include "common/check.h"
#include "tools/report/html.h"

#define HEADROOM 1.02 /* or the highest line would lie on the frame */

static double value_at(const struct chart *chart, size_t series, size_t column)
{
    return chart->series[series].values[column];
}

/* The height of a column when it is stacked: gaps count as nothing. */
static double pile(const struct chart *chart, size_t series_count, size_t column)
{
    double sum = 0;
    for (size_t i = 0; i < series_count; i++)
        if (!isnan(value_at(chart, i, column)))
            sum += value_at(chart, i, column);
    return sum;
}

static struct axis fit(const struct chart *chart)
{
    double largest = 0, smallest = (double)INFINITY;
    for (size_t column = 0; column < chart->columns; column++) {
        if (chart->stacked)
            largest = fmax(largest, pile(chart, chart->series_count, column));
        for (size_t i = 0; i < chart->series_count && !chart->stacked; i++) {
            double value = value_at(chart, i, column); /* fmax and fmin pass over NaN */
            largest = fmax(largest, value);
            if (value > 0)
                smallest = fmin(smallest, value);
        }
    }
    for (size_t i = 0; i < chart->limit_count; i++)
        largest = fmax(largest, chart->limits[i].value);
    if (chart->logarithmic && isfinite(smallest))
        return axis_logarithmic(smallest, largest);
    return axis_linear(HEADROOM * largest);
}

static double y_of(const struct axis *axis, double value)
{
    return (1 - axis_place(axis, value)) * PLOT_UNITS;
}

static void draw_line(FILE *out, const struct chart *chart, const struct plot *plot,
                      const struct axis *axis, size_t series)
{
    const double *values = chart->series[series].values;
    double half = 0.5 * chart->step_s;
    fprintf(out, "<path class=\"line c%u\" d=\"", chart->series[series].colour);
    for (size_t i = 0; i < chart->columns; i++) {
        if (isnan(values[i]))
            continue;
        double middle_s = plot->from_s + (double)i * chart->step_s + half;
        double y = y_of(axis, values[i]);
        bool joined = i > 0 && !isnan(values[i - 1]);
        bool alone = !joined && (i + 1 == chart->columns || isnan(values[i + 1]));
        /* A value between two gaps is as long as its column, or it would not be seen. */
        if (alone)
            fprintf(out, "M%.1f %.1fH%.1f", plot_x(plot, middle_s - half), y,
                    plot_x(plot, middle_s + half));
        else
            fprintf(out, "%c%.1f %.1f", joined ? 'L' : 'M', plot_x(plot, middle_s), y);
    }
    fputs("\"/>\n", out);
}

/* The area between the pile below and the pile with this series, column by column. */
static void draw_pile(FILE *out, const struct chart *chart, const struct plot *plot,
                      const struct axis *axis, size_t series)
{
    fprintf(out, "<path class=\"pile c%u\" d=\"", chart->series[series].colour);
    for (size_t i = 0; i < chart->columns; i++) {
        double below = pile(chart, series, i), above = pile(chart, series + 1, i);
        if (!(above > below))
            continue;
        double from_s = plot->from_s + (double)i * chart->step_s;
        fprintf(out, "M%.1f %.1fV%.1fH%.1fV%.1fZ", plot_x(plot, from_s), y_of(axis, below),
                y_of(axis, above), plot_x(plot, from_s + chart->step_s), y_of(axis, below));
    }
    fputs("\"/>\n", out);
}

static void draw_hover(FILE *out, const struct chart *chart, const struct plot *plot)
{
    for (size_t column = 0; column < chart->columns; column++) {
        double from_s = plot->from_s + (double)column * chart->step_s;
        double x = plot_x(plot, from_s);
        char label[AXIS_LABEL];
        axis_time_label(from_s, label);
        fprintf(out,
                "<rect class=\"hover\" x=\"%.1f\" y=\"0\" width=\"%.2f\" height=\"%g\"><title>%s",
                x, plot_x(plot, from_s + chart->step_s) - x, PLOT_UNITS, label);
        for (size_t i = 0; i < chart->series_count; i++) {
            double value = value_at(chart, i, column);
            if (isnan(value) || (chart->stacked && !(value > 0)))
                continue;
            fputc('\n', out);
            html_textf(out, "%s %.4g", chart->series[i].name, value);
        }
        fputs("</title></rect>\n", out);
    }
}

void chart_write(FILE *out, const struct chart *chart)
{
    const char *names[CHART_SERIES];
    unsigned colours[CHART_SERIES];
    CHECK(chart->series_count <= CHART_SERIES && chart->step_s > 0);
    struct plot plot = chart->plot;
    if (!(plot.to_s > plot.from_s))
        plot.to_s = plot.from_s + (double)(chart->columns ? chart->columns : 1) * chart->step_s;
    struct axis axis = fit(chart);
    for (size_t i = 0; i < chart->series_count; i++) {
        names[i] = chart->series[i].name;
        colours[i] = chart->series[i].colour;
    }
    plot_caption(out, &plot, names, colours, chart->series_count);
    plot_begin(out, &plot, &axis);
    for (size_t i = 0; i < chart->limit_count; i++)
        plot_limit(out, &axis, &chart->limits[i]);
    for (size_t i = chart->series_count; i-- > 0;) {
        if (chart->stacked)
            draw_pile(out, chart, &plot, &axis, i);
        else
            draw_line(out, chart, &plot, &axis, i);
    }
    draw_hover(out, chart, &plot);
    plot_end(out, &plot, &axis, chart->limits, chart->limit_count);
}
