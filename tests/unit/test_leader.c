/* SPDX-License-Identifier: MIT */
/*
 * Who leads, who leaves, and what a leader meets at the gate: deadlines, the fence, a new epoch, a
 * foreign lock, other files, a holder that was killed.
 */
#include "tests/unit/store_bed.h"

#include <signal.h>
#include <sys/wait.h>

#include "worker/pool.h"

/* ---- what the supervisor sees of a holder -------------------------------------------------- */

static void a_holder_that_reads_on_is_seen_to(void **unused)
{
    (void)unused;
    struct database database = {.child = &bed.child, .metrics = &bed.child.slot->metrics};
    struct connection connection = {.database = &database, .epoch = 1};
    struct slot *slot = bed.child.slot;
    db_paths_set(&database.paths, bed.dir);
    assert_int_equal(connection_open(&connection, DB_WRITER), DB_CODE_OK);
    for (enum gate_stage stage = GATE_NONE; stage <= GATE_IN_COMMIT; stage++) {
        atomic_store(&slot->gate_stage, (uint32_t)stage);
        atomic_store(&slot->gate_since_ns, 1);
        assert_int_equal(db_exec(connection.db, "UPDATE users SET name = name"), 0);
        bool moved = atomic_load(&slot->gate_since_ns) != 1;
        assert_int_equal(moved, stage == GATE_HOLDING);
    }
    atomic_store(&slot->gate_stage, GATE_NONE);
    connection_close(&connection);
}

/* ---- deadlines and leaders ---------------------------------------------------------------- */

