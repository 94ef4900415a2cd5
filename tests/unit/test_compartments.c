/* SPDX-License-Identifier: MIT */
/* Permits and what is estimated of them; the compartment of logins. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/hasher.h"
#include "worker/permits.h"

#define CALL_MS 40

static struct slot_metrics numbers;
static struct permits permits;

static uint64_t in_ms(uint64_t ms)
{
    return clock_now_ns() + ms * NS_PER_MS;
}

static uint64_t refused(enum refusal reason)
{
    return atomic_load(&numbers.refused[CLASS_READ][reason]);
}

static void calls(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(permits_take(&permits, in_ms(1000)), PERMIT_TAKEN);
        usleep(CALL_MS * 1000);
        permits_give(&permits);
    }
}

static void *wait_for_one(void *result)
{
    *(enum permit_result *)result = permits_take(&permits, in_ms(5000));
    if (*(enum permit_result *)result == PERMIT_TAKEN)
        permits_give(&permits);
    return NULL;
}

static pthread_t start_waiter(enum permit_result *result)
{
    pthread_t thread;
    int64_t before = atomic_load(&numbers.bulkhead_queued[CLASS_READ]);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_one, result), 0);
    for (int i = 0; i < 5000 && atomic_load(&numbers.bulkhead_queued[CLASS_READ]) == before; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&numbers.bulkhead_queued[CLASS_READ]), before + 1);
    return thread;
}

static int begin(void **unused)
{
    (void)unused;
    numbers = (struct slot_metrics){0};
    return 0;
}

static void the_mean_is_how_long_a_permit_is_held(void **unused)
{
    (void)unused;
    permits_init(&permits, &numbers, CLASS_READ, true, 1, 8, 50 * NS_PER_MS);
    calls(3);
    usleep(100 * 1000); /* nobody has it: that counts for nothing */
    calls(3);
    assert_in_range(permits.service_ns, CALL_MS * NS_PER_MS, 2 * CALL_MS * NS_PER_MS);
}

static void who_would_wait_too_long_does_not_wait(void **unused)
{
    (void)unused;
    enum permit_result result = PERMIT_REFUSED;
    permits_init(&permits, &numbers, CLASS_READ, true, 1, 8, 1000 * NS_PER_MS);
    calls(2);
    permits.longest_wait_ns = 2 * NS_PER_S;
    permits.service_ns = 1500 * NS_PER_MS; /* as if calls took so long */
    assert_int_equal(permits_take(&permits, in_ms(1000)), PERMIT_TAKEN);
    pthread_t first = start_waiter(&result); /* who is first in line waits, whatever the mean */
    uint64_t begin_ns = clock_now_ns();
    assert_int_equal(permits_take(&permits, in_ms(5000)), PERMIT_REFUSED);
    assert_in_range(clock_now_ns() - begin_ns, 0, 500 * NS_PER_MS);
    assert_int_equal(refused(REFUSAL_ESTIMATED), 1);
    permits_give(&permits);
    pthread_join(first, NULL);
    assert_int_equal(result, PERMIT_TAKEN);
    assert_int_equal(refused(REFUSAL_WAITED), 0);
}

static void without_shedding_only_deadlines_refuse(void **unused)
{
    (void)unused;
    enum permit_result results[12];
    pthread_t waiters[12];
    permits_init(&permits, &numbers, CLASS_READ, true, 1, PERMITS_NO_LIMIT, 1);
    permits.service_ns = 1000 * NS_PER_S;
    assert_int_equal(permits_take(&permits, in_ms(1000)), PERMIT_TAKEN);
    for (int i = 0; i < 12; i++)
        waiters[i] = start_waiter(&results[i]);
    assert_int_equal(permits_take(&permits, in_ms(20)), PERMIT_DEADLINE);
    permits_give(&permits);
    for (int i = 0; i < 12; i++) {
        pthread_join(waiters[i], NULL);
        assert_int_equal(results[i], PERMIT_TAKEN);
    }
}

/* ---- logins --------------------------------------------------------------------------------- */

static void nothing_is_hashed_too_late_or_for_nobody(void **unused)
{
    (void)unused;
    int pair[2];
    struct hasher *hasher = hasher_start(&numbers, 2, true);
    assert_non_null(hasher);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(hasher_check(hasher, "x", 1, NULL, pair[0], in_ms(20000)), HASHER_DIFFERS);

    uint64_t begin_ns = clock_now_ns();
    uint64_t past_ns = begin_ns - 1;
    assert_int_equal(hasher_check(hasher, "x", 1, NULL, pair[0], past_ns), HASHER_DEADLINE);
    close(pair[1]);
    assert_int_equal(hasher_check(hasher, "x", 1, NULL, pair[0], in_ms(20000)), HASHER_CLIENT_GONE);
    /* in both cases the permit is back */
    assert_int_equal(atomic_load(&numbers.bulkhead_inflight[CLASS_AUTH]), 0);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_mean_is_how_long_a_permit_is_held, begin),
        cmocka_unit_test_setup(who_would_wait_too_long_does_not_wait, begin),
        cmocka_unit_test_setup(without_shedding_only_deadlines_refuse, begin),
        cmocka_unit_test_setup(nothing_is_hashed_too_late_or_for_nobody, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
