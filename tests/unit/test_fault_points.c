/* SPDX-License-Identifier: MIT */
/* The child's side of the fault bench: whom a point strikes, how often, how several faults add up,
 * and that a strike is counted and marked before it is felt. */
#include "tests/unit/fault_table_bed.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/fault_act.h"

static int begin(void **state)
{
    (void)state;
    if (bed_begin() < 0)
        return -1;
    bed_clear();
    return 0;
}

static int end(void **state)
{
    (void)state;
    bed_clear();
    return munmap(bed_region, sizeof *bed_region);
}

static unsigned get(void)
{
    return fault_request(CLASS_READ, ENDPOINT_ITEM_GET);
}

static double ms_of_get(void)
{
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(get(), 0);
    return (double)(clock_now_ns() - start_ns) / (double)NS_PER_MS;
}

/* Let a child of this test meet a point; the signal that ended it, 0 none. */
static int signal_at(enum fault_point point)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        fault_strike(point);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void filters_are_obeyed(void **state)
{
    (void)state;
    bed_set("error class=read");
    assert_int_equal(get(), 500);
    assert_int_equal(fault_request(CLASS_WRITE, ENDPOINT_ITEM_CREATE), 0);
    bed_clear();
    bed_set("error route=GET:/data/items status=503");
    assert_int_equal(get(), 0);
    assert_int_equal(fault_request(CLASS_READ, ENDPOINT_ITEM_LIST), 503);
    assert_int_equal(bed_hits(FAULT_ERROR), 2);
}

static void delays_add_and_an_error_does_not_wait(void **state)
{
    (void)state;
    bed_set("slow delay=30ms");
    bed_set("slow delay=40ms class=read");
    assert_true(ms_of_get() >= 70);
    bed_set("error");
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(get(), 500);
    assert_true(clock_now_ns() - start_ns < 60 * NS_PER_MS);
}

static void a_ramp_grows_to_its_delay(void **state)
{
    (void)state;
    struct fault *fault = bed_set("slow delay=100ms ramp=10s");
    assert_true(ms_of_get() < 50);
    fault->begin_ns -= 20 * NS_PER_S;
    bed_publish();
    assert_true(ms_of_get() >= 100);
}

static void a_rate_is_a_rate_of_time_or_of_chance(void **state)
{
    (void)state;
    unsigned failed = 0;
    bed_set("error per_second=5");
    for (unsigned i = 0; i < 1000; i++)
        failed += get() == 500;
    assert_int_equal(failed, 1);
    bed_clear();
    bed_set("error per_million=200000 seed=11");
    for (unsigned i = failed = 0; i < 5000; i++)
        failed += get() == 500;
    assert_in_range(failed, 850, 1150);
}

static void it_ends_by_its_own_clock(void **state)
{
    (void)state;
    struct fault *fault = bed_set("error"); /* and the supervisor is not there to end it */
    assert_int_equal(get(), 500);
    fault->end_ns = clock_now_ns();
    bed_publish();
    assert_int_equal(get(), 0);
}

static void a_crash_strikes_its_generation_once(void **state)
{
    (void)state;
    bed_set("crash target=any point=in_commit");
    assert_int_equal(signal_at(FAULT_POINT_IN_TRANSACTION), 0);
    assert_int_equal(signal_at(FAULT_POINT_IN_COMMIT), SIGKILL);
    assert_int_equal(bed_hits(FAULT_CRASH), 1); /* counted, though it died of it */
    assert_int_equal(signal_at(FAULT_POINT_IN_COMMIT), 0);
    fault_start(bed_region, BED_SLOT, BED_GENERATION + 1);
    assert_int_equal(signal_at(FAULT_POINT_IN_COMMIT), 0);
    assert_int_equal(bed_hits(FAULT_CRASH), 1);
}

static void a_successor_is_not_meant_even_before_the_strike(void **state)
{
    (void)state;
    bed_set("crash target=any");
    fault_start(bed_region, BED_SLOT, BED_GENERATION + 1);
    assert_int_equal(signal_at(FAULT_POINT_NOW), 0);
    bed_clear();
    bed_set("crash target=any repeat=yes per_second=1000 signal=SEGV");
    assert_int_equal(signal_at(FAULT_POINT_NOW), SIGSEGV);
}

static void a_crash_goes_before_a_hang(void **state)
{
    (void)state;
    bed_set("hang target=any mode=thread point=in_commit");
    bed_set("crash target=any point=in_commit signal=ABRT");
    assert_int_equal(signal_at(FAULT_POINT_IN_COMMIT), SIGABRT);
}

static void descriptors_keep_their_number_and_lose_their_file(void **state)
{
    (void)state;
    char directory[] = "/tmp/bulkhead-fault-points-XXXXXX", path[64], other_path[64], byte;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/app.db-wal", directory);
    snprintf(other_path, sizeof other_path, "%s/other", directory);
    int fd = open(path, O_RDWR | O_CREAT, 0600), other = open(other_path, O_RDWR | O_CREAT, 0600);
    fault_act_close_fds(directory);
    assert_int_equal(read(fd, &byte, 1), -1);
    assert_int_equal(write(other, "x", 1), 1);
    int next = open(other_path, O_RDONLY);
    assert_int_not_equal(next, fd);
    close(next);
    close(fd);
    close(other);
    unlink(path);
    unlink(other_path);
    rmdir(directory);
}

/* Not a bound: what a point costs a process nobody broke. */
static void print_what_a_point_costs(void **state)
{
    (void)state;
    enum { POINTS = 10000000 };
    unsigned answers = 0;
    uint64_t start_ns = clock_now_ns();
    for (unsigned i = 0; i < POINTS; i++)
        answers += get();
    print_message("none active: %.2f ns a point\n",
                  (double)(clock_now_ns() - start_ns) / (double)POINTS);
    bed_set("slow delay=1ms class=write");
    start_ns = clock_now_ns();
    for (unsigned i = 0; i < POINTS / 100; i++)
        answers += get();
    print_message("one active, not for this request: %.0f ns a point\n",
                  (double)(clock_now_ns() - start_ns) / (double)(POINTS / 100));
    assert_int_equal(answers, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        T(filters_are_obeyed),
        T(delays_add_and_an_error_does_not_wait),
        T(a_ramp_grows_to_its_delay),
        T(a_rate_is_a_rate_of_time_or_of_chance),
        T(it_ends_by_its_own_clock),
        T(a_crash_strikes_its_generation_once),
        T(a_successor_is_not_meant_even_before_the_strike),
        T(a_crash_goes_before_a_hang),
        T(descriptors_keep_their_number_and_lose_their_file),
        T(print_what_a_point_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
