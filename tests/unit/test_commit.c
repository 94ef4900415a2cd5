/* SPDX-License-Identifier: MIT */
/*
 * Group commit under faults: whatever happens to a batch, what a client is told is what the
 * database holds. Faults are SQLite's own: a trigger that raises, an interrupt, writes and syncs
 * that fail.
 */
#include "tests/unit/store_bed.h"

#include "tests/unit/fault_vfs.h"

#define BATCH 5

/* ---- faults ------------------------------------------------------------------------------- */

/* SQL function test_fault(title), called by a trigger for each new item. Flushing the dirty pages
 * in the middle of a transaction is what a full cache does; then the disk's failure is real. */
static void fault_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *title = (const char *)sqlite3_value_text(values[0]);
    sqlite3 *db = sqlite3_context_db_handle(context);
    int code = SQLITE_OK;
    (void)count;
    if (title && strncmp(title, "SLOW", 4) == 0)
        bed_sleep_ms(260); /* more than a turn may last */
    if (title && (strcmp(title, "INTERRUPT") == 0 || strcmp(title, "SLOW INTERRUPT") == 0))
        sqlite3_interrupt(db);
    else if (title && strcmp(title, "FULL") == 0)
        code = SQLITE_FULL;
    else if (title && strcmp(title, "IOERR") == 0)
        code = SQLITE_IOERR_WRITE;
    if (code != SQLITE_OK) {
        atomic_store(&fault_write, code);
        code = sqlite3_db_cacheflush(db);
        atomic_store(&fault_write, 0);
    }
    if (code != SQLITE_OK)
        sqlite3_result_error_code(context, code);
}

/* Run by SQLite for every new connection. */
static int add_function(sqlite3 *db, char **error, const void *api)
{
    (void)error;
    (void)api;
    return sqlite3_create_function(db, "test_fault", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL,
                                   fault_function, NULL, NULL);
}

static void add_trigger(void)
{
    bed_exec("CREATE TRIGGER fault AFTER INSERT ON items BEGIN"
             " SELECT RAISE(ABORT, 'refused') WHERE NEW.title = 'CONSTRAINT';"
             " SELECT RAISE(ROLLBACK, 'refused') WHERE NEW.title = 'ROLLBACK';"
             " SELECT test_fault(NEW.title);"
             /* a loop, for that is where an interrupt is looked for */
             " SELECT count(*) FROM (WITH RECURSIVE r(n) AS"
             " (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 50) SELECT n FROM r); END");
}

static const struct {
    const char *title;
    enum store_result result;
} faults[] = {
    {"CONSTRAINT", STORE_REFUSED}, {"INTERRUPT", STORE_DEADLINE}, {"FULL", STORE_DISK_FULL},
    {"IOERR", STORE_UNAVAILABLE},  {"ROLLBACK", STORE_REFUSED},
};
#define FAULTS (sizeof faults / sizeof faults[0])

/* ---- batches ------------------------------------------------------------------------------ */

/* A batch of creates, the k-th made to fail; with_keys: each also writes its key. */
static void run_faulty_batch(unsigned k, const char *fault, bool with_keys,
                             struct bed_call calls[BATCH])
{
    static char body[20000]; /* overflow pages: dirty and not in a cursor's hands */
    memset(body, 'b', sizeof body - 1);
    memset(calls, 0, sizeof *calls * BATCH);
    for (unsigned i = 0; i < BATCH; i++) {
        calls[i].write = bed_create(ALICE, i == k ? fault : title_of(i), body);
        calls[i].write.idempotency_key = with_keys ? title_of(i) : NULL;
    }
    bed_hold_gate();
    bed_queue(calls, BATCH, 5000);
    bed_release_gate();
    bed_join(calls, BATCH);
}

static void a_failing_operation_is_nobody_elses_business(void **unused)
{
    (void)unused;
    struct bed_call calls[BATCH];
    add_trigger();
    for (size_t fault = 0; fault < FAULTS; fault++)
        for (unsigned k = 0; k < 2 * BATCH; k++) {
            bool with_keys = k >= BATCH;
            run_faulty_batch(k % BATCH, faults[fault].title, with_keys, calls);
            for (unsigned i = 0; i < BATCH; i++)
                assert_int_equal(calls[i].result, i == k % BATCH ? faults[fault].result : STORE_OK);
            assert_truth(calls, BATCH);
            assert_int_equal(bed_ask("SELECT count(*) FROM items"), BATCH - 1);
            assert_int_equal(bed_ask("SELECT count(*) FROM idempotency"),
                             with_keys ? BATCH - 1 : 0);
            bed_assert_sound();
            bed_exec("DELETE FROM items");
            bed_exec("DELETE FROM idempotency");
        }
}