static void who_leaves_the_queue_leaves_nothing(void **unused)
{
    (void)unused;
    struct bed_call calls[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        calls[i].write = bed_create(ALICE, title_of(i), NULL);
    bed_hold_gate();
    bed_queue(&calls[0], 1, 5000); /* leads, and waits for the gate */
    bed_queue(&calls[1], 1, 60);
    bed_queue(&calls[2], 1, 5000);
    pthread_join(calls[1].thread, NULL);
    assert_int_equal(calls[1].result, STORE_DEADLINE);
    assert_int_equal(calls[1].cost.error, DB_CODE_OK);
    assert_true(calls[1].took_ns >= 40 * NS_PER_MS && calls[1].took_ns < 500 * NS_PER_MS);
    bed_release_gate();
    pthread_join(calls[0].thread, NULL);
    pthread_join(calls[2].thread, NULL);
    assert_int_equal(calls[0].result, STORE_OK);
    assert_int_equal(calls[2].result, STORE_OK);
    assert_truth(calls, 3);
}

static void a_leader_that_gives_up_hands_on(void **unused)
{
    (void)unused;
    struct bed_call calls[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        calls[i].write = bed_create(ALICE, title_of(i), NULL);
    bed_hold_gate();
    bed_queue(&calls[0], 1, 60);
    bed_queue(&calls[1], 1, 120);
    bed_queue(&calls[2], 1, 5000);
    pthread_join(calls[0].thread, NULL);
    pthread_join(calls[1].thread, NULL);
    assert_int_equal(calls[0].result, STORE_DEADLINE);
    assert_int_equal(calls[1].result, STORE_DEADLINE);
    while (atomic_load(&bed.child.slot->gate_stage) != GATE_WAITING)
        sched_yield();
    bed_release_gate();
    pthread_join(calls[2].thread, NULL);
    assert_int_equal(calls[2].result, STORE_OK);
    assert_truth(calls, 3);
}

static void a_fence_in_the_meantime_refuses_the_queue(void **unused)
{
    (void)unused;
    struct bed_call calls[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        calls[i].write = bed_create(ALICE, title_of(i), NULL);
    bed_hold_gate();
    bed_queue(calls, 3, 5000);
    atomic_store(&bed.region->board.words.db_state, DB_STATE_FULL);
    atomic_store(&bed.region->board.words.db_writable, 0);
    bed_release_gate();
    bed_join(calls, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(calls[i].result, STORE_DISK_FULL);
    assert_truth(calls, 3);
    assert_int_equal(bed_metrics()->refused[CLASS_WRITE][REFUSAL_DATABASE], 3);
}

static void an_epoch_while_waiting_for_the_gate(void **unused)
{
    (void)unused;
    struct bed_call call = {.write = bed_create(ALICE, "w0", NULL)};
    bed_hold_gate();
    bed_queue(&call, 1, 5000);
    while (atomic_load(&bed.child.slot->gate_stage) != GATE_WAITING)
        sched_yield();
    atomic_store(&bed.region->board.words.db_epoch, 2);
    store_tick(); /* its connection is nobody's while it waits */
    assert_int_equal(bed.child.slot->epoch_closed, 2);
    bed_release_gate();
    bed_join(&call, 1);
    assert_int_equal(call.result, STORE_OK);
    assert_truth(&call, 1);
}

/* ---- locks, identity, death --------------------------------------------------------------- */

static void a_foreign_lock_is_waited_for_a_while(void **unused)
{
    (void)unused;
    struct bed_call call = {.write = bed_create(ALICE, "w0", NULL)};
    sqlite3 *foreign = bed_open(DB_WRITER);
    assert_int_equal(db_exec(foreign, "BEGIN IMMEDIATE"), 0);
    bed_call_start(&call, 5000);
    bed_join(&call, 1);
    assert_int_equal(call.result, STORE_LOCKED);
    assert_int_equal(call.cost.error, DB_CODE_BUSY);
    assert_true(call.took_ns >= 190 * NS_PER_MS && call.took_ns < NS_PER_S);
    bed_call_start(&call, 50); /* its own deadline comes first */
    bed_join(&call, 1);
    assert_int_equal(call.result, STORE_DEADLINE);
    assert_int_equal(rows_of("w0"), 0);

    bed_call_start(&call, 5000);
    bed_sleep_ms(50);
    assert_int_equal(db_exec(foreign, "ROLLBACK"), 0);
    bed_join(&call, 1);
    assert_int_equal(call.result, STORE_OK);
    assert_truth(&call, 1);
    db_close(foreign);
}

static void replace_database(void)
{
    char command[300];
    snprintf(command, sizeof command, "cp %s/app.db %s/copy && mv %s/copy %s/app.db", bed.dir,
             bed.dir, bed.dir, bed.dir);
    assert_int_equal(system(command), 0);
}

static void another_file_is_not_written(void **unused)
{
    (void)unused;
    struct store_cost cost;
    struct write write = bed_create(ALICE, "first", NULL);
    bed_must_create(&write);
    replace_database();
    assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_UNAVAILABLE);
    assert_int_equal(cost.error, DB_CODE_IDENTITY);
    assert_true(bed_metrics()->db_errors[DB_OP_IDENTITY][DB_CODE_IDENTITY] > 0);
    /* Nor opened: a new epoch without a new identity. */
    atomic_store(&bed.region->board.words.db_epoch, 2);
    assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_UNAVAILABLE);
    assert_int_equal(cost.error, DB_CODE_IDENTITY);
    assert_int_equal(store_probe(&cost), DB_CODE_IDENTITY);

    unlink(bed.paths.file[DB_FILE_WAL]);
    unlink(bed.paths.file[DB_FILE_SHM]);
}

static void a_missing_sidecar_stops_writes(void **unused)
{
    (void)unused;
    struct store_cost cost;
    struct write write = bed_create(ALICE, "first", NULL);
    bed_must_create(&write);
    unlink(bed.paths.file[DB_FILE_WAL]);
    assert_int_equal(store_write(&write, in_ms(1000), &cost), STORE_UNAVAILABLE);
    assert_int_equal(cost.error, DB_CODE_IDENTITY);
}

static int replace_once(void *unused)
{
    static _Atomic bool done;
    (void)unused;
    if (!atomic_exchange(&done, true))
        replace_database();
    return 0;
}

static int add_commit_hook(sqlite3 *db, char **error, const void *api)
{
    (void)error;
    (void)api;
    sqlite3_commit_hook(db, replace_once, NULL);
    return SQLITE_OK;
}

static void a_file_replaced_under_a_commit_is_unknown(void **unused)
{
    (void)unused;
    struct store_cost cost;
    struct write write = bed_create(ALICE, "first", NULL);
    sqlite3_auto_extension((void (*)(void))add_commit_hook);
    enum store_result result = store_write(&write, in_ms(1000), &cost);
    sqlite3_cancel_auto_extension((void (*)(void))add_commit_hook);
    assert_int_equal(result, STORE_UNKNOWN);
    assert_null(write.answer);
    assert_int_equal(cost.error, DB_CODE_IDENTITY);
}

/* In a process of its own: take the gate, write, never commit. */
static _Noreturn void die_in_a_transaction(int ready)
{
    sqlite3 *db = bed_open(DB_WRITER);
    if (gate_lock(&bed.region->gate, region_slot(bed.region, 1), in_ms(1000)) < 0 ||
        db_exec(db, "BEGIN IMMEDIATE") ||
        db_exec(db, "INSERT INTO items SELECT 1, 'never' || value, 'never', 1, 0, 0,"
                    " zeroblob(1000) || 'x' FROM (WITH RECURSIVE r(value) AS"
                    " (SELECT 1 UNION ALL SELECT value + 1 FROM r LIMIT 5000) SELECT * FROM r)") ||
        write(ready, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void the_next_writer_follows_a_killed_one(void **unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        int ready[2], status;
        char byte;
        bed_make(); /* and fork before this process has the database open */
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0)
            die_in_a_transaction(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        bed_start();
        struct bed_call call = {.write = bed_create(ALICE, "w0", NULL)};
        bed_queue(&call, 1, 3000);
        kill(pid, SIGKILL);
        bed_join(&call, 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(call.result, STORE_OK);
        assert_true(call.took_ns < 2 * NS_PER_S);
        assert_truth(&call, 1);
        assert_int_equal(bed_metrics()->gate_owner_died[0][0], 1);
        assert_int_equal(bed_ask("SELECT count(*) FROM items"), 1);
        bed_assert_sound();
        close(ready[0]);
        close(ready[1]);
        if (i < 9) /* the last is the teardown's */
            bed_teardown(NULL);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_holder_that_reads_on_is_seen_to),
        TEST(who_leaves_the_queue_leaves_nothing),
        TEST(a_leader_that_gives_up_hands_on),
        TEST(a_fence_in_the_meantime_refuses_the_queue),
        TEST(an_epoch_while_waiting_for_the_gate),
        TEST(a_foreign_lock_is_waited_for_a_while),
        TEST(another_file_is_not_written),
        TEST(a_missing_sidecar_stops_writes),
        TEST(a_file_replaced_under_a_commit_is_unknown),
        cmocka_unit_test_teardown(the_next_writer_follows_a_killed_one, bed_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
