/* SPDX-License-Identifier: MIT */
/*
 * Eight threads at one circuit, while the board fences and frees it and somebody reads the slot.
 * `make check-tsan` runs this under ThreadSanitizer. What must hold in any order: each permit comes
 * back, each move leaves the state the one before led to, and what the slot shows can be true.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "worker/circuit.h"

#define THREADS     8
#define CALLS       20000
#define TICKS_LEAST 256

static struct region *region;
static struct child child;
static struct circuit circuit;
static _Atomic bool done;
static _Atomic unsigned admitted, ticks;

static int make(void **unused)
{
    (void)unused;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, CHILD_FD_DOORBELL); /* events ring it */
    close(null);
    if (region_create(&region) < 0)
        return -1;
    child.region = region;
    child.slot = region_slot(region, 0);
    config_defaults(&child.config);
    child.config.breaker_open_s = 0; /* probes at once: all states are visited */
    atomic_store(&region->board.words.db_readable, 1);
    circuit_init(&circuit, &child, DEPENDENCY_DB_READ);
    return 0;
}

static void *call(void *argument)
{
    uint64_t random = *(uint64_t *)argument;
    /* On a busy machine all calls may be over before the board has let any in: wait for it. */
    for (unsigned i = 0; i < CALLS || atomic_load(&ticks) < TICKS_LEAST; i++) {
        struct breaker_permit permit;
        unsigned retry_ms;
        uint64_t dice = random_next(&random);
        if (!circuit_enter(&circuit, &permit, &retry_ms))
            continue;
        atomic_fetch_add(&admitted, 1);
        if (dice & 1)
            circuit_begin(&circuit, permit);
        circuit_leave(&circuit, permit,
                      dice % 1000 < (i / 100 % 2 ? 900 : 10) ? BREAKER_FAILURE
                      : dice & 1 << 20                       ? BREAKER_IGNORED
                                                             : BREAKER_SUCCESS);
    }
    return NULL;
}

static void *be_the_board(void *unused)
{
    const struct timespec pause = {.tv_nsec = 200 * 1000};
    for (unsigned i = 0; !atomic_load(&done); i++) {
        atomic_store(&ticks, i);
        atomic_store(&region->board.words.db_readable, i % 16 != 0);
        circuit_tick(&circuit);
        nanosleep(&pause, NULL);
    }
    return unused;
}

static void *look(void *torn)
{
    while (!atomic_load(&done)) {
        struct breaker_public shown;
        const struct breaker_part *part = &child.slot->breaker[DEPENDENCY_DB_READ];
        if (change_try(&part->change, &shown, &part->breaker, sizeof shown) &&
            (shown.state >= BREAKER_DISABLED || shown.failed > shown.calls ||
             shown.running > THREADS))
            *(unsigned *)torn += 1;
    }
    return NULL;
}

/* As often into each state as out of it, but for where it is now. */
static void assert_moves_follow_each_other(void)
{
    int64_t balance[BREAKER_STATE_COUNT] = {[BREAKER_CLOSED] = 1};
    for (unsigned i = 0; i < BREAKER_MOVE_COUNT; i++) {
        int64_t n =
            (int64_t)atomic_load(&child.slot->metrics.circuit_breaker_moves[DEPENDENCY_DB_READ][i]);
        balance[breaker_move_from(i)] -= n;
        balance[breaker_move_to(i)] += n;
    }
    for (unsigned i = 0; i < BREAKER_STATE_COUNT; i++)
        assert_int_equal(balance[i], i == circuit.breaker.state);
}

static void eight_threads_keep_it_whole(void **unused)
{
    (void)unused;
    pthread_t thread[THREADS], board, looker;
    uint64_t seed[THREADS];
    unsigned torn = 0;
    pthread_create(&board, NULL, be_the_board, NULL);
    pthread_create(&looker, NULL, look, &torn);
    for (unsigned i = 0; i < THREADS; i++) {
        seed[i] = i + 1;
        pthread_create(&thread[i], NULL, call, &seed[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    atomic_store(&done, true);
    pthread_join(board, NULL);
    pthread_join(looker, NULL);
    uint64_t moves = 0;
    for (unsigned i = 0; i < BREAKER_MOVE_COUNT; i++)
        moves += atomic_load(&child.slot->metrics.circuit_breaker_moves[DEPENDENCY_DB_READ][i]);
    printf("%u calls admitted, %llu moves\n", atomic_load(&admitted), (unsigned long long)moves);
    assert_int_equal(circuit.breaker.used, 0);
    assert_int_equal(torn, 0);
    assert_true(moves > 20);
    assert_moves_follow_each_other();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(eight_threads_keep_it_whole, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
