/* SPDX-License-Identifier: MIT */
/* The cells of the heat map: whose refusals are whose, and what the share of the database is of. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "supervisor/console/components.h"

static struct region *region;
static struct board board;
static struct slot_metrics *numbers;
static struct components_look before, after;
static struct series_look series_before, series_after;
static float cells[COMPONENTS_MAX][CELL_VALUES];
static int region_fd;

static void look(struct components_look *components, struct series_look *totals, uint64_t at_s)
{
    components_look(components, region, &board, at_s * NS_PER_S);
    series_look(totals, region, &board, at_s * NS_PER_S);
}

/* One worker. */
static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    memset(&board, 0, sizeof board);
    board.worker_slots = 1;
    board.db_state = DB_STATE_UP;
    board.slot[0] = (struct board_slot){.state = SLOT_READY, .generation = 1, .pid = 100};
    region_slot(region, 0)->generation = 1;
    numbers = &region_slot(region, 0)->metrics;
    look(&before, &series_before, 100);
    return region_fd < 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(region_fd);
    return 0;
}

static void a_second_later(void)
{
    double values[SERIES_NUMBER];
    look(&after, &series_after, 101);
    assert_true(series_between(&series_before, &series_after, values));
    components_between(&before, &after, values, cells);
}

static void refuse(enum request_class class, enum endpoint endpoint, enum refusal why, uint64_t n)
{
    counter_add(&numbers->refused[class][why], n);
    counter_add(&numbers->http_requests[endpoint][STATUS_503], n);
}

static void assert_cell(enum component component, enum cell cell, double expected)
{
    if (!(fabs((double)cells[component][cell] - expected) < 1e-6))
        fail_msg("component %u has %g, not %g", component, (double)cells[component][cell],
                 expected);
}

static void time_calls(enum db_op op, unsigned n)
{
    while (n-- > 0)
        histogram_record(&numbers->db_query_duration[op], 1000);
}

static void a_compartments_refusals_are_not_the_doors(void **unused)
{
    (void)unused;
    counter_add(&numbers->http_requests[ENDPOINT_ITEM_CREATE][STATUS_201], 10);
    refuse(CLASS_WRITE, ENDPOINT_ITEM_CREATE, REFUSAL_WAITED, 5);
    refuse(CLASS_WRITE, ENDPOINT_ITEM_CREATE, REFUSAL_DEADLINE, 5);
    a_second_later();
    assert_cell(COMPONENT_DOOR, CELL_ERROR_SHARE, 0);
    assert_cell(COMPONENT_WRITE, CELL_ERROR_SHARE, 0.5);
}

static void the_doors_refusals_are_all_it_makes(void **unused)
{
    (void)unused;
    counter_add(&numbers->http_requests[ENDPOINT_ITEM_GET][STATUS_200], 10);
    refuse(CLASS_READ, ENDPOINT_ITEM_GET, REFUSAL_OVERLOADED, 4);
    refuse(CLASS_READ, ENDPOINT_ITEM_GET, REFUSAL_RETRY, 6);
    a_second_later();
    assert_cell(COMPONENT_DOOR, CELL_ERROR_SHARE, 0.5);
}

static void a_failed_begin_is_one_of_the_tries(void **unused)
{
    (void)unused;
    time_calls(DB_OP_COMMIT, 10);
    counter_add(&numbers->db_errors[DB_OP_BEGIN][DB_CODE_BUSY], 10);
    a_second_later();
    assert_cell(COMPONENT_DB_WRITE, CELL_ERROR_SHARE, 0.5);
    assert_cell(COMPONENT_DB_WRITE, CELL_REQUESTS_PER_S, 20);
    assert_cell(COMPONENT_DATABASE, CELL_ERROR_SHARE, 0.5);
}

static void a_failed_call_that_was_timed_is_one(void **unused)
{
    (void)unused;
    time_calls(DB_OP_COMMIT, 10);
    time_calls(DB_OP_READ, 10);
    counter_add(&numbers->db_errors[DB_OP_COMMIT][DB_CODE_IOERR], 5);
    counter_add(&numbers->db_errors[DB_OP_READ][DB_CODE_IOERR], 2);
    a_second_later();
    assert_cell(COMPONENT_DB_WRITE, CELL_ERROR_SHARE, 0.5);
    assert_cell(COMPONENT_DB_READ, CELL_ERROR_SHARE, 0.2);
}

static void calls_not_made_are_no_rest(void **unused)
{
    (void)unused;
    refuse(CLASS_READ, ENDPOINT_ITEM_GET, REFUSAL_CIRCUIT_OPEN, 8);
    a_second_later();
    assert_cell(COMPONENT_DB_READ, CELL_REQUESTS_PER_S, 8);
    assert_cell(COMPONENT_DB_READ, CELL_ERROR_SHARE, 1);
}

/* worker/entrance.c counts it as a refusal and as an error: it is one try. */
static void a_fenced_call_counts_once(void **unused)
{
    (void)unused;
    time_calls(DB_OP_READ, 9);
    refuse(CLASS_READ, ENDPOINT_ITEM_GET, REFUSAL_DATABASE, 3);
    counter_add(&numbers->db_errors[DB_OP_READ][DB_CODE_UNAVAILABLE], 3);
    a_second_later();
    assert_cell(COMPONENT_DB_READ, CELL_REQUESTS_PER_S, 12);
    assert_cell(COMPONENT_DB_READ, CELL_ERROR_SHARE, 0.25);
}

/* A conflict of a client's data; the group it was in is committed. */
static void a_refused_row_is_no_failure_of_the_database(void **unused)
{
    (void)unused;
    time_calls(DB_OP_COMMIT, 10);
    counter_add(&numbers->db_errors[DB_OP_WRITE][DB_CODE_CONSTRAINT], 10);
    a_second_later();
    assert_cell(COMPONENT_DB_WRITE, CELL_REQUESTS_PER_S, 10);
    assert_cell(COMPONENT_DB_WRITE, CELL_ERROR_SHARE, 0);
    assert_cell(COMPONENT_DATABASE, CELL_ERROR_SHARE, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_compartments_refusals_are_not_the_doors),
        CASE(the_doors_refusals_are_all_it_makes),
        CASE(a_failed_begin_is_one_of_the_tries),
        CASE(a_failed_call_that_was_timed_is_one),
        CASE(calls_not_made_are_no_rest),
        CASE(a_fenced_call_counts_once),
        CASE(a_refused_row_is_no_failure_of_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
