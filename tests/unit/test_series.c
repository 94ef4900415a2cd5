/* SPDX-License-Identifier: MIT */
/* The series: what two looks at a region made by hand come to, and what is null. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/series.h"

static struct region *region;
static struct board board;
static struct series_look before, after;
static double values[SERIES_NUMBER];
static int region_fd;

/* Two workers, both live, in generation 3; a sentinel. */
static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    memset(&board, 0, sizeof board);
    board.worker_slots = 3;
    board.db_state = DB_STATE_UP;
    region->header.boot_id[0] = 7;
    for (unsigned i = 0; i < 2; i++) {
        board.slot[i] = (struct board_slot){.state = SLOT_READY, .generation = 3, .pid = 100};
        region_slot(region, i)->generation = 3;
        region_slot(region, i)->heartbeat_ns = 90 * NS_PER_S;
    }
    region_slot(region, HELPER_SLOT(HELPER_SENTINEL))->generation = 1;
    series_look(&before, region, &board, 100 * NS_PER_S);
    return region_fd < 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(region_fd);
    return 0;
}

static struct slot_metrics *numbers(unsigned slot)
{
    return &region_slot(region, slot)->metrics;
}

static void answer(unsigned slot, enum endpoint endpoint, enum status_index status, uint64_t n)
{
    counter_add(&numbers(slot)->http_requests[endpoint][status], n);
}

/* Look again, so many seconds later, and compute. */
static void after_seconds(double seconds)
{
    series_look(&after, region, &board, 100 * NS_PER_S + (uint64_t)(seconds * 1e9));
    assert_true(series_between(&before, &after, values));
}

static void assert_value(enum series_id id, double expected)
{
    if (fabs(values[id] - expected) > 1e-9)
        fail_msg("%s is %g, not %g", series[id].name, values[id], expected);
}

static void assert_is_null(enum series_id id)
{
    if (!isnan(values[id]))
        fail_msg("%s is %g, not null", series[id].name, values[id]);
}

/* ---- counts -------------------------------------------------------------------------------- */

static void rates_are_of_all_slots_and_of_a_second(void **unused)
{
    (void)unused;
    answer(0, ENDPOINT_ITEM_GET, STATUS_200, 60);
    answer(1, ENDPOINT_ITEM_GET, STATUS_200, 30);
    answer(1, ENDPOINT_ITEM_CREATE, STATUS_503, 6);
    answer(0, ENDPOINT_ITEM_PUT, STATUS_504, 2);
    answer(0, ENDPOINT_LOGIN, STATUS_500, 1);
    answer(0, ENDPOINT_LOGIN, STATUS_429, 1);
    answer(0, ENDPOINT_HEALTH, STATUS_200, 10);
    answer(0, ENDPOINT_UNMATCHED, STATUS_404, 4);
    board.metrics.requests_lost[0][0] = 6;
    after_seconds(2);
    assert_value(SERIES_requests_per_s, 57);
    assert_value(SERIES_served_per_s, 52);
    assert_value(SERIES_refused_per_s, 3.5);
    assert_value(SERIES_lost_per_s, 3);
    assert_value(SERIES_errors_per_s, 4.5); /* 500, 504, lost */
    assert_value(SERIES_error_share, 9.0 / 120);
    assert_value(SERIES_refused_share, 7.0 / 120);
    assert_value(SERIES_read_requests_per_s, 45);
    assert_value(SERIES_write_requests_per_s, 4);
    assert_value(SERIES_write_refused_per_s, 3);
    assert_value(SERIES_write_errors_per_s, 1);
    assert_value(SERIES_auth_requests_per_s, 1);
    assert_value(SERIES_auth_errors_per_s, 0.5);
    assert_value(SERIES_auth_refused_per_s, 0.5);
    assert_value(SERIES_health_requests_per_s, 5);
    assert_value(SERIES_status_429_per_s, 0.5);
    assert_value(SERIES_status_500_per_s, 0.5);
    assert_value(SERIES_status_503_per_s, 3);
    assert_value(SERIES_status_504_per_s, 1);
    /* the objectives: 100 answered of three classes and 6 lost; 9 failed and 6 lost */
    assert_value(SERIES_slo_requests_per_s, 53);
    assert_value(SERIES_slo_failed_per_s, 7.5);
}

