/* SPDX-License-Identifier: MIT */
/* The retry budget, and what it is for: layers of retries that multiply a load. */
#include "tests/unit/unit.h"

#include "common/clock.h"
#include "common/retry_budget.h"
#include "tools/loadtest/retry.h"

static unsigned take(struct retry_budget *budget, unsigned count, bool is_retry, uint64_t now_ns)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < count; i++)
        taken += retry_budget_take(budget, is_retry, now_ns);
    return taken;
}

/* Fifty in a window pass, whatever else comes: who has only retries left is not refused for ever.
 */
static void retries_alone_are_taken_slowly(void **unused)
{
    (void)unused;
    struct retry_budget budget = {0};
    for (unsigned window = 0; window < 3; window++)
        for (unsigned second = 0; second < RETRY_BUDGET_SECONDS; second++)
            assert_int_equal(
                take(&budget, 1000, true, (1 + window * RETRY_BUDGET_SECONDS + second) * NS_PER_S),
                second == 0 ? RETRY_BUDGET_FLOOR : 0);
}

static void one_retry_for_five_first_attempts(void **unused)
{
    (void)unused;
    struct retry_budget budget = {0};
    assert_int_equal(take(&budget, 1000, false, NS_PER_S), 1000);
    assert_int_equal(take(&budget, 5000, true, 2 * NS_PER_S), 200);
    /* The storm earned nothing, five first attempts earn one; these are never refused. */
    assert_int_equal(take(&budget, 5000, true, 3 * NS_PER_S), 0);
    assert_int_equal(take(&budget, 5, false, 3 * NS_PER_S), 5);
    assert_int_equal(take(&budget, 5000, true, 3 * NS_PER_S), 1);
}

static void the_window_ages_whether_anybody_looks_or_not(void **unused)
{
    (void)unused;
    struct retry_budget budget = {0};
    take(&budget, 1000, false, 5 * NS_PER_S);
    assert_int_equal(take(&budget, 500, true, 6 * NS_PER_S), 200);
    assert_int_equal(take(&budget, 50, true, 14 * NS_PER_S), 0);
    /* At 15 s the first attempts are out, the 200 retries taken for them are not. */
    assert_int_equal(take(&budget, 50, true, 15 * NS_PER_S), 0);
    assert_int_equal(budget.total.firsts, 0);
    assert_int_equal(budget.total.taken, 200);
    take(&budget, 1, false, 16 * NS_PER_S);
    assert_int_equal(budget.total.taken, 0);
    /* After a long silence nothing is left. */
    assert_true(retry_budget_take(&budget, true, 100000 * NS_PER_S));
    assert_int_equal(budget.total.firsts, 0);
    assert_int_equal(budget.total.taken, 1);
    /* A thread that read its clock earlier counts in the newest second. */
    assert_true(retry_budget_take(&budget, true, 99999 * NS_PER_S));
    assert_int_equal(budget.total.taken, 2);
}

/* Calls that reach a dead server for one request, when each of `layers` makes `attempts`. */
static unsigned calls(unsigned layers, const struct retry_policy *policy)
{
    const struct outcome refused = {.cause = CAUSE_REFUSED};
    uint64_t wait_ns;
    unsigned made = 0, attempt = 0;
    do
        made += layers > 1 ? calls(layers - 1, policy) : 1;
    while (retry_decide(policy, &refused, attempt++, 0, &wait_ns));
    return made;
}

/* "9× amplification" is 3 attempts at two layers: attempts, the first included. 3 retries are 4
 * attempts and make it 16. */
static void nine_fold_is_three_attempts_at_two_layers(void **unused)
{
    (void)unused;
    struct retry_policy policy = {.kind = RETRY_IMMEDIATE, .attempts = 3};
    assert_int_equal(calls(1, &policy), 3);
    assert_int_equal(calls(2, &policy), 9);
    policy.attempts = 1 + 3;
    assert_int_equal(calls(2, &policy), 16);
}

/* With the budget in front the same layers make 1.2. */
static void the_budget_bounds_what_layers_multiply(void **unused)
{
    (void)unused;
    struct retry_budget budget = {0};
    struct retry_policy policy = {.kind = RETRY_IMMEDIATE, .attempts = 4};
    const unsigned requests = 1000, each = calls(2, &policy);
    unsigned taken = take(&budget, requests, false, NS_PER_S) +
                     take(&budget, requests * (each - 1), true, NS_PER_S);
    assert_int_equal(taken, requests * 12 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_alone_are_taken_slowly),
        cmocka_unit_test(one_retry_for_five_first_attempts),
        cmocka_unit_test(the_window_ages_whether_anybody_looks_or_not),
        cmocka_unit_test(nine_fold_is_three_attempts_at_two_layers),
        cmocka_unit_test(the_budget_bounds_what_layers_multiply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
