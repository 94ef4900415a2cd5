/* SPDX-License-Identifier: MIT */
/* The judgement of the database: what one look says, and how many it takes. */
#include "tests/unit/unit.h"

#include "common/clock.h"
#include "supervisor/verdict.h"

static struct watch good = {.identity = IDENTITY_SAME};
static uint64_t now_ns;

static bool look(struct verdict *verdict, struct watch watch)
{
    watch.tick = verdict->last_tick + 1;
    now_ns += LOOK_INTERVAL_NS;
    return verdict_step(verdict, &watch, now_ns);
}

static struct verdict up(void)
{
    struct verdict verdict;
    verdict_init(&verdict, now_ns);
    assert_int_equal(verdict.state, DB_STATE_UNKNOWN);
    assert_true(look(&verdict, good));
    assert_int_equal(verdict.state, DB_STATE_UP);
    return verdict;
}

static void what_one_look_says(void **unused)
{
    (void)unused;
    static const struct {
        struct watch watch;
        enum db_state state;
    } rows[] = {
        {{.identity = IDENTITY_SAME}, DB_STATE_UP},
        {{.identity = IDENTITY_MISSING}, DB_STATE_MOVED},
        {{.identity = IDENTITY_REPLACED}, DB_STATE_REPLACED},
        {{.identity = IDENTITY_SIDECAR}, DB_STATE_REPLACED},
        {{.identity = IDENTITY_MISSING, .read_code = DB_CODE_IOERR}, DB_STATE_MOVED},
        {{.identity = IDENTITY_SAME, .open_code = DB_CODE_CANTOPEN}, DB_STATE_DOWN},
        {{.identity = IDENTITY_SAME, .open_code = DB_CODE_NOTADB}, DB_STATE_CORRUPT},
        {{.identity = IDENTITY_SAME, .read_code = DB_CODE_CORRUPT}, DB_STATE_CORRUPT},
        {{.identity = IDENTITY_SAME, .read_code = DB_CODE_IOERR}, DB_STATE_DOWN},
        {{.identity = IDENTITY_SAME, .read_code = DB_CODE_INTERRUPT}, DB_STATE_SLOW},
        {{.identity = IDENTITY_SAME, .write_code = DB_CODE_BUSY}, DB_STATE_LOCKED},
        {{.identity = IDENTITY_SAME, .write_code = DB_CODE_FULL}, DB_STATE_FULL},
        {{.identity = IDENTITY_SAME, .write_code = DB_CODE_READONLY}, DB_STATE_READ_ONLY},
        {{.identity = IDENTITY_SAME, .write_code = DB_CODE_BUSY, .write_skipped = 1}, DB_STATE_UP},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(verdict_of_look(&rows[i].watch), rows[i].state);
}

static void one_bad_look_is_not_enough(void **unused)
{
    (void)unused;
    struct verdict verdict = up();
    struct watch full = {.identity = IDENTITY_SAME, .write_code = DB_CODE_FULL};
    assert_false(look(&verdict, full));
    assert_false(look(&verdict, good));
    assert_false(look(&verdict, full));
    assert_int_equal(verdict.state, DB_STATE_UP);
    assert_true(look(&verdict, full));
    assert_int_equal(verdict.state, DB_STATE_FULL);
}

static void wrong_files_need_one_look(void **unused)
{
    (void)unused;
    struct verdict verdict = up();
    struct watch moved = {.identity = IDENTITY_MISSING, .evidence = "app.db is gone"};
    assert_true(look(&verdict, moved));
    assert_int_equal(verdict.state, DB_STATE_MOVED);
    assert_string_equal(verdict.evidence, "app.db is gone");
}

static void up_needs_three_good_looks(void **unused)
{
    (void)unused;
    struct verdict verdict = up();
    struct watch moved = {.identity = IDENTITY_MISSING};
    look(&verdict, moved);
    assert_false(look(&verdict, good));
    assert_false(look(&verdict, good));
    assert_false(look(&verdict, moved)); /* the count starts again */
    assert_false(look(&verdict, good));
    assert_false(look(&verdict, good));
    assert_true(look(&verdict, good));
    assert_int_equal(verdict.state, DB_STATE_UP);
}

static void a_silent_sentinel_is_unknown_and_fences_nobody(void **unused)
{
    (void)unused;
    struct verdict verdict = up();
    struct watch same = good;
    same.tick = verdict.last_tick;
    assert_false(verdict_step(&verdict, &same, now_ns + 3 * LOOK_INTERVAL_NS));
    assert_true(verdict_step(&verdict, &same, now_ns + 5 * LOOK_INTERVAL_NS));
    assert_int_equal(verdict.state, DB_STATE_UNKNOWN);
    assert_true(verdict_allows_reads(verdict.state));
    assert_true(verdict_allows_writes(verdict.state));
    now_ns += 5 * LOOK_INTERVAL_NS;
    assert_true(look(&verdict, good)); /* it speaks again */
    assert_int_equal(verdict.state, DB_STATE_UP);
}

static void what_a_state_allows(void **unused)
{
    (void)unused;
    static const struct {
        enum db_state state;
        bool reads, writes;
    } rows[] = {
        {DB_STATE_UNKNOWN, true, true},   {DB_STATE_UP, true, true},
        {DB_STATE_SLOW, true, true},      {DB_STATE_LOCKED, true, false},
        {DB_STATE_FULL, true, false},     {DB_STATE_READ_ONLY, true, false},
        {DB_STATE_MOVED, false, false},   {DB_STATE_REPLACED, false, false},
        {DB_STATE_CORRUPT, false, false}, {DB_STATE_DOWN, false, false},
    };
    assert_int_equal(sizeof rows / sizeof rows[0], DB_STATE_COUNT);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(verdict_allows_reads(rows[i].state), rows[i].reads);
        assert_int_equal(verdict_allows_writes(rows[i].state), rows[i].writes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_look_says),
        cmocka_unit_test(one_bad_look_is_not_enough),
        cmocka_unit_test(wrong_files_need_one_look),
        cmocka_unit_test(up_needs_three_good_looks),
        cmocka_unit_test(a_silent_sentinel_is_unknown_and_fences_nobody),
        cmocka_unit_test(what_a_state_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
