/* SPDX-License-Identifier: MIT */
/* The circuit breakers of a store: what counts as a call, who is refused, and what outlives it. */
#include "tests/unit/store_bed.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "worker/circuit.h"

#define ABSENT "0198c0de-0000-7000-8000-00000000000f"

static int make(void **unused)
{
    (void)unused;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, CHILD_FD_DOORBELL); /* events ring it */
    bed_make();
    close(null);
    bed.child.config.breaker_window_s = 30;
    return 0;
}

static struct breaker_public shown(enum dependency dependency)
{
    struct breaker_public breaker;
    store_tick();
    const struct breaker_part *part = &bed.child.slot->breaker[dependency];
    assert_true(change_try(&part->change, &breaker, &part->breaker, sizeof breaker));
    return breaker;
}

static enum store_result get(struct store_cost *cost)
{
    struct item item;
    return store_get(ALICE, ABSENT, in_ms(2000), &item, cost);
}

static uint64_t moves(enum dependency dependency, enum breaker_move move)
{
    return atomic_load(&bed_metrics()->circuit_breaker_moves[dependency][move]);
}

/* Nothing of items can be read or written any more. */
static void break_items(void)
{
    bed_exec("ALTER TABLE items RENAME TO lost");
}

static void five_failing_reads_are_the_last(void **unused)
{
    (void)unused;
    struct store_cost cost;
    bed_start();
    assert_int_equal(get(&cost), STORE_NOT_FOUND);
    break_items();
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(get(&cost), STORE_UNAVAILABLE);
    uint64_t errors = atomic_load(&bed_metrics()->db_errors[DB_OP_READ][DB_CODE_OTHER]);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(get(&cost), STORE_CIRCUIT_OPEN);
        assert_int_equal(cost.dependency, DEPENDENCY_DB_READ);
        assert_in_range(cost.retry_ms, 8900, 11000);
        assert_int_equal(cost.error, DB_CODE_OK);
    }
    assert_int_equal(bed_metrics()->refused[CLASS_READ][REFUSAL_CIRCUIT_OPEN], 3);
    assert_int_equal(bed_metrics()->db_errors[DB_OP_READ][DB_CODE_OTHER], errors);
    assert_int_equal(bed_metrics()->bulkhead_inflight[CLASS_READ], 0);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_OPEN);
    assert_int_equal(shown(DEPENDENCY_DB_READ).failed, 5);
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).state, BREAKER_CLOSED);
    assert_int_equal(moves(DEPENDENCY_DB_READ, MOVE_CONSECUTIVE), 1);
    assert_int_equal(bed.child.slot->outbox_head, 1);
    assert_int_equal(bed.child.slot->outbox[0].type, EVENT_BREAKER_OPEN);
}

/* Logins and the worker's own read go on, and their failures open nothing. */
static void logins_and_the_own_read_go_past_it(void **unused)
{
    (void)unused;
    struct store_cost cost;
    char hash[200];
    int64_t id;
    bed_start();
    break_items();
    for (unsigned i = 0; i < 6; i++)
        get(&cost);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_OPEN);
    assert_int_equal(store_find_user("alice", in_ms(1000), &id, hash, sizeof hash, &cost),
                     STORE_OK);
    assert_int_equal(store_probe(&cost), DB_CODE_OK);
    assert_int_equal(shown(DEPENDENCY_DB_READ).calls, 5);
}

static void each_write_of_a_batch_is_a_call(void **unused)
{
    (void)unused;
    struct bed_call calls[4];
    struct store_cost cost;
    bed_start();
    break_items();
    for (unsigned i = 0; i < 4; i++)
        calls[i] = (struct bed_call){.write = bed_create(ALICE, title_of(i), NULL)};
    bed_hold_gate();
    bed_queue(calls, 4, 2000);
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).running, 4);
    bed_release_gate();
    bed_join(calls, 4);
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).failed, 4);
    struct write write = bed_create(ALICE, "w5", NULL);
    assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_UNAVAILABLE);
    assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_CIRCUIT_OPEN);
    assert_int_equal(cost.dependency, DEPENDENCY_DB_WRITE);
    assert_int_equal(bed_metrics()->refused[CLASS_WRITE][REFUSAL_CIRCUIT_OPEN], 1);
    assert_int_equal(bed_metrics()->bulkhead_inflight[CLASS_WRITE], 0);
}

static void waiting_for_the_gate_says_nothing_of_the_database(void **unused)
{
    (void)unused;
    struct bed_call calls[6];
    bed_start();
    for (unsigned i = 0; i < 6; i++)
        calls[i] = (struct bed_call){.write = bed_create(ALICE, title_of(i), NULL)};
    bed_hold_gate();
    bed_queue(calls, 5, 1000); /* these give up */
    bed_queue(calls + 5, 1, 3000);
    bed_join(calls, 5);
    bed_sleep_ms(300);
    store_tick();
    bed_release_gate();
    bed_join(calls + 5, 1);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(calls[i].result, STORE_DEADLINE);
    assert_int_equal(calls[5].result, STORE_OK);
    assert_true(calls[5].took_ns > BREAKER_SLOW_NS);
    struct breaker_public breaker = shown(DEPENDENCY_DB_WRITE);
    assert_int_equal(breaker.calls, 1);
    assert_int_equal(breaker.failed + breaker.slow, 0);
    free(calls[5].write.answer);
}

/* A file lock that outlives its process by some milliseconds is nobody's failure; the next one is.
 */
