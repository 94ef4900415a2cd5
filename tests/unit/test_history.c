/* SPDX-License-Identifier: MIT */
/* The console's memory: rings, gaps, clocks that jump, rows of ten seconds, and its queries. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/console/history.h"
#include "supervisor/console/history_query.h"
#include "supervisor/console/memory.h"

#define T0 INT64_C(1000003) /* wall second of the first look */

static struct memory memory;
static uint64_t now_ns, requests, failed;

static int make(void **unused)
{
    (void)unused;
    now_ns = 50 * NS_PER_S;
    requests = failed = 0;
    return !memory_make(&memory);
}

static int unmake(void **unused)
{
    (void)unused;
    memory_free(&memory);
    return 0;
}

/* What was counted meanwhile, and a look at wall second `time`, `after_ns` after the last one. */
static void look_at(int64_t time, uint64_t after_ns, uint64_t more, uint64_t more_failed)
{
    struct look *next = memory_next_look(&memory);
    now_ns += after_ns;
    requests += more;
    failed += more_failed;
    memset(next, 0, sizeof *next);
    next->series.at_ns = next->components.at_ns = now_ns;
    next->series.boot_id[0] = 1;
    next->series.count[COUNT_OF_REQUESTS] = requests;
    next->series.count[COUNT_OF_SLO_REQUESTS] = requests;
    next->series.count[COUNT_OF_SLO_FAILED] = failed;
    next->series.level[LEVEL_OF_WAL_BYTES] = (double)more;
    next->components.slot[3].live = true;
    next->components.slot[3].requests = requests;
    memory_take(&memory, time);
}

static float value_at(unsigned step, int64_t time, enum series_id id)
{
    const float *row = ring_get(memory_ring(&memory, step), time);
    if (!row)
        fail_msg("no row of step %u at %+lld", step, (long long)(time - T0));
    return row[id];
}

static bool has_row(unsigned step, int64_t time)
{
    return ring_get(memory_ring(&memory, step), time) != NULL;
}

static uint64_t slo_total(uint64_t *bad)
{
    struct slo_verdict verdict;
    slo_judge(&memory.slo, memory.slo_second, SLO_AVAILABILITY, &verdict);
    *bad = verdict.total - verdict.good;
    return verdict.total;
}

/* ---- rings --------------------------------------------------------------------------------- */

static void a_ring_holds_the_last_rows_and_knows_their_times(void **unused)
{
    (void)unused;
    struct ring ring;
    assert_true(ring_make(&ring, 10, 4, 2));
    assert_null(ring_get(&ring, 0)); /* empty is not time 0 */
    for (int64_t t = 100; t <= 160; t += 10)
        ring_put(&ring, t)[1] = (float)t;
    assert_null(ring_get(&ring, 120));
    for (int64_t t = 130; t <= 160; t += 10)
        assert_true(ring_get(&ring, t)[1] == (float)t);
    assert_null(ring_get(&ring, 170));
    ring_put(&ring, -10)[1] = -10; /* before 1970 is a time too */
    assert_true(ring_get(&ring, -10)[1] == -10);
    ring_forget_after(&ring, 140);
    assert_null(ring_get(&ring, 150));
    assert_non_null(ring_get(&ring, 140));
    ring_free(&ring);
}

/* ---- looks --------------------------------------------------------------------------------- */

static void a_row_is_what_lies_between_two_looks(void **unused)
{
    (void)unused;
    uint64_t bad;
    look_at(T0, 0, 1000, 10);
    assert_false(has_row(1, T0)); /* the first has nothing before it */
    look_at(T0 + 1, NS_PER_S, 20, 1);
    look_at(T0 + 2, 2 * NS_PER_S, 30, 0); /* late: a rate is by the time that passed */
    assert_true(value_at(1, T0 + 1, SERIES_requests_per_s) == 20);
    assert_true(value_at(1, T0 + 2, SERIES_requests_per_s) == 15);
    assert_int_equal(slo_total(&bad), 50);
    assert_int_equal(bad, 1);
    const float *cells = ring_get(&memory.components, T0 + 1);
    const float *worker = cells + (COMPONENT_WORKER + 3) * CELL_VALUES;
    assert_true(worker[CELL_REQUESTS_PER_S] == 20);
    assert_true(isnan(worker[CELL_P95_MS]));
    assert_true(isnan(worker[CELL_VALUES])); /* the next one does not live */
}

