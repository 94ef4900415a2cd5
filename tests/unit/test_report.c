/* SPDX-License-Identifier: MIT */
/* Report pages: escaping, scales, and what charts draw. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report/chart.h"
#include "tools/report/document.h"
#include "tools/report/events.h"
#include "tools/report/heatmap.h"
#include "tools/report/html.h"

/* What is written to `out` between these two is the text that `take` returns, to be freed. */
static char *text;
static size_t text_size;

static FILE *collect(void)
{
    FILE *out = open_memstream(&text, &text_size);
    assert_non_null(out);
    return out;
}

static char *take(FILE *out)
{
    assert_int_equal(fclose(out), 0);
    return text;
}

static unsigned count_of(const char *haystack, const char *needle)
{
    unsigned count = 0;
    while ((haystack = strstr(haystack, needle))) {
        haystack += strlen(needle);
        count += 1;
    }
    return count;
}

static void foreign_text_cannot_become_markup(void **state)
{
    (void)state;
    FILE *out = collect();
    html_text(out, "<b onclick=\"x('1')\">&é\x01\xFF</b>\n");
    html_text(out, NULL);
    html_textf(out, "%s %d", "<", 7);
    char *html = take(out);
    assert_string_equal(html, "&lt;b onclick=&quot;x(&#39;1&#39;)&quot;&gt;&amp;é"
                              "\xEF\xBF\xBD\xEF\xBF\xBD&lt;/b&gt;\n&lt; 7");
    free(html);
}

static void scales_end_on_round_values(void **state)
{
    (void)state;
    static const struct {
        double largest, high;
        size_t ticks;
    } cases[] = {{0, 1, 6},     {0.9, 1, 6},   {1, 1, 6},       {7, 8, 5},
                 {500, 500, 6}, {501, 600, 4}, {1234, 1500, 4}, {(double)NAN, 1, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct axis axis = axis_linear(cases[i].largest);
        double ticks[AXIS_TICKS];
        size_t count = axis_ticks(&axis, ticks);
        assert_true(fabs(axis.high - cases[i].high) < 1e-9);
        assert_int_equal(count, cases[i].ticks);
        assert_true(fabs(ticks[count - 1] - axis.high) < 1e-9);
    }
}

static void logarithmic_scales_hold_what_they_were_given(void **state)
{
    (void)state;
    struct axis axis = axis_logarithmic(0.7, 2500);
    double ticks[AXIS_TICKS];
    assert_int_equal(axis_ticks(&axis, ticks), 6); /* 0.1 to 10 000 */
    assert_true(fabs(axis_place(&axis, 1) - 0.2) < 1e-9);
    assert_true(fabs(axis_place(&axis, 0)) < 1e-9);
    assert_true(fabs(axis_place(&axis, 1e9) - 1) < 1e-9);
    axis = axis_logarithmic(10, 10); /* one value is a decade */
    assert_true(axis.high > axis.low);
    axis = axis_logarithmic(0, 5); /* there is no logarithm of 0 */
    assert_false(axis.logarithmic);
}

static void moments_have_few_and_round_marks(void **state)
{
    (void)state;
    static const double spans[] = {0.5, 7, 60, 61, 300, 3600, 86400, 7 * 86400, 300 * 86400.0};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        double ticks[AXIS_TICKS];
        size_t count = axis_time_ticks(0, spans[i], ticks);
        assert_in_range(count, 1, AXIS_TICKS);
        assert_true(ticks[count - 1] <= spans[i]);
        assert_true(count < 3 || ticks[count - 1] > spans[i] * 0.6); /* to the end, nearly */
    }
    char label[AXIS_LABEL];
    axis_time_label(45, label);
    assert_string_equal(label, "45 s");
    axis_time_label(150, label);
    assert_string_equal(label, "2:30");
    axis_time_label(3661, label);
    assert_string_equal(label, "1:01:01");
    axis_label(25000, label);
    assert_string_equal(label, "25k");
}

/* ---- charts ---- */

static const struct plot_band bands[] = {
    {.from_s = 2, .to_s = 4, .label = "fault <1>", .tone = TONE_BAD},
    {.from_s = 3, .to_s = 3, .label = "killed", .tone = TONE_DOUBTFUL},
    {.from_s = 50, .to_s = 60, .label = "after the end", .tone = TONE_BAD},
};

