/* SPDX-License-Identifier: MIT */
/* The judgement of the database: what one look says, and how many it takes. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/clock.h"
#include "supervisor/verdict.h"

#define MIB UINT64_C(1048576)

static struct watch good = {.identity = IDENTITY_SAME};
static const struct verdict_limits limits = {.reserve_bytes = 64 * MIB,
                                             .wal_ceiling_bytes = 64 * MIB};
static uint64_t now_ns = 3600 * NS_PER_S;

static bool look(struct verdict *verdict, struct watch watch)
{
    watch.tick = verdict->last_tick + 1;
    now_ns += LOOK_INTERVAL_NS;
    const struct look_now resting = {.step = PROBE_RESTING};
    return verdict_step(verdict, &watch, &resting, &limits, now_ns);
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
        {{.identity = IDENTITY_HIDDEN}, DB_STATE_DOWN},
        {{.identity = IDENTITY_SAME, .open_code = DB_CODE_IDENTITY}, DB_STATE_REPLACED},
        {{.identity = IDENTITY_SAME, .read_code = DB_CODE_FSYNC}, DB_STATE_DOWN},
        {{.identity = IDENTITY_SAME, .read_code = DB_CODE_BUSY}, DB_STATE_DOWN},
        /* room: 2 % of a small disk, 64 MiB of a large one */
        {{.identity = IDENTITY_SAME, .room_bytes = 100 * MIB, .free_bytes = 3 * MIB}, DB_STATE_UP},
        {{.identity = IDENTITY_SAME, .room_bytes = 100 * MIB, .free_bytes = 1 * MIB},
         DB_STATE_FULL},
        {{.identity = IDENTITY_SAME, .room_bytes = 99999 * MIB, .free_bytes = 65 * MIB},
         DB_STATE_UP},
        {{.identity = IDENTITY_SAME, .room_bytes = 99999 * MIB, .free_bytes = 63 * MIB},
         DB_STATE_FULL},
        {{.identity = IDENTITY_SAME, .room_bytes = 0, .free_bytes = 0}, DB_STATE_UP},
        /* the log */
        {{.identity = IDENTITY_SAME, .wal_bytes = 63 * MIB}, DB_STATE_UP},
        {{.identity = IDENTITY_SAME, .wal_bytes = 64 * MIB}, DB_STATE_FULL},
        /* time */
        {{.identity = IDENTITY_SAME, .read_us = 200000, .write_us = 400000}, DB_STATE_UP},
        {{.identity = IDENTITY_SAME, .read_us = 300000}, DB_STATE_SLOW},
        {{.identity = IDENTITY_SAME, .write_us = 600000}, DB_STATE_SLOW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(verdict_of_look(&rows[i].watch, &limits, DB_STATE_UP), rows[i].state);
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
    const struct look_now resting = {.step = PROBE_RESTING};
    assert_false(verdict_step(&verdict, &same, &resting, &limits, now_ns + 3 * LOOK_INTERVAL_NS));
    assert_true(verdict_step(&verdict, &same, &resting, &limits, now_ns + 5 * LOOK_INTERVAL_NS));
    assert_int_equal(verdict.state, DB_STATE_UNKNOWN);
    assert_true(verdict_allows_reads(verdict.state));
    assert_true(verdict_allows_writes(verdict.state));
    now_ns += 5 * LOOK_INTERVAL_NS;
    assert_true(look(&verdict, good)); /* it speaks again */
    assert_int_equal(verdict.state, DB_STATE_UP);
}

/* A look that hangs since 1 s, with what else is known; the verdict that gives, after `silence`. */
static struct verdict after_hanging(struct look_now now, uint64_t silence_ns)
{
    struct verdict verdict = up();
    struct watch same = good;
    same.tick = verdict.last_tick;
    now.since_ns = now_ns;
    verdict_step(&verdict, &same, &now, &limits, now_ns + silence_ns);
    return verdict;
}