static void neighbours_share_a_commit(void **unused)
{
    (void)unused;
    struct bed_call calls[BATCH];
    run_faulty_batch(BATCH, "none", false, calls);
    assert_truth(calls, BATCH);
    assert_int_equal(bed_metrics()->db_commits[0][0], 1);
    assert_int_equal(bed_metrics()->db_commit_batch[0].sum, BATCH);
    assert_true(bed_metrics()->db_lock_wait[0].sum > 0);
    /* A refusal leaves the batch whole. */
    bed_exec("DELETE FROM items");
    add_trigger();
    run_faulty_batch(2, "CONSTRAINT", false, calls);
    assert_truth(calls, BATCH);
    assert_int_equal(bed_metrics()->db_commits[0][0], 2);
}

static void logical_failures_stay_in_their_batch(void **unused)
{
    (void)unused;
    struct write item = bed_create(ALICE, "item", NULL);
    bed_must_create(&item);
    struct bed_call calls[4] = {0};
    calls[0].write = bed_create(ALICE, "w0", NULL);
    calls[1].write = calls[2].write = item;
    calls[1].write.kind = WRITE_DELETE;
    calls[2].write.kind = WRITE_PATCH; /* deleted just before, in the same transaction */
    calls[3].write = bed_create(ALICE, "w3", NULL);
    bed_hold_gate();
    bed_queue(calls, 4, 5000);
    bed_release_gate();
    bed_join(calls, 4);
    assert_int_equal(calls[0].result, STORE_OK);
    assert_int_equal(calls[1].result, STORE_OK);
    assert_int_equal(calls[2].result, STORE_NOT_FOUND);
    assert_int_equal(calls[3].result, STORE_OK);
    assert_int_equal(bed_metrics()->db_commits[0][0], 2);
    assert_int_equal(bed_ask("SELECT count(*) FROM items"), 2);
    free(calls[0].write.answer);
    free(calls[3].write.answer);
}

static void a_key_is_used_once_in_a_batch(void **unused)
{
    (void)unused;
    struct bed_call calls[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        calls[i].write = bed_create(ALICE, "once", NULL);
        calls[i].write.idempotency_key = "key";
    }
    calls[2].write.request_hash[31] = 1;
    bed_hold_gate();
    bed_queue(calls, 3, 5000);
    bed_release_gate();
    bed_join(calls, 3);
    assert_int_equal(calls[0].result, STORE_OK);
    assert_int_equal(calls[1].result, STORE_REPLAYED);
    assert_int_equal(calls[2].result, STORE_KEY_REUSED);
    assert_string_equal(calls[0].write.answer, calls[1].write.answer);
    assert_string_equal(calls[0].write.id, calls[1].write.id);
    assert_int_equal(calls[1].write.status, 201);
    assert_int_equal(bed_metrics()->db_commits[0][0], 1);
    assert_int_equal(rows_of("once"), 1);
    free(calls[0].write.answer);
    free(calls[1].write.answer);
}

static void a_refused_key_takes_its_item_back(void **unused)
{
    (void)unused;
    struct bed_call calls[BATCH];
    bed_exec("CREATE TRIGGER fault AFTER INSERT ON idempotency BEGIN"
             " SELECT RAISE(ABORT, 'refused') WHERE NEW.key = 'w2'; END");
    run_faulty_batch(BATCH, "none", true, calls);
    for (unsigned i = 0; i < BATCH; i++)
        assert_int_equal(calls[i].result, i == 2 ? STORE_REFUSED : STORE_OK);
    assert_truth(calls, BATCH);
    assert_int_equal(bed_metrics()->db_commits[0][0], 1);
}

/* ---- a turn that lasts too long ----------------------------------------------------------- */

static void a_turn_ends_between_operations(void **unused)
{
    (void)unused;
    struct bed_call calls[BATCH];
    add_trigger();
    run_faulty_batch(1, "SLOW", false, calls);
    assert_truth(calls, BATCH);
    for (unsigned i = 0; i < BATCH; i++)
        assert_int_equal(calls[i].result, STORE_OK);
    assert_int_equal(bed_metrics()->db_commits[0][0], 2);
}