static void a_gap_is_a_gap_but_the_objectives_miss_nothing(void **unused)
{
    (void)unused;
    uint64_t bad;
    look_at(T0, 0, 0, 0);
    look_at(T0 + 1, NS_PER_S, 10, 0);
    look_at(T0 + 5, 4 * NS_PER_S, 400, 400);
    look_at(T0 + 6, NS_PER_S, 10, 0);
    for (int64_t t = T0 + 2; t <= T0 + 5; t++)
        assert_false(has_row(1, t));
    assert_true(value_at(1, T0 + 6, SERIES_requests_per_s) == 10);
    assert_int_equal(slo_total(&bad), 420);
    assert_int_equal(bad, 400);
}

static void ten_seconds_make_a_row_of_their_own(void **unused)
{
    (void)unused;
    /* T0 ends in 3: the first ten seconds are seven. */
    look_at(T0, 0, 0, 0);
    for (int64_t t = T0 + 1; t <= T0 + 17; t++)
        look_at(t, NS_PER_S, t == T0 + 12 ? 100 : 10, 0);
    assert_true(value_at(10, T0 + 7, SERIES_requests_per_s) == 10);
    assert_true(value_at(10, T0 + 17, SERIES_requests_per_s) == 19);
    assert_true(value_at(10, T0 + 17, SERIES_wal_bytes) == 19); /* a mean of levels */
    look_at(T0 + 18, NS_PER_S, 10, 0);
    look_at(T0 + 25, 7 * NS_PER_S, 700, 0); /* a gap: what was before it is not averaged in */
    for (int64_t t = T0 + 26; t <= T0 + 28; t++)
        look_at(t, NS_PER_S, 30, 0);
    assert_true(value_at(10, T0 + 27, SERIES_requests_per_s) == 30);
}

static void a_late_look_still_ends_the_ten_seconds(void **unused)
{
    (void)unused;
    look_at(T0, 0, 0, 0);
    for (int64_t t = T0 + 1; t <= T0 + 6; t++)
        look_at(t, NS_PER_S, 10, 0);
    look_at(T0 + 8, 2 * NS_PER_S, 20, 0); /* T0 + 7 was the multiple */
    assert_true(value_at(10, T0 + 7, SERIES_requests_per_s) == 10);
}

/* ---- clocks -------------------------------------------------------------------------------- */

static void a_clock_set_back_takes_its_future_along(void **unused)
{
    (void)unused;
    uint64_t bad;
    look_at(T0, 0, 0, 0);
    for (int64_t t = T0 + 1; t <= T0 + 20; t++)
        look_at(t, NS_PER_S, 10, 1);
    look_at(T0 + 5, NS_PER_S, 50, 0);
    assert_true(value_at(1, T0 + 4, SERIES_requests_per_s) == 10);
    assert_true(value_at(1, T0 + 5, SERIES_requests_per_s) == 50);
    for (int64_t t = T0 + 6; t <= T0 + 20; t++)
        assert_false(has_row(1, t));
    assert_false(has_row(10, T0 + 7));
    assert_false(has_row(10, T0 + 17));
    assert_int_equal(slo_total(&bad), 250); /* they count by the monotonic clock */
    assert_int_equal(bad, 20);
    look_at(T0 + 6, NS_PER_S, 10, 0);
    look_at(T0 + 7, NS_PER_S, 10, 0);
    assert_true(has_row(1, T0 + 6) && has_row(10, T0 + 7));
}

static void a_clock_set_forward_leaves_a_gap(void **unused)
{
    (void)unused;
    look_at(T0, 0, 0, 0);
    look_at(T0 + 1, NS_PER_S, 10, 0);
    look_at(T0 + 100000, NS_PER_S, 20, 0);
    assert_true(value_at(1, T0 + 100000, SERIES_requests_per_s) == 20);
    assert_false(has_row(1, T0 + 2));
    look_at(T0 + 2, NS_PER_S, 30, 0); /* and back */
    assert_false(has_row(1, T0 + 100000));
    assert_true(value_at(1, T0 + 2, SERIES_requests_per_s) == 30);
}