static void causes_are_told_apart(void **unused)
{
    (void)unused;
    counter_add(&numbers(0)->refused[CLASS_READ][REFUSAL_DATABASE], 3);
    counter_add(&numbers(1)->refused[CLASS_WRITE][REFUSAL_DATABASE], 4);
    counter_add(&numbers(1)->refused[CLASS_WRITE][REFUSAL_CIRCUIT_OPEN], 1);
    counter_add(&numbers(1)->refused[CLASS_AUTH][REFUSAL_ESTIMATED], 2);
    counter_add(&numbers(0)->ratelimit_decisions[RATE_POLICY_LOGIN][RATE_LIMITED], 5);
    counter_add(&numbers(0)->ratelimit_decisions[RATE_POLICY_LOGIN][RATE_ALLOWED], 50);
    counter_add(&numbers(0)->http_attempts[ATTEMPT_FIRST][0], 100);
    counter_add(&numbers(0)->http_attempts[ATTEMPT_MORE][0], 8);
    counter_add(&numbers(0)->db_errors[DB_OP_READ][DB_CODE_IOERR], 2);
    board.metrics.worker_deaths[DEATH_CLEAN][0] = 9;
    board.metrics.worker_deaths[DEATH_KILLED][0] = 1;
    board.metrics.worker_restarts[1][RESTART_KILLED] = 1;
    after_seconds(1);
    assert_value(SERIES_refused_database_per_s, 7);
    assert_value(SERIES_refused_circuit_open_per_s, 1);
    assert_value(SERIES_refused_other_per_s, 2);
    assert_value(SERIES_refused_full_per_s, 0);
    assert_value(SERIES_rate_limited_per_s, 5);
    assert_value(SERIES_retries_per_s, 8);
    assert_value(SERIES_db_errors_per_s, 2);
    assert_value(SERIES_deaths_per_s, 1);
    assert_value(SERIES_restarts_per_s, 1);
}

static void a_count_that_went_back_is_null_and_no_spike(void **unused)
{
    (void)unused;
    counter_add(&numbers(0)->db_commits[0][0], 10);
    series_look(&before, region, &board, 100 * NS_PER_S);
    atomic_store(&numbers(0)->db_commits[0][0], 3);
    after_seconds(1);
    assert_is_null(SERIES_commits_per_s);
    assert_value(SERIES_requests_per_s, 0);
}

static void looks_of_two_runs_are_not_compared(void **unused)
{
    (void)unused;
    region->header.boot_id[0] = 8;
    series_look(&after, region, &board, 101 * NS_PER_S);
    assert_false(series_between(&before, &after, values));
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        assert_is_null((enum series_id)i);
    after = before;
    assert_false(series_between(&before, &after, values)); /* no time between */
}

/* ---- times --------------------------------------------------------------------------------- */

static void percentiles_are_of_what_came_between(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 1000; i++)
        histogram_record(&numbers(0)->http_request_duration[CLASS_READ], 900000);
    series_look(&before, region, &board, 100 * NS_PER_S);
    for (unsigned i = 0; i < 90; i++)
        histogram_record(&numbers(0)->http_request_duration[CLASS_READ], 1000);
    for (unsigned i = 0; i < 10; i++)
        histogram_record(&numbers(1)->http_request_duration[CLASS_WRITE], 300000);
    histogram_record(&numbers(0)->http_request_duration[CLASS_HEALTH], 5000000);
    after_seconds(1);
    assert_true(fabs(values[SERIES_p50_ms] - 1) < 0.02);
    assert_true(fabs(values[SERIES_read_p99_ms] - 1) < 0.02);
    assert_true(fabs(values[SERIES_p95_ms] - 300) < 5);
    assert_true(fabs(values[SERIES_write_p50_ms] - 300) < 5);
    assert_true(values[SERIES_p99_ms] < 310); /* health checks are no data */
    assert_value(SERIES_slo_timed_per_s, 100);
    assert_value(SERIES_slo_slow_per_s, 10);
}

static void nothing_to_say_is_null(void **unused)
{
    (void)unused;
    histogram_record(&numbers(HELPER_SLOT(HELPER_SENTINEL))->db_query_duration[DB_OP_READ], 70);
    after_seconds(1);
    assert_is_null(SERIES_p50_ms);
    assert_is_null(SERIES_auth_p95_ms);
    assert_is_null(SERIES_error_share);
    assert_is_null(SERIES_commit_batch_mean);
    assert_is_null(SERIES_db_read_p95_ms); /* the sentinel's looks are not what requests met */
    assert_value(SERIES_requests_per_s, 0);
    assert_value(SERIES_db_up, 1);
}

static void a_mean_is_a_mean(void **unused)
{
    (void)unused;
    for (unsigned size = 1; size <= 4; size++)
        histogram_record(&numbers(0)->db_commit_batch[0], size);
    after_seconds(1);
    assert_value(SERIES_commit_batch_mean, 2.5);
}

/* ---- levels -------------------------------------------------------------------------------- */

