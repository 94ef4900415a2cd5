/* SPDX-License-Identifier: MIT */
#include "common/exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/exposition_derived.h"
#include "common/series.h"
#include "common/slot_view.h"

/* A metric of at most this many cells shows all of them, zero or not. */
#define DENSE_CELLS 16

/* Texts of one dimension, and of the three that a cell can have. */
#define PART_SIZE   80
#define LABELS_SIZE 256

/* Edges of the histograms; the text is the value of `le`. */
struct edge {
    uint64_t value;
    const char *text;
};

static const struct edge microsecond_edges[] = {
    {1000, "0.001"}, {2000, "0.002"}, {5000, "0.005"}, {10000, "0.01"},  {20000, "0.02"},
    {50000, "0.05"}, {100000, "0.1"}, {200000, "0.2"}, {300000, "0.3"},  {500000, "0.5"},
    {1000000, "1"},  {2000000, "2"},  {5000000, "5"},  {10000000, "10"},
};

static const struct edge plain_edges[] = {
    {1, "1"},   {2, "2"},     {4, "4"},     {8, "8"},     {16, "16"},     {32, "32"},
    {64, "64"}, {128, "128"}, {256, "256"}, {512, "512"}, {1024, "1024"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The labels of a cell: slot (when slot >= 0) and the values of the two dimensions. */
static void cell_labels(char labels[LABELS_SIZE], const struct metric *metric, int slot,
                        unsigned first, unsigned second)
{
    char of_slot[PART_SIZE] = "", of_first[PART_SIZE], of_second[PART_SIZE];
    if (slot >= 0) {
        char label[SLOT_LABEL_SIZE];
        slot_view_label((unsigned)slot, label);
        snprintf(of_slot, sizeof of_slot, "slot=\"%s\"", label);
    }
    dimension_label(metric->dimension[0], first, of_first, sizeof of_first);
    dimension_label(metric->dimension[1], second, of_second, sizeof of_second);
    snprintf(labels, LABELS_SIZE, "%s%s%s%s%s", of_slot, *of_slot && *of_first ? "," : "", of_first,
             *of_second && (*of_slot || *of_first) ? "," : "", of_second);
}

/* Name and labels of a sample line, up to its value. */
static void put_series(FILE *out, const char *name, const char *suffix, const char *labels)
{
    fprintf(out, *labels ? "%s%s{%s} " : "%s%s%s ", name, suffix, labels);
}

/* Address of one cell of a slot's or the board's metrics. */
static const void *cell_at(const void *base, const struct metric *metric, size_t index, size_t size)
{
    return (const char *)base + metric->offset + index * size;
}

/* ---- counters and gauges ------------------------------------------------------------------- */

/* A cell's value in one slot. Gauges travel as the same 64 bits: adding them wraps the same way. */
static uint64_t slot_value(const struct exposition_view *view, const struct metric *metric,
                           unsigned slot, size_t index)
{
    const _Atomic uint64_t *cell =
        cell_at(&view->region->slots[slot].slot.metrics, metric, index, sizeof(uint64_t));
    return atomic_load_explicit(cell, memory_order_relaxed);
}

/* Whether a slot has a say in this metric: counters stay, gauges die with their process. */
static bool slot_counts(const struct exposition_view *view, const struct metric *metric,
                        unsigned slot)
{
    return metric->kind == METRIC_SLOT_GAUGE ? view->live[slot] : view->used[slot];
}

static void put_value(FILE *out, const struct metric *metric, uint64_t value)
{
    if (metric->kind == METRIC_SLOT_GAUGE)
        fprintf(out, "%" PRId64 "\n", (int64_t)value);
    else
        fprintf(out, "%" PRIu64 "\n", value);
}

static void put_summed_cell(FILE *out, const struct exposition_view *view,
                            const struct metric *metric, unsigned first, unsigned second,
                            size_t index, bool dense)
{
    uint64_t value = 0;
    if (metric->kind == METRIC_BOARD_COUNTER) {
        const uint64_t *cell = cell_at(&view->board.metrics, metric, index, sizeof *cell);
        value = *cell;
    } else {
        for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
            if (slot_counts(view, metric, slot))
                value += slot_value(view, metric, slot, index);
    }
    if (!dense && value == 0)
        return;
    char labels[LABELS_SIZE];
    cell_labels(labels, metric, -1, first, second);
    put_series(out, metric->name, "", labels);
    put_value(out, metric, value);
}

/* A worker's slot has its series from its first process on; a helper's only when it counted. */
static void put_cell_of_each_slot(FILE *out, const struct exposition_view *view,
                                  const struct metric *metric, unsigned first, unsigned second,
                                  size_t index, bool dense)
{
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
        if (!slot_counts(view, metric, slot))
            continue;
        uint64_t value = slot_value(view, metric, slot, index);
        if (value == 0 && (!dense || slot >= WORKER_SLOTS_MAX))
            continue;
        char labels[LABELS_SIZE];
        cell_labels(labels, metric, (int)slot, first, second);
        put_series(out, metric->name, "", labels);
        put_value(out, metric, value);
    }
}

static void put_numbers(FILE *out, const struct exposition_view *view, const struct metric *metric)
{
    size_t rows = dimension_size(metric->dimension[0]);
    size_t columns = dimension_size(metric->dimension[1]);
    bool dense = rows * columns <= DENSE_CELLS;
    for (unsigned first = 0; first < rows; first++) {
        for (unsigned second = 0; second < columns; second++) {
            size_t index = first * columns + second;
            if (metric->spread == SPREAD_PER_SLOT)
                put_cell_of_each_slot(out, view, metric, first, second, index, dense);
            else
                put_summed_cell(out, view, metric, first, second, index, dense);
        }
    }
}

/* ---- histograms ---------------------------------------------------------------------------- */

/* One line of a bucket; `start` is all before the edge. Written without printf: two thirds of the
 * exposition are these lines. */
static void put_bucket(FILE *out, const char *start, const char *edge, bool fraction,
                       uint64_t count)
{
    char digits[24];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    fputs_unlocked(start, out);
    fputs_unlocked(edge, out);
    fputs_unlocked(fraction ? ".0\"} " : "\"} ", out);
    fwrite_unlocked(digits + at, 1, sizeof digits - at, out);
    putc_unlocked('\n', out);
}

static void put_buckets(FILE *out, const struct exposition_view *view, const struct metric *metric,
                        const struct histogram_sum *sum, const char *labels)
{
    bool plain = metric->scale == SCALE_PLAIN;
    const struct edge *edges = plain ? plain_edges : microsecond_edges;
    size_t count = plain ? COUNT_OF(plain_edges) : COUNT_OF(microsecond_edges);
    char start[LABELS_SIZE + PART_SIZE];
    uint64_t below = 0;
    unsigned next = 0; /* bucket of the histogram */
    snprintf(start, sizeof start, "%s_bucket{%s%sle=\"", metric->name, labels, *labels ? "," : "");
    for (size_t i = 0; i < count; i++) {
        for (unsigned last = histogram_bucket_of(edges[i].value); next <= last; next++)
            below += sum->bucket[next];
        bool whole = strchr(edges[i].text, '.') == NULL;
        put_bucket(out, start, edges[i].text, whole && view->openmetrics, below);
    }
    put_bucket(out, start, "+Inf", false, sum->count);
    put_series(out, metric->name, "_sum", labels);
    if (plain)
        fprintf(out, "%" PRIu64 "\n", sum->sum);
    else
        fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", sum->sum / US_PER_S, sum->sum % US_PER_S);
    put_series(out, metric->name, "_count", labels);
    fprintf(out, "%" PRIu64 "\n", sum->count);
}

static void put_histograms(FILE *out, const struct exposition_view *view,
                           const struct metric *metric)
{
    size_t rows = dimension_size(metric->dimension[0]);
    for (unsigned row = 0; row < rows; row++) {
        struct histogram_sum sum = {0};
        for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
            if (view->used[slot])
                histogram_sum_add(&sum, cell_at(&view->region->slots[slot].slot.metrics, metric,
                                                row, sizeof(struct histogram)));
        if (rows > DENSE_CELLS && sum.count == 0)
            continue;
        char labels[LABELS_SIZE];
        cell_labels(labels, metric, -1, row, 0);
        put_buckets(out, view, metric, &sum, labels);
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool look(struct exposition_view *view, const struct region *region)
{
    view->region = region;
    if (!region_read_board(region, &view->board))
        return false;
    view->now_ns = clock_now_ns();
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
        view->used[slot] = slot_view_was_used(region, slot);
        view->live[slot] = slot_view_is_live(region, &view->board, slot);
    }
    return true;
}

/* Whether text ends in suffix, which is cut off then: of the length at *length. */
static bool cut_suffix(const char *text, const char *suffix, size_t *length)
{
    size_t size = strlen(suffix);
    if (*length <= size || memcmp(text + *length - size, suffix, size) != 0)
        return false;
    *length -= size;
    return true;
}

const char *exposition_unit(const struct metric *metric)
{
    static const char *const units[] = {"seconds", "bytes"};
    size_t family = strlen(metric->name);
    cut_suffix(metric->name, "_total", &family);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t length = family;
        if (cut_suffix(metric->name, units[i], &length) && metric->name[length - 1] == '_')
            return units[i];
    }
    return "";
}

/* OpenMetrics wants quotes escaped as well. */
static void put_help(FILE *out, const char *help, bool openmetrics)
{
    const char *special = openmetrics ? "\\\n\"" : "\\\n";
    for (;;) {
        size_t plain = strcspn(help, special);
        fwrite_unlocked(help, 1, plain, out);
        help += plain;
        if (!*help)
            break;
        putc_unlocked('\\', out);
        putc_unlocked(*help == '\n' ? 'n' : *help, out);
        help++;
    }
    putc_unlocked('\n', out);
}

/* OpenMetrics names a family without the suffix its samples have, and has a type for facts. */
static void put_header(FILE *out, const struct metric *metric, bool openmetrics)
{
    size_t length = strlen(metric->name);
    if (!openmetrics) {
        fprintf(out, "# HELP %s ", metric->name);
        put_help(out, metric->help, false);
        fprintf(out, "# TYPE %s %s\n", metric->name, metric->type);
        return;
    }
    const char *unit = exposition_unit(metric);
    bool info = cut_suffix(metric->name, "_info", &length);
    if (strcmp(metric->type, "counter") == 0)
        cut_suffix(metric->name, "_total", &length);
    fprintf(out, "# TYPE %.*s %s\n", (int)length, metric->name, info ? "info" : metric->type);
    if (*unit)
        fprintf(out, "# UNIT %.*s %s\n", (int)length, metric->name, unit);
    fprintf(out, "# HELP %.*s ", (int)length, metric->name);
    put_help(out, metric->help, true);
}

const char *exposition_content_type(enum exposition_format format)
{
    return format == EXPOSITION_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

int exposition_write(const struct region *region, FILE *out)
{
    return exposition_write_as(region, EXPOSITION_TEXT, out);
}

int exposition_write_as(const struct region *region, enum exposition_format format, FILE *out)
{
    struct exposition_view view;
    if (!look(&view, region))
        return -EAGAIN;
    view.openmetrics = format == EXPOSITION_OPENMETRICS;
    size_t derived = 0;
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics[i];
        put_header(out, metric, view.openmetrics);
        switch (metric->kind) {
        case METRIC_SLOT_COUNTER:
        case METRIC_SLOT_GAUGE:
        case METRIC_BOARD_COUNTER:
            put_numbers(out, &view, metric);
            break;
        case METRIC_SLOT_HISTOGRAM:
            put_histograms(out, &view, metric);
            break;
        case METRIC_DERIVED:
            exposition_derived[derived++](out, &view, metric->name);
            break;
        }
    }
    if (view.openmetrics)
        fputs("# EOF\n", out);
    return ferror(out) ? -EIO : 0;
}

/* Copy the names out of a list of labels: `a="x",b="y"` becomes `a,b`. */
static size_t label_names(const char *labels, char *out, size_t size)
{
    size_t length = 0;
    bool quoted = false, value = false;
    for (; *labels && length + 1 < size; labels++) {
        if (*labels == '"')
            quoted = !quoted;
        else if (*labels == '=' && !quoted)
            value = true;
        else if (*labels == ',' && !quoted)
            value = false;
        if (!value)
            out[length++] = *labels;
    }
    out[length] = '\0';
    return length;
}

size_t exposition_labels(const struct metric *metric, char *out, size_t size)
{
    if (metric->kind == METRIC_DERIVED)
        return (size_t)snprintf(out, size, "%s", metric->derived_labels);
    char labels[LABELS_SIZE];
    cell_labels(labels, metric, metric->spread == SPREAD_PER_SLOT ? 0 : -1, 0, 0);
    return label_names(labels, out, size);
}

void exposition_describe(FILE *out)
{
    fputs("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < metrics_count; i++) {
        char labels[LABELS_SIZE];
        exposition_labels(&metrics[i], labels, sizeof labels);
        const char *unit = exposition_unit(&metrics[i]);
        fprintf(out, "| `%s` | %s | %s | %s | %s |\n", metrics[i].name, metrics[i].type,
                *unit ? unit : "–", *labels ? labels : "–", metrics[i].help);
    }
    fputs(
        "\nThe console remembers these series, a value a second for an hour and one for each 10 s "
        "for a day:\n/api/history, /api/history.csv, DATADIR/metrics.db.\n\n",
        out);
    series_describe(out);
}
