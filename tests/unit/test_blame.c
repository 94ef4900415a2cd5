/* SPDX-License-Identifier: MIT */
/* Who is to blame: a table of fleets, each a few seconds of counters, and whom it must accuse. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/clock.h"
#include "supervisor/blame.h"

#define MOST 8

/* What one worker does in a second: calls of one operation, and failures of one code. */
struct rate {
    unsigned calls, failed;
    enum db_code code; /* 0: IOERR */
    enum db_op op;     /* 0: READ */
};

/* calls, failed */
#define F(c, f)                     \
    {                               \
        .calls = (c), .failed = (f) \
    }

static struct blame blame;
static struct blame_sight sight[MOST];
static struct blame_question question;
static uint64_t now_ns;
static char evidence[160];

static int begin(void **unused)
{
    (void)unused;
    memset(&blame, 0, sizeof blame);
    memset(sight, 0, sizeof sight);
    now_ns = 1000 * NS_PER_S;
    question = (struct blame_question){
        .sight = sight, .slots = 5, .workers = 4, .db_up = true, .db_since_ns = NS_PER_S};
    for (unsigned i = 0; i < 4; i++) {
        sight[i].serves = true;
        sight[i].generation = 1;
        sight[i].counts.calls[DB_OP_READ] = 1000000; /* counters belong to the slot, not to us */
        sight[i].counts.failed[DB_OP_READ][DB_CODE_IOERR] = 500000;
    }
    return 0;
}

static void do_work(unsigned worker, const struct rate *rate)
{
    enum db_op op = rate->op ? rate->op : DB_OP_READ;
    sight[worker].counts.calls[op] += rate->calls;
    sight[worker].counts.failed[op][rate->code ? rate->code : DB_CODE_IOERR] += rate->failed;
}

/* One second in which worker 0 … 3 do this. */
static int second(const struct rate rate[4])
{
    for (unsigned i = 0; i < 4; i++)
        do_work(i, &rate[i]);
    now_ns += NS_PER_S;
    return blame_judge(&blame, &question, now_ns, evidence, sizeof evidence);
}

/* Seconds until somebody is accused, 0 never; *accused is who. */
static unsigned seconds_until_accused(const struct rate rate[4], int *accused)
{
    for (unsigned s = 1; s <= 30; s++)
        if ((*accused = second(rate)) >= 0)
            return s;
    return 0;
}

static void each_fleet_has_its_culprit(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        struct rate rate[4];
        int accused;
    } table[] = {
        {"all is well", {F(100, 0), F(100, 0), F(100, 0), F(100, 0)}, -1},
        {"one fails", {F(100, 0), F(100, 0), F(10, 6), F(100, 0)}, 2},
        {"one fails in just half", {F(100, 0), F(10, 5), F(100, 0), F(100, 0)}, 1},
        {"one fails in less", {F(100, 0), F(100, 49), F(100, 0), F(100, 0)}, -1},
        {"four calls a second are just enough", {F(4, 4), F(100, 0), F(100, 0), F(100, 0)}, 0},
        {"three are too few", {F(3, 3), F(100, 0), F(100, 0), F(100, 0)}, -1},
        {"all fail", {F(100, 100), F(100, 100), F(100, 100), F(100, 100)}, -1},
        {"the others fail in a tenth", {F(100, 90), F(100, 10), F(100, 10), F(100, 10)}, -1},
        {"the others fail in less", {F(100, 90), F(100, 9), F(100, 10), F(100, 10)}, 0},
        {"the others are idle", {F(100, 90), F(0, 0), F(0, 0), F(0, 0)}, 0},
        {"two of four", {F(100, 90), F(100, 90), F(100, 0), F(100, 0)}, -1},
        {"the requests' own fault", {{100, 90, DB_CODE_CONSTRAINT, 0}, F(100, 0)}, -1},
        {"deadlines", {{100, 90, DB_CODE_INTERRUPT, 0}, F(100, 0)}, -1},
        {"the fence", {{100, 90, DB_CODE_UNAVAILABLE, 0}, F(100, 0)}, -1},
        {"a full disk", {{100, 90, DB_CODE_FULL, 0}, F(100, 0)}, -1},
        {"busy", {{100, 90, DB_CODE_BUSY, 0}, F(100, 0)}, 0},
        {"its descriptors", {{100, 90, DB_CODE_CANTOPEN, 0}, F(100, 0)}, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int accused;
        begin(NULL);
        unsigned s = seconds_until_accused(table[i].rate, &accused);
        if (accused != table[i].accused)
            fail_msg("%s: %d is accused, not %d", table[i].name, accused, table[i].accused);
        if (s && s != BLAME_SECONDS + 1) /* a sample to begin with, then the window */
            fail_msg("%s: accused after %u s", table[i].name, s);
    }
}

