/* SPDX-License-Identifier: MIT */
/* The exposition: what is summed and what is left out, and that a scraper can read all of it. */
#include "tests/unit/unit.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exposition.h"
#include "common/region.h"

static struct region *region;
static struct board board;
static int region_fd;

static void publish(void)
{
    change_publish(&region->board.change, &region->board.board, &board, sizeof board);
}

/* A fleet of two workers and the spare slot; both ran, in generation 3. */
static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    memset(&board, 0, sizeof board);
    board.configured = 2;
    board.worker_slots = 3;
    board.listener_count = 1;
    board.db_state = DB_STATE_UP;
    snprintf(board.listener[0].name, sizeof board.listener[0].name, "127.0.0.1:8080");
    snprintf(region->header.version, sizeof region->header.version, "1.2.3");
    for (unsigned i = 0; i < 2; i++) {
        board.slot[i] = (struct board_slot){.state = SLOT_READY, .generation = 3, .pid = 100};
        region_slot(region, i)->generation = 3;
        region_slot(region, i)->heartbeat_ns = clock_now_ns();
    }
    publish();
    return region_fd < 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(region_fd);
    return 0;
}

/* The exposition; the caller frees it. */
static char *expose_as(enum exposition_format format)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_int_equal(exposition_write_as(region, format, out), 0);
    fclose(out);
    return text;
}

static char *expose(void)
{
    return expose_as(EXPOSITION_TEXT);
}

/* The value of the line that starts with series and a space, NULL when there is none. */
static const char *find(const char *text, const char *series)
{
    size_t length = strlen(series);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, length) == 0 && line[length] == ' ')
            return line + length + 1;
    }
    return NULL;
}

static void assert_series(const char *series, const char *expected)
{
    char *text = expose();
    const char *value = find(text, series);
    if (!value)
        fail_msg("no series %s", series);
    size_t length = strcspn(value, "\n");
    if (length != strlen(expected) || strncmp(value, expected, length) != 0)
        fail_msg("%s is %.*s, not %s", series, (int)length, value, expected);
    free(text);
}

static void assert_absent(const char *series)
{
    char *text = expose();
    if (find(text, series))
        fail_msg("%s should not be there", series);
    free(text);
}

/* ---- sums ---------------------------------------------------------------------------------- */

static void counters_of_all_slots_are_summed(void **unused)
{
    (void)unused;
    unsigned keeper = HELPER_SLOT(HELPER_KEEPER);
    counter_add(&region_slot(region, 0)->metrics.db_commits[0][0], 5);
    counter_add(&region_slot(region, 1)->metrics.db_commits[0][0], 7);
    region_slot(region, keeper)->generation = 1;
    counter_add(&region_slot(region, keeper)->metrics.db_commits[0][0], 30);
    board.slot[1].state = SLOT_BACKOFF;
    publish();
    assert_series("db_commits_total", "42");
}

static void counters_hold_64_bits(void **unused)
{
    (void)unused;
    counter_add(&region_slot(region, 0)->metrics.db_commits[0][0], UINT64_MAX - 1);
    assert_series("db_commits_total", "18446744073709551614");
}

static void labels_name_the_cell(void **unused)
{
    (void)unused;
    counter_increment(
        &region_slot(region, 1)->metrics.http_requests[ENDPOINT_ITEM_GET][STATUS_404]);
    assert_series("http_requests_total{class=\"read\",method=\"GET\",route=\"/data/items/{id}\","
                  "code=\"404\"}",
                  "1");
    counter_add(&region_slot(region, 0)->metrics.refused[CLASS_WRITE][REFUSAL_DATABASE], 2);
    assert_series("bulkhead_rejected_total{class=\"write\",reason=\"database\"}", "2");
    board.metrics.worker_restarts[1][RESTART_KILLED] = 9;
    publish();
    assert_series("worker_restarts_total{slot=\"1\",reason=\"killed\"}", "9");
}

static void few_cells_are_shown_from_the_start_many_when_they_count(void **unused)
{
    (void)unused;
    assert_series("worker_deaths_total{class=\"oom\"}", "0");
    assert_series("http_request_duration_seconds_count{class=\"read\"}", "0");
    assert_absent("http_requests_total{class=\"health\",method=\"GET\",route=\"/health\","
                  "code=\"200\"}");
}

static void per_slot_counters_keep_the_slot_even_when_its_process_is_gone(void **unused)
{
    (void)unused;
    counter_add(&region_slot(region, 1)->metrics.accepts[0][0], 4);
    board.slot[1].state = SLOT_QUARANTINED;
    publish();
    assert_series("accepts_total{slot=\"0\"}", "0");
    assert_series("accepts_total{slot=\"1\"}", "4");
    assert_absent("accepts_total{slot=\"2\"}"); /* no process was ever there */
    assert_absent("accepts_total");
}