static void a_lost_turn_gives_back_what_it_cannot_run(void **unused)
{
    (void)unused;
    struct bed_call calls[4] = {0};
    add_trigger();
    for (unsigned i = 0; i < 4; i++)
        calls[i].write = bed_create(ALICE, i == 2 ? "SLOW INTERRUPT" : title_of(i), NULL);
    bed_hold_gate();
    bed_queue(&calls[0], 1, 5000);
    bed_queue(&calls[1], 1, 200); /* claimed in time, and too late when all is rolled back */
    bed_queue(&calls[2], 2, 5000);
    bed_release_gate();
    bed_join(calls, 4);
    assert_int_equal(calls[0].result, STORE_OK);
    assert_int_equal(calls[1].result, STORE_DEADLINE);
    assert_int_equal(calls[2].result, STORE_DEADLINE);
    assert_int_equal(calls[2].cost.error, DB_CODE_INTERRUPT);
    assert_int_equal(calls[3].result, STORE_OK);
    assert_int_equal(bed_metrics()->db_commits[0][0], 1); /* the two left went together */
    assert_truth(calls, 4);
}

/* ---- COMMIT fails ------------------------------------------------------------------------- */

static void a_failed_commit_is_unknown_to_all(void **unused)
{
    (void)unused;
    static const struct {
        _Atomic int *where;
        int code;
        enum db_code kind;
    } ways[] = {{&fault_sync, SQLITE_IOERR_FSYNC, DB_CODE_FSYNC},
                {&fault_write, SQLITE_FULL, DB_CODE_FULL},
                {&fault_write, SQLITE_IOERR_WRITE, DB_CODE_IOERR}};
    struct bed_call calls[BATCH];
    for (unsigned way = 0; way < 3; way++) {
        struct write before = bed_create(ALICE, "before", NULL), after = before;
        bed_must_create(&before);
        atomic_store(ways[way].where, ways[way].code);
        run_faulty_batch(BATCH, "none", false, calls);
        for (unsigned i = 0; i < BATCH; i++) {
            assert_int_equal(calls[i].result, STORE_UNKNOWN);
            assert_int_equal(calls[i].cost.error, ways[way].kind);
        }
        assert_truth(calls, BATCH);
        bed_must_create(&after); /* with a new connection */
        assert_int_equal(rows_of("before"), 2);
        bed_assert_sound();
        bed_exec("DELETE FROM items");
    }
    assert_int_equal(bed_metrics()->db_errors[DB_OP_COMMIT][DB_CODE_IOERR], 1);
    assert_int_equal(bed_metrics()->db_errors[DB_OP_COMMIT][DB_CODE_FSYNC], 1);
    assert_int_equal(bed_metrics()->db_errors[DB_OP_COMMIT][DB_CODE_FULL], 1);
}

/* ---- everything at once ------------------------------------------------------------------- */

#define CROWD 12

struct member {
    pthread_t thread;
    unsigned number, created, refused;
    bool lied;
};

/* Creates with deadlines so short that many leave; each title is one of its own. */
static void *member_run(void *argument)
{
    struct member *member = argument;
    unsigned seed = member->number + 1;
    for (unsigned i = 0; i < 150; i++) {
        char title[40];
        struct store_cost cost;
        snprintf(title, sizeof title, "%s", rand_r(&seed) % 40 == 0 ? "INTERRUPT" : "crowd");
        struct write write = bed_create(ALICE, title, "some body");
        enum store_result result = store_write(
            &write, clock_now_ns() + (uint64_t)(rand_r(&seed) % 8000) * NS_PER_US, &cost);
        if (result == STORE_OK)
            member->created++;
        else
            member->refused++;
        member->lied |= result == STORE_OK && title[0] == 'I';
        member->lied |= (result == STORE_OK) != (write.answer != NULL);
        free(write.answer);
    }
    return NULL;
}

static void a_crowd_is_told_the_truth(void **unused)
{
    (void)unused;
    struct member members[CROWD];
    unsigned created = 0, refused = 0;
    add_trigger();
    for (unsigned i = 0; i < CROWD; i++) {
        members[i] = (struct member){.number = i};
        pthread_create(&members[i].thread, NULL, member_run, &members[i]);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        pthread_join(members[i].thread, NULL);
        assert_false(members[i].lied);
        created += members[i].created;
        refused += members[i].refused;
    }
    assert_true(created > 0 && refused > 0);
    assert_int_equal(bed_ask("SELECT count(*) FROM items"), created);
    bed_assert_sound();
}

static int prepare(void **unused)
{
    (void)unused;
    fault_install();
    return sqlite3_auto_extension((void (*)(void))add_function);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_failing_operation_is_nobody_elses_business),
        TEST(neighbours_share_a_commit),
        TEST(logical_failures_stay_in_their_batch),
        TEST(a_key_is_used_once_in_a_batch),
        TEST(a_refused_key_takes_its_item_back),
        TEST(a_turn_ends_between_operations),
        TEST(a_lost_turn_gives_back_what_it_cannot_run),
        TEST(a_failed_commit_is_unknown_to_all),
        TEST(a_crowd_is_told_the_truth),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