static void one_operation_is_enough(void **unused)
{
    (void)unused;
    int accused;
    for (unsigned s = 0; s <= BLAME_SECONDS; s++) {
        do_work(1, &(struct rate){.calls = 1000});
        do_work(3, &(struct rate){.calls = 100, .op = DB_OP_COMMIT});
        accused = second((struct rate[4]){[1] = {.calls = 8, .failed = 8, .op = DB_OP_COMMIT}});
    }
    assert_int_equal(accused, 1);
    assert_string_equal(evidence, "40 of 40 commit calls failed in 5 s: ioerr 40; the sentinel and "
                                  "3 others see no fault");
}

static void the_evidence_names_kinds(void **unused)
{
    (void)unused;
    int accused = -1;
    for (unsigned s = 0; s <= BLAME_SECONDS; s++) {
        do_work(0, &(struct rate){.failed = 4, .code = DB_CODE_BUSY});
        accused = second((struct rate[4]){F(8, 2), F(8, 0), F(8, 0), F(8, 0)});
    }
    assert_int_equal(accused, 0);
    assert_string_equal(evidence, "30 of 40 database calls failed in 5 s: busy 20, ioerr 10; the "
                                  "sentinel and 3 others see no fault");
}

static void the_sentinel_must_have_been_content_for_as_long(void **unused)
{
    (void)unused;
    static const struct rate one[4] = {F(100, 90), F(100, 0), F(100, 0), F(100, 0)};
    int accused;
    question.db_up = false;
    assert_int_equal(seconds_until_accused(one, &accused), 0);
    question.db_up = true;
    question.db_since_ns = now_ns;
    assert_int_equal(seconds_until_accused(one, &accused), BLAME_SECONDS);
}

static void counters_that_cannot_be_true_are_no_evidence(void **unused)
{
    (void)unused;
    static const struct rate one[4] = {F(100, 90), F(100, 0), F(100, 0), F(100, 0)};
    uint64_t *const words[] = {&sight[0].counts.calls[DB_OP_READ],
                               &sight[0].counts.failed[DB_OP_READ][DB_CODE_IOERR],
                               &sight[0].counts.failed[DB_OP_OPEN][DB_CODE_BUSY]};
    static const uint64_t leaps[] = {UINT64_MAX / 3, UINT64_MAX / 2, 1ull << 40, -(uint64_t)500};
    for (unsigned w = 0; w < 3; w++)
        for (unsigned l = 0; l < 4; l++) {
            begin(NULL);
            for (unsigned s = 0; s < 30; s++) {
                if (s % 4 == 3)
                    *words[w] += leaps[l];
                assert_int_equal(second(one), -1);
            }
            int accused;
            assert_in_range(seconds_until_accused(one, &accused), 1, BLAME_SECONDS + 1);
        }
    begin(NULL); /* failures of calls that were never made */
    for (unsigned s = 0; s < 30; s++)
        assert_int_equal(second((struct rate[4]){F(100, 1000), F(100, 0)}), -1);
}

/* Seconds until a worker with an open breaker is accused, 0 never. */
static unsigned seconds_until_breaker_accused(void)
{
    static const struct rate well[4] = {F(100, 0), F(100, 0), F(0, 0), F(100, 0)};
    for (unsigned s = 1; s <= 30; s++)
        if (second(well) >= 0)
            return s;
    return 0;
}