static void the_same_second_twice_is_one_row(void **unused)
{
    (void)unused;
    look_at(T0, 0, 0, 0);
    look_at(T0 + 1, NS_PER_S, 10, 0);
    look_at(T0 + 1, NS_PER_S / 2, 5, 0);
    look_at(T0 + 2, NS_PER_S / 2, 5, 0);
    assert_true(value_at(1, T0 + 1, SERIES_requests_per_s) == 10);
    assert_true(value_at(1, T0 + 2, SERIES_requests_per_s) == 10);
}

/* ---- an earlier console -------------------------------------------------------------------- */

static void what_was_is_taken_where_nothing_is(void **unused)
{
    (void)unused;
    uint64_t bad;
    float row[SERIES_NUMBER] = {0};
    look_at(T0, 0, 0, 0);
    look_at(T0 + 1, NS_PER_S, 10, 0);
    row[SERIES_requests_per_s] = 99;
    row[SERIES_slo_requests_per_s] = 99.98f; /* 100 in a second that was a little longer */
    row[SERIES_slo_failed_per_s] = 2.001f;
    memory_recall(&memory, 1, T0 - 1, row);
    memory_recall(&memory, 1, T0 + 1, row);            /* known better */
    memory_recall(&memory, 1, T0 + 50, row);           /* of the future */
    memory_recall(&memory, 1, T0 - SLO_PERIOD_S, row); /* too old for the objectives */
    memory_recall(&memory, 10, T0 - 3, row);
    memory_recall(&memory, 10, T0 - 4, row); /* no multiple of ten */
    assert_true(value_at(1, T0 - 1, SERIES_requests_per_s) == 99);
    assert_true(value_at(1, T0 + 1, SERIES_requests_per_s) == 10);
    assert_false(has_row(1, T0 + 50));
    assert_true(has_row(1, T0 - SLO_PERIOD_S));
    assert_true(has_row(10, T0 - 3));
    assert_false(has_row(10, T0 - 4));
    assert_int_equal(slo_total(&bad), 110);
    assert_int_equal(bad, 2);
}

/* ---- queries ------------------------------------------------------------------------------- */

static struct history_query parsed;
static char error[QUERY_ERROR_SIZE];

static void assert_range(const char *query, int64_t from, int64_t to, unsigned step)
{
    if (history_query_parse(query, T0, QUERY_ALL, &parsed, error) < 0)
        fail_msg("%s: %s", query, error);
    if (parsed.from != from || parsed.to != to || parsed.step != step)
        fail_msg("%s: from %+lld to %+lld step %u", query, (long long)(parsed.from - T0),
                 (long long)(parsed.to - T0), parsed.step);
}

static void assert_refused(const char *query, const char *parameter)
{
    if (history_query_parse(query, T0, QUERY_ALL, &parsed, error) == 0)
        fail_msg("%s was taken", query);
    size_t length = strlen(parameter);
    if (strncmp(error, parameter, length) != 0 || error[length] != ':')
        fail_msg("%s: %s does not name %s", query, error, parameter);
}

static void queries_have_presets_and_bounds(void **unused)
{
    (void)unused;
    assert_range(NULL, T0 - 300, T0, 1);
    assert_int_equal(parsed.series_count, SERIES_NUMBER);
    assert_range("", T0 - 300, T0, 1);
    assert_range("from=-60", T0 - 60, T0, 1);
    assert_range("from=1000000&to=1000001", 1000000, 1000001, 1);
    assert_range("from=-20&to=-10&step=10", T0 - 20, T0 - 10, 10);
    assert_range("to=99999999999", T0 - 300, T0, 1);
    assert_range("from=0", T0 - HISTORY_FINE_ROWS + 1, T0, 1);
    assert_range("step=10&from=0", T0 - 10 * HISTORY_COARSE_ROWS + 1, T0, 10);
    assert_range("from=0&to=1", T0 - HISTORY_FINE_ROWS + 1, T0 - HISTORY_FINE_ROWS + 1, 1);
    assert_range("&&from=-5&", T0 - 5, T0, 1);
}