static void gauges_of_the_dead_are_left_out(void **unused)
{
    (void)unused;
    gauge_set(&region_slot(region, 0)->metrics.http_inflight[0], 3);
    gauge_set(&region_slot(region, 1)->metrics.http_inflight[0], 5);
    gauge_set(&region_slot(region, 1)->metrics.door_parked[0], 6);
    assert_series("http_inflight_requests", "8");
    assert_series("door_parked{slot=\"1\"}", "6");
    board.slot[1].generation = 4; /* spawned, but it has not entered its slot yet */
    publish();
    assert_series("http_inflight_requests", "3");
    assert_absent("door_parked{slot=\"1\"}");
    assert_absent("worker_heartbeat_age_seconds{slot=\"1\"}");
    board.slot[1] = (struct board_slot){.state = SLOT_DEAD, .generation = 3};
    publish();
    assert_series("http_inflight_requests", "3");
}

static void gauges_may_be_negative(void **unused)
{
    (void)unused;
    gauge_set(&region_slot(region, 0)->metrics.http_inflight[0], -2);
    gauge_set(&region_slot(region, 1)->metrics.http_inflight[0], 1);
    assert_series("http_inflight_requests", "-1");
}

static void histograms_are_in_seconds(void **unused)
{
    (void)unused;
    struct histogram *read = &region_slot(region, 0)->metrics.http_request_duration[CLASS_READ];
    histogram_record(read, 900);
    histogram_record(read, 150 * US_PER_MS);
    histogram_record(&region_slot(region, 1)->metrics.http_request_duration[CLASS_READ],
                     20 * US_PER_S);
    assert_series("http_request_duration_seconds_bucket{class=\"read\",le=\"0.001\"}", "1");
    assert_series("http_request_duration_seconds_bucket{class=\"read\",le=\"0.1\"}", "1");
    assert_series("http_request_duration_seconds_bucket{class=\"read\",le=\"0.2\"}", "2");
    assert_series("http_request_duration_seconds_bucket{class=\"read\",le=\"10\"}", "2");
    assert_series("http_request_duration_seconds_bucket{class=\"read\",le=\"+Inf\"}", "3");
    assert_series("http_request_duration_seconds_sum{class=\"read\"}", "20.150900");
    assert_series("http_request_duration_seconds_count{class=\"read\"}", "3");
}

static void sizes_are_plain(void **unused)
{
    (void)unused;
    struct histogram *batch = &region_slot(region, 0)->metrics.db_commit_batch[0];
    histogram_record(batch, 1);
    histogram_record(batch, 12);
    assert_series("db_commit_batch_size_bucket{le=\"1\"}", "1");
    assert_series("db_commit_batch_size_bucket{le=\"8\"}", "1");
    assert_series("db_commit_batch_size_bucket{le=\"16\"}", "2");
    assert_series("db_commit_batch_size_sum", "13");
}

/* ---- derived ------------------------------------------------------------------------------- */

static void derived_metrics_tell_the_board(void **unused)
{
    (void)unused;
    board.slot[1].state = SLOT_DEGRADED;
    board.db_state = DB_STATE_FULL;
    board.wal_bytes = 4096;
    board.listener[0].queue_depth = 2;
    board.listener[0].drops = 11;
    region->header.started_wall_us = 1700000000000042;
    publish();
    assert_series("worker_state{slot=\"0\",state=\"ready\"}", "1");
    assert_series("worker_state{slot=\"1\",state=\"ready\"}", "0");
    assert_series("worker_state{slot=\"1\",state=\"degraded\"}", "1");
    assert_series("workers{state=\"ready\"}", "1");
    assert_series("workers{state=\"empty\"}", "1");
    assert_series("worker_generation{slot=\"0\"}", "3");
    assert_series("db_up", "0");
    assert_series("db_state{state=\"full\"}", "1");
    assert_series("db_state{state=\"up\"}", "0");
    assert_series("db_wal_bytes", "4096");
    assert_series("listen_queue_depth{listener=\"127.0.0.1:8080\"}", "2");
    assert_series("listen_drops_total{listener=\"127.0.0.1:8080\"}", "11");
    assert_series("process_start_time_seconds", "1700000000.000042");
    assert_series("build_info{version=\"1.2.3\"}", "1");
}

static void no_text_of_the_board_can_break_a_line(void **unused)
{
    (void)unused;
    memset(board.listener[0].name, 'x', sizeof board.listener[0].name); /* without a NUL */
    memcpy(board.listener[0].name, "a\"b\\c\nd\x80", 8);
    board.listener_count = 1000;
    board.worker_slots = 1000;
    board.slot[0].state = 77;
    publish();
    char *text = expose();
    assert_non_null(strstr(text, "listen_queue_depth{listener=\"a\\\"b\\\\c\\nd?x"));
    free(text);
}