static void an_open_breaker_is_evidence_after_ten_seconds(void **unused)
{
    (void)unused;
    struct blame_breaker *own = sight[2].breaker;
    own[DEPENDENCY_DB_WRITE] = (struct blame_breaker){.open = true, .probe_failed = true};
    assert_int_equal(seconds_until_breaker_accused(), BLAME_BREAKER_SECONDS + 1);
    assert_string_equal(evidence, "its circuit breaker of db_write has been open for 10 s and a "
                                  "probe failed; the sentinel and 3 others see no fault");
    begin(NULL); /* no probe has failed: it may be well */
    own[DEPENDENCY_DB_READ] = (struct blame_breaker){.open = true};
    assert_int_equal(seconds_until_breaker_accused(), 0);
    begin(NULL); /* another one's is open too, if only for a moment now and then */
    own[DEPENDENCY_DB_READ] = (struct blame_breaker){.open = true, .probe_failed = true};
    sight[3].breaker[DEPENDENCY_DB_READ].open = true;
    assert_int_equal(seconds_until_breaker_accused(), 0);
    begin(NULL); /* another dependency's is no comfort */
    own[DEPENDENCY_DB_READ] = (struct blame_breaker){.open = true, .probe_failed = true};
    sight[3].breaker[DEPENDENCY_DB_WRITE].open = true;
    assert_int_equal(seconds_until_breaker_accused(), BLAME_BREAKER_SECONDS + 1);
}

/* A burst of failures opens the breaker: the last calls it was allowed to make are no share. */
static void calls_before_an_open_breaker_are_no_evidence(void **unused)
{
    (void)unused;
    static const struct rate burst[4] = {F(100, 0), F(100, 0), F(30, 30), F(100, 0)};
    static const struct rate well[4] = {F(100, 0), F(100, 0), F(0, 0), F(100, 0)};
    for (unsigned s = 0; s < 6; s++)
        assert_int_equal(second(well), -1);
    sight[2].breaker[DEPENDENCY_DB_READ].open = true;
    assert_int_equal(second(burst), -1);
    for (unsigned s = 0; s < 30; s++)
        assert_int_equal(second(well), -1);
}

static void another_process_and_a_pause_begin_anew(void **unused)
{
    (void)unused;
    static const struct rate one[4] = {F(100, 90), F(100, 0), F(100, 0), F(100, 0)};
    for (unsigned s = 0; s < 30; s++) {
        sight[0].generation += s % BLAME_SECONDS == 0;
        assert_int_equal(second(one), -1);
    }
    for (unsigned s = 0; s < 30; s++) {
        sight[0].serves = s % BLAME_SECONDS != 0;
        assert_int_equal(second(one), -1);
    }
    sight[0].serves = true;
    for (unsigned s = 0; s < 30; s++) {
        now_ns += s % BLAME_SECONDS == 0 ? 2 * NS_PER_S : 0; /* the supervisor was stopped */
        assert_int_equal(second(one), -1);
    }
}

/* Half of the fleet, rounded up, in any minute, however long it goes on. */
static void at_most_half_in_a_minute(void **unused)
{
    (void)unused;
    for (unsigned workers = 1; workers <= 4; workers++) {
        uint64_t at[600] = {0};
        unsigned count = 0;
        begin(NULL);
        question.workers = workers;
        for (unsigned s = 0; s < 600; s++) {
            struct rate rate[4] = {F(100, 0), F(100, 0), F(100, 0), F(100, 0)};
            rate[s / 10 % 4] = (struct rate){100, 100, 0, 0};
            int accused = second(rate);
            if (accused < 0)
                continue;
            sight[accused].generation++;
            at[count++] = now_ns;
        }
        unsigned limit = (workers + 1) / 2;
        assert_true(count >= 8 * limit);
        for (unsigned i = limit; i < count; i++)
            assert_true(at[i] - at[i - limit] >= 60 * NS_PER_S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_fleet_has_its_culprit, begin),
        cmocka_unit_test_setup(one_operation_is_enough, begin),
        cmocka_unit_test_setup(the_evidence_names_kinds, begin),
        cmocka_unit_test_setup(the_sentinel_must_have_been_content_for_as_long, begin),
        cmocka_unit_test_setup(counters_that_cannot_be_true_are_no_evidence, begin),
        cmocka_unit_test_setup(an_open_breaker_is_evidence_after_ten_seconds, begin),
        cmocka_unit_test_setup(calls_before_an_open_breaker_are_no_evidence, begin),
        cmocka_unit_test_setup(another_process_and_a_pause_begin_anew, begin),
        cmocka_unit_test_setup(at_most_half_in_a_minute, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
