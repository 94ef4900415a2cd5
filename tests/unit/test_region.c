/* SPDX-License-Identifier: MIT */
/* The region's rights: a stray write is the end of the stray, and nobody else's numbers move. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/region.h"

static struct region *region;
static int region_fd;

static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    return region_fd < 0;
}

/* Run `write` in a child with the rights of worker 2; returns the signal that ended it, 0 none. */
static int in_worker_2(unsigned rights, void (*act)(struct region *))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        struct region *mine;
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would turn it into an exit */
        setrlimit(RLIMIT_CORE, &no_core);
        if (region_map(region_fd, 2, rights, &mine) != 0)
            _exit(9);
        act(mine);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void count_own(struct region *mine)
{
    counter_increment(&region_slot(mine, 2)->metrics.accepts[0][0]);
}

static void count_others(struct region *mine)
{
    counter_increment(&region_slot(mine, 3)->metrics.accepts[0][0]);
}

static void write_before_own(struct region *mine)
{
    *((volatile char *)region_slot(mine, 2) - 1) = 1;
}

static void write_board(struct region *mine)
{
    atomic_store(&mine->board.words.db_readable, 0);
}

static void write_header(struct region *mine)
{
    *(volatile uint32_t *)&mine->header.layout = 7;
}

static void write_watch(struct region *mine)
{
    *(volatile uint64_t *)&mine->watch.watch.tick = 7;
}

static void write_backup(struct region *mine)
{
    *(volatile uint64_t *)&mine->backup.report.request = 7;
}

static void write_bucket(struct region *mine)
{
    atomic_store(&mine->buckets.table.word[0][0], 7);
}

static void touch_gate(struct region *mine)
{
    pthread_mutex_trylock(&mine->gate.mutex);
}

static void own_slot_is_writable(void **unused)
{
    (void)unused;
    assert_int_equal(in_worker_2(0, count_own), 0);
    assert_int_equal(atomic_load(&region_slot(region, 2)->metrics.accepts[0][0]), 1);
}

static void another_slot_is_a_segv(void **unused)
{
    (void)unused;
    assert_int_equal(in_worker_2(REGION_USES_GATE, count_others), SIGSEGV);
    assert_int_equal(in_worker_2(REGION_USES_GATE, write_before_own), SIGSEGV);
    assert_int_equal(atomic_load(&region_slot(region, 3)->metrics.accepts[0][0]), 0);
}

static void the_supervisors_parts_are_a_segv(void **unused)
{
    (void)unused;
    assert_int_equal(in_worker_2(REGION_USES_GATE, write_board), SIGSEGV);
    assert_int_equal(in_worker_2(REGION_USES_GATE, write_header), SIGSEGV);
}

static void watch_and_gate_need_their_right(void **unused)
{
    (void)unused;
    assert_int_equal(in_worker_2(REGION_USES_GATE, write_watch), SIGSEGV);
    assert_int_equal(in_worker_2(REGION_WRITES_WATCH, write_watch), 0);
    assert_int_equal(in_worker_2(REGION_USES_GATE | REGION_WRITES_WATCH, write_backup), SIGSEGV);
    assert_int_equal(in_worker_2(REGION_WRITES_BACKUP, write_backup), 0);
    assert_int_equal(in_worker_2(~(unsigned)REGION_USES_BUCKETS, write_bucket), SIGSEGV);
    assert_int_equal(in_worker_2(REGION_USES_BUCKETS, write_bucket), 0);
    assert_int_equal(in_worker_2(0, touch_gate), SIGSEGV);
    assert_int_equal(in_worker_2(REGION_USES_GATE, touch_gate), 0);
}

static void a_counter_outlives_its_process(void **unused)
{
    (void)unused;
    uint64_t before = atomic_load(&region_slot(region, 2)->metrics.accepts[0][0]);
    in_worker_2(0, count_own);
    in_worker_2(0, count_own);
    assert_int_equal(atomic_load(&region_slot(region, 2)->metrics.accepts[0][0]), before + 2);
}

static void nobody_resizes_it(void **unused)
{
    (void)unused;
    assert_int_equal(ftruncate(region_fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(region_fd, 1 << 30), -1);
}

static void another_build_is_refused(void **unused)
{
    (void)unused;
    struct region *mine;
    region->header.layout++;
    assert_int_equal(region_map(region_fd, 0, 0, &mine), -EPROTO);
    region->header.layout--;
    region->header.slot_size++;
    assert_int_equal(region_map(region_fd, 0, 0, &mine), -EPROTO);
    region->header.slot_size--;
    assert_int_equal(region_map(region_fd, SLOTS_MAX, 0, &mine), -EPROTO);
}

/* Readers under a busy writer see whole groups or none. */
static void *write_boards(void *stop)
{
    static struct board board;
    for (uint64_t i = 1; !*(volatile int *)stop; i++) {
        board.published_ns = i;
        board.metrics.requests_lost[0][0] = i; /* the far end of the struct */
        change_publish(&region->board.change, &region->board.board, &board, sizeof board);
        if (i % 8 == 0) /* or readers with a processor of their own would never come through */
            usleep(100);
    }
    return NULL;
}

static void groups_are_read_whole(void **unused)
{
    (void)unused;
    static struct board board;
    volatile int stop = 0;
    pthread_t writer;
    unsigned whole = 0;
    pthread_create(&writer, NULL, write_boards, (void *)&stop);
    for (int i = 0; i < 20000; i++) {
        if (!region_read_board(region, &board))
            continue;
        whole++;
        assert_int_equal(board.published_ns, board.metrics.requests_lost[0][0]);
    }
    stop = 1;
    pthread_join(writer, NULL);
    assert_true(whole > 100);
}

/* A writer that died in the middle of a change does not lock readers out for ever. */
static void a_dead_writer_is_survived(void **unused)
{
    (void)unused;
    struct watch watch = {.tick = 5}, copy;
    atomic_fetch_or(&region->watch.change.count, 1);
    assert_false(region_read_watch(region, &copy));
    change_publish(&region->watch.change, &region->watch.watch, &watch, sizeof watch);
    assert_true(region_read_watch(region, &copy));
    assert_int_equal(copy.tick, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_slot_is_writable),
        cmocka_unit_test(another_slot_is_a_segv),
        cmocka_unit_test(the_supervisors_parts_are_a_segv),
        cmocka_unit_test(watch_and_gate_need_their_right),
        cmocka_unit_test(a_counter_outlives_its_process),
        cmocka_unit_test(nobody_resizes_it),
        cmocka_unit_test(another_build_is_refused),
        cmocka_unit_test(groups_are_read_whole),
        cmocka_unit_test(a_dead_writer_is_survived),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