/* ---- the format ---------------------------------------------------------------------------- */

struct sample {
    char name[128];
    char labels[512]; /* without le */
    char keys[256];   /* names of the labels, comma-separated, without le */
    char le[16];
    double value;
};

static const char *take_name(const char *at, char *out, size_t size)
{
    size_t length = 0;
    assert_true(isalpha((unsigned char)*at) || *at == '_');
    for (; isalnum((unsigned char)*at) || *at == '_'; at++)
        if (length < size - 1)
            out[length++] = *at;
    out[length] = '\0';
    return at;
}

static void append(char *out, size_t size, const char *separator, const char *text)
{
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s", used ? separator : "", text);
}

/* name="value" with its escapes. */
static const char *take_label(const char *at, struct sample *sample)
{
    char key[64], value[256], whole[330];
    size_t length = 0;
    at = take_name(at, key, sizeof key);
    assert_true(at[0] == '=' && at[1] == '"');
    for (at += 2; *at != '"'; at++) {
        assert_true(*at != '\n' && *at != '\0');
        if (*at == '\\')
            assert_non_null(strchr("\\\"n", *++at));
        if (length < sizeof value - 1)
            value[length++] = *at;
    }
    value[length] = '\0';
    if (strcmp(key, "le") == 0) {
        snprintf(sample->le, sizeof sample->le, "%.15s", value);
        return at + 1;
    }
    snprintf(whole, sizeof whole, "%s=%s", key, value);
    append(sample->labels, sizeof sample->labels, ",", whole);
    append(sample->keys, sizeof sample->keys, ",", key);
    return at + 1;
}

/* One sample line; returns the start of the next. */
static const char *take_sample(const char *at, struct sample *sample)
{
    memset(sample, 0, sizeof *sample);
    at = take_name(at, sample->name, sizeof sample->name);
    if (*at == '{') {
        do
            at = take_label(at + 1, sample);
        while (*at == ',');
        assert_int_equal(*at++, '}');
    }
    assert_int_equal(*at++, ' ');
    char *end;
    sample->value = strtod(at, &end);
    assert_true(end > at);
    assert_int_equal(*end, '\n');
    return end + 1;
}

/* "# HELP name text\n# TYPE name type\n" of exactly this metric. */
static const char *take_comments(const char *at, const struct metric *metric)
{
    char expected[1024];
    int length = snprintf(expected, sizeof expected, "# HELP %s %s\n# TYPE %s %s\n", metric->name,
                          metric->help, metric->name, metric->type);
    if (strncmp(at, expected, (size_t)length) != 0)
        fail_msg("expected %s", expected);
    return at + length;
}

/* The last series of buckets: their count grows, and +Inf is the count. */
struct buckets {
    char labels[512];
    double previous, infinite;
};

static void check_histogram(const struct metric *metric, const struct sample *sample,
                            struct buckets *buckets)
{
    const char *suffix = sample->name + strlen(metric->name);
    if (strcmp(suffix, "_bucket") == 0) {
        if (strcmp(buckets->labels, sample->labels) != 0 || buckets->infinite >= 0)
            *buckets = (struct buckets){.infinite = -1};
        snprintf(buckets->labels, sizeof buckets->labels, "%s", sample->labels);
        assert_true(sample->value >= buckets->previous);
        buckets->previous = sample->value;
        if (strcmp(sample->le, "+Inf") == 0)
            buckets->infinite = sample->value;
    } else if (strcmp(suffix, "_count") == 0) {
        assert_string_equal(buckets->labels, sample->labels);
        assert_true(sample->value == buckets->infinite);
    } else {
        assert_string_equal(suffix, "_sum");
    }
}

static const char *check_samples(const char *at, const struct metric *metric)
{
    char keys[128];
    struct sample sample;
    struct buckets buckets = {.infinite = 0};
    exposition_labels(metric, keys, sizeof keys);
    while (*at && *at != '#') {
        at = take_sample(at, &sample);
        assert_int_equal(strncmp(sample.name, metric->name, strlen(metric->name)), 0);
        assert_string_equal(sample.keys, keys);
        if (metric->kind == METRIC_SLOT_HISTOGRAM)
            check_histogram(metric, &sample, &buckets);
        else
            assert_string_equal(sample.name, metric->name);
    }
    return at;
}

