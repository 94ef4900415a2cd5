/* SPDX-License-Identifier: MIT */
/* The gate: one holder, waits that end, and a holder's death that blocks nobody. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db/gate.h"

static struct region *region;
static struct gate *gate;
static struct slot *mine, *other;

static int make(void **unused)
{
    (void)unused;
    if (!region && region_create(&region) < 0)
        return -1;
    gate = &region->gate;
    mine = region_slot(region, 0);
    other = region_slot(region, 1);
    atomic_store(&mine->gate_stage, GATE_NONE);
    atomic_store(&other->gate_stage, GATE_NONE);
    gate_init(gate);
    return 0;
}

static uint64_t in_ms(uint64_t ms)
{
    return clock_now_ns() + ms * NS_PER_MS;
}

/* Start a process that takes the gate with slot 1 and keeps it; returns when it has it. */
static pid_t hold_elsewhere(void)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (gate_lock(gate, other, in_ms(1000)) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void marks_its_slot(void **unused)
{
    (void)unused;
    uint64_t before_ns = clock_now_ns();
    assert_int_equal(gate_lock(gate, mine, in_ms(100)), 0);
    assert_int_equal(mine->gate_stage, GATE_HOLDING);
    assert_true(mine->gate_since_ns >= before_ns);
    gate_mark_commit(mine);
    assert_int_equal(mine->gate_stage, GATE_IN_COMMIT);
    gate_unlock(gate, mine);
    assert_int_equal(mine->gate_stage, GATE_NONE);
}

static void is_held_by_one(void **unused)
{
    (void)unused;
    pid_t holder = hold_elsewhere();
    assert_int_equal(other->gate_stage, GATE_HOLDING);
    assert_int_equal(gate_try(gate, mine), -EBUSY);
    assert_int_equal(mine->gate_stage, GATE_NONE);

    uint64_t start_ns = clock_now_ns();
    assert_int_equal(gate_lock(gate, mine, in_ms(50)), -ETIMEDOUT);
    uint64_t waited_ns = clock_now_ns() - start_ns;
    assert_true(waited_ns >= 50 * NS_PER_MS && waited_ns < NS_PER_S);
    assert_int_equal(mine->gate_stage, GATE_NONE);
    assert_int_equal(gate_lock(gate, mine, clock_now_ns()), -ETIMEDOUT);
    kill_and_reap(holder);
}

static void outlives_its_holder(void **unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++) {
        kill_and_reap(hold_elsewhere());
        assert_int_equal(i % 2 ? gate_lock(gate, mine, in_ms(1000)) : gate_try(gate, mine), 1);
        assert_int_equal(mine->gate_stage, GATE_HOLDING);
        gate_unlock(gate, mine);
        assert_int_equal(gate_try(gate, mine), 0);
        gate_unlock(gate, mine);
    }
}

static void wakes_a_waiter_when_the_holder_dies(void **unused)
{
    (void)unused;
    pid_t holder = hold_elsewhere();
    pid_t waiter = fork();
    if (waiter == 0)
        _exit(gate_lock(gate, mine, in_ms(5000)) == 1 ? 0 : 1);
    while (atomic_load(&mine->gate_stage) != GATE_WAITING)
        sched_yield();
    kill_and_reap(holder);
    int status;
    assert_int_equal(waitpid(waiter, &status, 0), waiter);
    assert_int_equal(status, 0);
}

static void says_when_it_is_broken(void **unused)
{
    (void)unused;
    kill_and_reap(hold_elsewhere());
    /* Somebody takes it over and does not put it right. */
    assert_int_equal(pthread_mutex_lock(&gate->mutex), EOWNERDEAD);
    pthread_mutex_unlock(&gate->mutex);

    assert_int_equal(gate_lock(gate, mine, in_ms(100)), -ENOTRECOVERABLE);
    assert_int_equal(mine->gate_stage, GATE_WAITING);
    uint64_t since_ns = mine->gate_since_ns;
    assert_int_equal(gate_try(gate, mine), -ENOTRECOVERABLE);
    assert_int_equal(mine->gate_since_ns, since_ns); /* the wait that the supervisor sees */
    gate_init(gate);
    assert_int_equal(gate_lock(gate, mine, in_ms(100)), 0);
    gate_unlock(gate, mine);
}

static void says_when_it_breaks_under_its_holder(void **unused)
{
    (void)unused;
    assert_int_equal(gate_lock(gate, mine, in_ms(100)), 0);
    gate->mutex.__data.__kind = -1;
    gate_unlock(gate, mine);
    assert_int_equal(mine->gate_stage, GATE_WAITING);
    assert_int_equal(gate_lock(gate, mine, in_ms(100)), -EINVAL);
    assert_int_equal(mine->gate_stage, GATE_WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(marks_its_slot, make),
        cmocka_unit_test_setup(is_held_by_one, make),
        cmocka_unit_test_setup(outlives_its_holder, make),
        cmocka_unit_test_setup(wakes_a_waiter_when_the_holder_dies, make),
        cmocka_unit_test_setup(says_when_it_is_broken, make),
        cmocka_unit_test_setup(says_when_it_breaks_under_its_holder, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