static void a_look_that_hangs_is_a_verdict(void **unused)
{
    (void)unused;
    static const struct {
        struct look_now now;
        uint64_t silence_ms;
        enum db_state state;
    } rows[] = {
        {{.step = PROBE_READ}, 600, DB_STATE_UP},
        {{.step = PROBE_READ}, 750, DB_STATE_DOWN},
        {{.step = PROBE_OPEN}, 750, DB_STATE_DOWN},
        {{.step = PROBE_FILES}, 750, DB_STATE_DOWN},
        {{.step = PROBE_WRITE}, 600, DB_STATE_UP},
        {{.step = PROBE_WRITE}, 750, DB_STATE_SLOW},
        /* the watchman is held, or alone with his trouble */
        {{.step = PROBE_READ, .stopped = true}, 750, DB_STATE_UP},
        {{.step = PROBE_READ, .stopped = true}, 1500, DB_STATE_UNKNOWN},
        {{.step = PROBE_READ, .fleet_works = true}, 1500, DB_STATE_UNKNOWN},
        {{.step = (enum probe_step)77}, 1500, DB_STATE_UNKNOWN}, /* a child wrote it */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(after_hanging(rows[i].now, rows[i].silence_ms * NS_PER_MS).state,
                         rows[i].state);
}

static void a_successor_of_a_hung_sentinel_gets_time_to_hang(void **unused)
{
    (void)unused;
    struct verdict verdict = after_hanging((struct look_now){.step = PROBE_READ}, 5 * NS_PER_S);
    struct watch same = good;
    same.tick = verdict.last_tick;
    const struct look_now young = {.step = PROBE_READ, .since_ns = now_ns + 5 * NS_PER_S};
    assert_false(verdict_step(&verdict, &same, &young, &limits, now_ns + 5500 * NS_PER_MS));
    assert_int_equal(verdict.state, DB_STATE_DOWN);
    const struct look_now resting = {.step = PROBE_RESTING};
    assert_true(verdict_step(&verdict, &same, &resting, &limits, now_ns + 11 * NS_PER_S));
    assert_int_equal(verdict.state, DB_STATE_UNKNOWN);
}

static void room_must_come_back_with_a_margin(void **unused)
{
    (void)unused;
    struct watch watch = {.identity = IDENTITY_SAME, .room_bytes = 100 * MIB};
    watch.free_bytes = 2 * MIB + MIB / 4; /* above the reserve of 2, below 2.5 */
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_UP), DB_STATE_UP);
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_FULL), DB_STATE_FULL);
    watch.free_bytes = 3 * MIB;
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_FULL), DB_STATE_UP);
    watch.wal_bytes = 50 * MIB;
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_UP), DB_STATE_UP);
    assert_int_equal(verdict_of_look(&watch, &limits, DB_STATE_FULL), DB_STATE_FULL);
}

static void a_full_log_is_told_from_a_full_disk(void **unused)
{
    (void)unused;
    struct watch log = {.identity = IDENTITY_SAME, .wal_bytes = 64 * MIB};
    struct watch disk = {.identity = IDENTITY_SAME, .room_bytes = 100 * MIB, .free_bytes = MIB};
    struct watch refused = {
        .identity = IDENTITY_SAME, .write_code = DB_CODE_FULL, .wal_bytes = 64 * MIB};
    struct verdict verdict = up();
    look(&verdict, log);
    assert_true(look(&verdict, log));
    assert_true(verdict.wal_full);
    assert_non_null(strstr(verdict.evidence, "wal.ceiling"));
    verdict = up();
    look(&verdict, disk);
    assert_true(look(&verdict, disk));
    assert_false(verdict.wal_full);
    assert_non_null(strstr(verdict.evidence, "disk.reserve"));
    verdict = up();
    look(&verdict, refused);
    assert_true(look(&verdict, refused));
    assert_false(verdict.wal_full);
}

static void an_accusation_needs_no_look(void **unused)
{
    (void)unused;
    struct verdict verdict = up();
    assert_true(verdict_accuse(&verdict, DB_STATE_DOWN, "an fsync failed", now_ns));
    assert_int_equal(verdict.state, DB_STATE_DOWN);
    assert_false(look(&verdict, good));
    assert_false(look(&verdict, good));
    assert_true(look(&verdict, good));
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
        cmocka_unit_test(a_look_that_hangs_is_a_verdict),
        cmocka_unit_test(a_successor_of_a_hung_sentinel_gets_time_to_hang),
        cmocka_unit_test(room_must_come_back_with_a_margin),
        cmocka_unit_test(a_full_log_is_told_from_a_full_disk),
        cmocka_unit_test(an_accusation_needs_no_look),
        cmocka_unit_test(what_a_state_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