/* Every row of metrics.def once, in order, each followed by its samples and nothing else. */
static void the_whole_is_well_formed(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        struct slot_metrics *slot = &region_slot(region, i)->metrics;
        for (unsigned value = 1; value < 3000000; value = value * 3 + i) {
            histogram_record(&slot->db_lock_wait[0], value);
            histogram_record(&slot->request_stage[value % STAGE_COUNT], value);
            counter_increment(&slot->db_errors[value % DB_OP_COUNT][value % DB_CODE_COUNT]);
            counter_increment(&slot->http_requests[value % ENDPOINT_COUNT][STATUS_200]);
        }
    }
    board.metrics.worker_restarts[0][RESTART_OOM] = 1;
    publish();
    char *text = expose();
    const char *at = text;
    for (size_t i = 0; i < metrics_count; i++)
        at = check_samples(take_comments(at, &metrics[i]), &metrics[i]);
    assert_int_equal(*at, '\0');
    free(text);
}

/* ---- OpenMetrics --------------------------------------------------------------------------- */

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("there is no %s", part);
}

static void openmetrics_has_families_units_and_an_end(void **unused)
{
    (void)unused;
    char *text = expose_as(EXPOSITION_OPENMETRICS);
    assert_contains(text, "\n# TYPE http_attempts counter\n# HELP http_attempts Requests by");
    assert_contains(text, "\nhttp_attempts_total{attempt=\"0\"} 0\n");
    assert_contains(text, "\n# TYPE http_queue_seconds histogram\n"
                          "# UNIT http_queue_seconds seconds\n# HELP http_queue_seconds ");
    assert_contains(text, "\n# UNIT db_wal_bytes bytes\n");
    assert_contains(text, "\n# TYPE build info\n# HELP build ");
    assert_contains(text, "\nbuild_info{version=\"1.2.3\"} 1\n");
    assert_contains(text, "http_queue_seconds_bucket{class=\"read\",le=\"0.2\"}");
    assert_contains(text, "http_queue_seconds_bucket{class=\"read\",le=\"1.0\"}");
    assert_contains(text, "db_commit_batch_size_bucket{le=\"64.0\"}");
    assert_null(strstr(text, "\n\n"));
    assert_string_equal(text + strlen(text) - strlen("\n# EOF\n"), "\n# EOF\n");
    free(text);
}

/* A series of one format has the same value in the other, and there is no more. */
static void both_formats_tell_the_same(void **unused)
{
    (void)unused;
    struct slot_metrics *slot = &region_slot(region, 0)->metrics;
    counter_add(&slot->http_requests[ENDPOINT_LOGIN][STATUS_401], 7);
    histogram_record(&slot->http_queue[CLASS_READ], 150000);
    region_slot(region, 0)->heartbeat_ns = region_slot(region, 1)->heartbeat_ns = UINT64_MAX;
    char *plain = expose(), *open = expose_as(EXPOSITION_OPENMETRICS);
    char *rest = plain;
    const char *at = open;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line || *line == '#')
            continue;
        at += strspn(at, "\n");
        while (*at == '#')
            at = strchr(at, '\n') + 1;
        const char *le = strstr(line, "le=\"");
        size_t length = le ? (size_t)(le - line) : strlen(line);
        if (strncmp(at, line, length) != 0 ||
            strncmp(strchr(at, ' '), strchr(line, ' '), strlen(strchr(line, ' '))) != 0)
            fail_msg("%s is not %.120s", line, at);
        at = strchr(at, '\n') + 1;
    }
    assert_string_equal(at, "# EOF\n");
    free(plain);
    free(open);
}

static void the_unit_is_what_a_name_ends_in(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *unit;
    } rows[] = {
        {"http_queue_seconds", "seconds"},
        {"db_wal_bytes", "bytes"},
        {"cpu_seconds_total", "seconds"},
        {"seconds", ""},
        {"nanoseconds", ""},
        {"http_requests_total", ""},
        {"db_commit_batch_size", ""},
        {"bytes_total", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(exposition_unit(&(struct metric){.name = rows[i].name}), rows[i].unit);
}

static void a_torn_board_writes_nothing(void **unused)
{
    (void)unused;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    atomic_fetch_add(&region->board.change.count, 1); /* its writer died in the middle */
    assert_int_equal(exposition_write(region, out), -EAGAIN);
    fclose(out);
    assert_int_equal(length, 0);
    free(text);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(counters_of_all_slots_are_summed),
        EACH(counters_hold_64_bits),
        EACH(labels_name_the_cell),
        EACH(few_cells_are_shown_from_the_start_many_when_they_count),
        EACH(per_slot_counters_keep_the_slot_even_when_its_process_is_gone),
        EACH(gauges_of_the_dead_are_left_out),
        EACH(gauges_may_be_negative),
        EACH(histograms_are_in_seconds),
        EACH(sizes_are_plain),
        EACH(derived_metrics_tell_the_board),
        EACH(no_text_of_the_board_can_break_a_line),
        EACH(the_whole_is_well_formed),
        EACH(openmetrics_has_families_units_and_an_end),
        EACH(both_formats_tell_the_same),
        EACH(the_unit_is_what_a_name_ends_in),
        EACH(a_torn_board_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