static void queries_pick_series_in_their_order(void **unused)
{
    (void)unused;
    assert_range("series=p95_ms%2Crequests_per_s,db_up", T0 - 300, T0, 1);
    assert_int_equal(parsed.series_count, 3);
    assert_int_equal(parsed.series[0], SERIES_p95_ms);
    assert_int_equal(parsed.series[1], SERIES_requests_per_s);
    assert_int_equal(parsed.series[2], SERIES_db_up);
    char all[8192] = "series=";
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "%2c" : "",
                 series[i].name);
    assert_range(all, T0 - 300, T0, 1);
    assert_int_equal(parsed.series_count, SERIES_NUMBER);
}

static void bad_queries_name_the_parameter(void **unused)
{
    (void)unused;
    static const char *const bad[][2] = {
        {"from=", "from"},
        {"from", "from"},
        {"from=1.5", "from"},
        {"from=+5", "from"},
        {"from= 5", "from"},
        {"from=--5", "from"},
        {"from=9223372036854775808", "from"},
        {"from=1764115200000", "from"}, /* milliseconds */
        {"from=99999999", "from"},      /* the future */
        {"from=-1&to=-2", "from"},
        {"from=1&from=1", "from"},
        {"to=x", "to"},
        {"to=%", "to"},
        {"to=%3", "to"},
        {"to=%0g", "to"},
        {"to=%00", "to"},
        {"step=0", "step"},
        {"step=2", "step"},
        {"step=100", "step"},
        {"step=", "step"},
        {"series=", "series"},
        {"series=p95_ms,", "series"},
        {"series=p95", "series"},
        {"series=P95_MS", "series"},
        {"series=p95_ms,p95_ms", "series"},
        {"since=1", "since"},
        {"=1", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i][0], bad[i][1]);
    char text[5200] = "from=";
    memset(text + 5, '0', 5000);
    assert_refused(text, "from");
    memset(text, 'a', 5000);
    assert_int_equal(history_query_parse(text, T0, QUERY_ALL, &parsed, error), -1);
    assert_int_equal(history_query_parse("step=1", T0, QUERY_FROM, &parsed, error), -1);
    assert_int_equal(strncmp(error, "step:", 5), 0);
}

/* The file may hold one row more than the ring: the oldest would take the newest's place. */
static void what_is_recalled_takes_no_newer_place(void **unused)
{
    (void)unused;
    float row[SERIES_NUMBER] = {0};
    for (int64_t t = T0; t <= T0 + 5; t++)
        look_at(t, NS_PER_S, 7, 0);
    memory_recall(&memory, 1, T0 + 5 - HISTORY_FINE_ROWS, row);
    assert_true(value_at(1, T0 + 5, SERIES_requests_per_s) == 7);
    memory_recall(&memory, 1, T0 + 6 - HISTORY_FINE_ROWS, row);
    assert_true(value_at(1, T0 + 6 - HISTORY_FINE_ROWS, SERIES_requests_per_s) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_holds_the_last_rows_and_knows_their_times),
        cmocka_unit_test_setup_teardown(a_row_is_what_lies_between_two_looks, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_recalled_takes_no_newer_place, make, unmake),
        cmocka_unit_test_setup_teardown(a_gap_is_a_gap_but_the_objectives_miss_nothing, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(ten_seconds_make_a_row_of_their_own, make, unmake),
        cmocka_unit_test_setup_teardown(a_late_look_still_ends_the_ten_seconds, make, unmake),
        cmocka_unit_test_setup_teardown(a_clock_set_back_takes_its_future_along, make, unmake),
        cmocka_unit_test_setup_teardown(a_clock_set_forward_leaves_a_gap, make, unmake),
        cmocka_unit_test_setup_teardown(the_same_second_twice_is_one_row, make, unmake),
        cmocka_unit_test_setup_teardown(what_was_is_taken_where_nothing_is, make, unmake),
        cmocka_unit_test(queries_have_presets_and_bounds),
        cmocka_unit_test(queries_pick_series_in_their_order),
        cmocka_unit_test(bad_queries_name_the_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
