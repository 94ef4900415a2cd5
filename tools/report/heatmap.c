/* SPDX-License-Identifier: MIT */
#include "tools/report/heatmap.h"

#include <math.h>
#include <stdbool.h>

#include "common/check.h"
#include "tools/report/html.h"

#define ROW_PX      15u
#define FEWEST_ROWS 4u
#define NAMED_ROWS  10u /* about; more would stand on each other */
#define FAINTEST    0.14

struct extent {
    size_t first, count; /* rows shown */
    uint64_t largest;
};

static struct extent measure(const struct heatmap *heatmap)
{
    size_t lowest = heatmap->rows, highest = 0;
    struct extent extent = {0};
    for (size_t i = 0; i < heatmap->columns * heatmap->rows; i++) {
        size_t row = i % heatmap->rows;
        if (heatmap->counts[i] == 0)
            continue;
        lowest = row < lowest ? row : lowest;
        highest = row > highest ? row : highest;
        extent.largest = heatmap->counts[i] > extent.largest ? heatmap->counts[i] : extent.largest;
    }
    if (extent.largest == 0)
        lowest = 0;
    while (highest - lowest + 1 < FEWEST_ROWS && highest + 1 < heatmap->rows)
        highest += 1;
    extent.first = lowest;
    extent.count = highest - lowest + 1;
    return extent;
}

static void draw_cell(FILE *out, const struct heatmap *heatmap, const struct plot *plot,
                      const struct extent *extent, size_t column, size_t row)
{
    uint64_t count = heatmap->counts[column * heatmap->rows + row];
    double from_s = plot->from_s + (double)column * heatmap->step_s;
    double x = plot_x(plot, from_s), width = plot_x(plot, from_s + heatmap->step_s) - x;
    double height = PLOT_UNITS / (double)extent->count;
    double y = PLOT_UNITS - (double)(row - extent->first + 1) * height;
    double strength = log1p((double)count) / log1p((double)extent->largest);
    char label[AXIS_LABEL];
    axis_time_label(from_s, label);
    fprintf(out,
            "<rect class=\"heat\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" "
            "fill-opacity=\"%.2f\"><title>%s\n",
            x, y, width, height, FAINTEST + (1 - FAINTEST) * strength, label);
    html_textf(out, "%s: %llu", heatmap->row_names[row], (unsigned long long)count);
    fputs("</title></rect>\n", out);
}

void heatmap_write(FILE *out, const struct heatmap *heatmap)
{
    CHECK(heatmap->rows > 0 && heatmap->step_s > 0);
    struct extent extent = measure(heatmap);
    struct plot plot = heatmap->plot;
    if (!(plot.to_s > plot.from_s))
        plot.to_s =
            plot.from_s + (double)(heatmap->columns ? heatmap->columns : 1) * heatmap->step_s;
    if (plot.height_px == 0)
        plot.height_px = (unsigned)extent.count * ROW_PX;
    plot_caption(out, &plot, NULL, NULL, 0);
    plot_begin_rows(out, &plot, heatmap->row_names + extent.first, extent.count,
                    (extent.count + NAMED_ROWS - 1) / NAMED_ROWS);
    for (size_t column = 0; column < heatmap->columns; column++)
        for (size_t row = extent.first; row < extent.first + extent.count; row++)
            if (heatmap->counts[column * heatmap->rows + row] > 0)
                draw_cell(out, heatmap, &plot, &extent, column, row);
    plot_end(out, &plot, NULL, NULL, 0);
}
