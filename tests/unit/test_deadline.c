/* SPDX-License-Identifier: MIT */
/* Budgets of time within budgets of time. Deadlines are points in time, not durations, so what was
 * spent outside is gone inside, and no layer waits longer than the one that called it. */
#include "tests/unit/unit.h"

#include "common/deadline.h"

#define S NS_PER_S

static void a_client_can_only_shorten(void **state)
{
    (void)state;
    assert_int_equal(deadline_from(100 * S, 5000, 0), 105 * S);
    assert_int_equal(deadline_from(100 * S, 5000, 2000), 102 * S);
    assert_int_equal(deadline_from(100 * S, 5000, 60000), 105 * S);
}

/* Three layers of 15, 10 and 5 s, each called after the one outside has used some of its time. With
 * timeouts that each start anew the innermost could still run at 8 + 4 + 5 = 17 s, when the client
 * has been gone for two; here each has what is left. */
static void timeouts_of_5_10_15_s_need_nested_budgets(void **state)
{
    (void)state;
    static const struct {
        uint64_t outer_used_s, middle_used_s; /* before the next layer is called */
        uint64_t middle_left_s, inner_left_s;
    } cases[] = {
        {0, 0, 10, 5},                /* nothing is used: each has its own */
        {4, 3, 10, 5},                /* enough is left all the way down */
        {8, 0, 7, 5},                 /* the middle one has what the outer one left */
        {8, 4, 7, 3},                 /* and the inner one what the middle one did */
        {12, 2, 3, 1},                /* 5 s of its own, but the client waits for one more */
        {14, 1, 1, 0},                /* nothing is left: not even begun */
        {15, 0, 0, 0}, {20, 3, 0, 0}, /* past the end: never negative, which would be very long */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t begin = 1000 * S;
        uint64_t outer = deadline_from(begin, 15000, 0);
        uint64_t at_middle = begin + cases[i].outer_used_s * S;
        uint64_t middle = deadline_within(outer, at_middle, 10 * S);
        uint64_t at_inner = at_middle + cases[i].middle_used_s * S;
        uint64_t inner = deadline_within(middle, at_inner, 5 * S);
        assert_int_equal(deadline_left_ns(middle, at_middle), cases[i].middle_left_s * S);
        assert_int_equal(deadline_left_ns(inner, at_inner), cases[i].inner_left_s * S);
        assert_true(inner <= middle && middle <= outer);
    }
}

/* As a request meets them: the client's 5 s (X-Request-Timeout-Ms) under the class's 10 s, with a
 * query's own limit innermost, and 2 s of waiting at the door. */
static void a_query_ends_with_its_request(void **state)
{
    (void)state;
    uint64_t first_byte = 50 * S;
    uint64_t request = deadline_from(first_byte, 10000, 5000);
    assert_int_equal(request, 55 * S);
    assert_int_equal(deadline_of_query(request, 52 * S), 55 * S);
    assert_int_equal(deadline_of_query(request, 60 * S), 55 * S); /* too late: over at once */
    uint64_t patient = deadline_from(first_byte, 15000, 0);
    assert_int_equal(deadline_of_query(patient, 52 * S), 52 * S + DEADLINE_QUERY_NS);
    assert_int_equal(deadline_of_query(patient, 62 * S), 65 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_can_only_shorten),
        cmocka_unit_test(timeouts_of_5_10_15_s_need_nested_budgets),
        cmocka_unit_test(a_query_ends_with_its_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