static void a_line_breaks_where_nothing_was_measured(void **state)
{
    (void)state;
    const double values[] = {1, 2, (double)NAN, 4, (double)NAN, 6, 7, 8};
    const struct chart_series series = {.name = "p95", .values = values, .colour = 1};
    FILE *out = collect();
    chart_write(
        out, &(struct chart){.plot = {.title = "t", .unit = "ms", .bands = bands, .band_count = 3},
                             .step_s = 1,
                             .columns = 8,
                             .series = &series,
                             .series_count = 1});
    char *html = take(out);
    char *line = strstr(html, "<path class=\"line c1\" d=\"");
    assert_non_null(line);
    *strchr(line + 25, '"') = '\0';
    assert_int_equal(count_of(line + 25, "M"), 3); /* three pieces: 1-2, 4 alone, 6-8 */
    assert_int_equal(count_of(line + 25, "H"), 1);
    assert_int_equal(count_of(line + 25, "L"), 3);
    assert_null(strstr(line + 25, "nan"));
    free(html);
}

static void bands_are_drawn_where_they_were(void **state)
{
    (void)state;
    const double values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct chart_series series = {.name = "x", .values = values};
    FILE *out = collect();
    chart_write(out,
                &(struct chart){.plot = {.title = "t", .unit = "", .bands = bands, .band_count = 3},
                                .step_s = 1,
                                .columns = 8,
                                .series = &series,
                                .series_count = 1});
    char *html = take(out);
    assert_non_null(strstr(html, "<rect class=\"band t-bad\" x=\"250.0\" y=\"0\" width=\"250.0\""));
    assert_non_null(strstr(html, "<line class=\"mark t-doubtful\" x1=\"375.0\" x2=\"375.0\""));
    assert_non_null(strstr(html, "fault &lt;1&gt;"));
    assert_null(strstr(html, "after the end"));
    free(html);
}

static void piles_stand_on_each_other(void **state)
{
    (void)state;
    const double low[] = {5, 0}, high[] = {5, 10};
    const struct chart_series series[] = {{.name = "a", .values = low, .colour = 0},
                                          {.name = "b", .values = high, .colour = 1}};
    FILE *out = collect();
    chart_write(out, &(struct chart){.plot = {.title = "t", .unit = ""},
                                     .step_s = 1,
                                     .columns = 2,
                                     .series = series,
                                     .series_count = 2,
                                     .stacked = true});
    char *html = take(out);
    /* The axis ends at 15: b lies on a in the first column and stands alone in the second. */
    assert_non_null(strstr(html, "pile c0\" d=\"M0.0 1000.0V666.7H500.0V1000.0Z\""));
    assert_non_null(strstr(html, "pile c1\" d=\"M0.0 666.7V333.3H500.0V666.7Z"
                                 "M500.0 1000.0V333.3H1000.0V1000.0Z\""));
    free(html);
}

static void a_heatmap_shows_the_rows_in_use(void **state)
{
    (void)state;
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    uint64_t counts[3 * 8] = {0};
    counts[0 * 8 + 1] = 1000;
    counts[2 * 8 + 6] = 1;
    FILE *out = collect();
    heatmap_write(out, &(struct heatmap){.plot = {.title = "t", .unit = ""},
                                         .step_s = 1,
                                         .columns = 3,
                                         .rows = 8,
                                         .counts = counts,
                                         .row_names = names});
    char *html = take(out);
    assert_int_equal(count_of(html, "class=\"heat\""), 2);
    assert_non_null(strstr(html, "height:90px")); /* six rows: 1 to 6 */
    assert_non_null(strstr(html, "fill-opacity=\"1.00\""));
    assert_non_null(strstr(html, "fill-opacity=\"0.23\"")); /* one of a thousand is seen */
    assert_null(strstr(html, ">7<"));
    free(html);
}

static void empty_charts_are_charts(void **state)
{
    (void)state;
    static const char *const names[] = {"0"};
    FILE *out = collect();
    chart_write(out, &(struct chart){.plot = {.title = "t", .unit = ""}, .step_s = 1});
    heatmap_write(
        out, &(struct heatmap){
                 .plot = {.title = "t", .unit = ""}, .step_s = 1, .rows = 1, .row_names = names});
    char *html = take(out);
    assert_int_equal(count_of(html, "<figure>"), 2);
    assert_int_equal(count_of(html, "</figure>"), 2);
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf"));
    free(html);
}

