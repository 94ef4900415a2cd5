/* SPDX-License-Identifier: MIT */
/* When a worker names that descriptors or memory run short, and when that it is over. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/resource_watch.h"

#define MIB (UINT64_C(1) << 20)

static struct resource_watch watch;
static char text[TEXT_MAX];

static int begin(void **state)
{
    (void)state;
    watch = (struct resource_watch){.ready_bytes = 20 * MIB};
    text[0] = '\0';
    return 0;
}

static enum resource_change judge(enum resource_kind kind, const struct resource_use *use)
{
    return resource_judge(&watch, kind, use, text, sizeof text);
}

static enum resource_change fds(uint64_t open_fds)
{
    return judge(RESOURCE_FDS, &(struct resource_use){.open_fds = open_fds, .max_fds = 1000});
}

static void descriptors_are_named_once_and_again_when_it_was_over(void **state)
{
    (void)state;
    assert_int_equal(fds(699), RESOURCE_NO_CHANGE);
    assert_int_equal(fds(700), RESOURCE_LOW);
    assert_string_equal(text, "descriptors: 700 of 1000 are open, 70 %");
    assert_int_equal(fds(999), RESOURCE_NO_CHANGE);
    assert_int_equal(fds(650), RESOURCE_NO_CHANGE); /* between the two marks nothing is said */
    assert_int_equal(fds(750), RESOURCE_NO_CHANGE);
    assert_int_equal(fds(599), RESOURCE_OK);
    assert_int_equal(fds(650), RESOURCE_NO_CHANGE);
    assert_int_equal(fds(800), RESOURCE_LOW);
}

static void memory_is_measured_by_the_limit_that_is_nearest(void **state)
{
    (void)state;
    struct resource_use use = {.resident_bytes = 500 * MIB,
                               .address_bytes = 500 * MIB,
                               .address_limit_bytes = 1000 * MIB,
                               .group_bytes = 69 * MIB,
                               .group_limit_bytes = 100 * MIB};
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_NO_CHANGE); /* no growth counts here */
    use.group_bytes = 71 * MIB;
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_LOW);
    assert_string_equal(text, "memory: 71.0 MiB of 100.0 of the control group's memory.max, 71 %");
    use.group_bytes = 10 * MIB;
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_OK);
    use.address_bytes = 900 * MIB;
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_LOW);
    assert_non_null(strstr(text, "RLIMIT_AS"));
}

static void without_a_limit_growth_since_ready_counts(void **state)
{
    (void)state;
    struct resource_use use = {.resident_bytes = 103 * MIB};
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_NO_CHANGE);
    use.resident_bytes = 104 * MIB; /* twice 20, and 64 */
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_LOW);
    assert_string_equal(text, "memory: 104.0 MiB are resident, 20.0 when it began to serve");
    use.resident_bytes = 63 * MIB;
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_NO_CHANGE);
    use.resident_bytes = 61 * MIB;
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_OK);
    watch.ready_bytes = 0; /* not serving yet: nothing to compare with */
    use.resident_bytes = 5000 * MIB;
    assert_int_equal(judge(RESOURCE_MEMORY, &use), RESOURCE_NO_CHANGE);
}

static void a_look_tells_what_is_there(void **state)
{
    (void)state;
    struct resource_use before, after;
    struct rlimit files;
    assert_true(resources_read(&before));
    int fds_open[20];
    for (size_t i = 0; i < 20; i++)
        fds_open[i] = dup(0);
    assert_true(resources_read(&after));
    assert_int_equal(after.open_fds, before.open_fds + 20);
    for (size_t i = 0; i < 20; i++)
        close(fds_open[i]);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(after.max_fds, files.rlim_cur);
    assert_in_range(after.resident_bytes, MIB / 2, 4096 * MIB);
    assert_true(after.address_bytes > after.resident_bytes);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        T(descriptors_are_named_once_and_again_when_it_was_over),
        T(memory_is_measured_by_the_limit_that_is_nearest),
        T(without_a_limit_growth_since_ready_counts),
        T(a_look_tells_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
