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
#include "common/resources.h"

/* Less than any delay set here: who took so long on a busy machine did not wait for one. */
#define NO_DELAY_NS (250 * NS_PER_MS)

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
    bed_set("slow delay=300ms");
    bed_set("slow delay=400ms class=read");
    assert_true(ms_of_get() >= 700);
    bed_set("error");
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(get(), 500);
    assert_true(clock_now_ns() - start_ns < NO_DELAY_NS);
}

static struct fault_answer answer(bool has_body, bool success)
{
    return fault_answer(CLASS_READ, ENDPOINT_ITEM_GET, has_body, success);
}

static void an_answer_is_omitted_cut_or_altered(void **state)
{
    (void)state;
    bed_set("omission class=read");
    assert_int_equal(get(), 0); /* handled it is */
    assert_true(answer(true, true).omitted);
    assert_true(answer(false, false).omitted);
    assert_false(fault_answer(CLASS_WRITE, ENDPOINT_ITEM_CREATE, true, true).omitted);
    bed_clear();
    bed_set("omission point=request");
    assert_int_equal(get(), FAULT_NO_ANSWER);
    assert_false(answer(true, true).omitted);
    bed_clear();
    bed_set("partial");
    bed_set("wrong");
    struct fault_answer both = answer(true, true);
    assert_true(both.cut && both.altered && !both.omitted);
    assert_false(answer(true, false).altered); /* a problem is believed by nobody */
    uint64_t cut = bed_hits(FAULT_PARTIAL), altered = bed_hits(FAULT_WRONG);
    both = answer(false, true);
    assert_false(both.cut || both.altered);
    assert_int_equal(bed_hits(FAULT_PARTIAL), cut); /* what cannot be felt is not counted */
    assert_int_equal(bed_hits(FAULT_WRONG), altered);
    /* "wrong" without a route means reads of an item. */
    assert_false(fault_answer(CLASS_READ, ENDPOINT_ITEM_LIST, true, true).altered);
}

/* Crash before hang before no answer before error before slow; delays add. */
static void several_faults_on_a_target_compose(void **state)
{
    (void)state;
    bed_set("slow delay=300ms");
    bed_set("slow delay=400ms");
    assert_true(ms_of_get() >= 700);
    uint64_t start_ns = clock_now_ns();
    bed_set("omission point=request");
    assert_int_equal(get(), FAULT_NO_ANSWER);
    bed_set("error status=503");
    assert_int_equal(get(), FAULT_NO_ANSWER);
    assert_true(clock_now_ns() - start_ns < NO_DELAY_NS);
    struct fault *hang = bed_set("hang target=any mode=thread point=request duration=50ms");
    start_ns = clock_now_ns();
    assert_int_equal(get(), FAULT_NO_ANSWER);
    assert_true(clock_now_ns() - start_ns >= 40 * NS_PER_MS);
    hang->id = ++bed_last_id; /* as new: it would strike again */
    hang->end_ns = clock_now_ns() + 60 * NS_PER_S;
    bed_set("crash target=any point=request signal=ABRT");
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        _exit((int)get());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void one_shot_does_not_re_arm(void **state)
{
    (void)state;
    bed_set("crash target=any point=after_commit");
    assert_int_equal(signal_at(FAULT_POINT_AFTER_COMMIT), SIGKILL);
    for (unsigned i = 0; i < 3; i++) { /* nor when the table changes for another fault */
        bed_set("slow delay=1ms");
        assert_int_equal(signal_at(FAULT_POINT_AFTER_COMMIT), 0);
    }
    fault_start(bed_region, BED_SLOT, BED_GENERATION + 1); /* nor for who takes the place */
    assert_int_equal(signal_at(FAULT_POINT_AFTER_COMMIT), 0);
    assert_int_equal(bed_hits(FAULT_CRASH), 1);
}

/* However often it is asked. */
static void a_rate_is_per_second_not_per_look(void **state)
{
    (void)state;
    bed_set("error per_second=4");
    _Atomic uint64_t *struck_ns = &region_slot(bed_region, BED_SLOT)->fault_mark[0].struck_ns;
    for (unsigned quarter = 1; quarter <= 8; quarter++) {
        for (unsigned look = 0; look < 50 * quarter; look++)
            get();
        assert_int_equal(bed_hits(FAULT_ERROR), quarter);
        *struck_ns -= NS_PER_S / 4; /* so much time passes */
    }
}

static unsigned failed_of(unsigned count)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < count; i++)
        failed += get() == 500;
    return failed;
}