static void pages_need_nothing_but_themselves(void **state)
{
    (void)state;
    static const char *const columns[] = {"name", "#value", NULL};
    static const char *const cells[] = {"<p95>", "12", NULL};
    FILE *out = collect();
    document_begin(out, "Title & more", "sub");
    document_verdict(out, TONE_BAD, "breached", "by <much>");
    document_section(out, "Section", NULL);
    document_facts_begin(out);
    document_fact(out, TONE_GOOD, "rate", "%d/s", 300);
    document_facts_end(out);
    document_table_begin(out, columns);
    document_row(out, TONE_PLAIN, columns, cells);
    document_table_end(out);
    document_end(out, "end");
    char *html = take(out);
    assert_non_null(strstr(html, "default-src 'none'"));
    assert_non_null(strstr(html, "<td>&lt;p95&gt;</td><td class=\"n\">12</td>"));
    assert_non_null(strstr(html, "by &lt;much&gt;"));
    assert_null(strstr(html, "http://"));
    assert_null(strstr(html, "https://"));
    assert_null(strstr(html, "<script"));
    assert_int_equal(count_of(html, "<div"), count_of(html, "</div>"));
    free(html);
}

/* ---- events ---- */

static void faults_become_bands_and_deaths_marks(void **state)
{
    (void)state;
    char lines[] =
        "{\"id\":1,\"cause_id\":null,\"ts\":\"2026-11-26T00:59:00Z\",\"event\":\"note\","
        "\"text\":\"long before\"}\n"
        "{\"id\":7,\"cause_id\":null,\"ts\":\"2026-11-26T01:00:02.500000Z\","
        "\"event\":\"fault_start\",\"slot\":null,\"kind\":null,\"text\":\"fault 1: slow\"}\n"
        "{\"id\":8,\"cause_id\":7,\"ts\":\"2026-11-26T01:00:03Z\",\"event\":\"worker_died\","
        "\"slot\":2,\"kind\":\"worker\",\"text\":\"killed\"}\n"
        "no event\n\n{\"event\":\"x\",\"ts\":\"yesterday\"}\n"
        "{\"id\":9,\"cause_id\":7,\"ts\":\"2026-11-26T01:00:04.25Z\",\"event\":\"fault_end\","
        "\"text\":\"fault 1: expired\"}\n"
        "{\"id\":10,\"cause_id\":null,\"ts\":\"2026-11-26T01:00:06Z\","
        "\"event\":\"fault_start\",\"text\":\"fault 2: <error>\"}\n";
    struct report_events events;
    FILE *in = fmemopen(lines, sizeof lines - 1, "r");
    uint64_t start_us = report_wall_us("2026-11-26T01:00:00Z");
    report_events_read(&events, in, start_us, 2, 10);
    fclose(in);
    assert_int_equal(events.skipped, 2);
    assert_int_equal(events.count, 4);
    assert_int_equal(events.band_count, 3);
    assert_true(fabs(events.bands[0].from_s - 2.5) < 1e-6);
    assert_true(fabs(events.bands[0].to_s - 4.25) < 1e-6);
    assert_string_equal(events.bands[0].label, "fault 1: slow");
    assert_true(fabs(events.bands[1].to_s - events.bands[1].from_s) < 1e-9);
    assert_string_equal(events.all[1].text, "worker 2: killed");
    assert_true(fabs(events.bands[2].to_s - 10) < 1e-9); /* without an end: to the end */
    FILE *out = collect();
    report_events_write(out, &events);
    char *html = take(out);
    assert_non_null(strstr(html, "fault 2: &lt;error&gt;"));
    free(html);
    report_events_free(&events);
}

static void wall_times_are_read(void **state)
{
    (void)state;
    assert_int_equal(report_wall_us("1970-01-01T00:00:01.000001Z"), 1000001);
    assert_int_equal(report_wall_us("2000-02-29T12:00:00Z"), 951825600000000);
    assert_int_equal(report_wall_us("2000-02-29T12:00:00"), 0);
    assert_int_equal(report_wall_us("2000-02-29"), 0);
    assert_int_equal(report_wall_us(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_text_cannot_become_markup),
        cmocka_unit_test(scales_end_on_round_values),
        cmocka_unit_test(logarithmic_scales_hold_what_they_were_given),
        cmocka_unit_test(moments_have_few_and_round_marks),
        cmocka_unit_test(a_line_breaks_where_nothing_was_measured),
        cmocka_unit_test(bands_are_drawn_where_they_were),
        cmocka_unit_test(piles_stand_on_each_other),
        cmocka_unit_test(a_heatmap_shows_the_rows_in_use),
        cmocka_unit_test(empty_charts_are_charts),
        cmocka_unit_test(pages_need_nothing_but_themselves),
        cmocka_unit_test(faults_become_bands_and_deaths_marks),
        cmocka_unit_test(wall_times_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