static void levels_are_of_live_processes(void **unused)
{
    (void)unused;
    gauge_set(&numbers(0)->door_parked[0], 5);
    gauge_set(&numbers(1)->door_parked[0], 7);
    gauge_set(&numbers(0)->bulkhead_inflight[CLASS_WRITE], 3);
    gauge_set(&numbers(0)->circuit_breaker_state[DEPENDENCY_DB_READ], BREAKER_OPEN);
    gauge_set(&numbers(0)->circuit_breaker_state[DEPENDENCY_DB_WRITE], BREAKER_DISABLED);
    region_slot(region, 1)->heartbeat_ns = 100 * NS_PER_S;
    board.wal_bytes = 4096;
    board.ready = 1;
    board.listener_count = 2;
    board.listener[0] = (struct board_listener){.queue_depth = 2, .drops = 10};
    board.listener[1] = (struct board_listener){.queue_depth = 1};
    after_seconds(1);
    assert_value(SERIES_door_parked, 12);
    assert_value(SERIES_bulkhead_inflight_write, 3);
    assert_value(SERIES_breakers_open, 1);
    assert_value(SERIES_heartbeat_age_max_ms, 11000);
    assert_value(SERIES_wal_bytes, 4096);
    assert_value(SERIES_workers_ready, 1);
    assert_value(SERIES_listen_queue_depth, 3);
    assert_value(SERIES_listen_drops_per_s, 10);
    board.slot[0].state = SLOT_BACKOFF;
    after_seconds(1);
    assert_value(SERIES_door_parked, 7);
    assert_value(SERIES_breakers_open, 0);
    assert_value(SERIES_heartbeat_age_max_ms, 1000);
}

static void ten_seconds_are_no_mean_of_ten_values(void **unused)
{
    (void)unused;
    static struct series_look begin, second;
    static struct series_levels levels;
    begin = before;
    for (unsigned i = 1; i <= 10; i++) {
        for (unsigned n = 0; i == 10 && n < 100; n++) /* all in the last one */
            histogram_record(&numbers(0)->http_request_duration[CLASS_READ], n < 98 ? 1000 : 50000);
        answer(0, ENDPOINT_ITEM_GET, STATUS_200, i == 10 ? 100 : 0);
        board.wal_bytes = i;
        board.db_state = i == 4 ? DB_STATE_DOWN : DB_STATE_UP;
        region_slot(region, 0)->heartbeat_ns = region_slot(region, 1)->heartbeat_ns =
            (i == 7 ? 99 : 100 + i) * NS_PER_S;
        series_look(&second, region, &board, (100 + i) * NS_PER_S);
        series_between(&before, &second, values);
        series_levels_add(&levels, values);
        before = second;
    }
    assert_true(series_between(&begin, &second, values));
    series_levels_put(&levels, values);
    assert_value(SERIES_requests_per_s, 10);
    assert_true(fabs(values[SERIES_p95_ms] - 1) < 0.02);
    assert_true(fabs(values[SERIES_p99_ms] - 50) < 1);
    assert_value(SERIES_wal_bytes, 5.5);
    assert_value(SERIES_db_up, 0);
    assert_value(SERIES_heartbeat_age_max_ms, 8000);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void every_row_can_be_found_and_names_what_there_is(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < SERIES_NUMBER; i++) {
        const struct series *row = &series[i];
        unsigned sources = row->how <= SERIES_SHARE  ? SERIES_COUNTS
                           : row->how <= SERIES_MEAN ? SERIES_TIMES
                                                     : SERIES_LEVELS;
        assert_int_equal(series_find(row->name, strlen(row->name)), i);
        assert_true(row->source < sources);
        assert_true(strlen(row->unit) > 0 && strlen(row->help) > 0);
        assert_true(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789_") ==
                    strlen(row->name));
    }
    assert_int_equal(series_find("p50", 3), SERIES_NUMBER);
    assert_int_equal(series_find("", 0), SERIES_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rates_are_of_all_slots_and_of_a_second, make, unmake),
        cmocka_unit_test_setup_teardown(causes_are_told_apart, make, unmake),
        cmocka_unit_test_setup_teardown(a_count_that_went_back_is_null_and_no_spike, make, unmake),
        cmocka_unit_test_setup_teardown(looks_of_two_runs_are_not_compared, make, unmake),
        cmocka_unit_test_setup_teardown(percentiles_are_of_what_came_between, make, unmake),
        cmocka_unit_test_setup_teardown(nothing_to_say_is_null, make, unmake),
        cmocka_unit_test_setup_teardown(a_mean_is_a_mean, make, unmake),
        cmocka_unit_test_setup_teardown(levels_are_of_live_processes, make, unmake),
        cmocka_unit_test_setup_teardown(ten_seconds_are_no_mean_of_ten_values, make, unmake),
        cmocka_unit_test(every_row_can_be_found_and_names_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