static void progressive_ramps_and_partial_effects_exist(void **state)
{
    (void)state;
    struct fault *fault = bed_set("error per_million=400000 ramp=100s");
    uint64_t now_ns = clock_now_ns();
    assert_in_range(failed_of(1000), 0, 20);
    fault->begin_ns = now_ns - 50 * NS_PER_S;
    bed_publish();
    assert_in_range(failed_of(4000), 640, 960); /* half of the way to 40 % */
    fault->begin_ns = now_ns - 200 * NS_PER_S;
    bed_publish();
    assert_in_range(failed_of(4000), 1440, 1760); /* and some always succeed */
}

/* ---- what is held -------------------------------------------------------------------------- */

static struct resource_use use_now(void)
{
    struct resource_use use;
    assert_true(resources_read(&use));
    return use;
}

static void descriptors_are_held_up_to_their_share_and_given_back(void **state)
{
    (void)state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    small = (struct rlimit){200, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    uint64_t open_fds = use_now().open_fds;
    struct fault *fault = bed_set("resource of=fds percent=80 target=any ramp=100s");
    fault_hold();
    assert_true(use_now().open_fds < 60);
    fault->begin_ns -= 50 * NS_PER_S;
    bed_publish();
    fault_hold();
    assert_in_range(use_now().open_fds, 78, 82); /* the ramp is half way */
    fault->begin_ns -= 50 * NS_PER_S;
    bed_publish();
    fault_hold();
    assert_in_range(use_now().open_fds, 159, 161);
    bed_set("resource of=fds percent=100 target=any");
    fault_hold();
    assert_int_equal(dup(0), -1);           /* none is left, */
    assert_true(use_now().open_fds >= 200); /* and looking goes on */
    uint64_t hits = bed_hits(FAULT_RESOURCE);
    assert_in_range(hits, 3, 5);
    fault_hold();
    assert_int_equal(bed_hits(FAULT_RESOURCE), hits); /* there is nothing to take any more */
    bed_clear();
    fault_hold();
    assert_int_equal(use_now().open_fds, open_fds);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void memory_is_touched_and_given_back(void **state)
{
    (void)state;
    uint64_t before = use_now().resident_bytes;
    bed_set("resource of=memory mib=96 target=any");
    fault_hold();
    fault_hold(); /* 64 MiB a look */
    assert_true(use_now().resident_bytes >= before + (UINT64_C(90) << 20));
    fault_hold();
    assert_int_equal(bed_hits(FAULT_RESOURCE), 2); /* nothing more to take */
    bed_clear();
    fault_hold();
    fault_hold();
    assert_true(use_now().resident_bytes < before + (UINT64_C(32) << 20));
}

static void memory_that_is_not_to_be_had_is_no_crash(void **state)
{
    (void)state;
    int status;
    if (strstr(getenv("BUILD") ? getenv("BUILD") : "", "sanitize"))
        skip(); /* a sanitizer maps terabytes: no limit on addresses fits */
    pid_t pid = fork();
    if (pid == 0) {
        struct resource_use use;
        bool known = resources_read(&use);
        rlim_t limit = (rlim_t)(use.address_bytes + (UINT64_C(16) << 20));
        setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit});
        bed_set("resource of=memory mib=256 target=any");
        fault_hold();
        known &= resources_read(&use) && use.address_limit_bytes == limit;
        _exit(known && use.address_bytes <= limit ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bed_clear();
}

static void a_crash_at_the_start_meets_every_process_of_the_slot(void **state)
{
    (void)state;
    bed_set("crash point=start target=all");
    for (uint32_t generation = BED_GENERATION; generation < BED_GENERATION + 3; generation++) {
        fault_start(bed_region, BED_SLOT, generation);
        assert_int_equal(signal_at(FAULT_POINT_NOW), 0);
        assert_int_equal(signal_at(FAULT_POINT_START), SIGKILL);
    }
    bed_clear();
    assert_int_equal(signal_at(FAULT_POINT_START), 0);
}

static void a_ramp_grows_to_its_delay(void **state)
{
    (void)state;
    struct fault *fault = bed_set("slow delay=500ms ramp=10s");
    assert_true(ms_of_get() * (double)NS_PER_MS < (double)NO_DELAY_NS);
    fault->begin_ns -= 20 * NS_PER_S;
    bed_publish();
    assert_true(ms_of_get() >= 500);
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
        T(an_answer_is_omitted_cut_or_altered),
        T(several_faults_on_a_target_compose),
        T(one_shot_does_not_re_arm),
        T(a_rate_is_per_second_not_per_look),
        T(progressive_ramps_and_partial_effects_exist),
        T(descriptors_are_held_up_to_their_share_and_given_back),
        T(memory_is_touched_and_given_back),
        T(memory_that_is_not_to_be_had_is_no_crash),
        T(a_crash_at_the_start_meets_every_process_of_the_slot),
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
