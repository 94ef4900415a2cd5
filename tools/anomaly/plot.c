/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/plot.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/exit_codes.h"
#include "tools/anomaly/moment.h"

#define WIDTH       1100.0
#define LEFT        70.0
#define RIGHT       20.0
#define PANEL       90.0 /* height of a panel, its title and the room below included */
#define CURVE       58.0
#define TITLE       16.0
#define GAP_STEPS   5    /* a hole of more steps breaks the line */
#define COLUMNS_MAX 2000 /* points of a curve: more are drawn by their extremes */

struct frame {
    FILE *out;
    const struct shown *shown;
    const struct table *table;
    double from_s, to_s;
    double top; /* of the panel */
    double low, high;
};

static double x_at(const struct frame *frame, double time_s)
{
    double span = frame->to_s - frame->from_s;
    double share = span > 0 ? (time_s - frame->from_s) / span : 0;
    return LEFT + (share < 0 ? 0 : share > 1 ? 1 : share) * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct frame *frame, double value)
{
    return frame->top + TITLE + CURVE * (1 - (value - frame->low) / (frame->high - frame->low));
}

/* Text of a file or a person: no markup of it gets in. */
static void put_text(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '<' || *text == '&' || *text == '"')
            fprintf(out, "&#%d;", *text);
        else
            fputc(*text, out);
}

static void band(const struct frame *frame, double from_s, double to_s, const char *colour,
                 const char *title, const char *more)
{
    double left = x_at(frame, from_s), width = x_at(frame, to_s) - left;
    fprintf(frame->out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>", left,
            frame->top + TITLE, width < 2 ? 2 : width, CURVE, colour);
    put_text(frame->out, title);
    put_text(frame->out, more);
    fputs("</title></rect>\n", frame->out);
}

static void find_range(struct frame *frame, unsigned column)
{
    frame->low = INFINITY;
    frame->high = -INFINITY;
    for (size_t row = 0; row < frame->table->rows; row++) {
        double value = table_cell(frame->table, row, column);
        if (!isfinite(value))
            continue;
        frame->low = value < frame->low ? value : frame->low;
        frame->high = value > frame->high ? value : frame->high;
    }
    if (!isfinite(frame->low))
        frame->low = frame->high = 0;
    if (frame->low > 0 && frame->low < frame->high / 2)
        frame->low = 0; /* a rate is drawn from 0, a level that hardly moves is not */
    if (frame->high <= frame->low)
        frame->high = frame->low + 1;
}

/* A path through the points; of many points in one column of the picture the least and greatest. */
static void curve(const struct frame *frame, unsigned column)
{
    const struct table *table = frame->table;
    size_t each = table->rows / COLUMNS_MAX + 1;
    bool drawing = false;
    int64_t last_s = 0;
    fputs("<path fill=\"none\" stroke=\"#1f6fb2\" stroke-width=\"1.2\" d=\"", frame->out);
    for (size_t row = 0; row < table->rows; row += each) {
        double least = INFINITY, most = -INFINITY;
        for (size_t i = row; i < row + each && i < table->rows; i++) {
            double value = table_cell(table, i, column);
            if (!isfinite(value))
                continue;
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        int64_t time_s = table->time_s[row];
        if (!isfinite(least))
            continue;
        bool hole = (double)(time_s - last_s) > GAP_STEPS * frame->shown->step_s * (double)each;
        fprintf(frame->out, "%c%.1f %.1f", drawing && !hole ? 'L' : 'M',
                x_at(frame, (double)time_s), y_at(frame, least));
        if (most > least)
            fprintf(frame->out, "L%.1f %.1f", x_at(frame, (double)time_s), y_at(frame, most));
        drawing = true;
        last_s = time_s;
    }
    fputs("\"/>\n", frame->out);
}

static void panel(struct frame *frame, unsigned number)
{
    const struct shown *shown = frame->shown;
    const struct analysis *analysis = shown->analysis;
    unsigned column = analysis->watched[number].column;
    const char *name = frame->table->names[column];
    frame->top = 40 + number * PANEL;
    find_range(frame, column);
    for (size_t i = 0; shown->truths && i < shown->truth_count; i++)
        if (strcmp(shown->truths[i].metric, name) == 0)
            band(frame, shown->truths[i].from_s, shown->truths[i].to_s, "#d8d8d8",
                 shown->truths[i].fault, "");
    for (size_t i = 0; i < analysis->alarm_count; i++)
        if (analysis->alarms[i].watched == number)
            band(frame, (double)analysis->alarms[i].from_s,
                 (double)analysis->alarms[i].until_s + shown->step_s, "#e4572e66", "alarm of ",
                 name);
    fprintf(frame->out, "<text x=\"%.0f\" y=\"%.1f\" font-weight=\"bold\">", LEFT,
            frame->top + TITLE - 4);
    put_text(frame->out, name);
    fprintf(frame->out,
            "</text><text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>"
            "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
            LEFT - 6, frame->top + TITLE + 8, frame->high, LEFT - 6, frame->top + TITLE + CURVE,
            frame->low);
    fprintf(frame->out,
            "<rect x=\"%.0f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" fill=\"none\" "
            "stroke=\"#999\"/>\n",
            LEFT, frame->top + TITLE, WIDTH - LEFT - RIGHT, CURVE);
    curve(frame, column);
}

int plot_write(const char *path, const struct shown *shown, struct problem *problem)
{
    char from[MOMENT_SIZE] = "", to[MOMENT_SIZE] = "";
    const struct table *table = shown->analysis->table;
    struct frame frame = {.shown = shown, .table = table};
    frame.out = fopen(path, "we");
    if (!frame.out)
        return problem_set(problem, EXIT_TEMPORARY, "--plot %s: %s", path, strerror(errno));
    if (table->rows > 0) {
        frame.from_s = (double)table->time_s[0];
        frame.to_s = (double)table->time_s[table->rows - 1] + shown->step_s;
        moment_print(from, table->time_s[0]);
        moment_print(to, table->time_s[table->rows - 1]);
    }
    double height = 50 + shown->analysis->watched_count * PANEL;
    fprintf(frame.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n"
            "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#fff\"/>\n<text x=\"%.0f\" y=\"24\">",
            WIDTH, height, WIDTH, height, LEFT);
    put_text(frame.out, shown->source);
    fprintf(frame.out, ", %s to %s; red: alarms (%zu)%s</text>\n", from, to,
            shown->analysis->alarm_count, shown->truths ? "; grey: what was broken" : "");
    for (unsigned i = 0; i < shown->analysis->watched_count; i++)
        panel(&frame, i);
    fputs("</svg>\n", frame.out);
    if (ferror(frame.out) | fclose(frame.out))
        return problem_set(problem, EXIT_TEMPORARY, "--plot %s: not written completely", path);
    return 0;
}