static void a_lock_left_by_a_dead_process_is_excused(void **unused)
{
    (void)unused;
    struct store_cost cost;
    pid_t pid = fork();
    if (pid == 0) {
        bed_hold_gate();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    bed_start();
    sqlite3 *other = bed_open(DB_WRITER);
    assert_int_equal(db_exec(other, "BEGIN IMMEDIATE"), 0);
    for (unsigned failed = 0; failed < 2; failed++) {
        struct write write = bed_create(ALICE, "w0", NULL);
        assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_LOCKED);
        assert_int_equal(shown(DEPENDENCY_DB_WRITE).failed, failed);
    }
    assert_int_equal(bed_metrics()->gate_owner_died[0][0], 1);
    db_close(other);
}

static void the_requests_own_fault_is_no_failure(void **unused)
{
    (void)unused;
    struct store_cost cost;
    bed_exec("CREATE TRIGGER refuse BEFORE INSERT ON items BEGIN SELECT RAISE(ABORT, 'no'); END");
    bed_start();
    for (unsigned i = 0; i < 20; i++) {
        struct write write = bed_create(ALICE, "w0", NULL);
        assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_REFUSED);
    }
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).calls, 0);
}

/* One read that opened it; the board falls, and rises: at once all are let in. */
static void the_board_holds_and_releases_it_at_once(void **unused)
{
    (void)unused;
    struct store_cost cost;
    _Atomic uint32_t *readable = &bed.region->board.words.db_readable;
    bed_start();
    break_items();
    for (unsigned i = 0; i < 6; i++)
        get(&cost);
    atomic_store(readable, 0);
    assert_int_equal(get(&cost), STORE_UNAVAILABLE);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_FORCED_OPEN);
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).state, BREAKER_CLOSED);
    bed_exec("ALTER TABLE lost RENAME TO items");
    atomic_store(readable, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(get(&cost), STORE_NOT_FOUND);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_CLOSED);
    assert_int_equal(moves(DEPENDENCY_DB_READ, MOVE_HELD_OPEN), 1);
    assert_int_equal(moves(DEPENDENCY_DB_READ, MOVE_RELEASED), 1);
    atomic_store(readable, 0); /* also when nobody calls */
    store_tick();
    atomic_store(readable, 1);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_CLOSED);
    assert_int_equal(moves(DEPENDENCY_DB_READ, MOVE_RELEASED), 2);
}

/* A process in this slot opens its breaker, takes the probe's permit and is killed. */
static void die_in_a_probe(void)
{
    struct circuit circuit;
    struct breaker_permit permit;
    unsigned retry_ms;
    bed.child.config.breaker_open_s = 0;
    circuit_init(&circuit, &bed.child, DEPENDENCY_DB_READ);
    for (unsigned i = 0; i < 5; i++) {
        circuit_enter(&circuit, &permit, &retry_ms);
        circuit_leave(&circuit, permit, BREAKER_FAILURE);
    }
    if (circuit_enter(&circuit, &permit, &retry_ms) && circuit.breaker.state == BREAKER_HALF_OPEN &&
        !circuit_enter(&circuit, &permit, &retry_ms))
        raise(SIGKILL);
    _exit(1);
}

static void a_worker_killed_during_its_probe_does_not_wedge_it(void **unused)
{
    (void)unused;
    struct store_cost cost;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        die_in_a_probe();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    bed_start();
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_HALF_OPEN);
    assert_int_equal(get(&cost), STORE_NOT_FOUND);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_CLOSED);
    assert_int_equal(moves(DEPENDENCY_DB_READ, MOVE_PROBE_SUCCEEDED), 1);
}

static void killed_while_it_wrote_a_probe_decides(void **unused)
{
    (void)unused;
    atomic_store(&bed.child.slot->breaker[DEPENDENCY_DB_WRITE].change.count, 7);
    bed_start();
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).state, BREAKER_HALF_OPEN);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_CLOSED);
}

static void after_a_local_fault_it_begins_half_open(void **unused)
{
    (void)unused;
    struct store_cost cost;
    atomic_store(&bed.region->board.words.last_death[0], DEATH_LOCAL_DB_FAULT);
    bed_start();
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_HALF_OPEN);
    assert_int_equal(shown(DEPENDENCY_DB_WRITE).state, BREAKER_HALF_OPEN);
    assert_int_equal(get(&cost), STORE_NOT_FOUND);
    assert_int_equal(shown(DEPENDENCY_DB_READ).state, BREAKER_CLOSED);
}

static void codes_that_speak_against_the_database(void **unused)
{
    (void)unused;
    for (unsigned code = 0; code < DB_CODE_COUNT; code++) {
        enum breaker_result wanted = code == DB_CODE_OK ? BREAKER_SUCCESS
                                     : code == DB_CODE_CONSTRAINT || code == DB_CODE_IDENTITY
                                         ? BREAKER_IGNORED
                                     : code == DB_CODE_UNAVAILABLE ? BREAKER_IGNORED
                                                                   : BREAKER_FAILURE;
        assert_int_equal(circuit_result_of(code), wanted);
    }
    bed_start(); /* for the teardown */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, bed_teardown)
    const struct CMUnitTest tests[] = {
        TEST(five_failing_reads_are_the_last),
        TEST(logins_and_the_own_read_go_past_it),
        TEST(each_write_of_a_batch_is_a_call),
        TEST(waiting_for_the_gate_says_nothing_of_the_database),
        TEST(a_lock_left_by_a_dead_process_is_excused),
        TEST(the_requests_own_fault_is_no_failure),
        TEST(the_board_holds_and_releases_it_at_once),
        TEST(a_worker_killed_during_its_probe_does_not_wedge_it),
        TEST(killed_while_it_wrote_a_probe_decides),
        TEST(after_a_local_fault_it_begins_half_open),
        TEST(codes_that_speak_against_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
